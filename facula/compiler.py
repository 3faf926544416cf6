"""torch.compiler: `compile` and what programs ask around it. Python runs in every call, so nothing has to be kept away from a tracer."""

from __future__ import annotations

from typing import Any, TypeVar

from .graph import compile

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
]

T = TypeVar("T")


def is_compiling() -> bool:
    """False, also while calls are recorded: values may be looked at, and any Python may run."""
    return False


def is_dynamo_compiling() -> bool:
    return False


def is_exporting() -> bool:
    return False


def allow_in_graph(fn: T) -> T:
    """The function: recording follows any."""
    return fn


assume_constant_result = allow_in_graph


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function, or a decorator that gives it back: what it computes is the same, recorded or not."""
    return allow_in_graph if fn is None else fn


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    return ["facula"]


def cudagraph_mark_step_begin() -> None:
    """There are no CUDA graphs."""
