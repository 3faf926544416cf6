"""Elements by their rank, without sorting: digits of the keys are counted from the highest, each time among the elements that share the digits
found so far, until the whole key of the wanted rank is known. A row is cut into blocks, for threads to share and signals to come between.

    tally   each block counts a digit
    choose  the digit that holds the rank, and how many of each block's elements come before it or share it
    locate  the element of the rank: value and index
    gather  all elements up to the rank, in the order of their indices; the first ones among equals
"""

from __future__ import annotations

from collections.abc import Callable

import facula.kernel.sorting.keys as keys
import facula.kernel.sorting.radix as radix

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value, vector
from ...runtime.pool_code import scratch
from ..launch import Array, In, Kernel, Launch, Operand, Out, Schedule, Word, Work, rebased, shifted
from ..rows.sweep import contiguous
from .passes import BUCKETS, KERNEL, PIECE, block_size, digits, part

SHORT = 2048  # elements of a row that is sorted instead
MANY = 4  # a larger part than 1 / MANY of a row is sorted with it
AT_ONCE = 1 << 11  # blocks whose counters are kept, of 8 kB each
STATE = 2  # words of a row: the digits found so far, the rank among the elements that share them
BELOW, EQUAL = 0, 1  # words of a block: its elements that come before those, and that share them
LANES = 16
COUNTERS = BUCKETS + LANES  # of a block: its digits, then its NaNs


class Row:
    """A block of a row whose elements are compared with the digits that were found, a vector at a time."""

    def __init__(self, f: Function, d: dtype, descending: bool, x: Value) -> None:
        self.f, self.d, self.descending, self.x = f, d, descending, x
        self.kind = keys.key_type(d)
        self.width = f.module.target.lanes * 4 // (8 if self.kind == "i64" else 4)

    def key(self, i: Value) -> Value:
        return keys.encode(self.f, self.d, self.f.load(self.d.llvm, self.x, i), self.descending)

    def cut(self, x: Value) -> Value:
        """A word as a key."""
        return x if self.kind == "i64" else self.f.cast("trunc", x, "i32")

    def hits(self, begin: Value, end: Value, above: Value, found: Value, or_below: bool, body: Callable[[Value, Value], None]) -> None:
        """body(place, key) where the key's bits from `above` on are the found ones (or less), in order."""
        f, width = self.f, self.width
        above, found = self.cut(above), self.cut(found)

        def matches(high: Value, want: Value) -> Value:
            return ~high.ugt(want) if or_below else high.eq(want)

        main = begin + ((end - begin) & -width)
        with f.range(begin, main, width) as i:
            key = keys.encode(f, self.d, f.load(vector(width, self.d.llvm), self.x, i), self.descending)
            hit = matches(key >> f.splat(above, width), f.splat(found, width))
            bits = f.var("i64", f.cast("zext", f.cast("bitcast", hit, f"i{width}"), "i64"))
            with f.loop() as done:
                f.leave(done, bits.v.eq(0))
                at = i + f.call("i64", "llvm.cttz.i64", bits.v, f.const("i1", 1))
                bits.v = bits.v & (bits.v - 1)
                body(at, self.key(at))
        with f.range(main, end) as i:
            key = self.key(i)
            with f.when(matches(key >> above, found)):
                body(i, key)


def emit_tally(m: Module, name: str, d: dtype, descending: bool, first: bool) -> None:
    """Work items are blocks, row after row. The first digit is counted in two tables by turns: neighbours often share it."""
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        x, state, counts, n, blocks, size, shift, bits = f.words(words, "ptr", "ptr", "ptr", *["i64"] * 5)
        tables, kind = scratch(f, worker), vector(LANES, "i32")
        with f.range(lo, hi) as work:
            row, begin = work // blocks, work % blocks * size
            end = f.smin(begin + size, n)
            here = Row(f, d, descending, f.at(x, row * n, d.llvm))
            with f.range(0, 2 * BUCKETS, LANES) as i:
                f.store(f.const(kind, 0), tables, i)

            def add(key: Value, table: Value | int) -> None:
                digit = (key >> here.cut(shift)) & here.cut((f.i64(1) << bits) - 1)
                at = f.at(tables, (digit if digit.type == "i64" else f.cast("zext", digit, "i64")) + table, "i32")
                f.store(f.load("i32", at) + 1, at)

            nans = f.var("i32", 0)
            if first:
                with f.range(begin, end) as i:
                    key = here.key(i)
                    nans.v = nans.v + f.cast("zext", key.eq(-1), "i32")
                    add(key, (i & 1) * BUCKETS)
            else:
                here.hits(begin, end, shift + bits, f.load("i64", state, row * STATE), False, lambda i, key: add(key, 0))
            with f.range(0, BUCKETS, LANES) as i:
                f.store(f.load(kind, tables, i) + f.load(kind, tables, i + BUCKETS), counts, work * COUNTERS + i)
            f.store(nans.v, counts, work * COUNTERS + BUCKETS)


