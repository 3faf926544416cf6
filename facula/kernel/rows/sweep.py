"""What the kernels over rows share: loops over a row's vectors, accumulators, and when a row's result passes the caches by.

A row is read from memory once and stays in the first caches between the passes over it; passes that only compute fetch the next row.
Sums keep one vector accumulator for each of the unrolled steps, added in a tree: the order depends on the row's length alone.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ...base.dtypes import dtype
from ...runtime.ir import Function, Value, Var, vector
from .. import lanes
from ..launch import Operand
from ..residency import passes_caches

UNROLL = 4
ITEM_BYTES = 64 << 10  # bytes a run of items should move at least

Step = Callable[[Value, int, Value | None], None]


def contiguous(*operands: Operand) -> None:
    """These kernels read whole rows: their callers make tensors contiguous first."""
    for x in operands:
        expected = 1
        for size, stride in zip(reversed(x.shape), reversed(x.strides)):
            if size != 1 and stride != expected:
                raise ValueError(f"a contiguous operand is wanted, not strides {x.strides} for shape {x.shape}")
            expected *= size


def split_at(x: Operand, dim: int) -> tuple[int, int, int]:
    """(outer, n, inner) sizes around dimension `dim`."""
    dim %= max(1, len(x.shape))
    return prod(x.shape[:dim]), x.shape[dim] if x.shape else 1, prod(x.shape[dim + 1 :])


def grain(bytes_each: int) -> int:
    """Items in a run, by the bytes one of them moves."""
    return max(1, ITEM_BYTES // max(1, bytes_each))


def sweep(f: Function, n: Value, width: int, step: Step, unroll: int = UNROLL) -> None:
    """step(index, accumulator, left) for every vector of a row of n; `left` is None for whole vectors."""
    block = width * unroll
    main, full = n & -block, n & -width
    with f.range(0, main, block) as i:
        for u in range(unroll):
            step(i + u * width, u, None)
    with f.range(main, full, width) as i:
        step(i, 0, None)
    with f.when(full < n):
        step(full, 0, n - full)


class Fold:
    """Accumulators of a sweep. `add(u, x, left)` takes lanes outside the row as the start value."""

    def __init__(self, f: Function, kind: str, start: float, combine: Callable[[Value, Value], Value], unroll: int = UNROLL) -> None:
        self.f, self.start, self.combine = f, start, combine
        self.parts: list[Var] = [f.var(kind, start) for _ in range(unroll)]

    def add(self, u: int, x: Value, left: Value | None = None) -> None:
        if left is not None:
            x = self.f.select(self.f.mask(int(x.type[1 : x.type.index(" ")]), left), x, self.f.const(x.type, self.start))
        self.parts[u].v = self.combine(self.parts[u].v, x)

    def value(self) -> Value:
        """All of it as a scalar."""
        xs = [p.v for p in self.parts]
        while len(xs) > 1:
            xs = [self.combine(a, b) for a, b in zip(xs[::2], xs[1::2])]
        return self.f.fold(xs[0], self.combine)


def summed(f: Function, kind: str, unroll: int = UNROLL) -> Fold:
    return Fold(f, kind, 0.0, lambda a, b: a + b, unroll)


def largest(f: Function, kind: str) -> Fold:
    """Maximum; NaNs may be passed over (a sum over the same row meets them again)."""
    return Fold(f, kind, float("-inf"), lambda a, b: f.select(a > b, a, b))


def kinds(f: Function, d: dtype) -> tuple[int, str, str]:
    """(lanes, scalar type, vector type) of the dtype's arithmetic."""
    n, kind = lanes.width(f, d), lanes.compute(d)
    return n, kind, vector(n, kind)


def streams(out: Operand) -> int:
    """Whether the output is so large that its rows should pass the caches by."""
    return int(passes_caches(2 * prod(out.shape) * out.dtype.itemsize))


def write(f: Function, d: dtype, n: Value, width: int, out: Value, stream: Value, value: Callable[[Value, Value | None], Value]) -> None:
    """out[0 .. n-1] = value(index, left), past the caches where `stream` is set and the row is aligned."""
    size = width * d.itemsize
    aligned = (f.cast("ptrtoint", out, "i64") & (size - 1)).eq(0)
    past = f.cast("zext", aligned, "i64") & stream
    with f.when(past.ne(0)):
        sweep(f, n, width, lambda i, u, left: lanes.store(f, d, value(i, left), out, i, left, left is None), 2)
    with f.when(past.eq(0)):
        sweep(f, n, width, lambda i, u, left: lanes.store(f, d, value(i, left), out, i, left), 2)
