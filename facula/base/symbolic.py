"""Numbers that PyTorch's tracers leave open. Sizes are always known here, so there are none; programs ask for the types and compute with the
functions, which take plain numbers."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from .errors import refuse
from .narrow import is_sequence


class SymInt:
    """A size that is not known yet."""


class SymFloat:
    """A number that is not known yet."""


class SymBool:
    """A comparison that is not decided yet."""


def sym_int(a: Any) -> int:
    """int(a): towards zero."""
    return builtins.int(a)


def sym_float(a: Any) -> float:
    return builtins.float(a)


def sym_not(a: Any) -> bool:
    return not a


def _numbers(a: Any, b: Any) -> type:
    """float if one of two numbers is."""
    for x in (a, b):
        if not isinstance(x, (int, float)):
            raise refuse(AssertionError, f"expected (<class 'int'>, <class 'float'>), got {type(x)}", received=f"{x!r:.60}")
    return float if isinstance(a, float) or isinstance(b, float) else int


def sym_max(a: Any, b: Any) -> Any:
    """The larger of two numbers, a float if one of them is."""
    return _numbers(a, b)(max(a, b))


def sym_min(a: Any, b: Any) -> Any:
    """The smaller of two numbers, a float if one of them is."""
    return _numbers(a, b)(min(a, b))


def sym_sum(*args: Any) -> Any:
    """The sum of the numbers, or of those in one list."""
    numbers: Iterable[Any] = args[0] if len(args) == 1 and is_sequence(args[0]) else args
    return sum(numbers)


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """t if b else f, of one type."""
    if not isinstance(b, bool):
        raise refuse(AssertionError, f"expected SymBool or bool, got {type(b)}", received=f"{b!r:.60}")
    if type(t) is not type(f):
        raise refuse(AssertionError, f"type mismatch: {type(t)} vs {type(f)}", received=f"{t!r:.60} and {f!r:.60}")
    return t if b else f


NAMES = (SymInt, SymFloat, SymBool, sym_int, sym_float, sym_not, sym_max, sym_min, sym_sum, sym_ite)
