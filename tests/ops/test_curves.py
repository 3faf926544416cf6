"""What follows from the blocks of facula/ops/curves.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.curves")


def test_small_integers_do_not_wrap() -> None:
    assert (
        facula.trapezoid(facula.tensor([200, 200, 200], dtype=facula.uint8), dx=2.0).item() == 1056
    )  # PyTorch's: the ends wrap, the sum does not
    assert facula.cumulative_trapezoid(facula.ones(3, 0)).shape == (3, 0)
