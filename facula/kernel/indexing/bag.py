"""Sums, means and maxima of rows by index, one bag of indices a result row: embedding bags in one pass, and the gradient of sums and means.

Limit: each indexed row read once (and written once, for the gradient), each result row written once. A bag's rows are taken in their order,
in the compute type, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from ...base.dtypes import DTYPES, dtype, int64
from ...runtime.ir import Function, Module, Value, vector
from .. import lanes as lane_types
from ..access import CONTIGUOUS, load, load_one, load_part, narrowed, store, store_part, widened
from ..launch import In, Kernel, Launch, Operand, Out, Schedule
from ..pointwise import fill
from ..pointwise.cost import lanes_of
from ..scalar import Scalar, emit, input, where
from .loops import read_index

UNROLL = 4  # vectors of a row in registers
RUN = 16384  # elements read by a run of work
COLUMNS = 64  # of an item of the gradient


def bag_rows(out: Operand, weight: Operand, index: Operand, offsets: Operand, mean: bool = False, weighted: bool = False) -> Schedule:
    """out[b] = sum (or mean) of weight[index[j]] for offsets[b] <= j < offsets[b + 1] (the end, for the last bag, when `out` has
    as many rows as there are offsets). Inputs: weight (rows, columns) with contiguous columns, index (n,), offsets, and with `weighted` a
    factor for each index; all contiguous, checked before."""
    bags, columns = out.shape
    total = prod(index.shape)
    if not bags * columns:
        return Schedule(())
    ports = [Out(0), In(0), In(1), In(2), In(3) if weighted else 0]
    words = (*ports, *_sizes(index, offsets), columns, weight.strides[0], out.strides[0])
    static = (out.dtype.name, index.dtype.name, offsets.dtype.name, mean, weighted)
    each = max(1, total * columns // bags)
    traffic = (total + bags) * columns * out.dtype.itemsize
    return Schedule(
        (Launch(Kernel(emit_bag, static), words, bags, max(1, RUN // each), traffic, total * columns),), notes=(f"bags {bags} x {columns}",)
    )


def bag_maxima(out: Operand, which: Operand, weight: Operand, index: Operand, offsets: Operand, skip: int | None = None) -> Schedule:
    """out[b] = the largest of weight[index[j]] in bag b, column by column, 0 if it is empty; which[b] (int64) = the row that gave it, the first
    of several. Nothing is larger than NaN, and NaN is not larger than anything, as in PyTorch. Indices that are `skip` count for nothing. Inputs as of `bag_rows`."""
    bags, columns = out.shape
    total = prod(index.shape)
    if not bags * columns:
        return Schedule(())
    words = (
        Out(0), Out(1), In(0), In(1), In(2), *_sizes(index, offsets), columns, weight.strides[0], out.strides[0], weight.shape[0],
        (-1 if skip is None else skip) & (1 << 64) - 1,
    )  # fmt: skip
    narrow = "int32" if weight.shape[0] < 1 << 31 else "int64"
    static = (out.dtype.name, index.dtype.name, offsets.dtype.name, narrow)
    traffic = (total + 3 * bags) * columns * out.dtype.itemsize
    grain = max(1, RUN // max(1, total * columns // bags))
    return Schedule(
        (Launch(Kernel(emit_bag_maxima, static), words, bags, grain, traffic, 4 * total * columns),),
        notes=(f"maxima of bags {bags} x {columns}",),
    )


def bag_backward(out: Operand, grad: Operand, index: Operand, offsets: Operand, mean: bool = False, weighted: bool = False) -> Schedule:
    """out = zeros, and grad[b] (divided by the size of bag b, if `mean`) added to out[index[j]] for every j of every bag, in their order.
    Inputs: grad (bags, columns) with contiguous columns, index, offsets, and with `weighted` a factor for each index."""
    bags, columns = grad.shape
    total = prod(index.shape)
    cleared = fill(out, 0)
    if not bags * columns * total:
        return cleared
    ports = [Out(0), In(0), In(1), In(2), In(3) if weighted else 0]
    words = (*ports, *_sizes(index, offsets), columns, grad.strides[0], out.strides[0], bags, out.shape[0])
    kernel = Kernel(emit_bag_backward, (out.dtype.name, index.dtype.name, offsets.dtype.name, mean, weighted))
    items = -(-columns // COLUMNS)
    added = Launch(kernel, words, items, 1, 2 * total * columns * out.dtype.itemsize, total * columns)
    return Schedule((*cleared.launches, added), notes=(*cleared.notes, f"gradient of bags {bags} x {columns}"))


def _sizes(index: Operand, offsets: Operand) -> tuple[int, int]:
    return int(offsets.shape[0]), prod(index.shape)


@dataclass
class _Bags:
    """Where bags begin and what their indices are."""

    f: Function
    indices: Value
    index: str
    offsets: Value
    offset: str
    marks: Value
    total: Value

    def begin(self, b: Value) -> Value:
        """Where bag b begins; behind the last offset, where the indices end."""
        f = self.f
        at = f.smin(b, self.marks - 1)
        found = read_index(f, self.offset, f.bytes(self.offsets, at * DTYPES[self.offset].itemsize), self.total)
        return f.select(b < self.marks, found, self.total)

    def at(self, j: Value, rows: Value) -> Value:
        """Row that index j names."""
        return read_index(self.f, self.index, self.f.bytes(self.indices, j * DTYPES[self.index].itemsize), rows)


def _factor(f: Function, d: dtype, factors: Value, j: Value, n: int) -> Value:
    factor = widened(f, load_one(f, d, f.bytes(factors, j * d.itemsize)), d)
    assert isinstance(factor, Value)
    return f.splat(factor, n)


def _over_columns(f: Function, lo: Value, hi: Value, n: int, block: Callable[[Value, int, Value | None], None]) -> None:
    """`block(first column, vectors, how many columns if fewer than a vector's)` over lo..hi-1."""
    wide = lo + (hi - lo).udiv(UNROLL * n) * (UNROLL * n)
    whole = lo + (hi - lo).udiv(n) * n
    with f.range(lo, wide, UNROLL * n) as c:
        block(c, UNROLL, None)
    with f.range(wide, whole, n) as c:
        block(c, 1, None)
    with f.when(whole < hi):
        block(whole, 1, hi - whole)


def _vector(f: Function, d: dtype, n: int, pointer: Value, left: Value | None) -> Value:
    value = widened(f, load(f, d, n, pointer, CONTIGUOUS) if left is None else load_part(f, d, n, pointer, CONTIGUOUS, left), d)
    assert isinstance(value, Value), "rows of real numbers"
    return value


def _write(f: Function, d: dtype, n: int, value: Value, pointer: Value, left: Value | None) -> None:
    if left is None:
        store(f, d, narrowed(f, value, d), pointer, CONTIGUOUS)
    else:
        store_part(f, d, narrowed(f, value, d), n, pointer, CONTIGUOUS, left)


def emit_bag(module: Module, name: str, dtype: str, index: str, offset: str, mean: bool, weighted: bool) -> None:
    """Words: out, weight, index, offsets, factors, number of offsets, of indices, columns, row strides of weight and out. Item: a bag."""
    d = DTYPES[dtype]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, weight, indices, offsets = f.words(words, "ptr", "ptr", "ptr", "ptr")
        factors = f.words(words, "ptr" if weighted else "i64", start=4)[0]
        marks, total, columns, row, out_row = f.words(words, *["i64"] * 5, start=5)
        bags = _Bags(f, indices, index, offsets, offset, marks, total)
        n = lanes_of((), [d], module.target.lanes)
        kind = vector(n, lane_types.compute(d))
        accumulators = [f.var(kind, f.const(kind, 0.0)) for _ in range(UNROLL)]
        with f.range(lo, hi) as b:
            start, stop = bags.begin(b), bags.begin(b + 1)

            def block(c: Value, vectors: int, left: Value | None) -> None:
                for a in accumulators[:vectors]:
                    a.v = f.const(kind, 0.0)
                with f.range(start, stop) as j:
                    source = f.bytes(weight, (bags.at(j, total) * row + c) * d.itemsize)
                    for u in range(vectors):
                        term = _vector(f, d, n, f.bytes(source, u * n * d.itemsize) if u else source, left)
                        accumulators[u].v = accumulators[u].v + (term * _factor(f, d, factors, j, n) if weighted else term)
                target = f.bytes(out, (b * out_row + c) * d.itemsize)
                for u in range(vectors):
                    result = accumulators[u].v
                    if mean:
                        count = f.cast("sitofp", f.smax(stop - start, 1), lane_types.compute(d))
                        result = result / f.splat(count, n)
                    _write(f, d, n, result, f.bytes(target, u * n * d.itemsize) if u else target, left)

            _over_columns(f, f.i64(0), columns, n, block)


def emit_bag_maxima(module: Module, name: str, dtype: str, index: str, offset: str, narrow: str) -> None:
    """Words: out, which, weight, index, offsets, number of offsets, of indices, columns, row strides of weight and out, rows of weight, the
    index to skip. Item: a bag. Row numbers are kept as `narrow`."""
    d, kept = DTYPES[dtype], DTYPES[narrow]
    best, row_, x, here = input(0, d), input(1, kept), input(2, d), input(3, kept)
    take = (x > best) | (row_ < 0)
    body = (where(take, x, best), where(take, here, row_))
    ended = (where(row_ < 0, 0.0, best), where(row_ < 0, 0, row_))
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, which, weight, indices, offsets = f.words(words, "ptr", "ptr", "ptr", "ptr", "ptr")
        marks, total, columns, row, out_row, rows, skip = f.words(words, *["i64"] * 7, start=5)
        bags = _Bags(f, indices, index, offsets, offset, marks, total)
        n = lanes_of((), [d, kept], module.target.lanes)
        kinds = vector(n, lane_types.compute(d)), vector(n, kept.llvm)
        states = [[f.var(kind, f.const(kind, 0)) for kind in kinds] for _ in range(UNROLL)]
        with f.range(lo, hi) as b:
            start, stop = bags.begin(b), bags.begin(b + 1)

            def block(c: Value, vectors: int, left: Value | None) -> None:
                for state in states[:vectors]:
                    state[0].v, state[1].v = f.const(kinds[0], 0.0), f.const(kinds[1], -1)
                with f.range(start, stop) as j:
                    i = bags.at(j, rows)
                    with f.when(i.ne(skip)):
                        source = f.bytes(weight, (i * row + c) * d.itemsize)
                        named = f.splat(f.cast("trunc", i, kept.llvm), n)
                        for u, state in enumerate(states[:vectors]):
                            value = _vector(f, d, n, f.bytes(source, u * n * d.itemsize) if u else source, left)
                            state[0].v, state[1].v = _two(f, body, [state[0].v, state[1].v, value, named])
                for u, state in enumerate(states[:vectors]):
                    value, place = _two(f, ended, [s.v for s in state])
                    at = b * out_row + c + u * n
                    _write(f, d, n, value, f.bytes(out, at * d.itemsize), left)
                    _write(f, int64, n, f.cast("sext", place, vector(n, "i64")), f.bytes(which, at * 8), left)

            _over_columns(f, f.i64(0), columns, n, block)


def _two(f: Function, body: Sequence[Scalar], values: Sequence[Value]) -> tuple[Value, Value]:
    """Two real results of an expression."""
    first, second = emit(body, f, values)
    assert isinstance(first, Value) and isinstance(second, Value)
    return first, second


def emit_bag_backward(module: Module, name: str, dtype: str, index: str, offset: str, mean: bool, weighted: bool) -> None:
    """Words: out, grad, index, offsets, factors, number of offsets, of indices, columns, row strides of grad and out, bags, rows of out. Item:
    COLUMNS columns, which stay in the second-level cache while all bags pass."""
    d = DTYPES[dtype]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, grad, indices, offsets = f.words(words, "ptr", "ptr", "ptr", "ptr")
        factors = f.words(words, "ptr" if weighted else "i64", start=4)[0]
        marks, total, columns, grad_row, out_row, count, rows = f.words(words, *["i64"] * 7, start=5)
        bags = _Bags(f, indices, index, offsets, offset, marks, total)
        n = lanes_of((), [d], module.target.lanes)
        kind = lane_types.compute(d)

        def rounded(value: Value) -> Value:
            again = widened(f, narrowed(f, value, d), d)
            assert isinstance(again, Value)
            return again

        def block(c: Value, vectors: int, left: Value | None) -> None:
            with f.range(0, count) as b:
                start, stop = bags.begin(b), bags.begin(b + 1)
                source = f.bytes(grad, (b * grad_row + c) * d.itemsize)
                given = [_vector(f, d, n, f.bytes(source, u * n * d.itemsize) if u else source, left) for u in range(vectors)]
                if mean:
                    size = f.splat(f.cast("sitofp", f.smax(stop - start, 1), kind), n)
                    given = [rounded(g / size) for g in given]
                with f.range(start, stop) as j:
                    target = f.bytes(out, (bags.at(j, rows) * out_row + c) * d.itemsize)
                    for u, g in enumerate(given):
                        at = f.bytes(target, u * n * d.itemsize) if u else target
                        term = rounded(g * _factor(f, d, factors, j, n)) if weighted else g
                        _write(f, d, n, _vector(f, d, n, at, left) + term, at, left)

        with f.range(lo, hi) as item:
            first = item * COLUMNS
            _over_columns(f, first, f.smin(first + COLUMNS, columns), n, block)
