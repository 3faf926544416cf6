"""Convolution as a matrix product whose second operand is read from the image: NCHW in, NCHW out, no im2col in memory.

    y[n, o, p] = sum over (tap, c) of  w[o, c, tap] * x[n, c, source(p, tap)]        p: pixel

Vectors run along pixels, weights are broadcast from panels [o / rows][c block][tap][c][rows]. For a few panels of pixels (two vectors each) the
pixels of all channels under all taps are copied to the worker's scratch memory, which takes a few per cent of the time of the product that follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...runtime.ir import Function, Module, Names, Value
from ...runtime.pool_code import scratch
from .geometry import entry_words
from .reader import Pieces, emit_shift_masks, together, window, write_rows
from .tile import Shape, emit_tile, shape_for

DEPTH = 1024  # k of one pass: deep, because every pass reads and writes the results again
PANELS = 4  # of pixels that meet a panel of weights while it is near
TOGETHER = 3  # taps that are read together
MASKS = 1024  # distinct shifts of a kernel's taps at most, all dims together

WORDS = {
    "x": "ptr", "panels": "ptr", "y": "ptr", "bias": "ptr", "entries": "ptr", "taps": "ptr", "shifts": "ptr",
    "w_shifts": "i64", "h_shifts": "i64", "d_shifts": "i64",
    "channels": "i64", "outputs": "i64", "groups": "i64", "tap_count": "i64", "images": "i64", "together": "i64",
    "x_image": "i64", "x_plane": "i64", "y_image": "i64", "y_plane": "i64", "depth": "i64", "height": "i64", "width": "i64",
    "pixels": "i64", "period": "i64", "source_step": "i64", "row_step": "i64", "result_step": "i64",
    "columns": "i64", "column_blocks": "i64", "output_block": "i64", "output_blocks": "i64", "channel_block": "i64", "tap_block": "i64",
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What is static in a product: the element type, rows of a tile, paces of reading and writing (geometry.Table; write -1: straight into the
    result), whether planes have three dims, whether there is a bias."""

    element: str
    rows: int
    read: int
    pieces: int
    write: int
    deep: bool
    bias: bool


def emit_product(m: Module, name: str, form: Form) -> None:
    """Items: image groups x channel groups x blocks of pixels x blocks of outputs x grids. Word 0 counts the grids; each has words of its own."""
    shape = shape_for(form.element, m.target)
    tile = emit_tile(m, shape, form.rows, form.rows, 1, form.bias)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        grids = f.load("i64", words)
        panel = scratch(f, worker)
        masks = f.at(panel, PANELS * DEPTH * shape.width, form.element)
        buffer = f.bytes(masks, MASKS * 4 * shape.vectors * PANELS)
        with f.range(lo, hi) as item:
            w = Names(f, f.at(words, item.urem(grids) * len(WORDS) + 1, "i64"), WORDS)
            place = item.udiv(grids)
            rest = place.udiv(w.output_blocks)
            first = (place - rest * w.output_blocks) * w.output_block
            last = f.smin(w.outputs, first + w.output_block)
            block, rest = rest.urem(w.column_blocks), rest.udiv(w.column_blocks)
            group, image = rest.urem(w.groups), rest.udiv(w.groups) * w.together
            total = f.smin(w.together, w.images - image) * w.pixels
            x = f.at(w.x, image * w.x_image + group * w.channels * w.x_plane, form.element)
            y = f.at(w.y, image * w.y_image + (group * w.outputs + first) * w.y_plane, form.element)
            start = block * w.columns
            end = f.smin(total, start + w.columns)
            rows_before = group * w.outputs + first  # weights of a group start at a panel of their own
            panels = f.at(
                w.panels,
                (group * ceil_div(w.outputs, form.rows) + first.udiv(form.rows)) * form.rows * w.channels * w.tap_count,
                form.element,
            )
            bias = f.at(w.bias, rows_before, form.element)
            with f.range(start, end, shape.width * PANELS) as q0:
                count = f.smin(end - q0 + (shape.width - 1), shape.width * PANELS).udiv(shape.width)

                def each(q0: Value = q0, count: Value = count, w: Names = w, end: Value = end) -> Iterator[tuple[Value, View]]:
                    """The panels of pixels, one after the other."""
                    with f.range(0, count) as j:
                        q = q0 + j * shape.width
                        yield j, View(f, shape, w, q, f.smin(end - q, shape.width))

                for j, view in each():
                    for v in range(shape.vectors):
                        view.mask(v, form.deep, f.at(masks, (j * shape.vectors + v) * MASKS, "i32"))
                with f.range(0, f.smax(w.channels, 1), w.channel_block) as c0, f.range(0, f.smax(w.tap_count, 1), w.tap_block) as t0:
                    channels, taps = f.smin(w.channel_block, w.channels - c0), f.smin(w.tap_block, w.tap_count - t0)
                    for j, view in each():
                        plane, mask = f.at(x, c0 * w.x_plane, form.element), f.at(masks, j * shape.vectors * MASKS, "i32")
                        to = f.at(panel, j * (DEPTH * shape.width), form.element)
                        view.copy(
                            form.read, form.pieces, form.deep, plane, channels, f.at(w.taps, t0 * 4, "i64"), taps, mask, to, shape.width
                        )
                    a = f.at(panels, (c0 * w.tap_count + t0 * channels) * form.rows, form.element)
                    add = f.cast("zext", (c0 | t0).ne(0), "i64")
                    with f.range(0, last - first, form.rows) as o:
                        weights = f.at(a, o * w.channels * w.tap_count, form.element)
                        for j, view in each():
                            out, ld = f.at(buffer, (j * w.output_block) * shape.width, form.element), f.i64(shape.width)
                            if form.write < 0:
                                out, ld = f.at(y, view.q, form.element), w.y_plane
                            pixels = f.at(panel, j * (DEPTH * shape.width), form.element)
                            sizes = (ld, channels * taps, view.left, last - first - o, add)
                            f.call("void", tile, weights, pixels, f.at(out, o * ld, form.element), *sizes, f.at(bias, o, form.element))
                if form.write >= 0:
                    for j, view in each():
                        for v in range(shape.vectors):
                            with f.when(view.left > v * shape.lanes):
                                limit, left = view.limits[v], view.left - v * shape.lanes
                                source = f.at(buffer, j * w.output_block * shape.width + v * shape.lanes, form.element)
                                write_rows(
                                    f, shape, form.write, view.entry(v), view.result, limit, left, source, last - first, y, w.y_plane
                                )


