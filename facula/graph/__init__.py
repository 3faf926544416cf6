"""Floor 5: recorded graphs: compile by record and replay, fusion, explain."""

from __future__ import annotations

from .compile import compile
from .explain import explain

__all__ = ["compile", "explain"]
