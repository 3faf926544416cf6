"""Batch normalisation where channels are the fast dimension: (R, C), for inputs without space and for channels-last images.

Row blocks keep sums of their own (their number is fixed by the shape), a second launch combines them for each channel and writes the
coefficients that a third applies to every row. See `batch_norm` for operands and results.
"""

from __future__ import annotations

from collections.abc import Callable

import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value, Var
from .. import lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work
from .running import update_running

BLOCKS = 64  # row blocks that keep their own sums
ESTIMATE = 16  # rows whose mean is the first estimate of a channel's mean
STRIP = 4  # vectors of columns at a time
FLUSH = 512  # rows added in the compute type before double precision takes over
COLUMNS = 256  # channels a work item combines


def _double(f: Function, x: Value) -> Value:
    return (
        x
        if x.type.endswith("double>") or x.type == "double"
        else f.cast("fpext", x, "double" if x.type == "float" else x.type.replace("float", "double"))
    )


def _rounded(f: Function, x: Value, one: str) -> Value:
    return f.cast("fptrunc", x, one) if one == "float" else x


def _strips(f: Function, n: Value, width: int, body: Callable[[Value, int, Value | None], None]) -> None:
    """body(column, vectors, left) over 0..n-1; `left` is None where all vectors are whole."""
    block = width * STRIP
    with f.range(0, n & -block, block) as c:
        body(c, STRIP, None)
    with f.range(n & -block, n, width) as c:
        body(c, 1, n - c)


def _block_sums(
    f: Function,
    d: dtype,
    first: Value,
    last: Value,
    vectors: int,
    terms: Callable[[Value, int], list[Value]],
    out: Value,
    n: Value,
    column: Value,
    left: Value | None,
) -> None:
    """Two sums over rows first..last-1 for `vectors` vectors of columns, to out[column] and out[n + column] as doubles."""
    width, _, kind = rows.kinds(f, d)
    wide = f"<{width} x double>"
    totals: list[list[Var]] = [[f.var(wide, 0.0) for _ in range(vectors)] for _ in range(2)]
    with f.range(first, last, FLUSH) as start:
        parts = [[f.var(kind, 0.0) for _ in range(vectors)] for _ in range(2)]
        with f.range(start, f.smin(start + FLUSH, last)) as row:
            for v in range(vectors):
                for part, term in zip(parts, terms(row, v)):
                    part[v].v = part[v].v + term
        for total, part in zip(totals, parts):
            for v in range(vectors):
                total[v].v = total[v].v + _double(f, part[v].v)
    for k, total in enumerate(totals):
        for v in range(vectors):
            at = n * k + column + v * width
            if left is None:
                f.store(total[v].v, out, at)
            else:
                stage = f.array("double", width)
                f.store(total[v].v, stage)
                with f.range(0, f.smin(left, width)) as i:
                    f.store(f.load("double", stage, i), out, at + i)


