"""What follows from the blocks of facula/ops/movement.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.movement")


def test_broadcast_tensors_gives_a_tuple() -> None:
    assert isinstance(facula.broadcast_tensors(facula.ones(2), facula.ones(1)), tuple)
