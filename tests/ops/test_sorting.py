"""What follows from the blocks of facula/ops/sorting.py."""

from __future__ import annotations

from facula.testing import derived

test_declared = derived("facula.ops.sorting")
