"""Types: promotion as PyTorch's documentation of tensor attributes tells it."""

from __future__ import annotations

import facula
import facula.core.native.fields as fields
import facula.core.objects as objects
from facula.base.settings import SETTINGS


def test_numbers_decide_only_by_their_category() -> None:
    i, x = facula.tensor([1]), facula.ones(1, dtype=facula.float64)
    assert facula.result_type(i, 2.5) is facula.float32 and facula.result_type(x, 2) is facula.float64
    assert facula.result_type(facula.ones(1, dtype=facula.float16), facula.tensor(1.0, dtype=facula.float64)) is facula.float16
    assert facula.promote_types(facula.uint8, facula.int8) is facula.int16 and not facula.can_cast(facula.float32, facula.int32)


def test_answers_that_follow_from_types_and_shapes() -> None:
    """Such calls pass no Python from the third on; what looks at values does."""
    x, y = facula.ones(2, 3), facula.arange(4)
    for k in range(5):
        assert facula.is_floating_point(x) and not facula.is_floating_point(y)
        assert (facula.numel(x), facula.numel(y), facula.is_same_size(x, y)) == (6, 4, False)
        assert facula.result_type(x, y) is facula.float32 and facula.result_type(y, k + 0.5) is facula.float32
        assert facula.promote_types(facula.int8, facula.uint8) is facula.int16 and facula.can_cast(facula.int32, facula.float32)
        assert facula.is_nonzero(facula.tensor(k)) is (k != 0)
        facula.set_default_dtype(facula.float64)
        assert facula.result_type(y, 0.5) is facula.float64
        facula.set_default_dtype(facula.float32)
        with facula.inference_mode():
            assert facula.numel(x) == 6
    counted = fields.STATE["misses"]
    missed = []
    for _ in range(5):
        before = objects.state[counted] if objects.NATIVE else 0
        facula.numel(x)
        missed.append(objects.state[counted] - before if objects.NATIVE else 0)
    assert SETTINGS.check_bounds or 0 in missed
