"""Sums and means of rows by index, one bag of indices a result row: embedding bags in one pass.

Limit: each indexed row read once, each result row written once. A bag's rows are added in their order, in the compute type, whatever the
number of threads.
"""

from __future__ import annotations

from math import prod

from ...base.dtypes import DTYPES
from ...runtime.ir import Module, Value, vector
from .. import lanes as lane_types
from ..access import CONTIGUOUS, load, load_one, load_part, narrowed, store, store_part, widened
from ..launch import In, Kernel, Launch, Operand, Out, Schedule
from ..pointwise.cost import lanes_of
from .loops import read_index

UNROLL = 4  # vectors of a row in registers
RUN = 16384  # elements read by a run of work


def bag_rows(out: Operand, weight: Operand, index: Operand, offsets: Operand, mean: bool = False, weighted: bool = False) -> Schedule:
    """out[b] = sum (or mean) of weight[index[j]] for offsets[b] <= j < offsets[b + 1] (the end, for the last bag, when `out` has
    as many rows as there are offsets). Inputs: weight (rows, columns) with contiguous columns, index (n,), offsets, and with `weighted` a
    factor for each index; all contiguous, checked before."""
    bags, columns = out.shape
    total = prod(index.shape)
    if not bags * columns:
        return Schedule(())
    ports = [Out(0), In(0), In(1), In(2), In(3) if weighted else 0]
    words = (*ports, len_of(offsets), total, columns, weight.strides[0], out.strides[0])
    static = (out.dtype.name, index.dtype.name, offsets.dtype.name, mean, weighted)
    each = max(1, total * columns // bags)
    traffic = (total + bags) * columns * out.dtype.itemsize
    return Schedule(
        (Launch(Kernel(emit_bag, static), words, bags, max(1, RUN // each), traffic, total * columns),), notes=(f"bags {bags} x {columns}",)
    )


def len_of(offsets: Operand) -> int:
    return int(offsets.shape[0])


def emit_bag(module: Module, name: str, dtype: str, index: str, offset: str, mean: bool, weighted: bool) -> None:
    """Words: out, weight, index, offsets, factors, number of offsets, of indices, columns, row strides of weight and out. Item: a bag."""
    d = DTYPES[dtype]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, weight, indices, offsets = f.words(words, "ptr", "ptr", "ptr", "ptr")
        factors = f.words(words, "ptr" if weighted else "i64", start=4)[0]
        marks, total, columns, row, out_row = f.words(words, *["i64"] * 5, start=5)
        n = lanes_of((), [d], module.target.lanes)
        kind = vector(n, lane_types.compute(d))
        accumulators = [f.var(kind, f.const(kind, 0.0)) for _ in range(UNROLL)]

        def mark(b: Value) -> Value:
            """Where bag b begins; behind the last offset, where the indices end."""
            at = f.smin(b, marks - 1)
            found = read_index(f, offset, f.bytes(offsets, at * DTYPES[offset].itemsize), total)
            return f.select(b < marks, found, total)

        with f.range(lo, hi) as b:
            start, stop = mark(b), mark(b + 1)

            def column_block(c: Value, vectors: int, left: Value | None) -> None:
                for a in accumulators[:vectors]:
                    a.v = f.const(kind, 0.0)
                with f.range(start, stop) as j:
                    i = read_index(f, index, f.bytes(indices, j * DTYPES[index].itemsize), total)
                    source = f.bytes(weight, (i * row + c) * d.itemsize)
                    for u in range(vectors):
                        at = f.bytes(source, u * n * d.itemsize) if u else source
                        value = load(f, d, n, at, CONTIGUOUS) if left is None else load_part(f, d, n, at, CONTIGUOUS, left)
                        term = widened(f, value, d)
                        assert isinstance(term, Value), "rows of real numbers"
                        if weighted:
                            factor = widened(f, load_one(f, d, f.bytes(factors, j * d.itemsize)), d)
                            assert isinstance(factor, Value)
                            term = term * f.splat(factor, n)
                        accumulators[u].v = accumulators[u].v + term
                target = f.bytes(out, (b * out_row + c) * d.itemsize)
                for u in range(vectors):
                    result = accumulators[u].v
                    if mean:
                        count = f.cast("sitofp", f.smax(stop - start, 1), lane_types.compute(d))
                        result = result / f.splat(count, n)
                    at = f.bytes(target, u * n * d.itemsize) if u else target
                    if left is None:
                        store(f, d, narrowed(f, result, d), at, CONTIGUOUS)
                    else:
                        store_part(f, d, narrowed(f, result, d), n, at, CONTIGUOUS, left)

            wide = columns.udiv(UNROLL * n) * (UNROLL * n)
            whole = columns.udiv(n) * n
            with f.range(0, wide, UNROLL * n) as c:
                column_block(c, UNROLL, None)
            with f.range(wide, whole, n) as c:
                column_block(c, 1, None)
            with f.when(whole < columns):
                column_block(whole, 1, columns - whole)
