"""Declared inputs of an operator: what the derived tests run, and what must be refused. Plain data: no tensor is made here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Make:
    """A tensor to be made by the test: how its values are drawn, its shape and, if it matters, its dtype."""

    how: str  # normal, positive, uniform, integer, boolean, ones, eye, index, values, distinct
    shape: tuple[int, ...] = ()
    dtype: str = ""  # "" = the dtype under test
    low: float = -1.0
    high: float = 1.0
    values: Any = None


def normal(*shape: int, dtype: str = "") -> Make:
    return Make("normal", shape, dtype)


def positive(*shape: int) -> Make:
    """Values in 0.1 .. 2."""
    return Make("uniform", shape, "", 0.1, 2.0)


def uniform(*shape: int, low: float = -1.0, high: float = 1.0) -> Make:
    return Make("uniform", shape, "", low, high)


def integer(*shape: int, low: int = 0, high: int = 10, dtype: str = "int64") -> Make:
    return Make("integer", shape, dtype, low, high)


def boolean(*shape: int) -> Make:
    return Make("boolean", shape, "bool")


def distinct(*shape: int) -> Make:
    """Values no two of which are close (for max, sort, pooling: away from ties)."""
    return Make("distinct", shape)


def ones(*shape: int, dtype: str = "") -> Make:
    return Make("ones", shape, dtype)


def values(data: Any, dtype: str = "") -> Make:
    return Make("values", (), dtype, values=data)


@dataclass(frozen=True)
class Sample:
    """One call that must work."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Refusal:
    """One call that must raise `raises` with a message that `match` finds."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    raises: type[BaseException]
    match: str


def sample(*args: Any, **kwargs: Any) -> Sample:
    return Sample(args, kwargs)


def refused(*args: Any, raises: type[BaseException], match: str, **kwargs: Any) -> Refusal:
    return Refusal(args, kwargs, raises, match)


def grid(**choices: list[Any]) -> list[Sample]:
    """Every combination, passed by keyword."""
    names = list(choices)
    return [Sample((), dict(zip(names, row))) for row in itertools.product(*choices.values())]


def each(*cases: Any) -> list[Any]:
    return list(cases)


Samples = list[Sample] | Callable[[], list[Sample]]
