"""Normalisation: derived checks."""

from __future__ import annotations

from facula.testing import derived

test_declared = derived("facula.ops.normalisation")
