"""Reduction along rows: lanes run along the last reduced loop.

rows    one result after the other, of any number of loops: every 4096 elements a block is pushed into a binary counter of vectors, so the
        error grows with log n; at the end the lanes fold in a tree.
lines   many results of one loop of at most 4096 elements: as many rows as there are lanes leave a vector each, and their lanes fold
        together, in the same tree. A row of 32 floats takes 3 ns in place of 7.
"""

from __future__ import annotations

from ...base.dtypes import DTYPES
from ...runtime.ir import Value, Var
from ..access import CONTIGUOUS, element_at, load_one, store, store_one
from ..pointwise.cost import weight
from ..pointwise.emit import Odometer
from .frame import Frame
from .state import Held, Kept, State

BLOCK = 4096  # elements that one set of accumulators takes before its partial result is put away
LEVELS = 40  # of the binary counter: 2**40 blocks


def rows(frame: Frame, lo: Value, hi: Value) -> None:
    f, outs = frame.f, len(frame.outs)
    kept = len(frame.kept)
    zero = f.i64(0)
    moves = [[*s[:kept], s[kept]] for s in frame.out_steps]
    moves += [[*s[:kept], s[kept + frame.cut] * frame.length] for s in frame.in_steps]
    meter = Odometer(f, [*frame.kept, frame.pieces], moves, lo)
    run = RowRun(frame)
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


def lines(frame: Frame, lo: Value, hi: Value, short: bool) -> None:
    """Rows of one loop within a block; `short` ones leave more than two accumulators idle."""
    f, n, fold = frame.f, frame.lanes, frame.fold
    outs, kept = len(frame.outs), len(frame.kept)
    meter = Odometer(f, frame.kept, [s[:kept] for s in (*frame.out_steps, *frame.in_steps)], lo)
    line = _Line(frame, 0 if short else _unroll(frame))
    inner = [s[-1] for s in frame.in_steps]
    ends = Kept(f, fold.kinds, n * n)  # a vector of every row
    places = [f.array("i64", n) for _ in range(outs)]  # bytes from the outputs' starts
    stages = [f.array(DTYPES[d].llvm, n * (2 if DTYPES[d].is_complex else 1)) for d, _ in frame.outs]
    with f.range(0, n) as r:
        ends.store(fold.start(n), r * n)
    with f.range(lo, hi, n) as first:
        several = f.smin(hi - first, n)
        with f.range(0, several) as r:
            offsets = [o.v for o in meter.offsets]
            line.clear()
            line.add(frame.advance(frame.base[outs:], offsets[outs:]), inner, f.i64(0), frame.reduced[0])
            ends.store(line.state(), r * n)
            for place, offset in zip(places, offsets):
                f.store(offset, place, r)
            meter.advance()
        values = frame.finished(fold.each([ends.load(n, r * n) for r in range(n)]), n)
        for (name, _), value, stage in zip(frame.outs, values, stages):
            store(f, DTYPES[name], value, stage, CONTIGUOUS)
        with f.range(0, several) as r:
            for (name, _), base, place, stage in zip(frame.outs, frame.base, places, stages):
                d = DTYPES[name]
                store_one(f, d, load_one(f, d, element_at(f, d, stage, r)), f.bytes(base, f.load("i64", place, r)))


def _unroll(frame: Frame) -> int:
    """Accumulators in flight."""
    heavy = weight(frame.lift) + weight(frame.fold.combine)
    return 8 if heavy <= 4 and len(frame.fold.kinds) == 1 else 4 if heavy <= 16 else 2


class _Line:
    """Accumulators of one row. `unroll` vectors are taken at once; with 0 one accumulator takes whole vectors, another the rest."""

    def __init__(self, frame: Frame, unroll: int) -> None:
        self.frame, self.unroll = frame, unroll
        start = frame.fold.start(frame.lanes)
        self.held = [Held(frame.f, start) for _ in range(max(unroll, 2))]

    def clear(self) -> None:
        start = self.frame.fold.start(self.frame.lanes)
        for h in self.held:
            h.v = start

    def state(self) -> State:
        """All accumulators combined, lane by lane."""
        return self.frame.fold.tree([h.v for h in self.held])

    def add(self, pointers: list[Value], steps: list[Value], lo: Value, hi: Value) -> None:
        """Elements lo..hi-1 along the last reduced loop."""
        frame = self.frame
        f, n, fold = frame.f, frame.lanes, frame.fold
        main = lo
        if span := n * self.unroll:
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


class RowRun(_Line):
    """Accumulators of one row, and the binary counter of blocks behind them."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame, _unroll(frame))
        f = frame.f
        self.levels = Kept(f, frame.fold.kinds, LEVELS * frame.lanes)
        self.since: Var = f.var("i64", 0)  # elements in the accumulators
        self.blocks: Var = f.var("i64", 0)  # blocks put away

    def clear(self) -> None:
        super().clear()
        self.since.v = 0
        self.blocks.v = 0

    def segment(self, pointers: list[Value], steps: list[Value], lo: Value, hi: Value) -> None:
        """Elements lo..hi-1 along the last reduced loop."""
        f = self.frame.f
        with f.range(lo, hi, BLOCK) as at:
            end = f.smin(at + BLOCK, hi)
            self.add(pointers, steps, at, end)
            self.since.v = self.since.v + (end - at)
            with f.when(self.since.v >= BLOCK):
                self._put_away()

    def _put_away(self) -> None:
        """Push the accumulators as one block: equal levels combine, as in adding 1 to a binary number."""
        frame = self.frame
        f, fold, n = frame.f, frame.fold, frame.lanes
        carried = Held(f, self.state())
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
        all_ = Held(f, self.state())
        level, rest = f.var("i64", 0), f.var("i64", self.blocks.v)
        with f.loop() as done:
            f.leave(done, rest.v.eq(0))
            with f.when((rest.v & 1).ne(0)):
                all_.v = fold.together(self.levels.load(n, level.v * n), all_.v)
            rest.v = rest.v >> 1
            level.v = level.v + 1
        return fold.across(all_.v)
