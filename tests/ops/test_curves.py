"""What follows from the blocks of facula/ops/curves.py."""

from __future__ import annotations

from facula.testing import derived

test_declared = derived("facula.ops.curves")
