"""What both forms of a reduction read from the words: loops, strides, the cut of the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...base.dtypes import DTYPES
from ...runtime.ir import Value
from ..access import narrowed
from ..scalar import emit
from .reader import Reader
from .state import State, mapped


@dataclass
class Frame(Reader):
    """What both forms read from the words."""

    kept: list[Value]
    reduced: list[Value]
    out_steps: list[list[Value]]  # bytes: kept loops, then the piece
    in_steps: list[list[Value]]  # bytes (index: elements): kept loops, then reduced loops
    cut: int
    length: Value  # of the cut loop in one piece
    pieces: Value
    count: Value

    def advance(self, pointers: list[Value], offsets: Sequence[Value]) -> list[Value]:
        """Pointers of the inputs moved on."""
        return self.moved(self.ins, pointers, offsets)

    def piece_sizes(self, piece: Value) -> list[Value]:
        """Sizes of the reduced loops within a piece."""
        left = self.reduced[self.cut] - piece * self.length
        return [self.f.smin(self.length, left) if d == self.cut else n for d, n in enumerate(self.reduced)]

    def finished(self, s: State, lanes: int) -> list[Any]:
        """Memory values of the outputs."""
        f = self.f

        def wide(v: Value) -> Value:
            return f.splat(v, lanes) if lanes else v

        numbers = mapped(wide, self.numbers) if self.numbers else []
        out = emit(self.finish, f, [*s, wide(self.count)], numbers)
        out = mapped(lambda v: v if v.type[0] == "<" or not lanes else f.splat(v, lanes), out)
        return [narrowed(f, v, DTYPES[d]) for v, (d, _) in zip(out, self.outs)]
