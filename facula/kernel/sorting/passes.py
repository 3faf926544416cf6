"""Sorting long rows: a least-significant-digit radix sort whose passes are cut into blocks, for threads to share and signals to come between.

    count    each block counts the digits of its items
    offsets  where each block puts its items of each digit: after all smaller digits, and after the same digit of the blocks before it
    scatter  each block puts its items there; a line of items of one digit is gathered before it is written
    part     values and indices
A pass whose digits are all equal is left out. The order is the stable one, so it depends neither on blocks nor on threads.
Source: Satish, Kim, Chhugani, Nguyen, Lee, Kim & Dubey 2010, "Fast sort on CPUs and GPUs: a case for bandwidth oblivious SIMD sort", section 4.
"""

from __future__ import annotations

import facula.kernel.sorting.keys as keys
import facula.kernel.sorting.radix as radix

from ...base.dtypes import dtype, int32, int64
from ...runtime.ir import Function, Module, Names, Value, vector
from ...runtime.pool_code import scratch
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, Work
from ..rows.sweep import contiguous
from .radix import Items, item_bytes

DIGIT = 11  # bits of a digit, at most
BUCKETS = 1 << DIGIT
LONG = 1 << 19  # elements of a row that one thread sorts by itself
BLOCK = (1 << 16, 1 << 20)  # items that a work item counts or puts in place, at least and at most
TOGETHER = 1 << 24  # elements of the rows that are sorted at once, which bounds the workspace; at least one row
LINE = 64  # bytes that are gathered for one digit
STATE = 16  # words of a row: the buffer that each pass reads, then whether it is left out
PIECE = 1 << 15  # results that a work item writes
KERNEL = "ptr words, i64 lo, i64 hi, i64 worker"


