"""What follows from the blocks of facula/ops/extremes.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.extremes")


def test_zeros_of_both_signs() -> None:
    """PyTorch's amax and amin keep the first, max and min over everything the last."""
    for values, first in ([0.0, -0.0], False), ([-0.0, 0.0], True):
        x = facula.tensor(values)
        assert x.amax(0).signbit().item() is first and x.amin(0).signbit().item() is first
        assert [v.signbit().item() for v in facula.aminmax(x)] == [first, first]
        assert x.max().signbit().item() is not first and x.min().signbit().item() is not first