def emit_choose(m: Module, name: str, median: bool) -> None:
    """Work items are rows. `median`: where there are NaNs, the wanted rank is that of the first."""
    kind = vector(LANES, "i32")
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        state, split, counts, n, blocks, bits, rank0, first = f.words(words, "ptr", "ptr", "ptr", *["i64"] * 5)
        totals = scratch(f, worker)
        with f.range(lo, hi) as row:
            base, mine = f.at(counts, row * blocks * COUNTERS, "i32"), f.at(state, row * STATE, "i64")
            with f.range(0, BUCKETS, LANES) as i:
                total = f.var(kind, 0)
                with f.range(0, blocks) as block:
                    total.v = total.v + f.load(kind, base, block * COUNTERS + i)
                f.store(total.v, totals, i)
            rank = f.var("i64", rank0)
            if median:
                nans = f.var("i64", 0)
                with f.range(0, blocks) as block:
                    nans.v = nans.v + f.cast("zext", f.load("i32", base, block * COUNTERS + BUCKETS), "i64")
                rank.v = f.select(nans.v.eq(0), rank0, n - nans.v)
            with f.when(first.eq(0)):
                rank.v = f.load("i64", mine, 1)
            digit = f.var("i64", 0)
            with f.loop() as found:
                count = f.cast("zext", f.load("i32", totals, digit.v), "i64")
                f.leave(found, rank.v < count)
                rank.v, digit.v = rank.v - count, digit.v + 1
            prefix = f.var("i64", 0)
            with f.when(first.eq(0)):
                prefix.v = f.load("i64", mine) << bits
            f.store(prefix.v | digit.v, mine)
            f.store(rank.v, mine, 1)
            with f.range(0, blocks) as block:
                here = f.at(base, block * COUNTERS, "i32")
                below = f.var("i64", 0)
                with f.when(first.eq(0)):
                    below.v = f.load("i64", split, (row * blocks + block) * 2 + BELOW)
                with f.range(0, digit.v) as i:
                    below.v = below.v + f.cast("zext", f.load("i32", here, i), "i64")
                f.store(below.v, split, (row * blocks + block) * 2 + BELOW)
                f.store(f.cast("zext", f.load("i32", here, digit.v), "i64"), split, (row * blocks + block) * 2 + EQUAL)


def emit_locate(m: Module, name: str, d: dtype) -> None:
    """Work items are rows: the element whose rank among equals is the one left."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        values, indices, x, state, split, n, blocks, size, low = f.words(words, *["ptr"] * 5, *["i64"] * 4)
        with f.range(lo, hi) as row:
            rank, block = f.var("i64", f.load("i64", state, row * STATE + 1)), f.var("i64", 0)
            with f.loop() as found:
                count = f.load("i64", split, (row * blocks + block.v) * 2 + EQUAL)
                f.leave(found, rank.v < count)
                rank.v, block.v = rank.v - count, block.v + 1
            elements, begin = f.at(x, row * n, d.llvm), block.v * size

            def seen(i: Value, _key: Value) -> None:
                with f.when(rank.v.eq(0)):
                    f.store(f.load(d.llvm, elements, i), values, row)
                    f.store(i, indices, row)
                rank.v = rank.v - 1

            Row(f, d, False, elements).hits(begin, f.smin(begin + size, n), low, f.load("i64", state, row * STATE), False, seen)


def emit_gather(m: Module, name: str, d: dtype, descending: bool) -> None:
    """Work items are blocks, row after row: their elements up to the rank go behind those of the blocks before."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        values, indices, x, state, split, n, blocks, size, low, k = f.words(words, *["ptr"] * 5, *["i64"] * 5)
        with f.range(lo, hi) as work:
            row, begin = work // blocks, work % blocks * size
            found, equals = f.load("i64", state, row * STATE), f.load("i64", state, row * STATE + 1) + 1
            at, before = f.var("i64", row * k), f.var("i64", 0)
            with f.range(row * blocks, work) as block:
                at.v = at.v + f.load("i64", split, block * 2 + BELOW)
                before.v = before.v + f.load("i64", split, block * 2 + EQUAL)
            left = f.var("i64", f.smax(equals - before.v, 0))
            at.v = at.v + f.smin(before.v, equals)
            elements = f.at(x, row * n, d.llvm)
            here = Row(f, d, descending, elements)

            def seen(i: Value, key: Value) -> None:
                below = f.cast("zext", (key >> here.cut(low)).ult(here.cut(found)), "i64")
                with f.when((below + left.v) > 0):
                    f.store(f.load(d.llvm, elements, i), values, at.v)
                    f.store(i, indices, at.v)
                    at.v = at.v + 1
                    left.v = left.v - (1 - below)

            here.hits(begin, f.smin(begin + size, n), low, found, True, seen)


