"""Sorting long rows in blocks that are merged, so that threads share a row and no work item takes long.

    blocks   each item sorts BLOCK elements by radix, while they stay in the cache
    merges   runs of BLOCK, then 2 BLOCK, ... items in pairs; a work item writes PIECE items of a result, whose beginning in both runs it
             finds by bisection (merge path); where only the first `keep` items of a row are wanted, no run is longer
    results  values and indices
Source: Odeh, Green, Mwassi, Shmueli & Birk 2012, "Merge Path: parallel merging made simple".
"""

from __future__ import annotations

from collections.abc import Callable

import facula.kernel.sorting.radix as radix

from ...base.dtypes import dtype, int32, int64
from ...runtime.ir import Function, Module, Value
from ...runtime.pool_code import scratch
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, Work
from ..rows.sweep import contiguous
from .radix import Items, define_sort, item_bytes

LONG = 1 << 22  # elements of a row that is sorted by radix in one piece, some 0.1 s: the fastest way for one thread
BLOCK = 1 << 18  # elements of a block of longer rows
PIECE = 1 << 15  # items that a work item of a merge writes
CHAINS = 4  # merges that a work item does side by side: each waits for its own loads
TOGETHER = 1 << 24  # elements of the rows that are sorted at once, which bounds the workspace; at least one row
KERNEL = "ptr words, i64 lo, i64 hi, i64 worker"


def emit_blocks(m: Module, name: str, d: dtype, descending: bool) -> None:
    """Work items are blocks, row after row: their sorted items in A, with places in the row as indices."""
    sort = define_sort(m, d, descending)
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        x_all, A, B, n, blocks = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        items = Items(f, d, descending)
        with f.range(lo, hi) as work:
            row, first = work // blocks, work % blocks * BLOCK
            at, count = row * n + first, f.smin(n - first, BLOCK)
            a, b = items.place(A, at), items.place(B, at)
            done = f.call("ptr", sort, f.at(x_all, at, d.llvm), count, scratch(f, worker), a, b)
            with f.range(0, count) as i:
                items.store(items.moved(items.load(done, i), first), a, i)


def _split(f: Function, items: Items, a: Value, a_count: Value, b: Value, b_count: Value, count: Value) -> Value:
    """How many of the first `count` items of two merged runs come from the run a; equal ones of a come first."""
    low, high = f.var("i64", f.smax(count - b_count, 0)), f.var("i64", f.smin(count, a_count))
    with f.loop() as found:
        f.leave(found, low.v >= high.v)
        middle = (low.v + high.v) >> 1
        later = items.load(b, count - 1 - middle)[0].ult(items.load(a, middle)[0])
        low.v, high.v = f.select(later, low.v, middle + 1), f.select(later, middle, high.v)
    return low.v


class Chain:
    """A merge of two runs, from some place of the result on. What lies behind a piece in both runs also comes later in order, so only the
    ends of the runs are looked at."""

    def __init__(self, f: Function, items: Items, a: Value, a_count: Value, b: Value, b_count: Value, begin: Value) -> None:
        self.f, self.items, self.a, self.b, self.a_count, self.b_count = f, items, a, b, a_count, b_count
        taken = _split(f, items, a, a_count, b, b_count, begin)
        self.i, self.j, self.at = f.var("i64", taken), f.var("i64", begin - taken), f.var("i64", begin)

    def step(self, target: Value) -> None:
        """The next item of the result."""
        f, i, j = self.f, self.i.v, self.j.v
        p, q = self.items.load(self.a, i), self.items.load(self.b, j)
        left = f.cast("zext", q[0].ult(p[0]), "i64") | f.cast("zext", i >= self.a_count, "i64")
        second = left & f.cast("zext", j < self.b_count, "i64")
        take = second.ne(0)
        self.items.store((f.select(take, q[0], p[0]), f.select(take, q[1], p[1])), target, self.at.v)
        self.i.v, self.j.v, self.at.v = i + (1 - second), j + second, self.at.v + 1


