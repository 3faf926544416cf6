"""Questions about what users pass, with answers that a type checker understands."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_a(x: object, kind: type) -> bool:
    """`isinstance` where an annotation already says so: a type checker trusts what users were asked for, we do not."""
    return isinstance(x, kind)


def is_sequence(x: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """A list or a tuple, of whatever."""
    return isinstance(x, (list, tuple))


def is_tuple(x: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(x, tuple)
