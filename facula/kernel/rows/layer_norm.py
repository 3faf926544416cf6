"""Layer and RMS normalisation over the last dimensions, with their gradients. Ba et al. 2016, arXiv 1607.06450; Zhang & Sennrich 2019.

    layer_norm(x, weight, bias)            Out: y, mean, rstd     In: x, [weight], [bias]            numbers: eps
    rms_norm(x, weight)                    Out: y, rstd           In: x, [weight]                    numbers: eps
    layer_norm_backward(x, weight, wants)  Out: [gx], [gw], [gb]  In: g, x, mean, rstd, [weight]
    rms_norm_backward(x, weight, wants)    Out: [gx], [gw]        In: g, x, rstd, [weight]
x, y, g, gx: (rows, n) contiguous, one dtype. mean, rstd: (rows,) in the compute dtype. weight, bias, gw, gb: (n,). What is absent or not
wanted has no index. eps is a number of the compute type.
"""

from __future__ import annotations

import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime.ir import Module, Value
from .. import lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work

BLOCKS = 64  # row blocks whose sums over rows are kept apart: fixed, so that the result does not depend on threads
COLUMNS = 256  # columns a work item adds up


def emit_forward(m: Module, name: str, d: dtype, wd: dtype | None, bd: dtype | None, centred: bool) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        y_all, means, scales, x_all, weight, bias, n, stream = f.words(words, *["ptr"] * 6, "i64", "i64")
        width, one, kind = rows.kinds(f, d)
        eps = f.load(one, f.at(words, 8, "i64"))
        size = f.cast("sitofp", n, one)
        with f.range(lo, hi) as row:
            x, y = f.at(x_all, row * n, d.llvm), f.at(y_all, row * n, d.llvm)
            mean = f.const(one, 0.0)
            if centred:
                sums = rows.summed(f, kind)
                rows.sweep(f, n, width, lambda i, u, left: sums.add(u, lanes.load(f, d, width, x, i, left)))
                mean = sums.value() / size
                f.store(mean, means, row)
            shift, squares = f.splat(mean, width), rows.summed(f, kind)

            def square(i: Value, u: int, left: Value | None) -> None:
                v = lanes.load(f, d, width, x, i, left)
                v = v - shift if centred else v
                squares.add(u, v * v, left)
                if left is None:
                    f.prefetch(x, i + n, level=2, elem=d.llvm)

            rows.sweep(f, n, width, square)
            rstd = 1.0 / f.math("sqrt", squares.value() / size + eps)
            f.store(rstd, scales, row)
            scale = f.splat(rstd, width)

            def value(i: Value, left: Value | None) -> Value:
                v = lanes.load(f, d, width, x, i, left)
                v = (v - shift) * scale if centred else v * scale
                w = lanes.load(f, wd, width, weight, i, left) if wd else None
                b = lanes.load(f, bd, width, bias, i, left) if bd else None
                if w is not None:
                    return f.fma(v, w, b) if b is not None else v * w
                return v + b if b is not None else v

            rows.write(f, d, n, width, y, stream, value)


def emit_backward(m: Module, name: str, d: dtype, wd: dtype | None, wants: tuple[bool, bool, bool], centred: bool) -> None:
    want_x, want_w, want_b = wants
    types = ["ptr"] * 7 + ["i64"] * 4
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx_all, g_all, x_all, means, scales, weight, partial, count, n, block, stream = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        size = f.cast("sitofp", n, one)
        with f.range(lo, hi) as item:
            gw = f.at(partial, item * n * 2, one)
            gb = f.at(gw, n, one)
            if want_w or want_b:
                rows.sweep(f, n * 2, width, lambda i, u, left: lanes.store(f, d.compute, f.const(kind, 0.0), gw, i, left))
            with f.range(item * block, f.smin((item + 1) * block, count)) as row:
                x, g, gx = (f.at(p, row * n, d.llvm) for p in (x_all, g_all, gx_all))
                shift = f.splat(f.load(one, means, row), width) if centred else f.const(kind, 0.0)
                scale = f.splat(f.load(one, scales, row), width)

                def both(i: Value, left: Value | None) -> tuple[Value, Value]:
                    v = lanes.load(f, d, width, x, i, left)
                    return lanes.load(f, d, width, g, i, left), (v - shift) * scale if centred else v * scale

                def weighted(grad: Value, i: Value, left: Value | None) -> Value:
                    return grad * lanes.load(f, wd, width, weight, i, left) if wd else grad

                first, second = rows.summed(f, kind), rows.summed(f, kind)
                if want_x:

                    def step(i: Value, u: int, left: Value | None) -> None:
                        grad, normal = both(i, left)
                        grad = weighted(grad, i, left)
                        if centred:
                            first.add(u, grad, left)
                        second.add(u, grad * normal, left)

                    rows.sweep(f, n, width, step)
                a = f.splat(first.value() / size, width) if centred else f.const(kind, 0.0)
                b = f.splat(second.value() / size, width)

                def value(i: Value, left: Value | None) -> Value:
                    grad, normal = both(i, left)
                    if left is None:
                        f.prefetch(x, i + n, level=2, elem=d.llvm)
                        f.prefetch(g, i + n, level=2, elem=d.llvm)
                    for wanted, out, x_ in ((want_w, gw, grad * normal), (want_b, gb, grad)):
                        if wanted:
                            lanes.store(f, d.compute, lanes.load(f, d.compute, width, out, i, left) + x_, out, i, left)
                    grad = weighted(grad, i, left)
                    return (grad - a - normal * b) * scale if centred else (grad - normal * b) * scale

                if want_x:
                    rows.write(f, d, n, width, gx, stream, value)
                else:
                    rows.sweep(f, n, width, lambda i, u, left: value(i, left) and None, 1)


