"""The worker pool is facula's own."""

from __future__ import annotations


def is_available() -> bool:
    return False
