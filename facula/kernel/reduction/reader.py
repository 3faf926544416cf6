"""What reductions and scans read: numbers from the words, elements lifted to states, pointers moved along loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...base.dtypes import DTYPES
from ...runtime.ir import Function, Value, vector
from ..access import BROADCAST, INDEX, STRIDED, load, load_part, widened
from ..pointwise.cost import used_inputs
from ..pointwise.emit import Port
from ..scalar import Scalar, emit
from .state import Folding, State, mapped


@dataclass
class Reader:
    """A kernel while it is written: its ports, what is done with an element, and how states come together."""

    f: Function
    outs: tuple[Port, ...]
    ins: tuple[Port, ...]
    lift: tuple[Scalar, ...]
    finish: tuple[Scalar, ...]
    fold: Folding
    lanes: int
    base: list[Value]  # addresses: outputs, then inputs
    numbers: list[Any]

    def lifted(self, pointers: Sequence[Value], at: Value, steps: Sequence[Value], left: Value | None = None) -> State:
        """States of a vector of elements: `pointers` and bytes per `steps` of the inputs, `at` the place along the vectorised loop."""
        f, n = self.f, self.lanes
        used = used_inputs(self.lift)
        values: State = []
        for i, ((name, kind), pointer, step) in enumerate(zip(self.ins, pointers, steps)):
            d = DTYPES[name]
            if i not in used:
                values.append(f.const(vector(n, "i64"), 0))  # not read
            elif kind == INDEX:
                values.append(f.splat(pointer + at * step, n) + f.lanes(vector(n, "i64"), list(range(n))) * f.splat(step, n))
            else:
                here = pointer if kind == BROADCAST else f.bytes(pointer, at * step)
                stride = step.udiv(d.itemsize) if kind == STRIDED else None
                raw = load(f, d, n, here, kind, stride) if left is None else load_part(f, d, n, here, kind, left, stride)
                values.append(widened(f, raw, d))
        return self.spread(emit(self.lift, f, values, self.spread(self.numbers)))

    def spread(self, values: Sequence[Any]) -> list[Any]:
        """Scalars as vectors; vectors as they are."""
        return mapped(lambda v: v if v.type[0] == "<" else self.f.splat(v, self.lanes), list(values)) if values else []

    def moved(self, ports: Sequence[Port], pointers: Sequence[Value], offsets: Sequence[Value]) -> list[Value]:
        return [p + o if k == INDEX else self.f.bytes(p, o) for p, o, (_, k) in zip(pointers, offsets, ports)]


def read_numbers(f: Function, words: Value, kinds: Sequence[str], place: int) -> list[Any]:
    """Numbers from word `place` on; a complex one, written `double+double`, is a pair."""
    values: list[Any] = []
    for kind in kinds:
        parts = f.words(words, *kind.split("+"), start=place)
        place += len(parts)
        values.append(tuple(parts) if len(parts) == 2 else parts[0])
    return values
