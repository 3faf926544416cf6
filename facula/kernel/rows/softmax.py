"""softmax, log_softmax and their gradients along any dimension.

    softmax(x, dim, log=False)           Out(0): y                      In(0): x
    softmax_backward(g, y, dim, log)     Out(0): gradient of x          In(0): g, In(1): y
All operands contiguous and of one dtype. Along the last dimension a row is a work item; along others a strip of columns is.
"""

from __future__ import annotations

from collections.abc import Callable

import facula.kernel.rows.softmax_pieces as pieces
import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime import host
from ...runtime.ir import Function, Module, Value
from ...runtime.pool_code import scratch
from .. import elementary, lanes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule

ROW_LIMIT = 1 << 18  # elements of a row whose exponentials are kept; longer rows compute them twice
STRIP = 4  # vectors of columns a work item takes


def emit_softmax(m: Module, name: str, d: dtype, log: bool, keep: bool) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        y_all, x_all, n, stream = f.words(words, "ptr", "ptr", "i64", "i64")
        width, _, kind = rows.kinds(f, d)
        kept = scratch(f, worker)
        with f.range(lo, hi) as row:
            x, y = f.at(x_all, row * n, d.llvm), f.at(y_all, row * n, d.llvm)
            top = rows.largest(f, kind)
            rows.sweep(f, n, width, lambda i, u, left: top.add(u, lanes.load(f, d, width, x, i, left, float("-inf"))))
            shift, sums = f.splat(top.value(), width), rows.summed(f, kind)

            def step(i: Value, u: int, left: Value | None) -> None:
                e = elementary.exp(f, lanes.load(f, d, width, x, i, left, float("-inf")) - shift)
                if keep and not log:
                    f.store(e, kept, i)  # the scratch row has room for a whole vector at its end
                if left is None:
                    f.prefetch(x, i + n, level=2, elem=d.llvm)
                sums.add(u, e, left)

            rows.sweep(f, n, width, step)
            if log:
                change = elementary.log_sum(f, f.splat(sums.value(), width))
                rows.write(f, d, n, width, y, stream, lambda i, left: lanes.load(f, d, width, x, i, left) - shift - change)
            else:
                inverse = f.splat(1.0 / sums.value(), width)

                def value(i: Value, left: Value | None) -> Value:
                    if keep:
                        return f.load(kind, kept, i) * inverse
                    return elementary.exp(f, lanes.load(f, d, width, x, i, left) - shift) * inverse

                rows.write(f, d, n, width, y, stream, value)


def emit_softmax_backward(m: Module, name: str, d: dtype, log: bool) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        out_all, g_all, y_all, n, stream = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        width, _, kind = rows.kinds(f, d)
        with f.range(lo, hi) as row:
            out, g, y = (f.at(p, row * n, d.llvm) for p in (out_all, g_all, y_all))
            sums = rows.summed(f, kind)

            def step(i: Value, u: int, left: Value | None) -> None:
                x = lanes.load(f, d, width, g, i, left)
                sums.add(u, x if log else x * lanes.load(f, d, width, y, i, left))

            rows.sweep(f, n, width, step)
            total = f.splat(sums.value(), width)

            def value(i: Value, left: Value | None) -> Value:
                if left is None:
                    f.prefetch(g, i + n, level=2, elem=d.llvm)
                    f.prefetch(y, i + n, level=2, elem=d.llvm)
                grad, result = lanes.load(f, d, width, g, i, left), lanes.load(f, d, width, y, i, left)
                return grad - elementary.exp(f, result) * total if log else result * (grad - total)

            rows.write(f, d, n, width, out, stream, value)


# -- columns
def _strips(f: Function, d: dtype, lo: Value, hi: Value, n: Value, inner: Value, body: Callable[[Value, int, Value | None], None]) -> None:
    """body(offset of the strip's first element, vectors, left) for work items lo..hi-1; `left` is None for a whole strip."""
    width, _, _ = rows.kinds(f, d)
    block = STRIP * width
    strips = (inner + (block - 1)).udiv(block)
    with f.range(lo, hi) as item:
        outer, column = item.udiv(strips), item.urem(strips) * block
        base = outer * n * inner + column
        whole = (inner - column) >= block
        with f.when(whole):
            body(base, STRIP, None)
        with f.otherwise(whole), f.range(0, inner - column, width) as at:
            body(base + at, 1, inner - column - at)


