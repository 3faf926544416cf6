"""Reading and writing vectors of pixels as a table entry says (geometry.py draws the entry)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...runtime.ir import Function, Value
from .geometry import PIECES, RESULT, SOURCE, D, H, W, read_pieces, written_pieces
from .tile import Shape

Sizes = Sequence[Value]  # D, H, W of the source's plane


def bits_mask(f: Function, bits: Value, lanes: int) -> Value:
    """Lane mask of the low bits of an i32."""
    return f.cast("bitcast", f.cast("trunc", bits, f"i{lanes}"), f"<{lanes} x i1>")


def mask_bits(f: Function, mask: Value, lanes: int) -> Value:
    return f.cast("zext", f.cast("bitcast", mask, f"i{lanes}"), "i32")


def double(f: Function, bits: Value) -> Value:
    """Bit i goes to bit 2 i."""
    if f.module.target.name.startswith("x86"):
        return f.call("i32", "llvm.x86.bmi.pdep.32", bits, f.const("i32", 0x55555555))
    for shift, keep in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        bits = (bits | (bits << shift)) & keep
    return bits


def spread(f: Function, bits: Value, lanes: int) -> list[Value]:
    """Masks of two vectors whose every second lane belongs to a bit."""
    wide = double(f, bits)
    return [bits_mask(f, wide, lanes), bits_mask(f, wide >> lanes, lanes)]


def emit_shift_masks(
    f: Function, shape: Shape, to: Value, entry: Value, shifts: Value, counts: Sizes, sizes: Sizes, row: Value, limit: Value, deep: bool
) -> None:
    """Which lanes lie inside the source along W (and hold a pixel: `limit`), H and D: one i32 for each distinct shift. Three or six compares
    a vector instead of some for each tap."""
    lanes = shape.lanes
    ints = f"<{lanes} x i32>"
    start = f.i64(0)
    for slot, n, size in zip((W, H, D), counts, reversed(sizes)):
        stop = start + n
        if slot == D and not deep:
            continue
        at = f.load(ints, entry, slot * lanes)
        if slot == H:
            at = at + f.splat(f.cast("trunc", row, "i32"), lanes)
        edge = f.splat(f.cast("trunc", size, "i32"), lanes)
        with f.range(start, stop) as i:
            shift = f.splat(f.cast("trunc", f.load("i64", shifts, i), "i32"), lanes)
            inside = (at + shift).ult(edge)
            f.store(mask_bits(f, inside & limit if slot == W else inside, lanes), to, i)
        start = stop


class Pieces:
    """One vector of pixels in the planes of an operand: which lanes, and where. Made once, used for every plane."""

    def __init__(
        self, f: Function, shape: Shape, pace: int, most: int, entry: Value, first: int, lane_slot: int, inside: Value, offset: Value
    ) -> None:
        """`first`: the entry's word that counts the pieces; `lane_slot`: its field of lane offsets; `inside`: lanes, as bits."""
        self.f, self.shape, self.pace, self.most, self.entry = f, shape, pace, most, entry
        self.first, self.lane_slot, self.inside, self.offset = first, lane_slot, inside, offset

    def runs(self, n: int) -> list[tuple[Value, list[Value]]]:
        """(offset, masks of the one or two vectors at the offset) of the first n pieces."""
        f, lanes = self.f, self.shape.lanes
        out: list[tuple[Value, list[Value]]] = []
        for s in range(n):
            at = f.cast("sext", f.load("i32", self.entry, self.first + 1 + s), "i64") + self.offset
            bits = self.inside & f.load("i32", self.entry, self.first + 1 + PIECES + s) if self.most > 1 else self.inside
            out.append((at, [bits_mask(f, bits, lanes)] if self.pace == 1 else spread(f, bits, lanes)))
        return out

    def take(self, plane: Value, pieces: list[tuple[Value, list[Value]]]) -> list[Value]:
        """The pixels' values in one plane, zeros outside; at pace 2 also those between."""
        f, shape = self.f, self.shape
        halves = [f.const(shape.vec, 0.0) for _ in range(self.pace)]
        for at, masks in pieces:
            here = f.at(plane, at, shape.element)
            halves = [f.load(shape.vec, here, h * shape.lanes, mask, old) for h, (mask, old) in enumerate(zip(masks, halves))]
        return halves if self.pace == 1 else [f.shuffle(halves[0], halves[1], range(h, 2 * shape.lanes, 2)) for h in (0, 1)]

    def _pair(self, n: int, odd: Value) -> list[tuple[Value, list[Value]]]:
        """As _pieces at pace 2, for two neighbouring taps: `odd` are the lanes of the second."""
        f, lanes = self.f, self.shape.lanes
        out: list[tuple[Value, list[Value]]] = []
        for s in range(n):
            at = f.cast("sext", f.load("i32", self.entry, self.first + 1 + s), "i64") + self.offset
            here = f.load("i32", self.entry, self.first + 1 + PIECES + s) if self.most > 1 else f.const("i32", -1)
            wide = double(f, self.inside & here) | (double(f, odd & here) << 1)
            out.append((at, [bits_mask(f, wide, lanes), bits_mask(f, wide >> lanes, lanes)]))
        return out

    def _index(self) -> Value:
        """Lane by lane: the element each lane reads."""
        f, lanes = self.f, self.shape.lanes
        return f.load(f"<{lanes} x i32>", self.entry, self.lane_slot * lanes) + f.splat(f.cast("trunc", self.offset, "i32"), lanes)

    def _gather(self, plane: Value, index: Value) -> Value:
        f, shape = self.f, self.shape
        at = f.op(f"<{shape.lanes} x ptr>", f"getelementptr {shape.element}, ptr {plane.text}, {index}")
        name = f"llvm.masked.gather.v{shape.lanes}{'f32' if shape.element == 'float' else 'f64'}.v{shape.lanes}p0"
        return f.call(
            shape.vec, name, at, Value(f, "i32", str(shape.size)), bits_mask(f, self.inside, shape.lanes), f.const(shape.vec, 0.0)
        )

    def planes(self, plane: Value, distance: Value, count: Value, to: Value, step: Value | int, ahead: int = 0) -> None:
        """Copy the pixels of `count` planes, `distance` elements apart, to vectors at `to`, `step` elements apart. `ahead`: elements after
        these that will be wanted soon (a vector from each of many planes defeats the processor's own prefetching)."""
        f, shape = self.f, self.shape
        if self.pace == 0:
            index = self._index()
            with f.range(0, count) as i:
                f.store(self._gather(f.at(plane, i * distance, shape.element), index), f.at(to, i * step, shape.element))
            return
        for n in self._ways():
            pieces = self.runs(n)
            with f.range(0, count) as i:
                here = f.at(plane, i * distance, shape.element)
                if ahead:
                    f.prefetch(here, pieces[0][0] + ahead, elem=shape.element)
                f.store(self.take(here, pieces)[0], f.at(to, i * step, shape.element))

    def planes_of_two(
        self,
        other: Pieces,
        plane: Value,
        distance: Value,
        count: Value,
        to: Value,
        then: Value,
        step: Value | int,
        ahead: Value | None = None,
    ) -> None:
        """The same for this tap, to `to`, and for the one at its right, to `then`: at pace 2 both come from the same loads. `ahead`: as above."""
        f, shape = self.f, self.shape
        if self.pace != 2:
            self.planes(plane, distance, count, to, step)
            other.planes(plane, distance, count, then, step)
            return
        for n in self._ways():
            pieces = self._pair(n, other.inside)
            with f.range(0, count) as i:
                here = f.at(plane, i * distance, shape.element)
                if ahead is not None:
                    f.prefetch(here, pieces[0][0] + ahead, elem=shape.element)
                for x, place in zip(self.take(here, pieces), (to, then)):
                    f.store(x, f.at(place, i * step, shape.element))

    def _ways(self) -> Iterator[int]:
        """Numbers of pieces, each inside the branch where it holds."""
        if self.most == 1:
            yield 1
            return
        f = self.f
        parts = f.load("i32", self.entry, self.first)
        for n in range(1, self.most + 1):
            with f.when(parts.eq(n)):
                yield n


