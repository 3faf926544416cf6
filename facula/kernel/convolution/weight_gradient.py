"""Gradient of the weight: for every tap and channel a row of the image against all outputs, contracted over pixels.

    part[(tap, c), o] = sum over pixels p of a block of images of  x[n, c, source(p, tap)] * g[n, o, p]

The tile's rows are (tap, c): rows of the image as they lie, read by broadcast. Its vectors run along outputs: g is transposed once for a block
of pixels and serves all taps and channels. Blocks of images are summed afterwards, in order, so no result depends on the threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...runtime.ir import Module, Names
from ...runtime.pool_code import scratch
from .product import View
from .reader import pixels
from .tile import Shape, emit_tile, shape_for

BLOCK = 448  # pixels contracted at a time, the most
PITCH = BLOCK + 16  # elements from row to row of a block: not a power of two, so that rows do not evict each other
ROWS = 112  # rows of a block at most
AHEAD = 64  # elements of g that are fetched before they are wanted
OUTPUTS = 512  # outputs of an item at most

WORDS = {
    "x": "ptr", "g": "ptr", "part": "ptr", "entries": "ptr", "taps": "ptr", "shifts": "ptr", "w_shifts": "i64", "h_shifts": "i64", "d_shifts": "i64",
    "channels": "i64", "outputs": "i64", "groups": "i64", "tap_count": "i64", "images": "i64", "together": "i64", "image_block": "i64",
    "x_image": "i64", "x_plane": "i64", "g_image": "i64", "g_plane": "i64", "depth": "i64", "height": "i64", "width": "i64",
    "pixels": "i64", "period": "i64", "source_step": "i64", "row_step": "i64", "result_step": "i64",
    "channel_block": "i64", "channel_blocks": "i64", "tap_block": "i64", "units": "i64", "unit_block": "i64", "unit_blocks": "i64",
    "output_block": "i64", "output_blocks": "i64",
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """Static: rows and vectors of a tile, paces and pieces of the image and of the gradient (geometry.Table), whether planes have three dims."""

    element: str
    rows: int
    vectors: int
    read: int
    read_pieces: int
    write: int
    write_pieces: int
    deep: bool


def emit_weight_gradient(m: Module, name: str, form: Form) -> None:
    """Items: blocks of images x groups x blocks of units (a unit: some taps with some channels) x blocks of outputs."""
    shape = replace(shape_for(form.element, m.target), vectors=form.vectors)
    tile = emit_tile(m, shape, form.rows, 1, PITCH)
    _emit_turn(m, shape, form)
    _emit_rows(m, shape, form)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w = Names(f, words, WORDS)
        rows = scratch(f, worker)
        turned = f.at(rows, ROWS * PITCH, form.element)
        masks = f.at(turned, OUTPUTS * BLOCK, form.element)
        with f.range(lo, hi) as item:
            rest, first = item.udiv(w.output_blocks), item.urem(w.output_blocks) * w.output_block
            last = f.smin(w.outputs, first + w.output_block)
            unit, rest = rest.urem(w.unit_blocks) * w.unit_block, rest.udiv(w.unit_blocks)
            unit_end = f.smin(w.units, unit + w.unit_block)
            group, block = rest.urem(w.groups), rest.udiv(w.groups)
            part = f.at(w.part, rest * (w.tap_count * w.channels * w.outputs), form.element)
            image_end = f.smin(w.images, (block + 1) * w.image_block)
            add = f.var("i64", 0)
            with f.range(block * w.image_block, image_end, w.together) as image:
                total = f.smin(w.together, image_end - image) * w.pixels
                x = f.at(w.x, image * w.x_image + group * w.channels * w.x_plane, form.element)
                g = f.at(w.g, image * w.g_image + (group * w.outputs + first) * w.g_plane, form.element)
                with f.range(0, total, BLOCK) as q:
                    k = f.smin(total - q, BLOCK)
                    f.call("void", "turn", words, g, turned, masks, q, k, last - first)
                    with f.range(unit, unit_end) as u:
                        c0, t0 = u.urem(w.channel_blocks) * w.channel_block, u.udiv(w.channel_blocks) * w.tap_block
                        channels, taps = f.smin(w.channel_block, w.channels - c0), f.smin(w.tap_block, w.tap_count - t0)
                        f.call("void", "rows", words, f.at(x, c0 * w.x_plane, form.element), rows, masks, q, k, t0, taps, channels)
                        here = f.at(part, (t0 * w.channels + c0) * w.outputs + first, form.element)
                        count = taps * channels
                        with f.range(0, count, form.rows) as r, f.range(0, last - first, shape.width) as o:
                            a, c = f.at(rows, r * PITCH, form.element), f.at(here, r * w.outputs + o, form.element)
                            panel = f.at(turned, o * BLOCK, form.element)
                            f.call("void", tile, a, panel, c, w.outputs, k, f.smin(last - first - o, shape.width), count - r, add.v, x)
                    add.v = f.i64(1)


def _emit_turn(m: Module, shape: Shape, form: Form) -> None:
    """A block of the gradient transposed to panels [outputs / width][pixel][width], and the masks of its vectors under all shifts."""
    signature = "ptr words, ptr g, ptr to, ptr masks, i64 q, i64 k, i64 outputs"
    lanes = shape.lanes
    with m.function("turn", signature, internal=True) as (f, words, g, to, masks, q, k, outputs):
        w = Names(f, words, WORDS)
        square = f.array(form.element, lanes * lanes)
        pitch = w.w_shifts + w.h_shifts + w.d_shifts
        with f.range(0, k, lanes) as p:
            view = View(f, shape, w, q + p, k - p)
            view.mask(0, form.deep, f.at(masks, p.udiv(lanes) * pitch, "i32"))
            source = pixels(f, shape, form.write, form.write_pieces, view.entry(0), view.limits[0], view.result)
            with f.range(0, outputs, lanes) as o:
                source.planes(f.at(g, o * w.g_plane, form.element), w.g_plane, f.smin(outputs - o, lanes), square, lanes, AHEAD)
                panel = o.udiv(shape.width) * shape.width
                column = f.at(to, panel * BLOCK + p * shape.width + (o - panel), form.element)
                for i, row in enumerate(f.transpose([f.load(shape.vec, square, i * lanes) for i in range(lanes)])):
                    f.store(row, column, i * shape.width)


def _emit_rows(m: Module, shape: Shape, form: Form) -> None:
    """The image under some taps, row by row: [tap][channel][PITCH]."""
    signature = "ptr words, ptr x, ptr to, ptr masks, i64 q, i64 k, i64 t0, i64 taps, i64 channels"
    shape = replace(shape, vectors=1)
    with m.function("rows", signature, internal=True) as (f, words, x, to, masks, q, k, t0, taps, channels):
        w = Names(f, words, WORDS)
        pitch = w.w_shifts + w.h_shifts + w.d_shifts
        with f.range(0, k, shape.lanes) as p:
            view = View(f, shape, w, q + p, k - p)
            here = f.at(masks, p.udiv(shape.lanes) * pitch, "i32")
            at = f.at(w.taps, t0 * 4, "i64")
            view.copy(form.read, form.read_pieces, form.deep, x, channels, at, taps, here, f.at(to, p, form.element), PITCH)


SUM_WORDS = {
    "to": "ptr", "part": "ptr", "blocks": "i64", "block_stride": "i64", "outputs": "i64", "channels": "i64", "tap_count": "i64",
    "output_vectors": "i64", "row_parts": "i64", "output_stride": "i64",
}  # fmt: skip
ROW_PART = 256  # elements of a row of the weight in an item of the sum


def emit_sum(m: Module, name: str, element: str) -> None:
    """part[block][group][tap][channel][output] -> weight[group][output][channel][tap], blocks added in order; squares of lanes x lanes are
    transposed in registers. Items: groups x vectors of outputs x parts of a row (channel, tap)."""
    shape = shape_for(element, m.target)
    lanes = shape.lanes
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, SUM_WORDS)
        square = f.array(element, lanes * lanes)
        length = w.channels * w.tap_count
        with f.range(lo, hi) as item:
            r0, rest = item.urem(w.row_parts) * ROW_PART, item.udiv(w.row_parts)
            o, group = rest.urem(w.output_vectors) * lanes, rest.udiv(w.output_vectors)
            mask, count = f.mask(lanes, w.outputs - o), f.smin(w.outputs - o, lanes)
            to = f.at(w.to, (group * w.outputs + o) * w.output_stride, element)
            part = f.at(w.part, group * length * w.outputs + o, element)
            with f.range(r0, f.smin(length, r0 + ROW_PART), lanes) as r:
                columns = f.smin(length - r, lanes)
                with f.range(0, columns) as i:
                    c = (r + i).udiv(w.tap_count)
                    at = f.at(part, ((r + i - c * w.tap_count) * w.channels + c) * w.outputs, element)
                    total = f.var(shape.vec, f.load(shape.vec, at, 0, mask))
                    with f.range(1, w.blocks) as b:
                        total.v = total.v + f.load(shape.vec, f.at(at, b * w.block_stride, element), 0, mask)
                    f.store(total.v, square, i * lanes)
                for i, row in enumerate(f.transpose([f.load(shape.vec, square, i * lanes) for i in range(lanes)])):
                    f.store(row, square, i * lanes)
                kept = f.mask(lanes, columns)
                with f.range(0, count) as j:
                    f.store(f.load(shape.vec, square, j * lanes), f.at(to, j * w.output_stride + r, element), 0, kept)


ZERO_WORDS = {"to": "ptr", "count": "i64"}


def emit_zero(m: Module, name: str, element: str) -> None:
    """`count` zeros: the gradient where there is no image or no pixel. One item."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, *_):
        to, count = f.words(words, *ZERO_WORDS.values())
        with f.range(0, count) as i:
            f.store(f.const(element, 0), to, i)
