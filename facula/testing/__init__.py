"""Floor 5: tests that derive from the operators' declarations, and comparison of tensors."""

from __future__ import annotations

from .comparison import assert_close
from .derived import derived

__all__ = ["assert_close", "derived"]