def emit_columns(m: Module, name: str, d: dtype, log: bool) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        y, x, n, inner = f.words(words, "ptr", "ptr", "i64", "i64")
        width, _, kind = rows.kinds(f, d)

        def body(base: Value, vectors: int, left: Value | None) -> None:
            def each(k: Value, v: int) -> Value:
                return lanes.load(f, d, width, x, base + k * inner + v * width, left)

            top = [f.var(kind, float("-inf")) for _ in range(vectors)]
            with f.range(0, n) as k:
                for v in range(vectors):
                    value = each(k, v)
                    top[v].v = f.select(top[v].v > value, top[v].v, value)
            shift, sums = [t.v for t in top], [f.var(kind, 0.0) for _ in range(vectors)]
            with f.range(0, n) as k:
                for v in range(vectors):
                    sums[v].v = sums[v].v + elementary.exp(f, each(k, v) - shift[v])
            last = [elementary.log_sum(f, s.v) if log else 1.0 / s.v for s in sums]
            with f.range(0, n) as k:
                for v in range(vectors):
                    value = each(k, v) - shift[v]
                    value = value - last[v] if log else elementary.exp(f, value) * last[v]
                    lanes.store(f, d, value, y, base + k * inner + v * width, left)

        _strips(f, d, lo, hi, n, inner, body)


def emit_columns_backward(m: Module, name: str, d: dtype, log: bool) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        out, g, y, n, inner = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        width, _, kind = rows.kinds(f, d)

        def body(base: Value, vectors: int, left: Value | None) -> None:
            sums = [f.var(kind, 0.0) for _ in range(vectors)]
            with f.range(0, n) as k:
                for v in range(vectors):
                    at = base + k * inner + v * width
                    x = lanes.load(f, d, width, g, at, left)
                    sums[v].v = sums[v].v + (x if log else x * lanes.load(f, d, width, y, at, left))
            total = [s.v for s in sums]
            with f.range(0, n) as k:
                for v in range(vectors):
                    at = base + k * inner + v * width
                    grad, result = lanes.load(f, d, width, g, at, left), lanes.load(f, d, width, y, at, left)
                    value = grad - elementary.exp(f, result) * total[v] if log else result * (grad - total[v])
                    lanes.store(f, d, value, out, at, left)

        _strips(f, d, lo, hi, n, inner, body)


def _schedule(x: Operand, dim: int, row: Kernel, column: Kernel, ins: tuple[In, ...], passes: int) -> Schedule:
    outer, n, inner = rows.split_at(x, dim)
    size = n * x.dtype.itemsize * passes
    if not outer * n * inner:
        return Schedule(())
    if inner == 1:
        words = (Out(0), *ins, n, rows.streams(x))
        return Schedule((Launch(row, words, outer, rows.grain(size), outer * size, outer * n * 20),))
    block = STRIP * host.target().lanes * 4 // x.dtype.compute.itemsize
    items = outer * -(-inner // block)
    words = (Out(0), *ins, n, inner)
    return Schedule((Launch(column, words, items, rows.grain(size * block), outer * inner * size, outer * n * inner * 30),))


def softmax(x: Operand, dim: int, log: bool = False) -> Schedule:
    rows.contiguous(x)
    if pieces.cut(x, dim):
        return pieces.schedule(x, dim, log, (In(0),))
    n = rows.split_at(x, dim)[1]
    kernels = Kernel(emit_softmax, (x.dtype, log, n <= ROW_LIMIT)), Kernel(emit_columns, (x.dtype, log))
    return _schedule(x, dim, *kernels, (In(0),), 2)


def softmax_backward(g: Operand, y: Operand, dim: int, log: bool = False) -> Schedule:
    rows.contiguous(g, y)
    if pieces.cut(y, dim):
        return pieces.schedule(y, dim, log, (In(0), In(1)))
    kernels = Kernel(emit_softmax_backward, (y.dtype, log)), Kernel(emit_columns_backward, (y.dtype, log))
    return _schedule(y, dim, *kernels, (In(0), In(1)), 3)