class View:
    """A panel of pixels: its table entries, and what the period adds to them."""

    def __init__(self, f: Function, shape: Shape, w: Names, q: Value, left: Value) -> None:
        self.f, self.shape, self.w, self.q, self.left = f, shape, w, q, left
        turn = q.udiv(w.period)
        self.first = f.at(w.entries, (q - turn * w.period).udiv(shape.lanes) * entry_words(shape.lanes), "i32")
        self.source, self.row, self.result = turn * w.source_step, turn * w.row_step, turn * w.result_step
        self.limits = [f.mask(shape.lanes, left - v * shape.lanes) for v in range(shape.vectors)]

    def entry(self, v: int) -> Value:
        return self.f.at(self.first, v * entry_words(self.shape.lanes), "i32")

    def mask(self, v: int, deep: bool, to: Value) -> None:
        w = self.w
        counts, sizes = (w.w_shifts, w.h_shifts, w.d_shifts), (w.depth, w.height, w.width)
        emit_shift_masks(self.f, self.shape, to, self.entry(v), w.shifts, counts, sizes, self.row, self.limits[v], deep)

    def copy(
        self,
        read: int,
        pieces: int,
        deep: bool,
        plane: Value,
        channels: Value,
        taps: Value,
        count: Value,
        masks: Value,
        to: Value,
        step: int,
    ) -> None:
        """The pixels of `channels` planes under `count` taps to [tap][channel][step]. At pace 2 neighbours in a row of taps share loads; at pace
        1 some taps are read together: planes a power of two apart fall into the same few sets of the cache, and leave it soon."""
        f, shape = self.f, self.shape
        vectors = range(shape.vectors)

        def place(t: Value, v: int) -> Value:
            return f.at(to, t * channels * step + v * shape.lanes, shape.element)

        def source(t: Value, v: int) -> Pieces:
            return self.window(v, read, pieces, deep, f.at(taps, t * 4, "i64"), f.at(masks, v * MASKS, "i32"))

        def alone(start: Value | int, stop: Value) -> None:
            with f.range(start, stop) as t:
                for v in vectors:
                    source(t, v).planes(plane, self.w.x_plane, channels, place(t, v), step)

        if read == pieces == 1:
            whole = count - count.urem(TOGETHER)
            with f.range(0, whole, TOGETHER) as t0:
                for v in vectors:
                    taps_ = [t0 + i for i in range(TOGETHER)]
                    together([source(t, v) for t in taps_], plane, self.w.x_plane, channels, [place(t, v) for t in taps_], step)
            alone(whole, count)
            return
        if read != 2:
            alone(0, count)
            return
        with f.range(0, count, 2) as t:
            after = f.smin(t + 1, count - 1)
            pair = f.load("i64", taps, after * 4).eq(f.load("i64", taps, t * 4) + 1)
            with f.when(pair):
                for v in vectors:
                    then = source(after, v)
                    source(t, v).planes_of_two(then, plane, self.w.x_plane, channels, place(t, v), place(after, v), step)
            with f.otherwise(pair):
                alone(t, f.smin(t + 2, count))

    def window(self, v: int, read: int, pieces: int, deep: bool, tap: Value, masks: Value) -> Pieces:
        return window(self.f, self.shape, read, pieces, deep, self.entry(v), tap, masks, self.source)


def ceil_div(a: Value, b: int) -> Value:
    return (a + (b - 1)).udiv(b)
