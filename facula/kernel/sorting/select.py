"""The k largest or smallest of a row without sorting it: vectors of keys are compared with the k-th best so far, the rare winners inserted.

On n random values about k ln(n / k) are inserted; above MOST they are found by their rank instead. Of a long row each block's best are chosen first, then
the best of those.
"""

from __future__ import annotations

import facula.kernel.sorting.keys as keys
import facula.kernel.sorting.rank as rank

from ...base.dtypes import dtype
from ...runtime.ir import Module, Value, vector
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Work
from ..rows.sweep import contiguous, grain

MOST = 64  # k that is kept by insertion
BLOCK = 1 << 20  # elements that one work item looks at; the last block of a row has the rest


def emit_select(m: Module, name: str, d: dtype, largest: bool, again: bool = False) -> None:
    """Work items are blocks, row after row: `size` elements each, the last of a row has the rest. Keys are complemented for `largest`, so that
    the smallest keys win; ties go to the lower index. `again`: elements were chosen before, the last word has the places they came from."""
    kind = keys.key_type(d)
    width = m.target.lanes * 4 // (8 if kind == "i64" else 4)
    parts = 2
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        values, indices, x_all, row_n, k, blocks, size, *before = f.words(words, "ptr", "ptr", "ptr", *["i64"] * 4, *["ptr"] * again)
        best, places = f.array(kind, MOST + 1), f.array("i64", MOST + 1)
        with f.range(lo, hi) as item:
            block = item % blocks
            first = item // blocks * row_n + block * size
            n = f.select(block.eq(blocks - 1), row_n - block * size, size)
            x = f.at(x_all, first, d.llvm)
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
            step = width * parts
            main = k + ((n - k) & -step)
            with f.range(k, main, step) as i:
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
                f.store(f.load(d.llvm, x, at), values, item * k + i)
                f.store(f.load("i64", before[0], first + at) if again else block * size + at, indices, item * k + i)


def topk(x: Operand, k: int, largest: bool = True) -> Schedule:
    """The k largest (smallest) of each row, best first; NaN counts as largest. Out(0): values (rows, k), Out(1): int64 indices.
    In(0): x (rows, n), contiguous."""
    contiguous(x)
    rows, n = x.shape
    if not rows * k:
        return Schedule(())
    if k > MOST:
        return rank.first(x, k, largest)
    d, each, blocks = x.dtype, x.dtype.itemsize, max(1, n // BLOCK)
    kernel, moved, work = Kernel(emit_select, (d, largest)), rows * n * each, rows * n * 2
    if blocks == 1:
        return Schedule((Launch(kernel, (Out(0), Out(1), In(0), n, k, 1, n), rows, grain(n * each), moved, work),))
    chosen = rows * blocks * k
    places, values = Work(0), Work(chosen * 8)
    first = Launch(kernel, (values, places, In(0), n, k, blocks, BLOCK), rows * blocks, 1, moved, work)
    words = (Out(0), Out(1), values, blocks * k, k, 1, blocks * k, places)
    again = Launch(Kernel(emit_select, (d, largest, True)), words, rows, grain(blocks * k * each), chosen * each, chosen * 2)
    return Schedule((first, again), chosen * (8 + each))
