"""Emission of reductions in two forms, both over kept loops (outside) and reduced loops (inside) in any number.

Words: addresses (outputs, inputs), sizes of the kept loops, sizes of the reduced loops, strides in elements (outputs: kept loops and the
piece; inputs: kept, then reduced loops), steps of the cut loop per piece, pieces, count of reduced elements, numbers.
A *piece* is a run of one reduced loop (`cut`) whose partial result goes to its own place: long reductions are cut by shape, never by thread.

    rows      item = (kept index, piece). Lanes run along the last reduced loop, U accumulators; every 4096 elements a block is pushed
              into a binary counter of vectors, so the error grows with log n; at the end lanes fold in a tree.
    columns   item = (outer kept index, piece, block of columns). Lanes run along the last kept loop; eight rows combine in a tree, the
              result goes into a block buffer, and every 512 rows that goes into the total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...base.dtypes import DTYPES
from ...runtime.ir import Module, Value, Var
from ..access import INDEX, STRIDED, narrowed, store, store_one, store_part
from ..pointwise.cost import lanes_of, used_inputs, weight
from ..pointwise.emit import Odometer, Port
from ..scalar import emit, parse
from .reader import Reader, read_numbers
from .state import Folding, Held, Kept, State, mapped

BLOCK = 4096  # elements that one set of accumulators takes before its partial result is put away
COLUMNS = 1024  # columns of an item: the buffers of a block stay in the first-level cache or close to it
GROUP = 8  # rows that combine in registers
ROWS = 512  # rows of a block
LEVELS = 40  # of the binary counter: 2**40 blocks


@dataclass
class Frame(Reader):
    """What both forms read from the words."""

    kept: list[Value]
    reduced: list[Value]
    out_steps: list[list[Value]]  # bytes: kept loops, then the piece
    in_steps: list[list[Value]]  # bytes (index: elements): kept loops, then reduced loops
    cut: int
    length: Value  # of the cut loop in one piece
    pieces: Value
    count: Value

    def advance(self, pointers: list[Value], offsets: Sequence[Value]) -> list[Value]:
        """Pointers of the inputs moved on."""
        return self.moved(self.ins, pointers, offsets)

    def piece_sizes(self, piece: Value) -> list[Value]:
        """Sizes of the reduced loops within a piece."""
        left = self.reduced[self.cut] - piece * self.length
        return [self.f.smin(self.length, left) if d == self.cut else n for d, n in enumerate(self.reduced)]

    def finished(self, s: State, lanes: int) -> list[Any]:
        """Memory values of the outputs."""
        f = self.f

        def wide(v: Value) -> Value:
            return f.splat(v, lanes) if lanes else v

        numbers = mapped(wide, self.numbers) if self.numbers else []
        out = emit(self.finish, f, [*s, wide(self.count)], numbers)
        out = mapped(lambda v: v if v.type[0] == "<" or not lanes else f.splat(v, lanes), out)
        return [narrowed(f, v, DTYPES[d]) for v, (d, _) in zip(out, self.outs)]


def emit_reduce(
    module: Module, name: str, form: str, initial: str, lift: str, combine: str, finish: str,
    outs: tuple[Port, ...], ins: tuple[Port, ...], numbers: tuple[str, ...], ranks: tuple[int, int], cut: int,
) -> None:  # fmt: skip
    """`form`: rows or columns. A port's class is that of its loop of lanes: the last reduced one (rows) or the last kept one (columns)."""
    kept, reduced = ranks
    roots = parse(lift)
    ports = (*outs, *ins)
    read = used_inputs(roots)
    dense = [d for i, (d, _) in enumerate(ins) if i in read] + [d for d, _ in outs if form == "columns"]
    lanes = lanes_of((*roots, *parse(initial)), [DTYPES[d] for d in dense], module.target.lanes)
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        place = len(ports)
        base = f.words(words, *("i64" if kind == INDEX else "ptr" for _, kind in ports))
        sizes = f.words(words, *["i64"] * (kept + reduced), start=place)
        place += kept + reduced
        steps: list[list[Value]] = []
        for p, (d, kind) in enumerate(ports):
            rank = kept + 1 if p < len(outs) else kept + reduced
            unit = 1 if kind == INDEX else DTYPES[d].itemsize
            steps.append([s * unit for s in f.words(words, *["i64"] * rank, start=place)])
            place += rank
        length, pieces, count = f.words(words, "i64", "i64", "i64", start=place)
        place += 3
        values = read_numbers(f, words, numbers, place)
        folding = Folding(f, parse(initial), parse(combine))
        frame = Frame(
            f, outs, ins, roots, parse(finish), folding, lanes, base, values, sizes[:kept], sizes[kept:], steps[: len(outs)],
            steps[len(outs) :], cut, length, pieces, count,
        )  # fmt: skip
        (_rows if form == "rows" else _columns)(frame, lo, hi)