def digits(d: dtype) -> list[tuple[int, int]]:
    """(first bit, bits) of the digits of a dtype's keys, from the lowest. What the widened halves have below tells nothing more."""
    low, high = keys.span(d)
    passes = -(-(high - low) // DIGIT)
    bits = -(-(high - low) // passes)
    return [(at, min(bits, high - at)) for at in range(low, high, bits)]


class Pass:
    """What count and scatter read of their words: which block of which row, and where its items are."""

    def __init__(self, f: Function, words: Value, items: Items, first: bool) -> None:
        self.f, self.items, self.first = f, items, first
        pointers, numbers = ("x", "A", "B", "state", "counts"), ("n", "stride", "blocks", "size", "shift", "mask", "index")
        self.w = Names(f, words, dict.fromkeys(pointers, "ptr") | dict.fromkeys(numbers, "i64"))

    def block(self, work: Value) -> tuple[Value, Value, Value]:
        """(row, first item, end) of a work item."""
        f, w = self.f, self.w
        row, begin = work // w.blocks, work % w.blocks * w.size
        return row, begin, f.smin(begin + w.size, w.n)

    def counters(self, work: Value) -> Value:
        return self.f.at(self.w.counts, work * BUCKETS, "i32")

    def buffers(self, row: Value) -> tuple[Value, Value]:
        """(source, target) of this pass; the first one reads the row itself."""
        f, w = self.f, self.w
        a, b = (self.items.place(base, row * w.stride) for base in (w.A, w.B))
        if self.first:
            return f.at(w.x, row * w.n, self.items.d.llvm), a
        flip = f.load("i64", w.state, row * STATE + w.index).ne(0)
        return f.select(flip, b, a), f.select(flip, a, b)

    def wanted(self, row: Value) -> Value:
        return self.f.load("i64", self.w.state, row * STATE + STATE // 2 + self.w.index).eq(0)

    def item(self, source: Value, i: Value) -> tuple[Value, Value]:
        return self.items.make(source, i) if self.first else self.items.load(source, i)

    def digit(self, item: tuple[Value, Value]) -> Value:
        return (item[0] >> self.w.shift) & self.w.mask


def emit_count(m: Module, name: str, d: dtype, descending: bool, first: bool) -> None:
    """Work items are blocks, row after row."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        p = Pass(f, words, Items(f, d, descending), first)
        zeros = f.const(f"<{LINE // 4} x i32>", 0)
        with f.range(lo, hi) as work:
            row, begin, end = p.block(work)
            counters, source = p.counters(work), p.buffers(row)[0]
            with f.range(0, BUCKETS, LINE // 4) as i:
                f.store(zeros, counters, i)
            with f.range(begin, end) as i:
                at = f.at(counters, p.digit(p.item(source, i)), "i32")
                f.store(f.load("i32", at) + 1, at)


def emit_offsets(m: Module, name: str) -> None:
    """Work items are rows: counts become places. A row's next pass reads what this one writes, or the same again where all digits are equal."""
    n_lanes = LINE // 4
    kind = vector(n_lanes, "i32")
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        state, counts, n, blocks, index = f.words(words, "ptr", "ptr", "i64", "i64", "i64")
        totals = scratch(f, worker)
        with f.range(lo, hi) as row:
            base = f.at(counts, row * blocks * BUCKETS, "i32")
            with f.range(0, BUCKETS, n_lanes) as i:
                total = f.var(kind, 0)
                with f.range(0, blocks) as block:
                    total.v = total.v + f.load(kind, base, block * BUCKETS + i)
                f.store(total.v, totals, i)
            before, equal = f.var("i32", 0), f.var("i64", 0)
            with f.range(0, BUCKETS) as i:
                count = f.load("i32", totals, i)
                f.store(before.v, totals, i)
                before.v = before.v + count
                equal.v = equal.v | f.cast("zext", f.cast("zext", count, "i64").eq(n), "i64")
            with f.range(0, BUCKETS, n_lanes) as i:
                at = f.var(kind, f.load(kind, totals, i))
                with f.range(0, blocks) as block:
                    count = f.load(kind, base, block * BUCKETS + i)
                    f.store(at.v, base, block * BUCKETS + i)
                    at.v = at.v + count
            mine = f.at(state, row * STATE, "i64")
            first = f.cast("zext", index.eq(0), "i64")  # makes the items: not to be left out
            skip = equal.v & (1 - first)
            f.store(skip, mine, index + STATE // 2)
            flip = f.select(index.eq(0), 1, f.load("i64", mine, index))
            f.store(f.select(skip.ne(0), flip, 1 - flip), mine, index + 1)


def emit_scatter(m: Module, name: str, d: dtype, descending: bool, first: bool) -> None:
    """Work items are blocks, row after row. Lines go past the caches: they are read in the next pass."""
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        items = Items(f, d, descending)
        p, per, line = Pass(f, words, items, first), LINE // items.bytes, vector(LINE // 8, "i64")
        next_, lines = scratch(f, worker), f.bytes(scratch(f, worker), BUCKETS * 4)

        def copy(bucket: Value, begin: Value, end: Value, target: Value) -> None:
            """Items of a line that does not belong to this block alone."""
            with f.range(begin, end) as i:
                items.store(items.load(lines, bucket * per + (i & (per - 1))), target, i)

        with f.range(lo, hi) as work:
            row, begin, end = p.block(work)
            with f.when(p.wanted(row)):
                starts, (source, target) = p.counters(work), p.buffers(row)
                with f.range(0, BUCKETS, LINE // 4) as i:
                    f.store(f.load(f"<{LINE // 4} x i32>", starts, i), next_, i)
                with f.range(begin, end) as i:
                    item = p.item(source, i)
                    bucket = p.digit(item)
                    to = f.load("i32", next_, bucket)
                    f.store(to + 1, next_, bucket)
                    at = f.cast("zext", to, "i64")
                    slot = at & (per - 1)
                    items.store(item, lines, bucket * per + slot)
                    with f.when(slot.eq(per - 1)):
                        start = f.cast("zext", f.load("i32", starts, bucket), "i64")
                        with f.when(at - slot >= start):
                            f.store(f.load(line, items.place(lines, bucket * per)), items.place(target, at - slot), stream=True)
                        with f.when(at - slot < start):
                            copy(bucket, start, at + 1, target)
                with f.range(0, BUCKETS) as bucket:
                    start, stop = (f.cast("zext", f.load("i32", t, bucket), "i64") for t in (starts, next_))
                    copy(bucket, f.smax(start, stop & -per), stop, target)


def emit_part(m: Module, name: str, d: dtype, descending: bool) -> None:
    """Work items are results: elements first .. first + k - 1 of each sorted row."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        values, indices, x, A, B, state, n, stride, index, first, k = f.words(words, *["ptr"] * 6, *["i64"] * 5)
        items = Items(f, d, descending)
        with f.range(lo // k, (hi + k - 1) // k) as row:
            source = f.select(f.load("i64", state, row * STATE + index).ne(0), B, A)
            elements, done = f.at(x, row * n, d.llvm), items.place(source, row * stride + first - row * k)
            with f.range(f.smax(lo, row * k), f.smin(hi, row * k + k)) as i:
                item = items.load(done, i)
                f.store(items.value(item, elements), values, i)
                f.store(items.index(item), indices, i)


def block_size(n: int) -> int:
    """Elements of a block of rows of n, by their length alone."""
    least, most = BLOCK
    return min(max(-(-n // 8), least), most)


def part(x: Operand, first: int, k: int, descending: bool = False) -> Schedule:
    """Elements first .. first + k - 1 of each sorted row. Out(0): values (rows, k), Out(1): int64 indices."""
    contiguous(x)
    rows, n = x.shape
    if n <= LONG:
        return radix.part(x, first, k, descending)
    d, size, block = x.dtype, item_bytes(x.dtype), block_size(n)
    blocks, stride, together = -(-n // block), n + -n % 8, min(rows, max(1, TOGETHER // n))
    A, B = Work(0), Work(together * stride * size)
    state = Work(2 * B.offset)
    counts = Work(state.offset + together * STATE * 8)
    launches: list[Launch] = []
    for start in range(0, rows, together):
        count = min(together, rows - start)
        here, moved = In(0, start * n * d.itemsize), count * n * size
        for index, (shift, bits) in enumerate(digits(d)):
            kind = (
                (int64 if size == 16 else int32, False, False) if index else (d, descending, True)
            )  # after the first pass items are words
            place = (n, stride, blocks, block, shift if size == 16 else shift + 32, (1 << bits) - 1, index)
            words: tuple[Word, ...] = (here, A, B, state, counts, *place)
            launches.append(Launch(Kernel(emit_count, kind), words, count * blocks, 1, moved, count * n * 4))
            launches.append(Launch(Kernel(emit_offsets), (state, counts, n, blocks, index), count, 1, count * blocks * BUCKETS * 12))
            launches.append(Launch(Kernel(emit_scatter, kind), words, count * blocks, 1, moved * 2, count * n * 16))
        words = (Out(0, start * k * d.itemsize), Out(1, start * k * 8), here, A, B, state, n, stride, len(digits(d)), first, k)
        launches.append(Launch(Kernel(emit_part, (d, descending)), words, count * k, PIECE, count * k * 28, count * k * 4))
    return Schedule(tuple(launches), counts.offset + together * blocks * BUCKETS * 4)


def sort(x: Operand, descending: bool = False) -> Schedule:
    """Stable sort of each row. Out(0): values, Out(1): int64 indices. In(0): x (rows, n), contiguous, fewer than 2**31 elements a row."""
    return part(x, 0, x.shape[1], descending)
