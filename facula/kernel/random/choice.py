"""Permutations and draws from given weights."""

from __future__ import annotations

import facula.kernel.random.stream as stream

from ...base.dtypes import dtype
from ...runtime.ir import Module
from .. import lanes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Work
from .uniform import STATE

WIDE_FROM = (1 << 32) // 20  # from here on PyTorch draws 64 bits a step, so that the remainder is not skewed


def emit_permutation(m: Module, name: str, wide: bool) -> None:
    """Fisher-Yates from the front: element i changes places with i + draw % (n - i)."""
    each = 2 if wide else 1
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, n = f.words(words, "ptr", "ptr", "i64")
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // each
        with f.range(0, n) as i:
            f.store(i, out, i)
        with f.range(0, n - 1, chunk) as base:
            take = f.smin(n - 1 - base, chunk)
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
    return Schedule((Launch(Kernel(emit_permutation, (n >= WIDE_FROM,)), (STATE, Out(0), n), 1, 1, 8 * n, 10 * n),))


def emit_weighted(m: Module, name: str, d: dtype) -> None:
    kind = lanes.compute(d)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, weights, sums, rows, n, samples = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // 2
        with f.range(0, rows) as row:
            total = f.var(kind, 0.0)
            with f.range(0, n) as j:
                total.v = total.v + lanes.load_one(f, d, weights, row * n + j)
                lanes.store_one(f, d, total.v, sums, j)
            with f.range(0, n) as j:
                lanes.store_one(f, d, lanes.load_one(f, d, sums, j) / total.v, sums, j)
            lanes.store_one(f, d, f.const(kind, 1.0), sums, n - 1)
            with f.range(0, samples, chunk) as base:
                take = f.smin(samples - base, chunk)
                stream.draw(f, state, buffer, take * 2)
                with f.range(0, take) as k:
                    u = f.extract(stream.unit_double(f, f.at(buffer, k * 2, "i32"), 2), 0)
                    low, high = f.var("i64", 0), f.var("i64", n)
                    with f.loop() as end:
                        f.leave(end, low.v >= high.v)
                        middle = low.v + ((high.v - low.v) >> 1)
                        x = lanes.load_one(f, d, sums, middle)
                        below = (f.cast("fpext", x, "double") if kind == "float" else x) < u
                        low.v, high.v = f.select(below, middle + 1, low.v), f.select(below, high.v, middle)
                    f.store(low.v, out, row * samples + base + k)


def weighted(weights: Operand, samples: int) -> Schedule:
    """multinomial(weights, samples, replacement=True). Out(0): int64 (rows, samples). In(0): weights (rows, n), contiguous, each row with
    a positive sum. numbers: state."""
    rows, n = weights.shape
    if not rows * samples:
        return Schedule(())
    words = (STATE, Out(0), In(0), Work(0), rows, n, samples)
    return Schedule((Launch(Kernel(emit_weighted, (weights.dtype,)), words, 1, 1, rows * n * weights.dtype.itemsize, rows * n * 4),), n * 8)