def emit_statistics(m: Module, name: str, d: dtype) -> None:
    """Per row block: sums of (x - estimate) and its square; every block finds the same estimate, the first writes it."""
    types = ["ptr", "ptr", "ptr", "i64", "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        estimates, partial, x, count_, n, block = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        few = f.smin(count_, ESTIMATE)
        share = f.splat(f.cast("sitofp", few, one), width)
        with f.range(lo, hi) as item:
            out = f.at(partial, item * n * 2, "double")

            def body(c: Value, vectors: int, left: Value | None, item: Value = item, out: Value = out) -> None:
                guess = [f.var(kind, 0.0) for _ in range(vectors)]

                def at(row: Value, v: int) -> Value:
                    return lanes.load(f, d, width, x, row * n + c + v * width, left)

                with f.range(0, few) as row:
                    for v in range(vectors):
                        guess[v].v = guess[v].v + at(row, v)
                centre = [g.v / share for g in guess]
                with f.when(item.eq(0)):
                    for v in range(vectors):
                        lanes.store(f, d.compute, centre[v], estimates, c + v * width, left)

                def terms(row: Value, v: int) -> list[Value]:
                    delta = at(row, v) - centre[v]
                    return [delta, delta * delta]

                _block_sums(f, d, item * block, f.smin((item + 1) * block, count_), vectors, terms, out, n, c, left)

            _strips(f, n, width, body)


def _combined(f: Function, partial: Value, blocks: Value, n: Value, c: Value) -> tuple[Value, Value]:
    sums = [f.var("double", 0.0), f.var("double", 0.0)]
    with f.range(0, blocks) as k:
        for i, s in enumerate(sums):
            s.v = s.v + f.load("double", partial, (k * 2 + i) * n + c)
    return sums[0].v, sums[1].v


def emit_coefficients(m: Module, name: str, d: dtype, affine: tuple[bool, bool], running: bool, training: bool) -> None:
    types = [*["ptr"] * 9, "i64", "i64", "i64", "double", "double"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        means, scales, weight, bias, run_mean, run_var, estimates, partial, ab, count_, n, blocks, eps, momentum = f.words(words, *types)
        one = lanes.compute(d)
        with f.range(lo, hi) as item, f.range(item * COLUMNS, f.smin((item + 1) * COLUMNS, n)) as c:
            if training:
                s1, s2 = _combined(f, partial, blocks, n, c)
                total = f.cast("sitofp", count_, "double")
                delta = s1 / total
                mean, var = _double(f, f.load(one, estimates, c)) + delta, s2 / total - delta * delta
                var = f.select(var < 0.0, 0.0, var)
                if running:
                    update_running(f, one, (run_mean, run_var), c, (mean, var), total, momentum)
            else:
                mean, var = (_double(f, f.load(one, p, c)) for p in (run_mean, run_var))
            rstd = 1.0 / f.math("sqrt", var + eps)
            f.store(_rounded(f, mean, one), means, c)
            f.store(_rounded(f, rstd, one), scales, c)
            a = rstd * _double(f, f.load(one, weight, c)) if affine[0] else rstd
            b = f.const("double", 0.0) - mean * a
            b = b + _double(f, f.load(one, bias, c)) if affine[1] else b
            f.store(_rounded(f, a, one), ab, c)
            f.store(_rounded(f, b, one), ab, n + c)


def emit_apply(m: Module, name: str, d: dtype) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        y, x, ab, n, stream = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        width, one, _ = rows.kinds(f, d)
        with f.range(lo, hi) as row:
            source, c = f.at(x, row * n, d.llvm), d.compute

            def value(i: Value, left: Value | None, source: Value = source) -> Value:
                a, b = lanes.load(f, c, width, ab, i, left), lanes.load(f, c, width, f.at(ab, n, one), i, left)
                return f.fma(lanes.load(f, d, width, source, i, left), a, b)

            rows.write(f, d, n, width, f.at(y, row * n, d.llvm), stream, value)


def emit_gradient_sums(m: Module, name: str, d: dtype) -> None:
    """Per row block: sums of g and g (x - mean)."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        partial, g, x, means, count_, n, block = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")
        width, _, _ = rows.kinds(f, d)
        with f.range(lo, hi) as item:
            out = f.at(partial, item * n * 2, "double")

            def body(c: Value, vectors: int, left: Value | None, item: Value = item, out: Value = out) -> None:
                centre = [lanes.load(f, d.compute, width, means, c + v * width, left) for v in range(vectors)]

                def terms(row: Value, v: int) -> list[Value]:
                    at = row * n + c + v * width
                    grad = lanes.load(f, d, width, g, at, left)
                    return [grad, grad * (lanes.load(f, d, width, x, at, left) - centre[v])]

                _block_sums(f, d, item * block, f.smin((item + 1) * block, count_), vectors, terms, out, n, c, left)

            _strips(f, n, width, body)


def emit_gradient_coefficients(m: Module, name: str, d: dtype, weighted: bool, training: bool, wants: tuple[bool, bool, bool]) -> None:
    """gw, gb, and for each channel the a, b, s of gx = (g - a - (x - mean) b) s."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gw, gb, scales, weight, partial, abs_, count_, n, blocks = f.words(words, *["ptr"] * 6, "i64", "i64", "i64")
        one = lanes.compute(d)
        with f.range(lo, hi) as item, f.range(item * COLUMNS, f.smin((item + 1) * COLUMNS, n)) as c:
            s1, s2 = _combined(f, partial, blocks, n, c)
            rstd, total = _double(f, f.load(one, scales, c)), f.cast("sitofp", count_, "double")
            if wants[1]:
                f.store(_rounded(f, s2 * rstd, one), gw, c)
            if wants[2]:
                f.store(_rounded(f, s1, one), gb, c)
            if wants[0]:
                zero = f.const("double", 0.0)
                s = rstd * _double(f, f.load(one, weight, c)) if weighted else rstd
                for k, v in enumerate((s1 / total if training else zero, s2 * rstd * rstd / total if training else zero, s)):
                    f.store(_rounded(f, v, one), abs_, n * k + c)


def emit_gradient(m: Module, name: str, d: dtype, training: bool) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx, g, x, means, abs_, n, stream = f.words(words, *["ptr"] * 5, "i64", "i64")
        width, one, _ = rows.kinds(f, d)
        a, b, s = (f.at(abs_, n * k, one) for k in range(3))
        with f.range(lo, hi) as row:
            grads, source = f.at(g, row * n, d.llvm), f.at(x, row * n, d.llvm)

            def value(i: Value, left: Value | None, grads: Value = grads, source: Value = source) -> Value:
                def channel(p: Value) -> Value:
                    return lanes.load(f, d.compute, width, p, i, left)

                grad = lanes.load(f, d, width, grads, i, left)
                if training:
                    grad = grad - channel(a) - (lanes.load(f, d, width, source, i, left) - channel(means)) * channel(b)
                return grad * channel(s)

            rows.write(f, d, n, width, f.at(gx, row * n, d.llvm), stream, value)


def _cut(x: Operand) -> tuple[int, int, int, int]:
    """(rows, channels, rows of a block, blocks)."""
    count_, n = x.shape
    block = max(ESTIMATE, -(-count_ // BLOCKS))
    return count_, n, block, max(1, -(-count_ // block))


def forward(
    x: Operand, affine: tuple[bool, bool], running: bool, training: bool, given: tuple[Word, ...], numbers: tuple[Number, ...]
) -> Schedule:
    count_, n, block, blocks = _cut(x)
    if not count_ * n:
        return Schedule(())
    d, each = x.dtype, x.dtype.itemsize
    partial, ab, estimates = Work(0), Work(blocks * n * 16), Work(blocks * n * 16 + n * 16)
    launches: list[Launch] = []
    if training:
        words: tuple[Word, ...] = (estimates, partial, In(0), count_, n, block)
        launches.append(
            Launch(Kernel(emit_statistics, (d,)), words, blocks, rows.grain(block * n * each), count_ * n * each, count_ * n * 4)
        )
    words = (Out(1), Out(2), *given, estimates, partial, ab, count_, n, blocks, *numbers)
    combine = Kernel(emit_coefficients, (d, affine, running, training))
    launches.append(Launch(combine, words, -(-n // COLUMNS), 1, blocks * n * 16, blocks * n * 4))
    words = (Out(0), In(0), ab, n, rows.streams(x))
    launches.append(Launch(Kernel(emit_apply, (d,)), words, count_, rows.grain(2 * n * each), 2 * count_ * n * each, count_ * n * 2))
    return Schedule(tuple(launches), blocks * n * 16 + n * 24)


def backward(
    x: Operand, weighted: bool, training: bool, wants: tuple[bool, bool, bool], outs: tuple[Word, ...], given: tuple[Word, ...]
) -> Schedule:
    count_, n, block, blocks = _cut(x)
    if not count_ * n or not any(wants):
        return Schedule(())
    d, each = x.dtype, x.dtype.itemsize
    partial, coefficients = Work(0), Work(blocks * n * 16)
    words: tuple[Word, ...] = (partial, In(0), In(1), In(2), count_, n, block)
    launches = [
        Launch(Kernel(emit_gradient_sums, (d,)), words, blocks, rows.grain(block * n * each * 2), 2 * count_ * n * each, count_ * n * 4)
    ]
    words = (outs[1], outs[2], In(3), *given, partial, coefficients, count_, n, blocks)
    combine = Kernel(emit_gradient_coefficients, (d, weighted, training, wants))
    launches.append(Launch(combine, words, -(-n // COLUMNS), 1, blocks * n * 16, blocks * n * 4))
    if wants[0]:
        words = (outs[0], In(0), In(1), In(2), coefficients, n, rows.streams(x))
        launches.append(
            Launch(Kernel(emit_gradient, (d, training)), words, count_, rows.grain(3 * n * each), 3 * count_ * n * each, count_ * n * 5)
        )
    return Schedule(tuple(launches), blocks * n * 16 + n * 24)
