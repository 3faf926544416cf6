"""Reading and writing vectors of pixels as a table entry says (geometry.py draws the entry)."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.ir import Function, Value
from .geometry import PIECES, RESULT, SOURCE, D, H, W, read_pieces, written_pieces
from .tile import Shape

Sizes = Sequence[Value]  # D, H, W of the source's plane


def bits_mask(f: Function, bits: Value, lanes: int) -> Value:
    """Lane mask of the low bits of an i32."""
    return f.cast("bitcast", f.cast("trunc", bits, f"i{lanes}"), f"<{lanes} x i1>")


def spread(f: Function, mask: Value, lanes: int) -> tuple[Value, Value]:
    """A mask for every second lane of two vectors."""
    zero = f.const(mask.type, 0)
    low, high = ([h + i // 2 if i % 2 == 0 else lanes for i in range(lanes)] for h in (0, lanes // 2))
    return f.shuffle(mask, zero, low), f.shuffle(mask, zero, high)


class Window:
    """One vector of pixels under one tap: which lanes lie inside the source, and where. Made once, used for every channel."""

    def __init__(
        self, f: Function, shape: Shape, read: int, deep: bool, entry: Value, tap: Value, sizes: Sizes, offset: Value, row: Value, limit: Value
    ) -> None:
        """`tap`: its four words; `offset` and `row`: what the period adds; `limit`: lanes that hold a pixel."""
        self.f, self.shape, self.read, self.entry = f, shape, read, entry
        lanes = shape.lanes
        ints = f"<{lanes} x i32>"
        shift = [f.load("i64", tap, i) for i in range(4)]
        self.offset = shift[0] + offset
        inside = limit
        for slot, extra, size in ((W, shift[3], sizes[2]), (H, shift[2] + row, sizes[1]), (D, shift[1], sizes[0])):
            if slot == D and not deep:
                continue
            at = f.load(ints, entry, slot * lanes) + f.splat(f.cast("trunc", extra, "i32"), lanes)
            inside = inside & at.ult(f.splat(f.cast("trunc", size, "i32"), lanes))
        self.inside = inside
        self.count = f.load("i32", entry, read_pieces(lanes))

    def pieces(self, n: int) -> list[tuple[Value, list[Value]]]:
        """(offset, masks of the one or two vectors at the offset) of the first n pieces."""
        f, lanes = self.f, self.shape.lanes
        out = []
        for s in range(n):
            at = f.cast("sext", f.load("i32", self.entry, read_pieces(lanes) + 1 + s), "i64") + self.offset
            mask = self.inside & bits_mask(f, f.load("i32", self.entry, read_pieces(lanes) + 1 + PIECES + s), lanes)
            out.append((at, [mask] if self.read == 1 else list(spread(f, mask, lanes))))
        return out

    def take(self, plane: Value, pieces: list[tuple[Value, list[Value]]]) -> Value:
        """The pixels' values in one plane; zeros outside."""
        f, shape = self.f, self.shape
        halves = [f.const(shape.vec, 0.0) for _ in range(self.read)]
        for at, masks in pieces:
            here = f.at(plane, at, shape.element)
            halves = [f.load(shape.vec, here, h * shape.lanes, mask, old) for h, (mask, old) in enumerate(zip(masks, halves))]
        return halves[0] if self.read == 1 else f.shuffle(halves[0], halves[1], range(0, 2 * shape.lanes, 2))

    def index(self) -> Value:
        """Lane by lane: the element each lane reads."""
        f, lanes = self.f, self.shape.lanes
        return f.load(f"<{lanes} x i32>", self.entry, SOURCE * lanes) + f.splat(f.cast("trunc", self.offset, "i32"), lanes)

    def gather(self, plane: Value, index: Value) -> Value:
        f, shape = self.f, self.shape
        at = f.op(f"<{shape.lanes} x ptr>", f"getelementptr {shape.element}, ptr {plane.text}, {index}")
        name = f"llvm.masked.gather.v{shape.lanes}{'f32' if shape.element == 'float' else 'f64'}.v{shape.lanes}p0"
        return f.call(shape.vec, name, at, Value(f, "i32", str(shape.size)), self.inside, f.const(shape.vec, 0.0))

    def planes(self, plane: Value, distance: Value, count: Value, to: Value, step: object) -> None:
        """Copy the pixels of `count` planes, `distance` elements apart, to vectors at `to`, `step` elements apart."""
        f, shape = self.f, self.shape

        def each(take: object) -> None:
            with f.range(0, count) as i:
                f.store(take(f.at(plane, i * distance, shape.element)), f.at(to, i * step, shape.element))  # type: ignore[operator]

        if self.read == 0:
            index = self.index()
            each(lambda p: self.gather(p, index))
            return
        for n, condition in ((1, self.count.eq(1)), (2, self.count.eq(2)), (PIECES, self.count > 2)):
            with f.when(condition):
                pieces = self.pieces(n)
                each(lambda p, pieces=pieces: self.take(p, pieces))


def write_rows(
    f: Function, shape: Shape, write: int, entry: Value, offset: Value, limit: Value, left: Value, source: Value, rows: Value, to: Value, ld: Value
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
            mask = limit & bits_mask(f, f.load("i32", entry, written_pieces(lanes) + 1 + PIECES + s), lanes)
            place = f.at(to, at, shape.element)
            halves = spread(f, mask, lanes) if write == 2 else (mask,)
            with f.range(0, rows) as r:
                x, row = f.load(vec, source, r * shape.width), f.at(place, r * ld, shape.element)
                for h, part in enumerate(halves):
                    index = [(h * lanes + i) // 2 for i in range(lanes)]
                    f.store(f.shuffle(x, None, index) if write == 2 else x, row, h * lanes, part)
