"""Emission of inclusive scans along one dim.

Words: addresses (outputs, inputs, then per state component the totals of pieces), sizes of the kept loops, length of the scanned dim,
strides in elements (kept loops, then the scanned dim) of outputs and inputs, elements of a piece, pieces, numbers.

    rows      item = (kept index, piece). A vector is scanned in registers by log2(n) shifted combinations, then the carry is put in
              front; the carry's chain is one combination a vector. Pieces: `total` writes their last states, `follow` starts from them.
    columns   item = (outer kept index, piece, block of columns): lanes run along the last kept loop, the states of a block stay on the
              stack. Pieces as of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...base.dtypes import DTYPES, dtype
from ...runtime.ir import Module, Value
from ..access import INDEX, STRIDED, load_one, narrowed, store, store_one, store_part, widened
from ..pointwise.cost import lanes_of, used_inputs
from ..pointwise.emit import Odometer, Port
from ..reduction.reader import Reader, read_numbers
from ..reduction.state import Folding, Held, Kept, State, mapped
from ..scalar import emit, parse

COLUMNS = 2048  # columns of an item: half rows of 4 KiB take twice as long, each page starts the hardware's prefetching anew


@dataclass
class Frame(Reader):
    """What the forms read from the words. Strides are bytes (of an index: elements): kept loops, then the scanned dim."""

    totals: list[Value]
    kept: list[Value]
    length: Value
    steps: list[list[Value]]  # outputs, then inputs
    piece: Value
    pieces: Value

    @property
    def kinds(self) -> tuple[dtype, ...]:
        return self.fold.kinds

    def read(self, pointers: Sequence[Value], at: Value, loop: int, left: Value | None = None) -> State:
        """States of a vector of elements from place `at` along loop `loop` on; `pointers` of outputs and inputs."""
        first = len(self.outs)
        return self.lifted(pointers[first:], at, [s[loop] for s in self.steps[first:]], left)

    def write(self, pointers: Sequence[Value], s: State, at: Value, loop: int, left: Value | None = None) -> None:
        f, n = self.f, self.lanes
        out = self.spread(emit(self.finish, f, [*s, f.splat(self.length, n)], self.numbers))
        for o, ((name, kind), v) in enumerate(zip(self.outs, out)):
            d, step = DTYPES[name], self.steps[o][loop]
            value = narrowed(f, v, d)
            here = f.bytes(pointers[o], at * step)
            stride = step.udiv(d.itemsize) if kind == STRIDED else None
            if left is None:
                store(f, d, value, here, kind, stride)
            else:
                store_part(f, d, value, n, here, kind, left, stride)

    def advance(self, pointers: Sequence[Value], offsets: Sequence[Value]) -> list[Value]:
        """Pointers of outputs and inputs moved on."""
        return self.moved((*self.outs, *self.ins), pointers, offsets)

    def one(self, pointers: Sequence[Value], at: Value) -> State:
        """The state in slot `at` of the memory of each component, as scalars."""
        f = self.f
        return [widened(f, load_one(f, d, f.bytes(p, at * d.itemsize)), d) for d, p in zip(self.kinds, pointers)]

    def put_one(self, s: State, pointers: Sequence[Value], at: Value) -> None:
        f = self.f
        for d, p, v in zip(self.kinds, pointers, s):
            store_one(f, d, narrowed(f, v, d), f.bytes(p, at * d.itemsize))


def emit_scan(
    module: Module, name: str, form: str, initial: str, lift: str, combine: str, finish: str,
    outs: tuple[Port, ...], ins: tuple[Port, ...], numbers: tuple[str, ...], kept: int,
) -> None:  # fmt: skip
    """`form`: rows or columns; of pieces total, carry and follow, columns total, columns carry and columns follow."""
    roots, start = parse(lift), parse(initial)
    ports = (*outs, *ins)
    read = used_inputs(roots)
    dense = [d for i, (d, _) in enumerate(ins) if i in read] + [d for d, _ in outs]
    lanes = lanes_of((*roots, *start), [DTYPES[d] for d in dense], module.target.lanes)
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        base = f.words(words, *("i64" if kind == INDEX else "ptr" for _, kind in ports))
        place = len(ports)
        totals = f.words(words, *["ptr"] * len(start), start=place)
        place += len(start)
        sizes = f.words(words, *["i64"] * (kept + 1), start=place)
        place += kept + 1
        steps: list[list[Value]] = []
        for d, kind in ports:
            unit = 1 if kind == INDEX else DTYPES[d].itemsize
            steps.append([s * unit for s in f.words(words, *["i64"] * (kept + 1), start=place)])
            place += kept + 1
        piece, pieces = f.words(words, "i64", "i64", start=place)
        place += 2
        values = read_numbers(f, words, numbers, place)
        frame = Frame(
            f, outs, ins, roots, parse(finish), Folding(f, start, parse(combine)), lanes, base, values, totals, sizes[:-1],
            sizes[-1], steps, piece, pieces,
        )  # fmt: skip
        if form.endswith("carry"):
            _carry(frame, lo, hi, frame.kept[-1] if form == "columns carry" else f.i64(1))
        elif form.startswith("columns"):
            _columns(frame, form, lo, hi)
        else:
            _rows(frame, form, lo, hi)


def _rows(frame: Frame, form: str, lo: Value, hi: Value) -> None:
    f, fold, n = frame.f, frame.fold, frame.lanes
    moves = [[*s[:-1], s[-1] * frame.piece] for s in frame.steps]
    meter = Odometer(f, [*frame.kept, frame.pieces], moves, lo)
    carry = Held(f, fold.start(n))
    # read back from memory at a place LLVM cannot know: shifts of constant zeros would become vexpand, four times slower on Zen 5
    neutral = Kept(f, fold.kinds, 2 * n)
    neutral.store(fold.start(n), 0)
    neutral.store(fold.start(n), n)
    start = neutral.load(n, (lo & 1) * n)
    with f.range(lo, hi) as item:
        here = frame.advance(frame.base, [o.v for o in meter.offsets])
        carry.v = mapped(lambda v: f.splat(v, n), frame.one(frame.totals, item)) if form == "follow" else fold.start(n)
        length = f.smin(frame.piece, frame.length - meter.counts[-1].v * frame.piece)
        whole = length.udiv(n) * n
        with f.range(0, whole, n) as i:
            _step(frame, here, carry, start, i, None, form != "total")
        with f.when(whole < length):
            _step(frame, here, carry, start, whole, length - whole, form != "total")
        if form == "total":
            frame.put_one(mapped(lambda v: f.extract(v, n - 1), carry.v), frame.totals, item)
        meter.advance()


def _step(frame: Frame, here: list[Value], carry: Held, start: State, i: Value, left: Value | None, written: bool) -> None:
    """One vector: scanned by itself, then behind the carry, whose next value is the carry with this vector's last lane."""
    f, fold, n = frame.f, frame.fold, frame.lanes
    s = frame.read(here, i, -1, left)
    if left is not None and not written:  # lanes behind the end repeat an element: they must not count
        s = fold.chosen(f.mask(n, left), s, start)
    step = 1
    while step < n:
        index = range(n - step, 2 * n - step)  # one run across both vectors: a single instruction
        s = fold.together(mapped(lambda a, b, index=index: f.shuffle(a, b, index), start, s), s)
        step *= 2
    before = carry.v
    carry.v = fold.together(before, mapped(lambda v: f.shuffle(v, None, [n - 1] * n), s))
    if written:
        frame.write(here, fold.together(before, s), i, -1, left)