def emit_columns(m: Module, name: str, d: dtype, wants: tuple[bool, bool]) -> None:
    """Sum the blocks' partial sums: out[c] = partial[0][c] + partial[1][c] + ... for gw and gb."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gw, gb, partial, blocks, n = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        width, _one, kind = rows.kinds(f, d)
        with f.range(lo, hi) as item, f.range(item * COLUMNS, f.smin((item + 1) * COLUMNS, n), width) as c:
            for wanted, out, offset in ((wants[0], gw, f.i64(0)), (wants[1], gb, n)):
                if wanted:
                    total = f.var(kind, 0.0)
                    with f.range(0, blocks) as k:
                        total.v = total.v + lanes.load(f, d.compute, width, partial, k * n * 2 + offset + c, n - c)
                    lanes.store(f, d, total.v, out, c, n - c)


def _dtype(x: Operand | None) -> dtype | None:
    return x.dtype if x is not None else None


def _forward(x: Operand, weight: Operand | None, bias: Operand | None, centred: bool) -> Schedule:
    rows.contiguous(x)
    count, n = x.shape
    if not count * n:
        return Schedule(())
    ins: list[Word] = [In(0)]
    ins += [In(1) if weight is not None else 0]
    ins += [In(len([w for w in ins if isinstance(w, In)])) if bias is not None else 0]
    outs: tuple[Word, ...] = (Out(0), Out(1), Out(2)) if centred else (Out(0), 0, Out(1))
    words = (*outs, *ins, n, rows.streams(x), Number(0, lanes.compute(x.dtype)))
    size = 2 * n * x.dtype.itemsize
    kernel = Kernel(emit_forward, (x.dtype, _dtype(weight), _dtype(bias), centred))
    return Schedule((Launch(kernel, words, count, rows.grain(size), count * size, count * n * 8),))


def layer_norm(x: Operand, weight: Operand | None = None, bias: Operand | None = None) -> Schedule:
    return _forward(x, weight, bias, True)


def rms_norm(x: Operand, weight: Operand | None = None) -> Schedule:
    return _forward(x, weight, None, False)


def _backward(x: Operand, weight: Operand | None, wants: tuple[bool, bool, bool], centred: bool) -> Schedule:
    rows.contiguous(x)
    count, n = x.shape
    if not any(wants) or not n:
        return Schedule(())
    block = max(1, -(-count // BLOCKS))
    blocks = max(1, -(-count // block))
    outs: list[Word] = []
    for wanted in wants:
        outs.append(Out(sum(isinstance(o, Out) for o in outs)) if wanted else 0)
    stats: tuple[Word, ...] = (In(2), In(3)) if centred else (0, In(2))
    scale: Word = In(4 if centred else 3) if weight is not None else 0
    words = (outs[0], In(0), In(1), *stats, scale, Work(0), count, n, block, rows.streams(x))
    kernel = Kernel(emit_backward, (x.dtype, _dtype(weight), wants, centred))
    size = 3 * n * x.dtype.itemsize
    launches = [Launch(kernel, words, blocks, rows.grain(size * block), count * size, count * n * 14)]
    if wants[1] or wants[2]:
        words = (outs[1], outs[2], Work(0), blocks, n)
        launches.append(Launch(Kernel(emit_columns, (x.dtype, wants[1:])), words, -(-n // COLUMNS), 1, blocks * n * 8, blocks * n * 2))
    return Schedule(tuple(launches), blocks * n * 2 * x.dtype.compute.itemsize)


def layer_norm_backward(x: Operand, weight: Operand | None = None, wants: tuple[bool, bool, bool] = (True, True, True)) -> Schedule:
    """`wants`: which of gx, gw, gb."""
    return _backward(x, weight, wants, True)


def rms_norm_backward(x: Operand, weight: Operand | None = None, wants: tuple[bool, bool] = (True, True)) -> Schedule:
    """`wants`: which of gx, gw."""
    return _backward(x, weight, (*wants, False), False)
