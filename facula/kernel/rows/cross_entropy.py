"""Cross entropy of logits with class indices, forward and gradient; log-probabilities are never stored.

    cross_entropy(x, weight, smoothing, reduction)            numbers: ignore_index (i64), smoothing
        Out: loss, lse (rows,), scale (rows + 2,) compute type, status (1,) int64     In: x, target, [weight]
    cross_entropy_backward(x, weight, smoothing, reduction)   numbers: ignore_index (i64), smoothing
        Out: gx                                               In: g, x, target, lse, scale, [weight]
x: (rows, n) contiguous logits, or (N, n, S) contiguous, whose rows are the N * S pixels; target: (rows,) int64; weight: (n,) in x's compute type. `smoothing` says whether the number is used.
`lse` is each row's log of the sum of exponentials, `scale` its class weight (0 where ignored), then the sum of them and the sum of all
class weights. loss: (rows,) for "none", one element else. `status`: -1, or the first row whose target is out of range (its loss is NaN).
"""

from __future__ import annotations

import facula.kernel.rows.cross_entropy_columns as columns
import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value, vector
from .. import elementary, lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work


def _valid(f: Function, target: Value, n: Value, ignore: Value) -> tuple[Value, Value]:
    """(target is a class and not ignored, target is neither a class nor ignored)."""
    inside = f.cast("zext", target.ult(n), "i8")  # unsigned: negative targets are large
    ignored = f.cast("zext", target.eq(ignore), "i8")
    return (inside & (ignored ^ 1)).ne(0), (inside | ignored).eq(0)


