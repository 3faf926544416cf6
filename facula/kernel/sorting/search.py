"""Places of values in sorted rows by bisection: log2(n) reads for each value."""

from __future__ import annotations

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value, vector
from .. import lanes
from ..bisection import TOGETHER, bisect, gathered
from ..launch import In, Kernel, Launch, Operand, Out, Schedule

GRAIN = 1024


def _after(f: Function, d: dtype, edge: Value, x: Value, right: bool) -> Value:
    """Whether x belongs behind the edge; a NaN belongs behind everything."""
    if d.is_floating_point:
        return ~(edge > x if right else edge >= x)
    if d.is_signed:
        return edge <= x if right else edge < x
    return ~edge.ugt(x) if right else edge.ult(x)


def emit_search(m: Module, name: str, d: dtype, wide: bool, right: bool, shared: bool, ordered: bool) -> None:
    """One work item a value; words: out, edges, values, order, n (edges a row), k (values a row)."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        out, edges, values, order, n, k = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64")

        def find(first: Value) -> None:
            x = lanes.widen(f, d, f.load(vector(TOGETHER, d.llvm), values, first))
            starts = f.const(vector(TOGETHER, "i64"), 0)
            if not shared:
                for c in range(TOGETHER):
                    starts = f.insert(starts, (first + c) // k * n, c)

            def behind(places: Value) -> Value:
                at = starts + places
                at = starts + gathered(f, "i64", order, at) if ordered else at
                return _after(f, d, lanes.widen(f, d, gathered(f, d.llvm, edges, at)), x, right)

            found = bisect(f, n, behind)
            f.store(found if wide else f.cast("trunc", found, vector(TOGETHER, "i32")), out, first)

        def find_one(i: Value) -> None:
            start = f.i64(0) if shared else i // k * n
            x = lanes.widen(f, d, f.load(d.llvm, values, i))
            low, high = f.var("i64", 0), f.var("i64", n)
            with f.loop() as end:
                f.leave(end, low.v >= high.v)
                middle = (low.v + high.v) >> 1
                at = start + (f.load("i64", order, start + middle) if ordered else middle)
                behind = _after(f, d, lanes.widen(f, d, f.load(d.llvm, edges, at)), x, right)
                low.v, high.v = f.select(behind, middle + 1, low.v), f.select(behind, high.v, middle)
            f.store(low.v if wide else f.cast("trunc", low.v, "i32"), out, i)

        main = lo + ((hi - lo) & -TOGETHER)
        with f.range(lo, main, TOGETHER) as i:
            find(i)
        with f.range(main, hi) as i:
            find_one(i)


def search(out: Operand, edges: Operand, values: Operand, right: bool = False, ordered: bool = False) -> Schedule:
    """How many edges of its row lie before each value (`right`: or equal it). Out(0): int64 or int32 of the values' shape.
    In(0): edges (n,) for all values or (..., n), In(1): values (..., k), `ordered`: In(2) int64 that puts the edges in order; contiguous."""
    n, total = edges.shape[-1], 1
    for size in values.shape:
        total *= size
    shared = len(edges.shape) == 1
    k = values.shape[-1] if values.shape else 1
    kernel = Kernel(emit_search, (edges.dtype, out.dtype.itemsize == 8, right, shared, ordered))
    steps = max(1, n.bit_length())
    return Schedule(
        (Launch(kernel, (Out(0), In(0), In(1), In(2) if ordered else 0, n, k), total, GRAIN, total * 8 * steps, total * 4 * steps),)
    )