def _rows(frame: Frame, lo: Value, hi: Value) -> None:
    f, outs = frame.f, len(frame.outs)
    kept = len(frame.kept)
    zero = f.i64(0)
    moves = [[*s[:kept], s[kept]] for s in frame.out_steps]
    moves += [[*s[:kept], s[kept + frame.cut] * frame.length] for s in frame.in_steps]
    meter = Odometer(f, [*frame.kept, frame.pieces], moves, lo)
    run = _RowRun(frame)
    with f.range(lo, hi):
        offsets = [o.v for o in meter.offsets]
        start = frame.advance(frame.base[outs:], offsets[outs:])
        sizes = frame.piece_sizes(meter.counts[-1].v)
        run.clear()
        inner = [s[-1] for s in frame.in_steps]
        if len(sizes) == 1:
            run.segment(start, inner, zero, sizes[0])
        else:
            total = sizes[0]
            for n in sizes[1:-1]:
                total = total * n
            walk = Odometer(f, sizes[:-1], [s[kept:-1] for s in frame.in_steps], zero)
            with f.range(0, total):
                run.segment(frame.advance(start, [o.v for o in walk.offsets]), inner, zero, sizes[-1])
                walk.advance()
        values = frame.finished(run.result(), 0)
        for (d, _), v, p, o in zip(frame.outs, values, frame.base, offsets):
            store_one(f, DTYPES[d], v, f.bytes(p, o))
        meter.advance()


class _RowRun:
    """Accumulators of one row, and the binary counter of blocks behind them."""

    def __init__(self, frame: Frame) -> None:
        self.frame, f = frame, frame.f
        heavy = weight(frame.lift) + weight(frame.fold.combine)
        self.unroll = 8 if heavy <= 4 and len(frame.fold.kinds) == 1 else 4 if heavy <= 16 else 2
        start = frame.fold.start(frame.lanes)
        self.held = [Held(f, start) for _ in range(self.unroll)]
        self.levels = Kept(f, frame.fold.kinds, LEVELS * frame.lanes)
        self.since: Var = f.var("i64", 0)  # elements in the accumulators
        self.blocks: Var = f.var("i64", 0)  # blocks put away

    def clear(self) -> None:
        start = self.frame.fold.start(self.frame.lanes)
        for h in self.held:
            h.v = start
        self.since.v = 0
        self.blocks.v = 0

    def segment(self, pointers: list[Value], steps: list[Value], lo: Value, hi: Value) -> None:
        """Elements lo..hi-1 along the last reduced loop."""
        f = self.frame.f
        with f.range(lo, hi, BLOCK) as at:
            end = f.smin(at + BLOCK, hi)
            self._block(pointers, steps, at, end)
            self.since.v = self.since.v + (end - at)
            with f.when(self.since.v >= BLOCK):
                self._put_away()

    def _block(self, pointers: list[Value], steps: list[Value], lo: Value, hi: Value) -> None:
        frame = self.frame
        f, n, fold = frame.f, frame.lanes, frame.fold
        span = n * self.unroll
        main = lo + (hi - lo).udiv(span) * span
        with f.range(lo, main, span) as i:
            states = [frame.lifted(pointers, i + u * n, steps) for u in range(self.unroll)]
            for h, s in zip(self.held, states):
                h.v = fold.together(h.v, s)
        rest = lo + (hi - lo).udiv(n) * n
        with f.range(main, rest, n) as i:
            self.held[0].v = fold.together(self.held[0].v, frame.lifted(pointers, i, steps))
        with f.when(rest < hi):
            left = hi - rest
            last = self.held[-1]  # another one than the loop above: the chain is shorter
            last.v = fold.chosen(f.mask(n, left), fold.together(last.v, frame.lifted(pointers, rest, steps, left)), last.v)

    def _put_away(self) -> None:
        """Push the accumulators as one block: equal levels combine, as in adding 1 to a binary number."""
        frame = self.frame
        f, fold, n = frame.f, frame.fold, frame.lanes
        carried = Held(f, fold.tree([h.v for h in self.held]))
        level = f.var("i64", 0)
        with f.loop() as done:
            f.leave(done, ((self.blocks.v >> level.v) & 1).eq(0))
            carried.v = fold.together(self.levels.load(n, level.v * n), carried.v)
            level.v = level.v + 1
        self.levels.store(carried.v, level.v * n)
        self.blocks.v = self.blocks.v + 1
        start = fold.start(n)
        for h in self.held:
            h.v = start
        self.since.v = 0

    def result(self) -> State:
        """Everything combined, as a scalar state."""
        frame = self.frame
        f, fold, n = frame.f, frame.fold, frame.lanes
        all_ = Held(f, fold.tree([h.v for h in self.held]))
        level, rest = f.var("i64", 0), f.var("i64", self.blocks.v)
        with f.loop() as done:
            f.leave(done, rest.v.eq(0))
            with f.when((rest.v & 1).ne(0)):
                all_.v = fold.together(self.levels.load(n, level.v * n), all_.v)
            rest.v = rest.v >> 1
            level.v = level.v + 1
        return fold.across(all_.v)


