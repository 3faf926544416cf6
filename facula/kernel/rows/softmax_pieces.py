"""softmax, log_softmax and their gradients of long rows, in pieces that threads share and signals come between.

    part      each piece of a row, or of a strip of columns: its maximum and the sum of its exponentials (backward: its sum of products)
    combine   each row or column: what all its elements are changed by
    write     each piece of the result
Pieces follow from the shape alone, and so does the order of the sums.
"""

from __future__ import annotations

from collections.abc import Callable

import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime import host
from ...runtime.ir import Function, Module, Names, Value
from .. import elementary, lanes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, Work

LONG = 1 << 20  # elements of a row, or of a strip of columns, that are cut
PIECE = 1 << 16  # elements of a piece, about
COLUMNS = 64  # columns of a strip, for the length of a piece: the same on every machine
KERNEL = "ptr words, i64 lo, i64 hi, i64 worker"
POINTERS: tuple[str, ...] = (
    "out",
    "a",
    "b",
    "first",
    "second",
    "shift",
    "last",
)  # results, operands, of pieces: maxima and sums, of columns: what changes them
NUMBERS: tuple[str, ...] = ("n", "inner", "pieces", "piece", "stream")
STRIP = 4  # vectors of columns that an item takes


class Pieces:
    """The items lo..hi-1 of a kernel. Work items are pieces, of rows one after the other, of columns all strips of a piece."""

    def __init__(self, f: Function, words: Value, d: dtype) -> None:
        self.f, self.d = f, d
        types: dict[str, str] = dict.fromkeys(POINTERS, "ptr") | dict.fromkeys(NUMBERS, "i64")
        self.w = Names(f, words, types)
        self.width, self.scalar, self.kind = rows.kinds(f, d)

    def load(self, pointer: Value, at: Value, left: Value | None = None, other: float = 0.0) -> Value:
        return lanes.load(self.f, self.d, self.width, pointer, at, left, other)

    def row(self, item: Value) -> tuple[Value, Value, Value]:
        """(row, its first element in the tensor, elements) of a piece of a row."""
        w = self.w
        begin = item % w.pieces * w.piece
        return item // w.pieces, item // w.pieces * w.n + begin, self.f.smin(w.n - begin, w.piece)

    def strips(self, item: Value, body: Callable[[Value, Value, Value, int, Value | None], None]) -> None:
        """body(first element, lines, first column among the pieces' columns, vectors, left) for the strips of a piece of columns."""
        f, w, block = self.f, self.w, STRIP * self.width
        strips = (w.inner + (block - 1)).udiv(block)
        part, column = item.udiv(strips), item.urem(strips) * block
        begin = part % w.pieces * w.piece
        base, lines = (part // w.pieces * w.n + begin) * w.inner + column, f.smin(w.n - begin, w.piece)
        at, whole = part * w.inner + column, (w.inner - column) >= block
        with f.when(whole):
            body(base, lines, at, STRIP, None)
        with f.otherwise(whole), f.range(0, w.inner - column, self.width) as i:
            body(base + i, lines, at + i, 1, w.inner - column - i)

    def of_column(self, at: Value) -> Value:
        """Among what all columns are changed by: the place of a piece's column."""
        w = self.w
        return at // (w.inner * w.pieces) * w.inner + at % w.inner

    def put(self, value: Value, pointer: Value, at: Value, left: Value | None) -> None:
        """A vector of a piece's columns."""
        f = self.f
        if left is None:
            f.store(value, pointer, at)
        else:
            lanes.store_first(f, value, f.at(pointer, at, self.scalar), left)

    def get(self, pointer: Value, at: Value, left: Value | None) -> Value:
        if left is None:
            return self.f.load(self.kind, pointer, at)
        return lanes.load_first(self.f, self.scalar, self.width, self.f.at(pointer, at, self.scalar), left)

    def safe(self, top: Value) -> Value:
        """What exponentials are shifted by: where all is -inf, they are zero and not NaN."""
        return self.f.select(top.eq(float("-inf")), 0.0, top)


def emit_part(m: Module, name: str, d: dtype, columns: bool) -> None:
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        p = Pieces(f, words, d)
        w = p.w

        def strip(base: Value, lines: Value, at: Value, vectors: int, left: Value | None) -> None:
            def each(k: Value, v: int) -> Value:
                return p.load(w.a, base + k * w.inner + v * p.width, left)

            top = [f.var(p.kind, float("-inf")) for _ in range(vectors)]
            with f.range(0, lines) as k:
                for v in range(vectors):
                    x = each(k, v)
                    top[v].v = f.select(top[v].v > x, top[v].v, x)
            shift, sums = [p.safe(t.v) for t in top], [f.var(p.kind, 0.0) for _ in range(vectors)]
            with f.range(0, lines) as k:
                for v in range(vectors):
                    sums[v].v = sums[v].v + elementary.exp(f, each(k, v) - shift[v])
            for v in range(vectors):
                p.put(top[v].v, w.first, at + v * p.width, left)
                p.put(sums[v].v, w.second, at + v * p.width, left)

        with f.range(lo, hi) as item:
            if columns:
                p.strips(item, strip)
            else:
                _, base, count = p.row(item)
                x, top = f.at(w.a, base, d.llvm), rows.largest(f, p.kind)
                rows.sweep(f, count, p.width, lambda i, u, left: top.add(u, p.load(x, i, left, float("-inf"))))
                highest = top.value()
                shift, sums = f.splat(p.safe(highest), p.width), rows.summed(f, p.kind)
                rows.sweep(
                    f, count, p.width, lambda i, u, left: sums.add(u, elementary.exp(f, p.load(x, i, left, float("-inf")) - shift), left)
                )
                f.store(highest, w.first, item)
                f.store(sums.value(), w.second, item)


def emit_part_backward(m: Module, name: str, d: dtype, log: bool, columns: bool) -> None:
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        p = Pieces(f, words, d)
        w = p.w

        def term(at: Value, left: Value | None) -> Value:
            g = p.load(w.a, at, left)
            return g if log else g * p.load(w.b, at, left)

        def strip(base: Value, lines: Value, at: Value, vectors: int, left: Value | None) -> None:
            sums = [f.var(p.kind, 0.0) for _ in range(vectors)]
            with f.range(0, lines) as k:
                for v in range(vectors):
                    sums[v].v = sums[v].v + term(base + k * w.inner + v * p.width, left)
            for v in range(vectors):
                p.put(sums[v].v, w.second, at + v * p.width, left)

        with f.range(lo, hi) as item:
            if columns:
                p.strips(item, strip)
            else:
                _, base, count = p.row(item)
                sums = rows.summed(f, p.kind)
                rows.sweep(f, count, p.width, lambda i, u, left: sums.add(u, term(base + i, left), left))
                f.store(sums.value(), w.second, item)


def emit_combine(m: Module, name: str, d: dtype, log: bool, backward: bool) -> None:
    """Work items are rows or columns."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        p = Pieces(f, words, d)
        w, many = p.w, p.width
        with f.range(lo, hi) as item:
            base = item // w.inner * w.pieces * w.inner + item % w.inner
            top, total = f.var(p.scalar, float("-inf")), f.var(p.scalar, 0.0)
            if not backward:
                with f.range(0, w.pieces) as k:
                    x = f.load(p.scalar, w.first, base + k * w.inner)
                    top.v = f.select(top.v > x, top.v, x)
            shift = top.v
            with f.range(0, w.pieces) as k:
                x = f.load(p.scalar, w.second, base + k * w.inner)
                if not backward:
                    x = x * f.extract(elementary.exp(f, f.splat(f.load(p.scalar, w.first, base + k * w.inner) - shift, many)), 0)
                total.v = total.v + x
            f.store(shift, w.shift, item)
            done = total.v if backward else f.extract(elementary.log_sum(f, f.splat(total.v, many)), 0) if log else 1.0 / total.v
            f.store(done, w.last, item)


def emit_write(m: Module, name: str, d: dtype, log: bool, backward: bool, columns: bool) -> None:
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        p = Pieces(f, words, d)
        w = p.w

        def value(at: Value, shift: Value, last: Value, left: Value | None) -> Value:
            x = p.load(w.a, at, left)
            if backward:
                result = p.load(w.b, at, left)
                return x - elementary.exp(f, result) * last if log else result * (x - last)
            return x - shift - last if log else elementary.exp(f, x - shift) * last

        def strip(base: Value, lines: Value, at: Value, vectors: int, left: Value | None) -> None:
            column = p.of_column(at)
            changes = [tuple(p.get(t, column + v * p.width, left) for t in (w.shift, w.last)) for v in range(vectors)]
            with f.range(0, lines) as k:
                for v, (shift, last) in enumerate(changes):
                    here = base + k * w.inner + v * p.width
                    lanes.store(f, d, value(here, shift, last, left), w.out, here, left)

        with f.range(lo, hi) as item:
            if columns:
                p.strips(item, strip)
            else:
                row, base, count = p.row(item)
                shift, last = (f.splat(f.load(p.scalar, t, row), p.width) for t in (w.shift, w.last))
                out = f.at(w.out, base, d.llvm)
                rows.write(f, d, count, p.width, out, w.stream, lambda i, left: value(base + i, shift, last, left))


def cut(x: Operand, dim: int) -> bool:
    """Whether a row, or a strip of columns, is too long for one work item."""
    _, n, inner = rows.split_at(x, dim)
    return n * min(inner, COLUMNS) > LONG


def schedule(x: Operand, dim: int, log: bool, ins: tuple[In, ...]) -> Schedule:
    """Forward with one operand, backward with two (the gradient and the result)."""
    outer, n, inner = rows.split_at(x, dim)
    d, columns, backward = x.dtype, inner > 1, len(ins) == 2
    size, total = d.compute.itemsize, outer * n * inner
    piece = max(1, PIECE // min(inner, COLUMNS)) if columns else PIECE
    pieces = -(-n // piece)
    places: list[Word] = []
    workspace = 0
    for each in (outer * pieces * inner, outer * pieces * inner, outer * inner, outer * inner):
        places.append(Work(workspace))
        workspace += -(-each * size // 64) * 64
    words: tuple[Word, ...] = (Out(0), ins[0], ins[-1], *places, n, inner, pieces, piece, rows.streams(x))
    strips = -(-inner // (STRIP * host.target().lanes * 4 // size)) if columns else 1
    items, moved = outer * pieces * strips, total * d.itemsize * len(ins)
    part = Kernel(emit_part_backward, (d, log, columns)) if backward else Kernel(emit_part, (d, columns))
    combine = Kernel(emit_combine, (d, log, backward))
    write = Kernel(emit_write, (d, log, backward, columns))
    return Schedule(
        (
            Launch(part, words, items, 1, moved, total * 10),
            Launch(
                combine, words, outer * inner, rows.grain(pieces * size * 8), outer * pieces * inner * size * 2, outer * pieces * inner * 40
            ),
            Launch(write, words, items, 1, moved + total * d.itemsize, total * 10),
        ),
        workspace,
    )
