"""Rows in the order of their first, then second, ... elements: a stable merge sort of (key of the first elements, row number).

    blocks   each item sorts BLOCK rows by itself
    merges   runs of BLOCK, then 2 BLOCK, ... in pairs; an item writes BLOCK rows of a result, whose beginning in both runs it finds by
             bisection, so that every merge is shared
    order    row numbers, and where a row differs from the one before it
Rows are looked at only where keys are equal. n log2(n) comparisons; NaN after everything else, both zeros equal.
"""

from __future__ import annotations

import facula.kernel.sorting.keys as keys

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value
from .. import lanes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, Work

BLOCK = 4096
ITEM = 16  # bytes: key, row number
KERNEL = "ptr words, i64 lo, i64 hi, i64 worker"


class Rows:
    """The rows (n, k) and how two of them compare."""

    def __init__(self, f: Function, d: dtype, x: Value, k: Value) -> None:
        self.f, self.d, self.x, self.k = f, d, x, k
        self.wide = keys.key_type(d) == "i64"

    def key(self, row: Value, column: Value) -> Value:
        return keys.encode(self.f, self.d, self.f.load(self.d.llvm, self.x, row * self.k + column))

    def first(self, row: Value) -> Value:
        """The first element as a sorting word, or the first two where both fit."""
        f = self.f
        head = self.key(row, f.i64(0))
        if self.wide:
            return head
        second = f.var("i32", 0)
        with f.when(self.k > 1):
            second.v = self.key(row, f.i64(1))
        return (f.cast("zext", head, "i64") << 32) | f.cast("zext", second.v, "i64")

    def less(self, a: tuple[Value, Value], b: tuple[Value, Value]) -> Value:
        """Whether item a comes before item b -> i1."""
        f = self.f
        got = f.var("i1", a[0].ult(b[0]))
        with f.when(a[0].eq(b[0])), f.when(self.k > (1 if self.wide else 2)):
            got.v = f.call("i1", "row_less", self.x, self.k, a[1], b[1])
        return got.v


def define_less(m: Module, d: dtype) -> None:
    """`row_less(x, k, a, b)`: whether row a comes before row b."""
    with m.function("row_less", "ptr x, i64 k, i64 a, i64 b", "i1", internal=True) as (f, x, k, a, b):
        rows = Rows(f, d, x, k)
        with f.range(0, k) as i:
            p, q = rows.key(a, i), rows.key(b, i)
            with f.when(p.ne(q)):
                f.ret(p.ult(q))
        f.ret(f.const("i1", 0))


def define_differs(m: Module, d: dtype) -> None:
    """`row_differs(x, k, a, b)`: whether any elements of two rows are not equal; a NaN equals nothing."""
    with m.function("row_differs", "ptr x, i64 k, i64 a, i64 b", "i1", internal=True) as (f, x, k, a, b):
        with f.range(0, k) as i:
            p, q = (lanes.widen(f, d, f.load(d.llvm, x, row * k + i)) for row in (a, b))
            with f.when(p.ne(q)):
                f.ret(f.const("i1", 1))
        f.ret(f.const("i1", 0))


def _item(f: Function, base: Value, i: Value) -> tuple[Value, Value]:
    at = f.at(base, i * 2, "i64")
    return f.load("i64", at), f.load("i64", at, 1)


def _put(f: Function, item: tuple[Value, Value], base: Value, i: Value) -> None:
    at = f.at(base, i * 2, "i64")
    f.store(item[0], at)
    f.store(item[1], at, 1)


def define_merge(m: Module, d: dtype) -> None:
    """`merge(x, k, from, a, a_end, b, b_end, to, at)`: two runs of `from` as one run of `to`; equal rows of a come first."""
    signature = "ptr x, i64 k, ptr S, i64 a, i64 a_end, i64 b, i64 b_end, ptr D, i64 at"
    with m.function("merge", signature, internal=True) as (f, x, k, S, a0, a1, b0, b1, D, at0):
        rows = Rows(f, d, x, k)
        a, b, at = f.var("i64", a0), f.var("i64", b0), f.var("i64", at0)
        with f.loop() as done:
            f.leave(done, a.v >= a1)
            f.leave(done, b.v >= b1)
            p, q = _item(f, S, a.v), _item(f, S, b.v)
            second = rows.less(q, p)
            _put(f, (f.select(second, q[0], p[0]), f.select(second, q[1], p[1])), D, at.v)
            one = f.cast("zext", second, "i64")
            a.v, b.v, at.v = a.v + (1 - one), b.v + one, at.v + 1
        for run, end in ((a, a1), (b, b1)):
            with f.range(run.v, end) as i:
                _put(f, _item(f, S, i), D, at.v)
                at.v = at.v + 1


