"""Stable sorting of rows with their indices: least-significant-digit radix sort; short rows by insertion or by counting what comes before.

An item is one word (key << 32 | index) where keys have 32 bits, else a key and an index. One pass over the row makes the items and counts
all digits; a pass whose digits are all equal is left out, so small integers and bfloat16 take fewer.
"""

from __future__ import annotations

import facula.kernel.sorting.keys as keys

from ...base.dtypes import dtype
from ...runtime.ir import SIZE, Function, Module, Term, Value, vector
from ...runtime.pool_code import SCRATCH, scratch
from ..access import vector_bytes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, Work
from ..rows.sweep import contiguous

INSERTION = 12  # rows up to here are sorted by insertion
COUNTED = 128  # rows up to here by counting, for each element, those that come before it: n * n comparisons, but by vectors
SHORT = 4096  # rows up to here use 8-bit digits: fewer counters to clear
COUNTERS = 64 << 10  # bytes of scratch for the digits' counters
SLOTS = 4  # workspaces for rows that do not fit the scratch memory


def item_bytes(d: dtype) -> int:
    return 16 if keys.key_type(d) == "i64" else 8


class Items:
    """How items of a dtype are kept, read and written."""

    def __init__(self, f: Function, d: dtype, descending: bool) -> None:
        self.f, self.d, self.descending = f, d, descending
        self.wide = keys.key_type(d) == "i64"
        self.bytes = item_bytes(d)

    def place(self, base: Value, i: Term) -> Value:
        return self.f.at(base, self.f.i64(i) * (self.bytes // 8), "i64")

    def make(self, x: Value, i: Value) -> tuple[Value, Value]:
        """(sorting word, index) of element i of the row x."""
        f = self.f
        key = keys.encode(f, self.d, f.load(self.d.llvm, x, i), self.descending)
        if self.wide:
            return key, i
        word = (f.cast("zext", key, "i64") << 32) | i
        return word, word

    def load(self, base: Value, i: Term) -> tuple[Value, Value]:
        at = self.place(base, i)
        word = self.f.load("i64", at)
        return word, self.f.load("i64", at, 1) if self.wide else word

    def store(self, item: tuple[Value, Value], base: Value, i: Term) -> None:
        at = self.place(base, i)
        self.f.store(item[0], at)
        if self.wide:
            self.f.store(item[1], at, 1)

    def digit(self, word: Value, p: int, digits: int) -> Value:
        word = word if self.wide else word >> 32
        return (word >> (digits * p)) & ((1 << digits) - 1)

    def value(self, item: tuple[Value, Value], x: Value) -> Value:
        """The element as it lies in memory. The key does not tell the sign of a zero: it is read again from the row x."""
        key = item[0] if self.wide else self.f.cast("trunc", item[0] >> 32, "i32")
        value = keys.decode(self.f, self.d, key, self.descending)
        if not self.d.is_floating_point:
            return value
        zero = key.eq(keys.zero(self.d, self.descending))
        return self.f.select(zero, self.f.load(self.d.llvm, x, self.f.select(zero, self.index(item), 0)), value)

    def index(self, item: tuple[Value, Value]) -> Value:
        return item[1] if self.wide else item[1] & 0xFFFFFFFF

    def middle(self, base: Value, n: Value) -> Value:
        """Where the lower median of n sorted items is, or the first NaN."""
        f, at = self.f, self.f.var("i64", (n - 1) >> 1)
        if self.d.is_floating_point:
            low, high = f.var("i64", 0), f.var("i64", n)
            with f.loop() as end:  # where the NaNs begin
                f.leave(end, low.v >= high.v)
                middle = (low.v + high.v) >> 1
                word = self.load(base, middle)[0]
                key = word if self.wide else f.cast("trunc", word >> 32, "i32")
                low.v, high.v = f.select(key.eq(-1), low.v, middle + 1), f.select(key.eq(-1), middle, high.v)
            at.v = f.select(low.v < n, low.v, at.v)
        return at.v


def define_sort(m: Module, d: dtype, descending: bool) -> str:
    """A function (row, n, counters, A, B) -> the buffer, A or B, that holds the row's items in order."""
    name = "sort_row"
    if name in m.defined:
        return name
    with m.function(name, "ptr x, i64 n, ptr counters, ptr A, ptr B", "ptr", internal=True) as (f, x, n, counters, A, B):
        items = Items(f, d, descending)
        with f.when(n <= INSERTION):
            _insertion(f, items, x, n, A)
            f.ret(A)
        with f.when(n <= COUNTED):
            _counted(f, items, x, n, counters, A)
            f.ret(A)
        for digits, limit in ((8, n <= SHORT), (11, n > SHORT)):
            with f.when(limit):
                f.ret(_radix(f, items, x, n, counters, A, B, digits))
    return name


def _insertion(f: Function, items: Items, x: Value, n: Value, A: Value) -> None:
    with f.range(0, n) as i:
        item = items.make(x, i)
        at = f.var("i64", i)
        with f.loop() as end:
            f.leave(end, at.v <= 0)
            before = items.load(A, at.v - 1)
            f.leave(end, ~before[0].ugt(item[0]))
            items.store(before, A, at.v)
            at.v = at.v - 1
        items.store(item, A, at.v)


def _counted(f: Function, items: Items, x: Value, n: Value, places: Value, A: Value) -> None:
    """The keys lie in `places`, filled up to whole vectors."""
    kind = keys.key_type(items.d)
    lanes = vector_bytes(f) // SIZE[kind]
    whole = n.udiv(lanes) * lanes
    with f.range(0, whole, lanes) as i:
        f.store(keys.encode(f, items.d, f.load(vector(lanes, items.d.llvm), x, i), items.descending), places, i)
    with f.range(whole, n) as i:
        f.store(keys.encode(f, items.d, f.load(items.d.llvm, x, i), items.descending), places, i)
    with f.range(n, n + lanes - 1) as i:
        f.store(f.const(kind, -1), places, i)

    def true(mask: Value) -> Value:
        return f.cast("zext", f.call("i32", "llvm.ctpop.i32", f.cast("zext", f.cast("bitcast", mask, f"i{lanes}"), "i32")), "i64")

    with f.range(0, n) as i:
        key = f.load(kind, places, i)
        wide, block = f.splat(key, lanes), i & -lanes
        near = f.load(vector(lanes, kind), places, block)
        rank = f.var("i64", true(near.ult(wide) | (near.eq(wide) & f.mask(lanes, i - block))))
        with f.range(0, block, lanes) as j:  # of equal elements those that come before
            rank.v = rank.v + true(~f.load(vector(lanes, kind), places, j).ugt(wide))
        with f.range(block + lanes, n, lanes) as j:
            rank.v = rank.v + true(f.load(vector(lanes, kind), places, j).ult(wide))
        word = key if items.wide else (f.cast("zext", key, "i64") << 32) | i
        items.store((word, i), A, rank.v)


def _radix(f: Function, items: Items, x: Value, n: Value, counters: Value, A: Value, B: Value, digits: int) -> Value:
    passes, size = -(-(64 if items.wide else 32) // digits), 1 << digits
    with f.range(0, passes * size // 2) as i:
        f.store(f.i64(0), counters, i)
    with f.range(0, n) as i:
        item = items.make(x, i)
        items.store(item, A, i)
        for p in range(passes):
            c = f.at(counters, items.digit(item[0], p, digits) + p * size, "i32")
            f.store(f.load("i32", c) + 1, c)
    source, target = f.var("ptr", A), f.var("ptr", B)
    for p in range(passes):
        first = items.digit(items.make(x, f.i64(0))[0], p, digits)
        same = f.cast("zext", f.load("i32", counters, first + p * size), "i64").eq(n)
        with f.otherwise(same):
            run = f.var("i32", 0)
            with f.range(0, size) as i:
                old = f.load("i32", counters, i + p * size)
                f.store(run.v, counters, i + p * size)
                run.v = run.v + old
            a, b = source.v, target.v
            with f.range(0, n) as i:
                item = items.load(a, i)
                c = f.at(counters, items.digit(item[0], p, digits) + p * size, "i32")
                to = f.load("i32", c)
                f.store(to + 1, c)
                items.store(item, b, f.cast("zext", to, "i64"))
            source.v, target.v = b, a
    return source.v


def rows_of(f: Function, worker: Value, item: Value, slots: Value, space: Value, n: Value, bytes_each: int) -> tuple[Value, Value, Value]:
    """(counters, A, B): scratch where two rows of items fit, else the item's slot of the workspace."""
    base = scratch(f, worker)
    inside = slots.eq(0)
    a = f.select(inside, f.bytes(base, COUNTERS), f.bytes(space, item * n * (2 * bytes_each)))
    return base, a, f.bytes(a, n * bytes_each)


def emit_sort(m: Module, name: str, d: dtype, descending: bool) -> None:
    """Work items are rows, or with `slots` > 0 item s does rows s, s + slots, ... in its own workspace."""
    sort = define_sort(m, d, descending)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        values, indices, x, space, rows, n, slots = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")
        items = Items(f, d, descending)
        with f.range(lo, hi) as slot, f.range(slot, f.select(slots.eq(0), slot + 1, rows), f.select(slots.eq(0), 1, slots)) as row:
            counters, a, b = rows_of(f, worker, slot, slots, space, n, items.bytes)
            elements = f.at(x, row * n, d.llvm)
            done = f.call("ptr", sort, elements, n, counters, a, b)
            out, index = f.at(values, row * n, d.llvm), f.at(indices, row * n, "i64")
            with f.range(0, n) as i:
                item = items.load(done, i)
                f.store(items.value(item, elements), out, i)
                f.store(items.index(item), index, i)


def emit_part(m: Module, name: str, d: dtype, descending: bool) -> None:
    """Elements first .. first + k - 1 of each sorted row."""
    sort = define_sort(m, d, descending)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        values, indices, x, space, rows, n, slots, first, k = f.words(words, "ptr", "ptr", "ptr", "ptr", *["i64"] * 5)
        items = Items(f, d, descending)
        with f.range(lo, hi) as slot, f.range(slot, f.select(slots.eq(0), slot + 1, rows), f.select(slots.eq(0), 1, slots)) as row:
            counters, a, b = rows_of(f, worker, slot, slots, space, n, items.bytes)
            elements = f.at(x, row * n, d.llvm)
            done = f.call("ptr", sort, elements, n, counters, a, b)
            with f.range(0, k) as i:
                item = items.load(done, first + i)
                f.store(items.value(item, elements), values, row * k + i)
                f.store(items.index(item), indices, row * k + i)


def emit_median(m: Module, name: str, d: dtype) -> None:
    """The lower median; in a row with NaNs the first of them."""
    sort = define_sort(m, d, False)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        values, indices, x, space, rows, n, slots = f.words(words, "ptr", "ptr", "ptr", "ptr", "i64", "i64", "i64")
        items = Items(f, d, False)
        with f.range(lo, hi) as slot, f.range(slot, f.select(slots.eq(0), slot + 1, rows), f.select(slots.eq(0), 1, slots)) as row:
            counters, a, b = rows_of(f, worker, slot, slots, space, n, items.bytes)
            elements = f.at(x, row * n, d.llvm)
            done = f.call("ptr", sort, elements, n, counters, a, b)
            item = items.load(done, items.middle(done, n))
            f.store(items.value(item, elements), values, row)
            f.store(items.index(item), indices, row)


def plan(x: Operand, kernel: Kernel, extra: tuple[Word, ...] = ()) -> Schedule:
    contiguous(x)
    rows, n = x.shape
    if not rows * n:
        return Schedule(())
    room = n * item_bytes(x.dtype) * 2
    slots = 0 if room + COUNTERS <= SCRATCH else min(rows, SLOTS)
    words = (Out(0), Out(1), In(0), Work(0) if slots else 0, rows, n, slots, *extra)
    moved = n * (x.dtype.itemsize + 8) * 2
    grain = max(1, (64 << 10) // moved) if not slots else 1
    return Schedule((Launch(kernel, words, slots or rows, grain, rows * moved, rows * n * 30),), slots * room)


def sort(x: Operand, descending: bool = False) -> Schedule:
    """Stable sort of each row. Out(0): values, Out(1): int64 indices. In(0): x (rows, n), contiguous, fewer than 2**31 elements a row."""
    return plan(x, Kernel(emit_sort, (x.dtype, descending)))


def part(x: Operand, first: int, k: int, descending: bool = False) -> Schedule:
    """Elements first .. first + k - 1 of each sorted row. Out(0): values (rows, k), Out(1): int64 indices."""
    return plan(x, Kernel(emit_part, (x.dtype, descending)), (first, k))


def median(x: Operand) -> Schedule:
    """The lower median of each row. Out(0): values (rows,), Out(1): int64 indices. In(0): x (rows, n), contiguous."""
    return plan(x, Kernel(emit_median, (x.dtype,)))
