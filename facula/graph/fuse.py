"""Fusion: neighbouring pointwise calls become one expression; results that nobody holds are not written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.expression import Expression, expanded
from ..core.layout import Layout
from ..kernel.launch import Array, Schedule
from ..kernel.pointwise import pointwise
from ..kernel.scalar import Scalar, cast, input, number
from ..kernel.scalar.simplify import leaves, simplify, substitute

MOST_INPUTS, MOST_OUTPUTS = 12, 8  # of a fused kernel: registers, and words of a plan


@dataclass
class Group:
    """Pointwise calls over one shape, in order: bodies over outside tensors."""

    shape: tuple[int, ...]
    inputs: list[int] = field(default_factory=list)  # slots of tensors read from outside
    numbers: list[tuple[int, int]] = field(default_factory=list)  # (call, number of it)
    kinds: list[Any] = field(default_factory=list)
    bodies: dict[int, Scalar] = field(default_factory=dict)  # slot -> expression of its value, in its compute type
    calls: list[int] = field(default_factory=list)

    def leaf(self, slot: int, kind: Any) -> Scalar:
        """A slot's value as the type that a body reads it in: computed here, or loaded."""
        if slot in self.bodies:
            value = self.bodies[slot]
            return value if value.dtype is kind else cast(value, kind)
        if slot not in self.inputs:
            self.inputs.append(slot)
        return input(self.inputs.index(slot), kind)

    def add(self, call: int, expression: Expression, slots: Sequence[int], outs: Sequence[int]) -> None:
        swap: dict[Scalar, Scalar] = {}
        for n in leaves(expression.body, "input"):
            swap[n] = self.leaf(slots[n.place], n.dtype)
        for n in leaves(expression.body, "number"):
            key = (call, n.place)
            if key not in self.numbers:
                self.numbers.append(key)
                self.kinds.append(n.dtype)
            swap[n] = number(self.numbers.index(key), n.dtype)
        bodies = substitute(list(expression.body), swap)
        self.calls.append(call)
        for slot, body, kind in zip(outs, bodies, expression.outputs):
            # a half result is rounded where the eager program rounds it
            self.bodies[slot] = cast(cast(body, kind), kind.compute) if kind.compute is not kind else body

    def schedule(self, live: Sequence[int], places: Sequence[Any]) -> Schedule:
        """One kernel that reads the inputs and writes the slots that are still wanted."""
        outs: list[Layout] = [places[s].layout for s in live]
        words = ["i64" if k.is_integral else "double" if k.name == "float64" else "float" for k in self.kinds]
        bodies = tuple(simplify([self.bodies[s] for s in live]))
        arrays = [expanded(places[s].layout, self.shape) for s in self.inputs]
        return pointwise([Array(o.dtype, o.shape, o.strides) for o in outs], arrays, bodies, words)
