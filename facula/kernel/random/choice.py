"""Permutations and draws from given weights."""

from __future__ import annotations

import facula.kernel.random.stream as stream

from ...base.dtypes import dtype
from ...runtime.ir import Module, Value, like, vector
from .. import lanes
from ..bisection import TOGETHER, bisect, gathered
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Work
from .uniform import STATE

WIDE_FROM = (1 << 32) // 20  # from here on PyTorch draws 64 bits a step, so that the remainder is not skewed
STEPS = 1 << 20  # steps of a launch that draws: up to 0.2 s where each reads far apart; signals are looked at between launches
ADDED = 1 << 22  # weights of a row that a launch adds up
KERNEL = "ptr words, i64 lo, i64 hi, i64 worker"


def emit_count(m: Module, name: str) -> None:
    """Work items are elements: 0, 1, ..."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _worker):
        (out,) = f.words(words, "ptr")
        with f.range(lo, hi) as i:
            f.store(i, out, i)


def emit_permutation(m: Module, name: str, wide: bool) -> None:
    """Steps first .. last - 1 of Fisher-Yates from the front: element i changes places with i + draw % (n - i)."""
    each = 2 if wide else 1
    with m.function(name, KERNEL) as (f, words, _lo, _hi, _worker):
        state, out, n, first, last = f.words(words, "ptr", "ptr", "i64", "i64", "i64")
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // each
        with f.range(first, last, chunk) as base:
            take = f.smin(last - base, chunk)
            stream.draw(f, state, buffer, take * each)
            with f.range(0, take) as k:
                i = base + k
                w = f.cast("zext", f.load("i32", buffer, k * each), "i64")
                if wide:
                    w = (w << 32) | f.cast("zext", f.load("i32", buffer, k * each + 1), "i64")
                    j = w.urem(n - i)
                else:
                    j = f.cast("zext", f.cast("trunc", w, "i32").urem(f.cast("trunc", n - i, "i32")), "i64")
                a, b = f.load("i64", out, i), f.load("i64", out, i + j)
                f.store(b, out, i)
                f.store(a, out, i + j)


def permutation(out: Operand) -> Schedule:
    """randperm(n). Out(0): int64 (n,). numbers: state."""
    n = out.shape[0]
    if not n:
        return Schedule(())
    launches = [Launch(Kernel(emit_count), (Out(0),), n, 1 << 16, 8 * n, n)]
    kernel = Kernel(emit_permutation, (n >= WIDE_FROM,))
    for first in range(0, n - 1, STEPS):
        last = min(first + STEPS, n - 1)
        launches.append(Launch(kernel, (STATE, Out(0), n, first, last), 1, 1, 16 * (last - first), 10 * (last - first)))
    return Schedule(tuple(launches))


# -- draws from given weights
def emit_units(m: Module, name: str) -> None:
    """`count` doubles in [0, 1), one thread."""
    with m.function(name, KERNEL) as (f, words, _lo, _hi, _worker):
        state, out, count = f.words(words, "ptr", "ptr", "i64")
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // 2
        with f.range(0, count, chunk) as base:
            take = f.smin(count - base, chunk)
            stream.draw(f, state, buffer, take * 2)
            with f.range(0, take) as k:
                f.store(f.extract(stream.unit_double(f, f.at(buffer, k * 2, "i32"), 2), 0), out, base + k)


def emit_sums(m: Module, name: str, d: dtype) -> None:
    """Work items are rows: the running sums of `count` weights from the column `first` on, and the total so far."""
    kind = lanes.compute(d)
    with m.function(name, KERNEL) as (f, words, lo, hi, _worker):
        weights, sums, totals, n, first, count = f.words(words, "ptr", "ptr", "ptr", "i64", "i64", "i64")
        with f.range(lo, hi) as row:
            total = f.var(kind, 0.0)
            with f.when(first > 0):
                total.v = f.load(kind, totals, row)
            with f.range(row * n + first, row * n + first + count) as j:
                total.v = total.v + lanes.load_one(f, d, weights, j)
                lanes.store_one(f, d, total.v, sums, j)
            f.store(total.v, totals, row)


def emit_places(m: Module, name: str, d: dtype) -> None:
    """Work items are samples: doubles in [0, 1) become the places where the running share of the row's weights reaches them."""
    kind = lanes.compute(d)
    with m.function(name, KERNEL) as (f, words, lo, hi, _worker):
        out, sums, totals, n, samples = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")

        def below(x: Value, total: Value, u: Value) -> Value:
            share = lanes.widen(f, d, lanes.narrow(f, d, x / total))
            return (f.cast("fpext", share, like(u.type, "double")) if kind == "float" else share) < u

        main = lo + ((hi - lo) & -TOGETHER)
        with f.range(lo, main, TOGETHER) as i:
            rows, u = f.const(vector(TOGETHER, "i64"), 0), f.load(vector(TOGETHER, "double"), out, i)
            for c in range(TOGETHER):
                rows = f.insert(rows, (i + c) // samples, c)
            starts, total = rows * n, gathered(f, kind, totals, rows)

            def behind(places: Value, starts: Value = starts, total: Value = total, u: Value = u) -> Value:
                return below(lanes.widen(f, d, gathered(f, d.llvm, sums, starts + places)), total, u)

            f.store(bisect(f, n - 1, behind), out, i)  # the last share is 1
        with f.range(main, hi) as i:
            row, u = i // samples, f.load("double", out, i)
            total = f.load(kind, totals, row)
            low, high = f.var("i64", 0), f.var("i64", n - 1)
            with f.loop() as end:
                f.leave(end, low.v >= high.v)
                middle = low.v + ((high.v - low.v) >> 1)
                before = below(lanes.load_one(f, d, sums, row * n + middle), total, u)
                low.v, high.v = f.select(before, middle + 1, low.v), f.select(before, high.v, middle)
            f.store(low.v, out, i)


def weighted(weights: Operand, samples: int) -> Schedule:
    """multinomial(weights, samples, replacement=True). Out(0): int64 (rows, samples). In(0): weights (rows, n), contiguous, each row with
    a positive sum. numbers: state."""
    rows, n = weights.shape
    drawn, d = rows * samples, weights.dtype
    if not drawn:
        return Schedule(())
    launches: list[Launch] = []
    for first in range(0, drawn, STEPS):
        count = min(STEPS, drawn - first)
        launches.append(Launch(Kernel(emit_units), (STATE, Out(0, first * 8), count), 1, 1, count * 8, count * 20))
    sums, totals = Work(rows * 8), Work(0)
    for first in range(0, n, ADDED):
        count = min(ADDED, n - first)
        words = (In(0), sums, totals, n, first, count)
        launches.append(Launch(Kernel(emit_sums, (d,)), words, rows, max(1, 4096 // n), rows * count * d.itemsize * 2, rows * count * 4))
    steps = max(1, n.bit_length())
    launches.append(Launch(Kernel(emit_places, (d,)), (Out(0), sums, totals, n, samples), drawn, 1024, drawn * 16, drawn * 8 * steps))
    return Schedule(tuple(launches), rows * (8 + n * d.itemsize))
