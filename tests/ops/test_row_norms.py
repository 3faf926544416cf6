"""Layer norm and RMS norm: derived checks."""

from __future__ import annotations

from facula.testing import derived

test_declared = derived("facula.ops.row_norms")