def together(sources: Sequence[Pieces], plane: Value, distance: Value, count: Value, to: Sequence[Value], step: int) -> None:
    """Pieces.planes for several taps, plane by plane; each vector is one piece at pace 1."""
    f, shape = sources[0].f, sources[0].shape
    pieces = [source.runs(1) for source in sources]
    with f.range(0, count) as i:
        here = f.at(plane, i * distance, shape.element)
        values = [source.take(here, each)[0] for source, each in zip(sources, pieces)]
        for x, place in zip(values, to):
            f.store(x, f.at(place, i * step, shape.element))


def window(f: Function, shape: Shape, pace: int, most: int, deep: bool, entry: Value, tap: Value, masks: Value, offset: Value) -> Pieces:
    """A vector of pixels under one tap. `tap`: its four words; `masks`: what emit_shift_masks wrote; `offset`: what the period adds."""
    place = [f.load("i64", tap, i) for i in range(4)]
    inside = f.load("i32", masks, place[3]) & f.load("i32", masks, place[2])
    if deep:
        inside = inside & f.load("i32", masks, place[1])
    return Pieces(f, shape, pace, most, entry, read_pieces(shape.lanes), SOURCE, inside, place[0] + offset)


def pixels(f: Function, shape: Shape, pace: int, most: int, entry: Value, limit: Value, offset: Value) -> Pieces:
    """A vector of pixels in the result's planes."""
    return Pieces(f, shape, pace, most, entry, written_pieces(shape.lanes), RESULT, mask_bits(f, limit, shape.lanes), offset)


def write_rows(
    f: Function,
    shape: Shape,
    write: int,
    entry: Value,
    offset: Value,
    limit: Value,
    left: Value,
    source: Value,
    rows: Value,
    to: Value,
    ld: Value,
) -> None:
    """Store a vector of each of `rows` rows of a buffer [rows][width] to planes at `to`, `ld` elements apart. `limit`: lanes to store, `left`
    of them."""
    lanes, vec = shape.lanes, shape.vec
    if write == 0:
        with f.range(0, f.smin(left, lanes)) as j:
            at = f.cast("sext", f.load("i32", entry, j + RESULT * lanes), "i64") + offset
            column, place = f.at(source, j, shape.element), f.at(to, at, shape.element)
            with f.range(0, rows) as r:
                f.store(f.load(shape.element, column, r * shape.width), f.at(place, r * ld, shape.element))
        return
    count = f.load("i32", entry, written_pieces(lanes))
    for s in range(PIECES):
        with f.when(count > s):
            at = f.cast("sext", f.load("i32", entry, written_pieces(lanes) + 1 + s), "i64") + offset
            bits = mask_bits(f, limit, lanes) & f.load("i32", entry, written_pieces(lanes) + 1 + PIECES + s)
            place = f.at(to, at, shape.element)
            halves = spread(f, bits, lanes) if write == 2 else [bits_mask(f, bits, lanes)]
            with f.range(0, rows) as r:
                x, row = f.load(vec, source, r * shape.width), f.at(place, r * ld, shape.element)
                for h, part in enumerate(halves):
                    index = [(h * lanes + i) // 2 for i in range(lanes)]
                    f.store(f.shuffle(x, None, index) if write == 2 else x, row, h * lanes, part)
