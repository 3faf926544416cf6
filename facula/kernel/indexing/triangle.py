"""Rows and columns of the elements of a triangle, row by row. Limit: the bytes written."""

from __future__ import annotations

from ...base.dtypes import DTYPES, dtype
from ...runtime.ir import Function, Module, Value, count, vector
from .. import lanes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, unsigned

RUN = 16384  # elements of a run of work


def triangle_size(rows: int, columns: int, diagonal: int, upper: bool) -> int:
    """Elements (r, c) with c - r <= diagonal, or with `upper` c - r >= diagonal."""

    def up_to(m: int) -> int:
        return m * (m + 1) // 2 if m > 0 else 0

    k = diagonal - upper
    below = up_to(rows + k) - up_to(k) - up_to(rows + k - columns) + up_to(k - columns)
    return rows * columns - below if upper else below


def triangle_places(out: Operand, rows: int, columns: int, diagonal: int, upper: bool) -> Schedule:
    """out[0], out[1] = rows and columns of the triangle's elements. `out` (2, triangle_size), int32 or int64, contiguous."""
    n = out.shape[1]
    if not n:
        return Schedule(())
    words = unsigned((Out(0), columns, diagonal - upper, n))
    kernel = Kernel(emit_triangle, (out.dtype.name, upper))
    grain = max(1, RUN * rows // n)
    return Schedule(
        (Launch(kernel, words, rows, grain, 2 * n * out.dtype.itemsize, 2 * n),), notes=(f"places of a triangle of {rows} x {columns}",)
    )


def emit_triangle(module: Module, name: str, kind: str, upper: bool) -> None:
    """Words: out, columns, the last diagonal below, elements. Item: a row; where it starts follows from sums of 1 + 2 + ... + m."""
    d = DTYPES[kind]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, columns, k, total = f.words(words, "ptr", "i64", "i64", "i64")
        w = lanes.width(f, d)
        own = f.lanes(vector(w, d.llvm), list(range(w)))

        def up_to(m: Value) -> Value:
            m = f.smax(m, 0)
            return (m * (m + 1)) >> 1

        with f.range(lo, hi) as r:
            below = up_to(r + k) - up_to(k) - up_to(r + k - columns) + up_to(k - columns)  # elements of the rows before, below
            edge = f.smin(f.smax(r + k + 1, 0), columns)
            start, first, n = (r * columns - below, edge, columns - edge) if upper else (below, f.i64(0), edge)
            line, column = f.splat(f.cast("trunc", r, d.llvm), w), own + f.splat(f.cast("trunc", first, d.llvm), w)
            whole = n.udiv(w) * w

            with f.range(0, whole, w) as i:
                _put(f, d, line, column, out, start, total, i, None)
            with f.when(whole < n):
                _put(f, d, line, column, out, start, total, whole, n - whole)


def _put(f: Function, d: dtype, line: Value, column: Value, out: Value, start: Value, total: Value, i: Value, left: Value | None) -> None:
    """A vector of both rows of `out`, from element i of a line on."""
    moved = column + f.splat(f.cast("trunc", i, d.llvm), count(column.type))
    lanes.store(f, d, line, out, start + i, left)
    lanes.store(f, d, moved, out, total + start + i, left)


BAND = 16  # rows that are written together: their columns come from runs of as many elements


def symmetric(out: Operand, x: Operand) -> Schedule:
    """out (n, n) with the elements of x (n (n - 1) / 2,) above the diagonal, row by row, the same below it, and zeros on it. Contiguous."""
    n = out.shape[0]
    bands = -(-n // BAND)
    kernel = Kernel(emit_symmetric, (x.dtype.name,))
    nbytes = n * n * x.dtype.itemsize
    return Schedule(
        (Launch(kernel, unsigned((Out(0), In(0), n)), bands, max(1, RUN * bands // max(n * n, 1)), nbytes, n * n),) if n else ()
    )


def emit_symmetric(module: Module, name: str, kind: str) -> None:
    """Words: out, x, n. Item: a band of rows."""
    d = DTYPES[kind]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, x, n = f.words(words, "ptr", "ptr", "i64")

        def above(row: Value) -> Value:
            """Where the row's elements would begin if it had all columns."""
            return ((row * (n * 2 - row - 1)) >> 1) - row - 1

        with f.range(lo, hi) as item:
            first, end = item * BAND, f.smin(n, (item + 1) * BAND)
            with f.range(0, first) as row:  # mirrored from the rows before
                source = f.at(x, above(row) + first, d.llvm)
                with f.range(0, end - first) as k:
                    f.store(f.load(d.llvm, source, k), out, (first + k) * n + row)
            with f.range(first, end) as row:
                source, to = f.at(x, above(row), d.llvm), f.at(out, row * n, d.llvm)
                f.store(f.const(d.llvm, 0), to, row)
                with f.range(row + 1, end) as column:
                    f.store(f.load(d.llvm, source, column), out, column * n + row)
                w = lanes.width(f, d)
                with f.range(row + 1, n, w) as column:
                    left = n - column
                    with f.when(left >= w):
                        f.store(f.load(vector(w, d.llvm), source, column), to, column)
                    with f.when(left < w), f.range(column, n) as k:
                        f.store(f.load(d.llvm, source, k), to, k)
