"""3 x 3 convolution of stride 1 by minimal filtering, F(2 x 2, 3 x 3): Lavin and Gray 2016, arXiv 1509.09308.

Tiles of 2 x 2 results take 16 multiplications a channel instead of 36. With patches d of 4 x 4, filters g of 3 x 3:

    Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A          * element by element

Tiles are the pixels of a Grid with step 2, so patches are read with the same table as anywhere else (16 taps). For a panel of tiles the 16
products [outputs, channels] x [channels, tiles] go through the register tile. Error: about 5e-7 of the largest result, twice the direct form's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from ...runtime.ir import Function, Module, Names, Value
from ...runtime.pool_code import scratch
from ..lanes import store_first
from .geometry import PIECES, H, W, written_pieces
from .panels import turned
from .product import MASKS, View
from .reader import bits_mask, double, mask_bits
from .tile import Shape, emit_tile, shape_for

BT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
AT = ((1, 1, 1, 0), (0, 1, -1, -1))

CHANNELS = 16  # read at a time: their patches stay in L1
APART = 32  # elements between blocks that are written side by side: at powers of two they would evict each other
MOST = 1024  # channels whose transformed patches fit the scratch memory


def times(f: Function, matrix: Sequence[Sequence[float]], xs: Sequence[Value]) -> list[Value]:
    """matrix @ xs for vectors xs; zeros cost nothing."""
    out: list[Value] = []
    for row in matrix:
        acc: Value | None = None
        for c, x in zip(row, xs):
            if c:
                term = x if abs(c) == 1 else x * abs(c)
                acc = (term if c > 0 else -term) if acc is None else acc + term if c > 0 else acc - term
        assert acc is not None
        out.append(acc)
    return out


def sandwich(f: Function, matrix: Sequence[Sequence[float]], grid: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """matrix @ grid @ matrix.T"""
    half = [times(f, matrix, column) for column in zip(*grid)]  # columns of matrix @ grid
    return [times(f, matrix, row) for row in zip(*half)]


FILTER_WORDS = {"to": "ptr", "weight": "ptr", "outputs": "i64", "channels": "i64", "output_stride": "i64", "channel_stride": "i64"}


def emit_filters(m: Module, name: str, element: str, rows: int, backward: bool) -> None:
    """Weights -> transformed panels [outputs / rows][16][channel][rows]; `backward`: taps in reverse. Items: panels."""
    shape = shape_for(element, m.target)
    lanes = shape.lanes
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, FILTER_WORDS)
        with f.range(lo, hi) as panel:
            to = f.at(w.to, panel * (16 * rows * w.channels), element)
            starts = [f.at(w.weight, f.smin(panel * rows + r, w.outputs - 1) * w.output_stride, element) for r in range(rows)]
            with f.range(0, w.channels) as c:
                taps: list[list[Value]] = []
                for j in range(0, 9, lanes):
                    taps += turned(f, shape, [f.at(start, c * w.channel_stride + j, element) for start in starts], f.i64(9 - j))[: 9 - j]
                if backward:
                    taps.reverse()
                for v, tap in enumerate(zip(*taps)):
                    for xi, x in enumerate(chain(*sandwich(f, G, [tap[a : a + 3] for a in (0, 3, 6)]))):
                        at = f.at(to, (xi * w.channels + c) * rows + v * lanes, element)
                        store_first(f, x, at, f.i64(rows - v * lanes))


WORDS = {
    "x": "ptr", "filters": "ptr", "y": "ptr", "bias": "ptr", "entries": "ptr", "taps": "ptr", "shifts": "ptr", "w_shifts": "i64", "h_shifts": "i64",
    "d_shifts": "i64", "channels": "i64", "outputs": "i64", "images": "i64", "together": "i64", "x_image": "i64", "x_plane": "i64",
    "y_image": "i64", "y_plane": "i64", "depth": "i64", "height": "i64", "width": "i64", "out_height": "i64", "out_width": "i64",
    "pad_height": "i64", "pad_width": "i64", "pixels": "i64", "period": "i64", "source_step": "i64", "row_step": "i64", "result_step": "i64",
    "columns": "i64", "column_blocks": "i64", "output_block": "i64", "output_blocks": "i64",
}  # fmt: skip


def emit_winograd(m: Module, name: str, element: str, rows: int, vectors: int, read: int, pieces: int, bias: bool) -> None:
    """Items: image groups x blocks of tiles x blocks of outputs."""
    shape = replace(shape_for(element, m.target), vectors=vectors)
    tile = emit_tile(m, shape, rows, rows, 1)
    _emit_patches(m, shape, read, pieces)
    _emit_results(m, shape, rows, bias)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w = Names(f, words, WORDS)
        patches = scratch(f, worker)
        room = f.at(patches, 16 * (MOST * shape.width + APART), element)
        products = f.at(room, 16 * CHANNELS * shape.lanes, element)
        with f.range(lo, hi) as item:
            rest, first = item.udiv(w.output_blocks), item.urem(w.output_blocks) * w.output_block
            last = f.smin(w.outputs, first + w.output_block)
            block, image = rest.urem(w.column_blocks), rest.udiv(w.column_blocks) * w.together
            x = f.at(w.x, image * w.x_image, element)
            start = block * w.columns
            end = f.smin(f.smin(w.together, w.images - image) * w.pixels, start + w.columns)
            with f.range(start, end, shape.width) as q:
                f.call("void", "patches", words, x, patches, room, q, end - q)
                with f.range(first, last, rows) as o:
                    panel = f.at(w.filters, o * (16 * w.channels), element)
                    with f.range(0, 16) as xi:
                        a, b = f.at(panel, xi * w.channels * rows, element), f.at(patches, xi * (w.channels * shape.width + APART), element)
                        c = f.at(products, xi * (rows * shape.width), element)
                        sizes = (f.i64(shape.width), w.channels, f.i64(shape.width), f.i64(rows), f.i64(0))
                        f.call("void", tile, a, b, c, *sizes, x)
                    y = f.at(w.y, image * w.y_image + o * w.y_plane, element)
                    f.call("void", "results", words, products, y, room, q, end - q, o, f.smin(last - o, rows))


def _emit_patches(m: Module, shape: Shape, read: int, pieces: int) -> None:
    """B^T d B for a panel of tiles: [16][channel][width], APART between the 16. `room`: raw patches of a few channels."""
    lanes, e = shape.lanes, shape.element
    with m.function("patches", "ptr words, ptr x, ptr to, ptr room, i64 q, i64 left", internal=True) as (f, words, x, to, room, q, left):
        w = Names(f, words, WORDS)
        masks = f.array("i32", MASKS)
        view = View(f, shape, w, q, left)
        for v in range(shape.vectors):
            view.mask(v, False, masks)
            with f.range(0, w.channels, CHANNELS) as c0:
                count = f.smin(w.channels - c0, CHANNELS)
                with f.range(0, 16, 2) as t:
                    one, two = [view.window(v, read, pieces, False, f.at(w.taps, t * 4 + 4 * i, "i64"), masks) for i in (0, 1)]
                    even, odd = [f.at(room, (t + i) * (CHANNELS * lanes), e) for i in (0, 1)]
                    one.planes_of_two(two, f.at(x, c0 * w.x_plane, e), w.x_plane, count, even, odd, lanes, w.width * 2)
                with f.range(0, count) as c:
                    here = f.at(room, c * lanes, e)
                    grid = [[f.load(shape.vec, here, (4 * a + b) * CHANNELS * lanes) for b in range(4)] for a in range(4)]
                    for a, row in enumerate(sandwich(f, BT, grid)):
                        for b, value in enumerate(row):
                            f.store(
                                value, f.at(to, (w.channels * shape.width + APART) * (4 * a + b) + (c0 + c) * shape.width, e), v * lanes
                            )


def _emit_results(m: Module, shape: Shape, rows: int, bias: bool) -> None:
    """A^T M A for up to `rows` outputs of a panel of tiles, stored. `room`: results [row of the tile][output][2 lanes]."""
    lanes, e, vec = shape.lanes, shape.element, shape.vec
    signature = "ptr words, ptr products, ptr y, ptr room, i64 q, i64 left, i64 first, i64 count"
    with m.function("results", signature, internal=True) as (f, words, products, y, room, q, left, first, count):
        w = Names(f, words, WORDS)
        view = View(f, shape, w, q, left)
        for v in range(shape.vectors):
            with f.when(left > v * lanes):
                with f.range(0, count) as r:
                    here = f.at(products, r * shape.width + v * lanes, e)
                    grid = [[f.load(vec, here, (4 * a + b) * rows * shape.width) for b in range(4)] for a in range(4)]
                    extra = f.splat(f.load(e, w.bias, first + r), lanes) if bias else None
                    for a, row in enumerate(sandwich(f, AT, grid)):
                        if extra is not None:
                            row = [value + extra for value in row]
                        place = f.at(room, (r + a * rows) * (2 * lanes), e)
                        for h in (0, 1):
                            order = [(h * lanes + i) // 2 + lanes * (i % 2) for i in range(lanes)]
                            f.store(f.shuffle(row[0], row[1], order), place, h * lanes)
                _store(f, shape, w, view, v, rows, room, y, count)


def _store(f: Function, shape: Shape, w: Names, view: View, v: int, rows: int, room: Value, y: Value, count: Value) -> None:
    """Two rows of pairs of results; at odd edges the second row or column is outside."""
    lanes, e = shape.lanes, shape.element
    entry, ints = view.entry(v), f"<{shape.lanes} x i32>"

    def within(slot: int, extra: Value, size: Value) -> Value:
        """Tiles whose second row (column) is inside."""
        at = f.load(ints, entry, slot * lanes) + f.splat(f.cast("trunc", extra, "i32"), lanes)
        return mask_bits(f, at < f.splat(f.cast("trunc", size, "i32"), lanes), lanes)

    inside = mask_bits(f, view.limits[v], lanes)
    columns = inside & within(W, w.pad_width + 1, w.out_width)
    below = within(H, w.pad_height + view.row + 1, w.out_height)
    pieces = f.load("i32", entry, written_pieces(lanes))
    with f.range(0, f.cast("sext", pieces, "i64")) as s:
        at = f.cast("sext", f.load("i32", entry, s + (written_pieces(lanes) + 1)), "i64") + view.result
        lanes_here = f.load("i32", entry, s + (written_pieces(lanes) + 1 + PIECES))
        for a in (0, 1):
            even, odd = inside & lanes_here, columns & lanes_here
            if a:
                even, odd = even & below, odd & below
            bits = double(f, even) | (double(f, odd) << 1)
            parts = [bits_mask(f, bits, lanes), bits_mask(f, bits >> lanes, lanes)]
            place = f.at(y, at + (w.out_width if a else 0), e)
            with f.range(0, count) as r:
                source, row = f.at(room, (r + a * rows) * (2 * lanes), e), f.at(place, r * w.y_plane, e)
                for h, part in enumerate(parts):
                    f.store(f.load(shape.vec, source, h * lanes), row, h * lanes, part)
