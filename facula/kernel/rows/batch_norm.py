"""Batch normalisation, forward with running statistics and backward. Ioffe & Szegedy 2015, arXiv 1502.03167.

    batch_norm(x, weight, bias, running, training)   numbers: eps, momentum (double)
        Out: y, mean (C,), rstd (C,)   In: x, [weight], [bias], [running_mean, running_var]
    batch_norm_backward(x, weight, training, wants)
        Out: [gx], [gw], [gb]          In: g, x, mean, rstd, [weight]
x is (N, C, S) contiguous, or (R, C) contiguous (no space, or channels last). mean, rstd, weight, bias and running statistics are (C,) in the
compute type. In training the running statistics, where given, are updated in place (momentum, unbiased variance); else they are what
normalises, and mean and rstd repeat them. Sums are taken around a first estimate of the mean and carried in double precision, so a large
mean costs no digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import facula.kernel.rows.batch_norm_columns as columns
import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime.ir import SIZE, Function, Module, Value, Var, count, vector
from .. import lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word
from .running import double, rounded, update_running

ESTIMATE = 256  # elements whose mean is the first estimate


class Wide:
    """A sum in double precision: vectors of the compute type are added to double lanes."""

    def __init__(self, f: Function, kind: str) -> None:
        self.f, self.n = f, count(kind)
        parts = 2 if SIZE[kind[kind.index("x ") + 2 : -1]] == 4 else 1
        self.parts: list[Var] = [f.var(vector(self.n // parts, "double"), 0.0) for _ in range(parts)]

    def add(self, x: Value) -> None:
        if len(self.parts) == 1:
            self.parts[0].v = self.parts[0].v + x
            return
        half = self.n // 2
        for k, part in enumerate(self.parts):
            piece = self.f.shuffle(x, None, range(k * half, (k + 1) * half))
            part.v = part.v + self.f.cast("fpext", piece, part.type)

    def value(self) -> Value:
        x = self.parts[0].v
        for part in self.parts[1:]:
            x = x + part.v
        return self.f.fold(x, lambda a, b: a + b)


def two_sums(
    f: Function, d: dtype, runs: Value, run: Callable[[Value], list[Value]], size: Value, terms: Callable[[list[Value]], list[Value]]
) -> list[Value]:
    """Sums over `runs` runs of `size` elements each of every term (a function of the loaded vectors), as doubles. run(k): addresses."""
    width, _, kind = rows.kinds(f, d)
    wide = [Wide(f, kind), Wide(f, kind)]
    with f.range(0, runs) as k:
        places = run(k)
        parts = [rows.summed(f, kind, 2), rows.summed(f, kind, 2)]

        def step(i: Value, u: int, left: Value | None) -> None:
            loaded = [lanes.load(f, d, width, p, i, left) for p in places]
            for part, term in zip(parts, terms(loaded)):
                part.add(u, term, left)

        rows.sweep(f, size, width, step, 2)
        for total, part in zip(wide, parts):
            total.add(part.parts[0].v + part.parts[1].v)
    return [w.value() for w in wide]


def emit_forward(m: Module, name: str, d: dtype, affine: tuple[bool, bool], running: bool, training: bool) -> None:
    types = [*["ptr"] * 8, "i64", "i64", "i64", "i64", "double", "double"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        y_all, means, scales, x_all, weight, bias, run_mean, run_var, runs, channels, size, stream, eps, momentum = f.words(words, *types)
        width, one, _ = rows.kinds(f, d)
        with f.range(lo, hi) as c:
            if training:
                mean, var = _statistics(f, d, x_all, c, runs, channels, size)
                total = f.cast("sitofp", runs * size, "double")
                if running:
                    update_running(f, one, (run_mean, run_var), c, (mean, var), total, momentum)
            else:
                mean, var = (double(f, f.load(one, p, c)) for p in (run_mean, run_var))
            rstd = 1.0 / f.math("sqrt", var + eps)
            f.store(rounded(f, mean, one), means, c)
            f.store(rounded(f, rstd, one), scales, c)
            a = rstd * double(f, f.load(one, weight, c)) if affine[0] else rstd
            shift = f.const("double", 0.0) - mean * a
            b = shift + double(f, f.load(one, bias, c)) if affine[1] else shift
            av, bv = (f.splat(rounded(f, v, one), width) for v in (a, b))
            with f.range(0, runs) as k:
                offset = (k * channels + c) * size
                x, y = f.at(x_all, offset, d.llvm), f.at(y_all, offset, d.llvm)
                rows.write(f, d, size, width, y, stream, lambda i, left: f.fma(lanes.load(f, d, width, x, i, left), av, bv))


def _statistics(f: Function, d: dtype, x_all: Value, c: Value, runs: Value, channels: Value, size: Value) -> tuple[Value, Value]:
    """(mean, biased variance) of a channel, in double precision."""
    width, one, kind = rows.kinds(f, d)
    first = f.at(x_all, c * size, d.llvm)
    few = f.smin(size, ESTIMATE)
    guess = rows.summed(f, kind, 1)
    rows.sweep(f, few, width, lambda i, u, left: guess.add(u, lanes.load(f, d, width, first, i, left), left), 1)
    estimate = guess.value() / f.cast("sitofp", few, one)
    centre = f.splat(estimate, width)

    def terms(x: list[Value]) -> list[Value]:
        v = x[0] - centre
        return [v, v * v]

    s1, s2 = two_sums(f, d, runs, lambda k: [f.at(x_all, (k * channels + c) * size, d.llvm)], size, terms)
    total = f.cast("sitofp", runs * size, "double")
    delta = s1 / total
    var = s2 / total - delta * delta
    return double(f, estimate) + delta, f.select(var < 0.0, 0.0, var)


def emit_backward(m: Module, name: str, d: dtype, weighted: bool, training: bool, wants: tuple[bool, bool, bool]) -> None:
    types = [*["ptr"] * 8, "i64", "i64", "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx_all, gw, gb, g_all, x_all, means, scales, weight, runs, channels, size, stream = f.words(words, *types)
        width, one, _ = rows.kinds(f, d)
        with f.range(lo, hi) as c:
            mean, rstd = f.load(one, means, c), double(f, f.load(one, scales, c))
            centre = f.splat(mean, width)
            sums = [f.const("double", 0.0)] * 2
            if training or wants[1] or wants[2]:

                def places(k: Value, c: Value = c) -> list[Value]:
                    return [f.at(p, (k * channels + c) * size, d.llvm) for p in (g_all, x_all)]

                sums = two_sums(f, d, runs, places, size, lambda v: [v[0], v[0] * (v[1] - centre)])
            if wants[1]:
                f.store(rounded(f, sums[1] * rstd, one), gw, c)
            if wants[2]:
                f.store(rounded(f, sums[0], one), gb, c)
            if wants[0]:
                sizes = (runs, channels, size, stream)
                _input_gradient(f, d, (gx_all, g_all, x_all), c, sizes, mean, rstd, sums, weight if weighted else None, training)


def _input_gradient(
    f: Function,
    d: dtype,
    places: tuple[Value, Value, Value],
    c: Value,
    sizes: tuple[Value, Value, Value, Value],
    mean: Value,
    rstd: Value,
    sums: list[Value],
    weight: Value | None,
    training: bool,
) -> None:
    """gx = w rstd (g - mean(g) - (x - mean) rstd^2 mean(g (x - mean))), of which eval mode keeps the first term."""
    width, one, _ = rows.kinds(f, d)
    runs, channels, size, stream = sizes
    total = f.cast("sitofp", runs * size, "double")
    factor = rstd * double(f, f.load(one, weight, c)) if weight is not None else rstd
    scale = f.splat(rounded(f, factor, one), width)
    a = f.splat(rounded(f, sums[0] / total, one), width)
    b = f.splat(rounded(f, sums[1] * rstd * rstd / total, one), width)
    centre = f.splat(mean, width)
    with f.range(0, runs) as k:
        gx, g, x = (f.at(p, (k * channels + c) * size, d.llvm) for p in places)

        def value(i: Value, left: Value | None) -> Value:
            grad = lanes.load(f, d, width, g, i, left)
            if training:
                grad = grad - a - (lanes.load(f, d, width, x, i, left) - centre) * b
            return grad * scale

        rows.write(f, d, size, width, gx, stream, value)


def _inputs(start: int, *present: bool) -> list[Word]:
    """Words of optional inputs: those that are there are numbered on from `start`."""
    out: list[Word] = []
    for there in present:
        out.append(In(start + sum(isinstance(o, In) for o in out)) if there else 0)
    return out


def batch_norm(x: Operand, weight: bool = False, bias: bool = False, running: bool = False, training: bool = True) -> Schedule:
    """`weight`, `bias`, `running` say which are given."""
    rows.contiguous(x)
    given = _inputs(1, weight, bias, running, running)
    if training:
        given[2:] = [replace(w, written=True) if isinstance(w, In) else w for w in given[2:]]
    numbers = (Number(0, "double"), Number(1, "double"))
    if len(x.shape) == 2:
        return columns.forward(x, (weight, bias), running, training, tuple(given), numbers)
    runs, channels, size = x.shape
    if not runs * channels * size:
        return Schedule(())
    words = (Out(0), Out(1), Out(2), In(0), *given, runs, channels, size, rows.streams(x), *numbers)
    kernel = Kernel(emit_forward, (x.dtype, (weight, bias), running, training))
    each = runs * size * x.dtype.itemsize * 2
    return Schedule((Launch(kernel, words, channels, rows.grain(each), channels * each, channels * each),))


def batch_norm_backward(
    x: Operand, weight: bool = False, training: bool = True, wants: tuple[bool, bool, bool] = (True, True, True)
) -> Schedule:
    """`wants`: which of gx, gw, gb."""
    rows.contiguous(x)
    outs: list[Word] = []
    for wanted in wants:
        outs.append(Out(sum(isinstance(o, Out) for o in outs)) if wanted else 0)
    given = _inputs(4, weight)
    if len(x.shape) == 2:
        return columns.backward(x, weight, training, wants, tuple(outs), tuple(given))
    runs, channels, size = x.shape
    if not runs * channels * size or not any(wants):
        return Schedule(())
    words = (*outs, In(0), In(1), In(2), In(3), *given, runs, channels, size, rows.streams(x))
    kernel = Kernel(emit_backward, (x.dtype, weight, training, wants))
    each = runs * size * x.dtype.itemsize * 3
    return Schedule((Launch(kernel, words, channels, rows.grain(each), channels * each, channels * each),))
