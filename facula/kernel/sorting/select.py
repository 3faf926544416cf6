"""The k largest or smallest of a row without sorting it: vectors of keys are compared with the k-th best so far, the rare winners inserted.

On n random values about k ln(n / k) are inserted; above MOST the row is sorted instead.
"""

from __future__ import annotations

import facula.kernel.sorting.keys as keys
import facula.kernel.sorting.radix as radix

from ...base.dtypes import dtype
from ...runtime.ir import Module, Value, vector
from ..launch import In, Kernel, Launch, Operand, Out, Schedule
from ..rows.sweep import contiguous, grain

MOST = 64  # k that is kept by insertion


def emit_select(m: Module, name: str, d: dtype, largest: bool) -> None:
    """Keys are complemented for `largest`, so that the smallest keys win; ties go to the lower index."""
    kind = keys.key_type(d)
    width = m.target.lanes * 4 // (8 if kind == "i64" else 4)
    parts = 2
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        values, indices, x_all, n, k = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        best, places = f.array(kind, MOST + 1), f.array("i64", MOST + 1)
        with f.range(lo, hi) as row:
            x = f.at(x_all, row * n, d.llvm)
            held = f.var("i64", 0)
            limit = f.var(kind, -1)  # the k-th key, all ones while there are fewer

            def insert(i: Value, key: Value) -> None:
                at = f.var("i64", f.select(held.v < k, held.v, k - 1))
                held.v = f.smin(held.v + 1, k)
                with f.loop() as end:
                    f.leave(end, at.v <= 0)
                    before = f.load(kind, best, at.v - 1)
                    f.leave(end, ~before.ugt(key))
                    f.store(before, best, at.v)
                    f.store(f.load("i64", places, at.v - 1), places, at.v)
                    at.v = at.v - 1
                f.store(key, best, at.v)
                f.store(i, places, at.v)
                limit.v = f.select(held.v.eq(k), f.load(kind, best, k - 1), limit.v)

            def consider(i: Value) -> None:
                key = keys.encode(f, d, f.load(d.llvm, x, i), largest)
                wanted = f.cast("zext", key.ult(limit.v), "i8") | f.cast("zext", held.v < k, "i8")
                with f.when(wanted.ne(0)):
                    insert(i, key)

            with f.range(0, k) as i:
                consider(i)
            block = width * parts
            main = k + ((n - k) & -block)
            with f.range(k, main, block) as i:
                bits = f.var("i64", 0)
                for h in range(parts):
                    key = keys.encode(f, d, f.load(vector(width, d.llvm), x, i + h * width), largest)
                    hit = key.ult(f.splat(limit.v, width))
                    bits.v = bits.v | (f.cast("zext", f.cast("bitcast", hit, f"i{width}"), "i64") << (h * width))
                with f.loop() as end:
                    f.leave(end, bits.v.eq(0))
                    lane = f.op("i64", f"call i64 @llvm.cttz.i64({bits.v}, i1 true)")
                    f.module.declare("llvm.cttz.i64", "i64", "i64", "i1")
                    bits.v = bits.v & (bits.v - 1)
                    consider(i + lane)
            with f.range(main, n) as i:
                consider(i)
            with f.range(0, k) as i:
                at = f.load("i64", places, i)
                f.store(f.load(d.llvm, x, at), values, row * k + i)
                f.store(at, indices, row * k + i)


def topk(x: Operand, k: int, largest: bool = True) -> Schedule:
    """The k largest (smallest) of each row, best first; NaN counts as largest. Out(0): values (rows, k), Out(1): int64 indices.
    In(0): x (rows, n), contiguous."""
    contiguous(x)
    rows, n = x.shape
    if not rows * k:
        return Schedule(())
    if k > MOST:
        return radix.part(x, 0, k, largest)
    size = n * x.dtype.itemsize
    kernel = Kernel(emit_select, (x.dtype, largest))
    return Schedule((Launch(kernel, (Out(0), Out(1), In(0), n, k), rows, grain(size), rows * size, rows * n * 2),))


def kthvalue(x: Operand, k: int) -> Schedule:
    """The k-th smallest (from 1) of each row. Out(0): values (rows,), Out(1): int64 indices. In(0): x (rows, n), contiguous."""
    return radix.part(x, k - 1, 1)


def emit_median(m: Module, name: str, d: dtype) -> None:
    """The lower median; in a row with NaNs the first of them."""
    sort = radix.define_sort(m, d, False)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        values, indices, x, space, rows, n, slots = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")
        items = radix.Items(f, d, False)
        with f.range(lo, hi) as slot, f.range(slot, f.select(slots.eq(0), slot + 1, rows), f.select(slots.eq(0), 1, slots)) as row:
            counters, a, b = radix.rows_of(f, worker, slot, slots, space, n, items.bytes)
            elements = f.at(x, row * n, d.llvm)
            done = f.call("ptr", sort, elements, n, counters, a, b)
            at = f.var("i64", (n - 1) >> 1)
            if d.is_floating_point:
                low, high = f.var("i64", 0), f.var("i64", n)
                with f.loop() as end:  # where the NaNs begin
                    f.leave(end, low.v >= high.v)
                    middle = (low.v + high.v) >> 1
                    word = items.load(done, middle)[0]
                    key = word if items.wide else f.cast("trunc", word >> 32, "i32")
                    low.v, high.v = f.select(key.eq(-1), low.v, middle + 1), f.select(key.eq(-1), middle, high.v)
                at.v = f.select(low.v < n, low.v, at.v)
            item = items.load(done, at.v)
            f.store(items.value(item, elements), values, row)
            f.store(items.index(item), indices, row)


def median(x: Operand) -> Schedule:
    """The lower median of each row. Out(0): values (rows,), Out(1): int64 indices. In(0): x (rows, n), contiguous."""
    return radix.plan(x, Kernel(emit_median, (x.dtype,)))
