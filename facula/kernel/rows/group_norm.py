"""Group normalisation, of which instance normalisation is the case of one channel a group. Wu & He 2018, arXiv 1803.08494.

    group_norm(x, groups, weight, bias)           numbers: eps (double)
        Out: y, mean (N, G), rstd (N, G)   In: x, [weight], [bias]
    group_norm_backward(x, groups, weight, wants)
        Out: [gx], [gw], [gb]              In: g, x, mean, rstd, [weight]
x: (N, C, S) contiguous; weight, bias, gw, gb: (C,) in x's dtype or its compute type (the operand says); mean, rstd in the compute type.
"""

from __future__ import annotations

import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime.ir import Module, Value
from .. import lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work
from .batch_norm import two_sums
from .running import double, rounded

CHANNELS = 64  # channels a work item adds up


def emit_forward(m: Module, name: str, d: dtype, wd: dtype | None, bd: dtype | None) -> None:
    types = [*["ptr"] * 6, "i64", "i64", "i64", "i64", "double"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        y_all, means, scales, x_all, weight, bias, groups, channels, size, stream, eps = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        n = channels * size  # channels of a group
        with f.range(lo, hi) as row:
            x = f.at(x_all, row * n, d.llvm)
            few = rows.summed(f, kind, 1)
            start = f.smin(n, 256)
            rows.sweep(f, start, width, lambda i, u, left: few.add(u, lanes.load(f, d, width, x, i, left), left), 1)
            estimate = few.value() / f.cast("sitofp", start, one)
            centre = f.splat(estimate, width)

            def terms(v: list[Value], centre: Value = centre) -> list[Value]:
                return [v[0] - centre, (v[0] - centre) * (v[0] - centre)]

            s1, s2 = two_sums(f, d, channels, lambda k: [f.at(x, k * size, d.llvm)], size, terms)
            total = f.cast("sitofp", n, "double")
            delta = s1 / total
            mean, var = double(f, estimate) + delta, s2 / total - delta * delta
            rstd = 1.0 / f.math("sqrt", f.select(var < 0.0, 0.0, var) + eps)
            f.store(rounded(f, mean, one), means, row)
            f.store(rounded(f, rstd, one), scales, row)
            first = row.urem(groups) * channels
            with f.range(0, channels) as k:
                c = first + k
                a = rstd * double(f, lanes.load_one(f, wd, weight, c)) if wd else rstd
                b = f.const("double", 0.0) - mean * a
                b = b + double(f, lanes.load_one(f, bd, bias, c)) if bd else b
                av, bv = (f.splat(rounded(f, v, one), width) for v in (a, b))
                source, out = f.at(x, k * size, d.llvm), f.at(y_all, row * n + k * size, d.llvm)
                rows.write(f, d, size, width, out, stream, lambda i, left: f.fma(lanes.load(f, d, width, source, i, left), av, bv))


def emit_backward(m: Module, name: str, d: dtype, wd: dtype | None, want_x: bool) -> None:
    """Per group: each channel's sums of g and g * normalised x to `partial` [N * C][2], then gx."""
    types = [*["ptr"] * 7, "i64", "i64", "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx_all, g_all, x_all, means, scales, weight, partial, groups, channels, size, stream = f.words(words, *types)
        width, one, _ = rows.kinds(f, d)
        n = channels * size
        with f.range(lo, hi) as row:
            rstd = double(f, f.load(one, scales, row))
            centre, scale = f.splat(f.load(one, means, row), width), f.splat(f.load(one, scales, row), width)
            first = row.urem(groups) * channels
            sums = [f.var("double", 0.0), f.var("double", 0.0)]

            def weight_of(k: Value, first: Value = first) -> Value:
                return double(f, lanes.load_one(f, wd, weight, first + k)) if wd else f.const("double", 1.0)

            with f.range(0, channels) as k:
                offset = row * n + k * size
                places = [f.at(g_all, offset, d.llvm), f.at(x_all, offset, d.llvm)]
                s = two_sums(f, d, f.i64(1), lambda _: places, size, lambda v: [v[0], v[0] * ((v[1] - centre) * scale)])
                for i in (0, 1):
                    f.store(s[i], partial, (row * channels + k) * 2 + i)
                    sums[i].v = sums[i].v + s[i] * weight_of(k)
            if want_x:
                total = f.cast("sitofp", n, "double")
                a, b = (f.splat(rounded(f, s.v / total * rstd, one), width) for s in sums)
                with f.range(0, channels) as k:
                    offset = row * n + k * size
                    gx, g, x = (f.at(p, offset, d.llvm) for p in (gx_all, g_all, x_all))
                    factor = f.splat(rounded(f, weight_of(k) * rstd, one), width)

                    def value(i: Value, left: Value | None) -> Value:
                        normal = (lanes.load(f, d, width, x, i, left) - centre) * scale
                        return lanes.load(f, d, width, g, i, left) * factor - a - normal * b

                    rows.write(f, d, size, width, gx, stream, value)


def emit_channels(m: Module, name: str, gd: dtype, wants: tuple[bool, bool]) -> None:
    """gw, gb: the partial sums added over the batch."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gw, gb, partial, batch, channels = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        with f.range(lo, hi) as item, f.range(item * CHANNELS, f.smin((item + 1) * CHANNELS, channels)) as c:
            for wanted, out, i in ((wants[0], gw, 1), (wants[1], gb, 0)):
                if wanted:
                    total = f.var("double", 0.0)
                    with f.range(0, batch) as k:
                        total.v = total.v + f.load("double", partial, (k * channels + c) * 2 + i)
                    lanes.store_one(f, gd, rounded(f, total.v, lanes.compute(gd)), out, c)


def _dtype(x: Operand | None) -> dtype | None:
    return x.dtype if x is not None else None


def group_norm(x: Operand, groups: int, weight: Operand | None = None, bias: Operand | None = None) -> Schedule:
    rows.contiguous(x)
    batch, channels, size = x.shape
    if not batch * channels * size:
        return Schedule(())
    ins: list[Word] = [In(0), In(1) if weight is not None else 0]
    ins.append(In(1 + (weight is not None)) if bias is not None else 0)
    words = (Out(0), Out(1), Out(2), *ins, groups, channels // groups, size, rows.streams(x), Number(0, "double"))
    kernel = Kernel(emit_forward, (x.dtype, _dtype(weight), _dtype(bias)))
    each = channels // groups * size * x.dtype.itemsize * 2
    return Schedule((Launch(kernel, words, batch * groups, rows.grain(each), batch * groups * each, batch * groups * each * 2),))


def group_norm_backward(
    x: Operand, groups: int, weight: Operand | None = None, wants: tuple[bool, bool, bool] = (True, True, True)
) -> Schedule:
    """`wants`: which of gx, gw, gb (the last two in the weight's dtype, without a weight in the compute type)."""
    rows.contiguous(x)
    batch, channels, size = x.shape
    if not batch * channels * size or not any(wants):
        return Schedule(())
    outs: list[Word] = []
    for wanted in wants:
        outs.append(Out(sum(isinstance(o, Out) for o in outs)) if wanted else 0)
    scale: Word = In(4) if weight is not None else 0
    words = (outs[0], In(0), In(1), In(2), In(3), scale, Work(0), groups, channels // groups, size, rows.streams(x))
    each = channels // groups * size * x.dtype.itemsize * 3
    kernel = Kernel(emit_backward, (x.dtype, _dtype(weight), wants[0]))
    launches = [Launch(kernel, words, batch * groups, rows.grain(each), batch * groups * each, batch * groups * each * 2)]
    if wants[1] or wants[2]:
        given = weight.dtype if weight is not None else x.dtype.compute
        words = (outs[1], outs[2], Work(0), batch, channels)
        size_ = batch * channels
        launches.append(Launch(Kernel(emit_channels, (given, wants[1:])), words, -(-channels // CHANNELS), 1, size_ * 16, size_ * 2))
    return Schedule(tuple(launches), batch * channels * 16)
