"""What follows from the blocks of facula/ops/movement.py."""

from __future__ import annotations

from facula.testing import derived

test_declared = derived("facula.ops.movement")
