"""The table of operators. Blocks enter themselves while `ops/` is imported; floors below look names up here and know none by heart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import refuse
from .schema import Schema


@dataclass(eq=False)
class Op:
    """One operator: a schema and its block. Compared and hashed by identity."""

    schema: Schema
    block: Any
    kind: str
    tensors: tuple[int, ...] = ()  # places of arguments that may hold tensors
    cache: dict[Any, Any] = field(default_factory=dict[Any, Any])

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def full_name(self) -> str:
        return f"{self.schema.name}.{self.schema.overload}" if self.schema.overload else self.schema.name

    def __repr__(self) -> str:
        return f"<op {self.full_name} ({self.block.__module__}.{self.block.__name__})>"


class Namespace:
    """Functions by name, as attributes."""

    def __init__(self, title: str) -> None:
        self.__dict__["title"] = title

    def __getattr__(self, name: str) -> Any:
        sentence = f"no operator {name!r} in {self.__dict__['title']}"
        raise refuse(AttributeError, sentence, received=name, hint="docs/differences.md lists what is missing")


OPS: dict[str, Op] = {}  # by full name
FAMILIES: dict[str, list[Op]] = {}  # public name -> its overloads, in the order they are tried
ops: Any = Namespace("facula.ops")  # public functions, filled by the floor that makes them
LISTENERS: list[Callable[[Op], None]] = []  # called for every op that enters


def enter(op: Op) -> None:
    if op.full_name in OPS:
        raise ValueError(f"operator {op.full_name} is declared twice: {OPS[op.full_name]!r} and {op!r}")
    OPS[op.full_name] = op
    FAMILIES.setdefault(op.name, []).append(op)
    for listener in LISTENERS:
        listener(op)
