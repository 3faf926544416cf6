"""A reducer's state in registers: one value (a pair for complex) per component, lifted, combined, folded over lanes, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ...base.dtypes import dtype
from ...runtime.ir import Function, Value, Var, count, vector
from ..access import load, narrowed, store, widened
from ..scalar import Scalar, emit
from ..scalar.emit import Result

State = list[Any]  # Values, or pairs of them


def register_type(d: dtype) -> str:
    """LLVM type of a computed element (of one part of a complex one)."""
    return "i1" if d.name == "bool" else d.compute.llvm


@overload
def mapped(change: Callable[[Value], Any], a: State, /) -> State: ...
@overload
def mapped(change: Callable[[Value, Value], Any], a: State, b: State, /) -> State: ...
def mapped(change: Callable[..., Any], *states: State) -> State:
    """A function of single Values applied to all parts."""
    return [tuple(change(*p) for p in zip(*vs)) if isinstance(vs[0], tuple) else change(*vs) for vs in zip(*states)]


@dataclass(frozen=True)
class Folding:
    """A traced reducer while one kernel is written."""

    f: Function
    initial: tuple[Scalar, ...]
    combine: tuple[Scalar, ...]

    @property
    def kinds(self) -> tuple[dtype, ...]:
        return tuple(s.dtype for s in self.initial)

    def start(self, lanes: int) -> State:
        """The neutral state; `lanes` 0 is a scalar."""
        out: State = []
        for leaf in self.initial:
            t = vector(lanes, register_type(leaf.dtype))
            v = leaf.attr
            out.append((self.f.const(t, v.real), self.f.const(t, v.imag)) if isinstance(v, complex) else self.f.const(t, leaf.value))
        return out

    def together(self, a: State, b: State) -> State:
        return list(emit(self.combine, self.f, [*a, *b], []))

    def tree(self, states: Sequence[State]) -> State:
        """Neighbours combined until one is left."""
        level = list(states)
        while len(level) > 1:
            level = [self.together(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
        return level[0]

    def across(self, s: State) -> State:
        """All lanes into one scalar state, halves first."""
        f = self.f
        n = count(_first(s).type)
        while n > 2:
            n //= 2
            low = mapped(lambda v, n=n: f.shuffle(v, None, range(n)), s)
            high = mapped(lambda v, n=n: f.shuffle(v, None, range(n, 2 * n)), s)
            s = self.together(low, high)
        return self.together(mapped(lambda v: f.extract(v, 0), s), mapped(lambda v: f.extract(v, 1), s)) if n == 2 else s

    def each(self, states: Sequence[State]) -> State:
        """As many states as they have lanes, each folded as by `across`: lane i of the result comes from states[i]."""
        level, n = list(states), len(states)
        width = n
        while width > 1:
            width //= 2
            groups = [(g // (n // width // 2)) * n + g % (n // width // 2) * 2 * width for g in range(n // width)]
            low = [g + k for g in groups for k in range(width)]
            high = [g + k + width for g in groups for k in range(width)]
            pairs = list(zip(level[::2], level[1::2]))
            level = [self.together(*(mapped(lambda a, b, i=i: self.f.shuffle(a, b, i), x, y) for i in (low, high))) for x, y in pairs]
        return level[0]

    def chosen(self, mask: Value, new: State, old: State) -> State:
        return mapped(lambda a, b: self.f.select(mask, a, b), new, old)


def _first(s: State) -> Value:
    first: Result = s[0]
    return first[0] if isinstance(first, tuple) else first


class Held:
    """A state in variables."""

    def __init__(self, f: Function, s: State) -> None:
        self.parts: list[Var | tuple[Var, Var]] = mapped(lambda v: f.var(v.type, v), s)

    @property
    def v(self) -> State:
        return [(part[0].v, part[1].v) if isinstance(part, tuple) else part.v for part in self.parts]

    @v.setter
    def v(self, s: State) -> None:
        for part, value in zip(self.parts, s):
            for var, v in zip(part, value) if isinstance(part, tuple) else [(part, value)]:
                var.v = v


class Kept:
    """States in memory on the stack: `size` elements per component, in the component's memory type."""

    def __init__(self, f: Function, kinds: Sequence[dtype], size: int) -> None:
        self.f, self.kinds = f, tuple(kinds)
        self.buffers = [f.array(d.llvm, size * (2 if d.is_complex else 1)) for d in kinds]

    def load(self, lanes: int, at: Value | int) -> State:
        f = self.f
        return [
            widened(f, load(f, d, lanes, f.bytes(b, f.i64(at) * d.itemsize), "contiguous"), d) for b, d in zip(self.buffers, self.kinds)
        ]

    def store(self, s: State, at: Value | int) -> None:
        f = self.f
        for b, d, v in zip(self.buffers, self.kinds, s):
            store(f, d, narrowed(f, v, d), f.bytes(b, f.i64(at) * d.itemsize), "contiguous")
