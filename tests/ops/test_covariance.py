"""What follows from the blocks of facula/ops/covariance.py."""

from __future__ import annotations

from facula.testing import derived

test_declared = derived("facula.ops.covariance")