def _carry(frame: Frame, lo: Value, hi: Value, width: Value) -> None:
    """Totals of a row's pieces become what stands before each piece. Item: one row; totals of `width` rows lie beside each other."""
    f, fold = frame.f, frame.fold
    running = Held(f, fold.start(0))
    with f.range(lo, hi) as row:
        running.v = fold.start(0)
        with f.range(0, frame.pieces) as p:
            at = (row // width * frame.pieces + p) * width + row % width
            own = frame.one(frame.totals, at)
            frame.put_one(running.v, frame.totals, at)
            running.v = fold.together(running.v, own)


def _columns(frame: Frame, form: str, lo: Value, hi: Value) -> None:
    f, fold, n = frame.f, frame.fold, frame.lanes
    width = frame.kept[-1]
    blocks = (width + COLUMNS - 1).udiv(COLUMNS)
    moves = [[*s[:-2], s[-1] * frame.piece, s[-2] * COLUMNS] for s in frame.steps]
    meter = Odometer(f, [*frame.kept[:-1], frame.pieces, blocks], moves, lo)
    states = Kept(f, fold.kinds, COLUMNS)
    with f.range(lo, hi) as item:
        here = frame.advance(frame.base, [o.v for o in meter.offsets])
        first = meter.counts[-1].v * COLUMNS
        columns = f.smin(width - first, COLUMNS)
        length = f.smin(frame.piece, frame.length - meter.counts[-2].v * frame.piece)
        slot = item.udiv(blocks) * width + first  # among the totals: lines of all columns, piece after piece
        whole = columns.udiv(n) * n
        with f.range(0, columns, n) as c:
            states.store(fold.start(n), c)
        if form == "columns follow":
            with f.range(0, columns) as c:
                frame.put_one(frame.one(frame.totals, slot + c), states.buffers, c)
        with f.range(0, length) as r:
            line = frame.advance(here, [r * s[-1] for s in frame.steps])
            with f.range(0, whole, n) as c:
                s = fold.together(states.load(n, c), frame.read(line, c, -2))
                states.store(s, c)
                if form != "columns total":
                    frame.write(line, s, c, -2)
            with f.when(whole < columns):
                left = columns - whole
                s = fold.together(states.load(n, whole), frame.read(line, whole, -2, left))
                states.store(s, whole)
                if form != "columns total":
                    frame.write(line, s, whole, -2, left)
        if form == "columns total":
            with f.range(0, columns) as c:
                frame.put_one(frame.one(states.buffers, c), frame.totals, slot + c)
        meter.advance()
