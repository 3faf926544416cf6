"""Emission of reductions in three forms, all over kept loops (outside) and reduced loops (inside) in any number.

Words: addresses (outputs, inputs), sizes of the kept loops, sizes of the reduced loops, strides in elements (outputs: kept loops and the
piece; inputs: kept, then reduced loops), steps of the cut loop per piece, pieces, count of reduced elements, numbers.
A *piece* is a run of one reduced loop (`cut`) whose partial result goes to its own place: long reductions are cut by shape, never by thread.

    rows      item = (kept index, piece). Lanes run along the last reduced loop: `rows.py`.
    lines     item = kept index. The same for many results of one loop that is not long; "short lines" have less than 128 elements.
    columns   item = (outer kept index, piece, block of columns). Lanes run along the last kept loop; eight rows combine in a tree, the
              result goes into a block buffer, and every 512 rows that goes into the total.
"""

from __future__ import annotations

from ...base.dtypes import DTYPES
from ...runtime.ir import Module, Value, Var
from ..access import INDEX, STRIDED, store, store_part
from ..pointwise.cost import lanes_of, used_inputs
from ..pointwise.emit import Odometer, Port
from ..scalar import parse
from .frame import Frame
from .reader import read_numbers
from .rows import lines, rows
from .state import Folding, Kept

COLUMNS = 1024  # columns of an item: the buffers of a block stay in the first-level cache or close to it
GROUP = 8  # rows that combine in registers
ROWS = 512  # rows of a block
WIDEST = 16  # lanes of "lines": as many rows fold together


def emit_reduce(
    module: Module, name: str, form: str, initial: str, lift: str, combine: str, finish: str,
    outs: tuple[Port, ...], ins: tuple[Port, ...], numbers: tuple[str, ...], ranks: tuple[int, int], cut: int,
) -> None:  # fmt: skip
    """`form`: rows, lines, short lines or columns. A port's class is that of its loop of lanes: the last reduced one, with columns the last kept one."""
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
        if form == "columns":
            _columns(frame, lo, hi)
        elif form == "rows" or lanes > WIDEST:
            rows(frame, lo, hi)
        else:
            lines(frame, lo, hi, form == "short lines")


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