def emit_origin(m: Module, name: str) -> None:
    """Work items are results: places among the gathered elements become places in the row."""
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        indices, gathered, k = f.words(words, "ptr", "ptr", "i64")
        with f.range(lo, hi) as i:
            f.store(f.load("i64", gathered, i // k * k + f.load("i64", indices, i)), indices, i)


Finish = Callable[[int, int, tuple[Word, ...], tuple[int, ...]], Launch]


def _by_rank(x: Operand, rank: int, descending: bool, median: bool, used: int, finish: Finish) -> Schedule:
    """finish(first row, rows, (row, state, split), (n, blocks, block size, lowest bit)) follows when the key of the rank is known. `used`: bytes
    of the workspace that are taken."""
    rows, n = x.shape
    d, size = x.dtype, block_size(n)
    blocks = -(-n // size)
    together = min(rows, max(1, AT_ONCE // blocks))
    state, split = Work(used), Work(used + together * STATE * 8)
    counts = Work(split.offset + together * blocks * 16)
    launches: list[Launch] = []
    for start in range(0, rows, together):
        count = min(together, rows - start)
        here, moved = In(0, start * n * d.itemsize), count * n * d.itemsize
        steps = digits(d)[::-1]
        for index, (shift, bits) in enumerate(steps):
            first = not index
            words = (here, state, counts, n, blocks, size, shift, bits)
            launches.append(Launch(Kernel(emit_tally, (d, descending, first)), words, count * blocks, 1, moved, count * n * 4))
            words = (state, split, counts, n, blocks, bits, rank, int(first))
            launches.append(Launch(Kernel(emit_choose, (median,)), words, count, 1, count * blocks * COUNTERS * 8))
        launches.append(finish(start, count, (here, state, split), (n, blocks, size, steps[-1][0])))
    return Schedule(tuple(launches), counts.offset + together * blocks * COUNTERS * 4)


def _one(x: Operand, rank: int, median: bool) -> Schedule:
    d = x.dtype

    def finish(start: int, count: int, places: tuple[Word, ...], sizes: tuple[int, ...]) -> Launch:
        words = (Out(0, start * d.itemsize), Out(1, start * 8), *places, *sizes)
        return Launch(Kernel(emit_locate, (d,)), words, count, 1, count * sizes[2] * d.itemsize, count * sizes[2] * 2)

    return _by_rank(x, rank, False, median, 0, finish)


def kthvalue(x: Operand, k: int) -> Schedule:
    """The k-th smallest (from 1) of each row. Out(0): values (rows,), Out(1): int64 indices. In(0): x (rows, n), contiguous."""
    contiguous(x)
    return radix.part(x, k - 1, 1) if x.shape[1] <= SHORT else _one(x, k - 1, False)


def median(x: Operand) -> Schedule:
    """The lower median of each row, in a row with NaNs the first of them. Out(0): values (rows,), Out(1): int64 indices."""
    contiguous(x)
    return radix.median(x) if x.shape[1] <= SHORT else _one(x, (x.shape[1] - 1) // 2, True)


def first(x: Operand, k: int, descending: bool) -> Schedule:
    """The first k elements of each sorted row. Out(0): values (rows, k), Out(1): int64 indices. In(0): x (rows, n), contiguous."""
    contiguous(x)
    (rows, n), d = x.shape, x.dtype
    if n <= SHORT or MANY * k > n:
        return part(x, 0, k, descending)
    values, indices = Work(0), Work(rows * k * d.itemsize + -(rows * k * d.itemsize) % 64)
    used = indices.offset + rows * k * 8 + -(rows * k * 8) % 64

    def finish(start: int, count: int, places: tuple[Word, ...], sizes: tuple[int, ...]) -> Launch:
        words = (shifted(values, start * k * d.itemsize), shifted(indices, start * k * 8), *places, *sizes, k)
        return Launch(Kernel(emit_gather, (d, descending)), words, count * sizes[1], 1, count * n * d.itemsize, count * n * 2)

    gathered = _by_rank(x, k - 1, descending, False, used, finish)
    ordered = rebased(part(Array(d, (rows, k), (k, 1)), 0, k, descending), (), (values,), used)
    origin = Launch(Kernel(emit_origin), (Out(1), indices, k), rows * k, PIECE, rows * k * 24)
    return Schedule((*gathered.launches, *ordered.launches, origin), max(gathered.workspace, ordered.workspace))
