"""What follows from the blocks of facula/ops/stacking.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.stacking")


def test_turns() -> None:
    x = facula.arange(6).view(2, 3)
    assert facula.rot90(x).tolist() == [[2, 5], [1, 4], [0, 3]]
    assert facula.block_diag(facula.ones(1, 2), facula.tensor(3.0)).tolist() == [[1, 1, 0], [0, 0, 3]]