def emit_forward(m: Module, name: str, d: dtype, weighted: bool, smooth: bool, none: bool) -> None:
    c = d.compute
    types = [*["ptr"] * 6, "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        loss, lses, scales, x_all, targets, weight, n, ignore = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        smoothing = f.load(one, f.at(words, 8, "i64"))
        with f.range(lo, hi) as row:
            x, target = f.at(x_all, row * n, d.llvm), f.load("i64", targets, row)
            top = rows.largest(f, kind)
            rows.sweep(f, n, width, lambda i, u, left: top.add(u, lanes.load(f, d, width, x, i, left, float("-inf"))))
            peak, sums, plain = top.value(), rows.summed(f, kind), rows.summed(f, kind)
            shift = f.splat(peak, width)

            def step(i: Value, u: int, left: Value | None) -> None:
                v = lanes.load(f, d, width, x, i, left, float("-inf"))
                sums.add(u, elementary.exp(f, v - shift), left)
                if left is None:
                    f.prefetch(x, i + n, level=2, elem=d.llvm)
                if smooth:  # sum of weight * (x - peak)
                    v = v - shift
                    plain.add(u, v * lanes.load(f, c, width, weight, i, left) if weighted else v, left)

            rows.sweep(f, n, width, step)
            log = f.extract(elementary.log_sum(f, f.splat(sums.value(), width)), 0)
            lse = peak + log
            f.store(lse, lses, row)
            good, wrong = _valid(f, target, n, ignore)
            at = f.select(good, target, 0)
            w = f.load(one, weight, at) if weighted else f.const(one, 1.0)
            value = w * (log - (lanes.load_one(f, d, x, at) - peak))
            if smooth:
                total = _weights(f, weight, n, one, c, width) if weighted else f.cast("sitofp", n, one)
                share = smoothing / f.cast("sitofp", n, one)
                value = f.fma(1.0 - smoothing, value, share * (total * log - plain.value()))
            value = f.select(good, value, f.select(wrong, f.const(one, float("nan")), 0.0))
            f.store(f.select(good, w, f.select(wrong, f.const(one, columns.WRONG), 0.0)), scales, row)
            if none:
                lanes.store_one(f, d, value, loss, row)
            else:
                f.store(value, loss, row)


def _weights(f: Function, weight: Value, n: Value, one: str, c: dtype, width: int) -> Value:
    sums = rows.summed(f, vector(width, one), 1)
    rows.sweep(f, n, width, lambda i, u, left: sums.add(u, lanes.load(f, c, width, weight, i, left)), 1)
    return sums.value()


def emit_finish(m: Module, name: str, d: dtype, weighted: bool, reduction: str) -> None:
    """Sums over the rows in double precision: denominators, the reduced loss, the first row with a wrong target."""
    c = d.compute
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        out, losses, scales, status, weight, count_, n = f.words(words, "ptr", "ptr", "ptr", "ptr", "ptr", "i64", "i64")
        one, width = c.llvm, m.target.lanes // 2
        kind = f"<{width} x double>"
        total, sums = rows.summed(f, kind), rows.summed(f, kind)
        least = rows.Fold(f, kind, 0.0, lambda a, b: f.select(a < b, a, b))

        def double(x: Value) -> Value:
            return f.cast("fpext", x, x.type.replace("float", "double")) if one == "float" else x

        def rounded(x: Value) -> Value:
            return f.cast("fptrunc", x, one) if one == "float" else x

        def step(i: Value, u: int, left: Value | None) -> None:
            w = double(lanes.load(f, c, width, scales, i, left))
            total.add(u, f.select(w > columns.WRONG, w, f.const(kind, 0.0)))
            least.add(u, w)
            if reduction != "none":
                sums.add(u, double(lanes.load(f, c, width, losses, i, left)))

        rows.sweep(f, count_, width, step)
        f.store(f.i64(-1), status)
        with f.when(least.value().eq(columns.WRONG)), f.range(0, count_) as row:
            seen = f.cast("zext", f.load("i64", status) < 0, "i8") & f.cast("zext", f.load(one, scales, row).eq(columns.WRONG), "i8")
            with f.when(seen.ne(0)):
                f.store(row, status)
        all_rows = total.value()
        f.store(rounded(all_rows), scales, count_)
        wide = lanes.width(f, d)
        f.store(_weights(f, weight, n, one, c, wide) if weighted else f.cast("sitofp", n, one), scales, count_ + 1)
        if reduction != "none":
            lanes.store_one(f, d, rounded(sums.value() / all_rows if reduction == "mean" else sums.value()), out)


def emit_backward(m: Module, name: str, d: dtype, weighted: bool, smooth: bool, reduction: str) -> None:
    c = d.compute
    types = [*["ptr"] * 7, "i64", "i64", "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx_all, g, x_all, targets, lses, scales, weight, n, count_, stream, ignore = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        smoothing = f.load(one, f.at(words, 11, "i64"))
        total, all_weights = f.load(one, scales, count_), f.load(one, scales, count_ + 1)
        with f.range(lo, hi) as row:
            x, gx = f.at(x_all, row * n, d.llvm), f.at(gx_all, row * n, d.llvm)
            target = f.load("i64", targets, row)
            good, _ = _valid(f, target, n, ignore)
            factor = lanes.load_one(f, d, g, row if reduction == "none" else 0)
            factor = factor / total if reduction == "mean" else factor
            factor = f.select(good, factor, 0.0)
            shift = f.splat(f.load(one, lses, row), width)
            hit = f.load(one, scales, row) * factor  # w[t] * g
            share = factor * smoothing / f.cast("sitofp", n, one) if smooth else f.const(one, 0.0)
            if smooth:
                hit = hit * (1.0 - smoothing)
            scale = f.splat(hit + share * all_weights if smooth else hit, width)

            def gradient(i: Value, left: Value | None) -> Value:
                v = elementary.exp(f, lanes.load(f, d, width, x, i, left) - shift) * scale
                if left is None:
                    f.prefetch(x, i + n, level=2, elem=d.llvm)
                if smooth:
                    v = v - (f.splat(share, width) * lanes.load(f, c, width, weight, i, left) if weighted else f.splat(share, width))
                return v

            # PyTorch gives exact zeros in ignored rows, whatever the logits
            with f.when(good):
                rows.write(f, d, n, width, gx, stream, gradient)
                last = f.select(good, target, 0)
                at = last & -width  # the target's vector once more, unrounded, so that half precision rounds once
                left = n - at
                lane = f.splat(f.cast("trunc", last - at, "i32"), width)
                here = f.lanes(vector(width, "i32"), range(width)).eq(lane)
                v = gradient(at, left)
                lanes.store(f, d, f.select(here, v - f.splat(hit, width), v), gx, at, left)
            with f.otherwise(good):
                rows.write(f, d, n, width, gx, stream, lambda i, left: f.const(kind, 0.0))


def _numbers(x: Operand) -> tuple[Number, Number]:
    return Number(0, "i64"), Number(1, lanes.compute(x.dtype))


def _sizes(x: Operand) -> tuple[int, int, int]:
    """(rows, classes, pixels of an image)."""
    inner = x.shape[2] if len(x.shape) == 3 else 1
    return x.shape[0] * inner, x.shape[1], inner


def cross_entropy(x: Operand, weight: Operand | None = None, smoothing: bool = False, reduction: str = "mean") -> Schedule:
    rows.contiguous(x)
    total, n, inner = _sizes(x)
    none = reduction == "none"
    each = x.dtype.compute.itemsize
    losses: Word = Out(0) if none else Work(0)
    w: Word = In(2) if weight is not None else 0
    words = (losses, Out(1), Out(2), In(0), In(1), w, n, *_numbers(x), inner)
    size = n * x.dtype.itemsize
    static = (x.dtype, weight is not None, smoothing, none)
    finish = Kernel(emit_finish, (x.dtype, weight is not None, reduction))
    last = Launch(finish, (Out(0), losses, Out(2), Out(3), w, total, n), 1, 1, total * each * 2, total * 4)
    launches: tuple[Launch, ...] = (last,)
    if total and inner > 1:
        items = x.shape[0] * -(-inner // columns.PIXELS)
        kernel = Kernel(columns.emit_forward, static)
        launches = (Launch(kernel, words, items, rows.grain(size * columns.PIXELS), total * size, total * n * 20), last)
    elif total:
        launches = (Launch(Kernel(emit_forward, static), words, total, rows.grain(size), total * size, total * n * 20), last)
    return Schedule(launches, 0 if none else total * each)


def cross_entropy_backward(x: Operand, weight: Operand | None = None, smoothing: bool = False, reduction: str = "mean") -> Schedule:
    rows.contiguous(x)
    total, n, inner = _sizes(x)
    if not total * n:
        return Schedule(())
    w: Word = In(5) if weight is not None else 0
    words = (Out(0), In(0), In(1), In(2), In(3), In(4), w, n, total, rows.streams(x), *_numbers(x), inner)
    size = 2 * n * x.dtype.itemsize
    static = (x.dtype, weight is not None, smoothing, reduction)
    if inner > 1:
        items, kernel = x.shape[0] * -(-inner // columns.PIXELS), Kernel(columns.emit_backward, static)
        return Schedule((Launch(kernel, words, items, rows.grain(size * columns.PIXELS), total * size, total * n * 20),))
    return Schedule((Launch(Kernel(emit_backward, static), words, total, rows.grain(size), total * size, total * n * 20),))
