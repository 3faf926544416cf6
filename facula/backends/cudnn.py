"""cuDNN is not used; what programs set is kept."""

from __future__ import annotations

enabled = True
benchmark = False
deterministic = False
allow_tf32 = False


def is_available() -> bool:
    return False


def version() -> None:
    """There is none."""
