"""oneDNN is not used. `enabled` is kept for programs that set it."""

from __future__ import annotations

enabled = False


def is_available() -> bool:
    return False


def is_built() -> bool:
    return False