def _columns(frame: Frame, lo: Value, hi: Value) -> None:
    f, outs = frame.f, len(frame.outs)
    kept = len(frame.kept)
    outer, columns = frame.kept[:-1], frame.kept[-1]
    blocks = (columns + COLUMNS - 1).udiv(COLUMNS)
    moves = [[*s[: kept - 1], s[kept], s[kept - 1] * COLUMNS] for s in frame.out_steps]
    moves += [[*s[: kept - 1], s[kept + frame.cut] * frame.length, s[kept - 1] * COLUMNS] for s in frame.in_steps]
    meter = Odometer(f, [*outer, frame.pieces, blocks], moves, lo)
    run = _ColumnRun(frame)
    with f.range(lo, hi):
        offsets = [o.v for o in meter.offsets]
        start = frame.advance(frame.base[outs:], offsets[outs:])
        sizes = frame.piece_sizes(meter.counts[-2].v)
        run.clear(f.smin(columns - meter.counts[-1].v * COLUMNS, COLUMNS))
        if len(sizes) == 1:
            run.rows(start, sizes[0])
        else:
            total = sizes[0]
            for n in sizes[1:-1]:
                total = total * n
            walk = Odometer(f, sizes[:-1], [s[kept:-1] for s in frame.in_steps], f.i64(0))
            with f.range(0, total):
                run.rows(frame.advance(start, [o.v for o in walk.offsets]), sizes[-1])
                walk.advance()
        run.write([f.bytes(p, o) for p, o in zip(frame.base[:outs], offsets)])
        meter.advance()


class _ColumnRun:
    """Running totals of a block of columns."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.block = Kept(frame.f, frame.fold.kinds, COLUMNS)
        self.total = Kept(frame.f, frame.fold.kinds, COLUMNS)
        self.since: Var = frame.f.var("i64", 0)  # rows in the block
        self.width: Var = frame.f.var("i64", 0)

    def clear(self, width: Value) -> None:
        f, n = self.frame.f, self.frame.lanes
        self.width.v = width
        self.since.v = 0
        start = self.frame.fold.start(n)
        with f.range(0, width, n) as c:
            self.block.store(start, c)
            self.total.store(start, c)

    def rows(self, pointers: list[Value], n: Value) -> None:
        """`n` rows, GROUP at a time."""
        f = self.frame.f
        step = [s[-1] for s in self.frame.in_steps]
        full = n.udiv(GROUP) * GROUP
        with f.range(0, full, GROUP) as r:
            self._add(self.frame.advance(pointers, [r * s for s in step]), step, GROUP)
        with f.range(full, n) as r:
            self._add(self.frame.advance(pointers, [r * s for s in step]), step, 1)

    def _add(self, pointers: list[Value], step: list[Value], group: int) -> None:
        frame = self.frame
        f, n, fold = frame.f, frame.lanes, frame.fold
        kept = len(frame.kept)
        along = [s[kept - 1] for s in frame.in_steps]
        lines = [pointers]
        for _ in range(group - 1):
            lines.append(frame.advance(lines[-1], step))
        width = self.width.v
        whole = width.udiv(n) * n
        with f.range(0, whole, n) as c:
            for p in (
                lines if group > 1 and frame.ins[0][1] != INDEX else []
            ):  # the next group: rows are too short for the hardware to look ahead
                f.prefetch(f.bytes(p[0], c * along[0] + step[0] * group), 0, level=2, elem="i8")
            state = fold.tree([frame.lifted(p, c, along) for p in lines])
            self.block.store(fold.together(self.block.load(n, c), state), c)
        with f.when(whole < width):
            state = fold.tree([frame.lifted(p, whole, along, width - whole) for p in lines])
            self.block.store(fold.together(self.block.load(n, whole), state), whole)
        self.since.v = self.since.v + group
        with f.when(self.since.v >= ROWS):
            self._put_away()

    def _put_away(self) -> None:
        frame = self.frame
        f, n, fold = frame.f, frame.lanes, frame.fold
        start = fold.start(n)
        with f.range(0, self.width.v, n) as c:
            self.total.store(fold.together(self.total.load(n, c), self.block.load(n, c)), c)
            self.block.store(start, c)
        self.since.v = 0

    def write(self, pointers: list[Value]) -> None:
        frame = self.frame
        f, n, fold = frame.f, frame.lanes, frame.fold
        kept = len(frame.kept)
        width = self.width.v
        with f.range(0, width, n) as c:
            values = frame.finished(fold.together(self.total.load(n, c), self.block.load(n, c)), n)
            left = width - c
            for (name, kind), v, p, steps in zip(frame.outs, values, pointers, frame.out_steps):
                d = DTYPES[name]
                here = f.bytes(p, c * steps[kept - 1])
                stride = steps[kept - 1].udiv(d.itemsize) if kind == STRIDED else None
                with f.when(left >= n):
                    store(f, d, v, here, kind, stride)
                with f.when(left < n):
                    store_part(f, d, v, n, here, kind, left, stride)