def emit_merge(m: Module, name: str, wide: bool) -> None:
    """Work items are pieces of the result of merging runs of `width` items in pairs, row after row."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        S, D, n, width, keep, pieces = f.words(words, "ptr", "ptr", *["i64"] * 4)
        items = Items(f, int64 if wide else int32, False)
        with f.range(lo, hi) as work:
            row, begin = work // pieces, work % pieces * PIECE
            base = begin // (width * 2) * (width * 2)
            middle, end = f.smin(base + width, n), f.smin(base + width * 2, n)
            count = f.smin(f.smin(end - begin, PIECE), keep - (begin - base))
            with f.when(count > 0):
                base, middle = row * n + base, row * n + middle
                a, b = f.smin(middle - base, keep), f.smin(row * n + end - middle, keep)
                target, each = items.place(D, base), count // CHAINS
                start = row * n + begin - base
                chains = [Chain(f, items, items.place(S, base), a, items.place(S, middle), b, start + each * c) for c in range(CHAINS)]
                with f.range(0, each):
                    for chain in chains:
                        chain.step(target)
                with f.range(each * CHAINS, count):
                    chains[-1].step(target)


def emit_part(m: Module, name: str, d: dtype, descending: bool) -> None:
    """Work items are results: elements first .. first + k - 1 of each sorted row."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        values, indices, x, S, n, first, k = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")
        items = Items(f, d, descending)
        with f.range(lo // k, (hi + k - 1) // k) as row:
            elements, sorted_ = f.at(x, row * n, d.llvm), items.place(S, row * n + first - row * k)
            with f.range(f.smax(lo, row * k), f.smin(hi, row * k + k)) as i:
                item = items.load(sorted_, i)
                f.store(items.value(item, elements), values, i)
                f.store(items.index(item), indices, i)


def emit_median(m: Module, name: str, d: dtype) -> None:
    """Work items are rows, sorted: the lower median, or the first NaN."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        values, indices, x, S, n = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64")
        items = Items(f, d, False)
        with f.range(lo, hi) as row:
            item = items.load(items.place(S, row * n), items.middle(items.place(S, row * n), n))
            f.store(items.value(item, f.at(x, row * n, d.llvm)), values, row)
            f.store(items.index(item), indices, row)


def in_order(x: Operand, descending: bool, keep: int, finish: Callable[[In, Work, int, int], Launch]) -> Schedule:
    """The first `keep` items of each row put in order, then `finish(rows, items, first row, how many)`."""
    rows, n = x.shape
    d, size = x.dtype, item_bytes(x.dtype)
    most = max(1, TOGETHER // n)
    room = min(rows, most) * n * size
    launches: list[Launch] = []
    for first in range(0, rows, most):
        count = min(most, rows - first)
        here = In(0, first * n * d.itemsize)
        source, target, width = Work(0), Work(room), BLOCK
        blocks, pieces, moved = -(-n // BLOCK), -(-n // PIECE), count * n * size * 2
        words: tuple[Word, ...] = (here, source, target, n, blocks)
        launches.append(Launch(Kernel(emit_blocks, (d, descending)), words, count * blocks, 1, moved * 3, count * n * 30))
        while width < n:
            words = (source, target, n, width, keep, pieces)
            launches.append(Launch(Kernel(emit_merge, (size == 16,)), words, count * pieces, 1, moved, count * n * 8))
            source, target, width = target, source, width * 2
        launches.append(finish(here, source, first, count))
    return Schedule(tuple(launches), 2 * room + 64)  # a merge may read one item behind the last run


def part(x: Operand, first: int, k: int, descending: bool = False) -> Schedule:
    """Elements first .. first + k - 1 of each sorted row. Out(0): values (rows, k), Out(1): int64 indices."""
    contiguous(x)
    n, d = x.shape[1], x.dtype
    if n <= LONG:
        return radix.part(x, first, k, descending)

    def finish(here: In, items: Work, row: int, count: int) -> Launch:
        words = (Out(0, row * k * d.itemsize), Out(1, row * k * 8), here, items, n, first, k)
        return Launch(Kernel(emit_part, (d, descending)), words, count * k, PIECE, count * k * 28, count * k * 4)

    return in_order(x, descending, first + k, finish)


def sort(x: Operand, descending: bool = False) -> Schedule:
    """Stable sort of each row. Out(0): values, Out(1): int64 indices. In(0): x (rows, n), contiguous, fewer than 2**31 elements a row."""
    n = x.shape[1]
    return radix.sort(x, descending) if n <= LONG else part(x, 0, n, descending)


def median(x: Operand) -> Schedule:
    """The lower median of each row, in a row with NaNs the first of them. Out(0): values (rows,), Out(1): int64 indices."""
    contiguous(x)
    n, d = x.shape[1], x.dtype
    if n <= LONG:
        return radix.median(x)

    def finish(here: In, items: Work, row: int, count: int) -> Launch:
        return Launch(Kernel(emit_median, (d,)), (Out(0, row * d.itemsize), Out(1, row * 8), here, items, n), count, 1)

    return in_order(x, False, n, finish)
