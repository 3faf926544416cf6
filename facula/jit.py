"""torch.jit without TorchScript: functions stay Python. What programs ask on their way is answered, and marks for the scripter change nothing."""

from __future__ import annotations

import builtins
from typing import Any, Final, TypeVar

__all__ = ["Final", "annotate", "export", "ignore", "is_scripting", "is_tracing", "isinstance", "unused"]

T = TypeVar("T")


def is_scripting() -> bool:
    """Nothing is compiled to TorchScript."""
    return False


def is_tracing() -> bool:
    """Nothing is traced to TorchScript."""
    return False


def export(fn: T) -> T:
    """The function."""
    return fn


unused = export


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function; with a bool, a decorator that gives it back."""
    return drop if callable(drop) else export


def annotate(the_type: Any, the_value: T) -> T:
    """The value, whose type is said for the scripter."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's, where containers with types of elements, such as `list[int]`, are asked about the container."""
    kinds: tuple[Any, ...] = target_type if builtins.isinstance(target_type, tuple) else (target_type,)
    return builtins.isinstance(obj, tuple(getattr(kind, "__origin__", kind) for kind in kinds))
