"""Classes and functions that every load of this process trusts, besides the built-in ones."""

from __future__ import annotations

from types import TracebackType
from typing import Any

_TRUSTED: list[Any] = []


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Trust classes or functions (or pairs of one and the full name it was saved under) in all loads from now on."""
    _TRUSTED.extend(item for item in safe_globals if item not in _TRUSTED)


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` added."""
    return list(_TRUSTED)


def clear_safe_globals() -> None:
    """Trust none of them any more."""
    _TRUSTED.clear()


class safe_globals:
    """Trust classes or functions inside a `with` block."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self.items = safe_globals

    def __enter__(self) -> None:
        self.added = [item for item in self.items if item not in _TRUSTED]
        add_safe_globals(self.items)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for item in self.added:
            _TRUSTED.remove(item)


__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals"]