def emit_blocks(m: Module, name: str, d: dtype) -> None:
    """Items are blocks of rows, sorted from runs of one row upwards; the result lies in A."""
    define_less(m, d)
    define_merge(m, d)
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        x, A, B, n, k = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        rows = Rows(f, d, x, k)
        with f.range(lo, hi) as block:
            first, end = block * BLOCK, f.smin((block + 1) * BLOCK, n)
            with f.range(first, end) as i:
                _put(f, (rows.first(i), i), A, i)
            source, target, width = f.var("ptr", A), f.var("ptr", B), f.var("i64", 1)
            with f.loop() as sorted_:
                f.leave(sorted_, width.v >= end - first)
                w, s, t = width.v, source.v, target.v
                with f.range(first, end, w * 2) as i:
                    middle, last = f.smin(i + w, end), f.smin(i + w * 2, end)
                    f.call("void", "merge", x, k, s, i, middle, middle, last, t, i)
                source.v, target.v, width.v = t, s, w * 2
            with f.when(f.cast("ptrtoint", source.v, "i64").ne(f.cast("ptrtoint", A, "i64"))), f.range(first, end) as i:
                _put(f, _item(f, B, i), A, i)


def _split(f: Function, rows: Rows, S: Value, a: tuple[Value, Value], b: tuple[Value, Value], count: Value) -> Value:
    """How many of the first `count` rows of two merged runs come from the first one; runs as (begin, length)."""
    low, high = f.var("i64", f.smax(count - b[1], 0)), f.var("i64", f.smin(count, a[1]))
    with f.loop() as found:
        f.leave(found, low.v >= high.v)
        middle = (low.v + high.v) >> 1
        later = rows.less(_item(f, S, b[0] + (count - 1 - middle)), _item(f, S, a[0] + middle))
        low.v, high.v = f.select(later, low.v, middle + 1), f.select(later, middle, high.v)
    return low.v


def emit_merge(m: Module, name: str, d: dtype) -> None:
    """Items are blocks of the result of merging runs of `width` rows in pairs."""
    define_less(m, d)
    define_merge(m, d)
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        x, S, D, n, k, width = f.words(words, "ptr", "ptr", "ptr", "i64", "i64", "i64")
        rows = Rows(f, d, x, k)
        with f.range(lo, hi) as block:
            begin = block * BLOCK
            base = begin.udiv(width * 2) * (width * 2)
            middle, end = f.smin(base + width, n), f.smin(base + width * 2, n)
            a, b = (base, middle - base), (middle, end - middle)
            stop = f.smin(begin + BLOCK, end)
            i, j = (_split(f, rows, S, a, b, at - base) for at in (begin, stop))
            f.call("void", "merge", x, k, S, base + i, base + j, middle + (begin - base - i), middle + (stop - base - j), D, begin)


def emit_order(m: Module, name: str, d: dtype) -> None:
    """Items are places of the sorted rows."""
    define_differs(m, d)
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        x, S, order, begins, k = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64")
        with f.range(lo, hi) as i:
            here, new = _item(f, S, i), f.var("i1", 1)
            f.store(here[1], order, i)
            with f.when(i > 0):
                before = _item(f, S, i - 1)
                with f.when(before[0].eq(here[0])):
                    new.v = f.call("i1", "row_differs", x, k, before[1], here[1])
            f.store(f.cast("zext", new.v, "i8"), f.at(begins, i, "i8"))


def emit_begins(m: Module, name: str, d: dtype) -> None:
    """Items are rows: whether each differs from the one before it."""
    define_differs(m, d)
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        x, begins, k = f.words(words, "ptr", "ptr", "i64")
        with f.range(lo, hi) as i:
            new = f.var("i1", 1)
            with f.when(i > 0):
                new.v = f.call("i1", "row_differs", x, k, i - 1, i)
            f.store(f.cast("zext", new.v, "i8"), f.at(begins, i, "i8"))


def sort_rows(x: Operand) -> Schedule:
    """Out(0): int64 (n,), the numbers of the rows in order; Out(1): bool (n,), where a row differs from the one before. In(0): x (n, k), contiguous."""
    n, k = x.shape
    if not n:
        return Schedule(())
    blocks, moved = -(-n // BLOCK), n * ITEM * 2
    source, target = Work(0), Work(n * ITEM)
    words: tuple[Word, ...] = (In(0), source, target, n, k)
    launches = [Launch(Kernel(emit_blocks, (x.dtype,)), words, blocks, 1, moved * 12, n * 12 * 20)]
    width = BLOCK
    while width < n:
        launches.append(Launch(Kernel(emit_merge, (x.dtype,)), (In(0), source, target, n, k, width), blocks, 1, moved, n * 20))
        source, target, width = target, source, width * 2
    words = (In(0), source, Out(0), Out(1), k)
    launches.append(Launch(Kernel(emit_order, (x.dtype,)), words, n, BLOCK, moved, n * 4))
    return Schedule(tuple(launches), 2 * n * ITEM)


def begins(x: Operand) -> Schedule:
    """Out(0): bool (n,), where a row differs from the one before. In(0): x (n, k), contiguous."""
    n, k = x.shape
    grain = max(1, 4 * BLOCK // max(1, k))
    launch = Launch(Kernel(emit_begins, (x.dtype,)), (In(0), Out(0), k), n, grain, n * k * x.dtype.itemsize, n * k)
    return Schedule((launch,))
