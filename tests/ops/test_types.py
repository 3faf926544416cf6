"""Types: promotion as PyTorch's documentation of tensor attributes tells it."""

from __future__ import annotations

import facula


def test_numbers_decide_only_by_their_category() -> None:
    i, x = facula.tensor([1]), facula.ones(1, dtype=facula.float64)
    assert facula.result_type(i, 2.5) is facula.float32 and facula.result_type(x, 2) is facula.float64
    assert facula.result_type(facula.ones(1, dtype=facula.float16), facula.tensor(1.0, dtype=facula.float64)) is facula.float16
    assert facula.promote_types(facula.uint8, facula.int8) is facula.int16 and not facula.can_cast(facula.float32, facula.int32)
