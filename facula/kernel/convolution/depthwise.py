"""Depthwise convolution: every channel by itself. Bound by memory, so no matrix product: taps stay in registers.

An item is a plane (or a band of its rows). The source rows are copied to scratch memory with a border of zeros; then vectors of results take one
multiply-add a tap, several rows of results at a time so that a source row is loaded once for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...base.dtypes import float32, float64
from ...runtime.ir import Function, Module, Names, Term, Value
from ...runtime.pool_code import scratch
from ..lanes import fill_row
from .tile import Shape, shape_for

ROWS = 8  # rows of results at a time at most
TAPS = 9  # that stay in registers
BOARD = 3 << 19  # bytes of scratch memory for the rows of a band

WORDS = {
    "x": "ptr", "w": "ptr", "y": "ptr", "bias": "ptr", "groups": "i64", "images": "i64", "multiplier": "i64", "x_image": "i64", "x_plane": "i64",
    "y_image": "i64", "y_plane": "i64", "height": "i64", "width": "i64", "out_height": "i64", "out_width": "i64", "pad_height": "i64",
    "pad_width": "i64", "dilation_h": "i64", "dilation_w": "i64", "spread_h": "i64", "spread_w": "i64", "pitch": "i64", "band": "i64", "bands": "i64",
    "weight_stride": "i64", "first": "i64", "step": "i64",
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """Static: the element type, the kernel, the stride (1 or 2), whether rows of taps are neighbours (no dilation), whether the source is
    spread (the gradient of a strided convolution: zeros between its elements), whether there is a bias; rows of results at a time, so that a
    source row is loaded once for all of them."""

    element: str
    kernel: tuple[int, int]
    stride: int
    close: bool
    spread: bool
    bias: bool
    rows: int


def emit_depthwise(m: Module, name: str, form: Form) -> None:
    """Items: images x groups x bands of rows."""
    shape = shape_for(form.element, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w, board = Names(f, words, WORDS), scratch(f, worker)
        with f.range(lo, hi) as item:
            rest, r0 = item.udiv(w.bands), item.urem(w.bands) * w.band
            image, group = rest.udiv(w.groups), rest.urem(w.groups)
            r1 = f.smin(w.out_height, r0 + w.band)
            x = f.at(w.x, image * w.x_image + group * w.x_plane, form.element)
            rows = (r1 - r0 - 1) * form.stride + (form.kernel[0] - 1) * w.dilation_h + 1
            copy_rows(f, shape, w, form.spread, board, x, r0 * form.stride - w.pad_height, rows)
            with f.range(group * w.multiplier, (group + 1) * w.multiplier) as o:
                weights = f.at(w.w, o * w.weight_stride + w.first, form.element)
                every = range(form.kernel[1]) if math.prod(form.kernel) <= TAPS else ()
                taps = [_column(f, shape, w, form, weights, b) for b in every]
                start = f.splat(f.load(form.element, w.bias, o), shape.lanes) if form.bias else f.const(shape.vec, 0.0)
                y = f.at(w.y, image * w.y_image + o * w.y_plane, form.element)
                with f.range(r0, r1, form.rows) as oh, f.range(0, w.out_width, shape.lanes) as ow:
                    here = f.at(board, (oh - r0) * form.stride * w.pitch + ow * form.stride, form.element)
                    mask = f.mask(shape.lanes, w.out_width - ow)
                    for r, value in enumerate(_results(f, shape, w, form, here, weights, taps, start)):
                        with f.when(oh + r < r1):
                            f.store(value, y, (oh + r) * w.out_width + ow, mask)


def copy_rows(f: Function, shape: Shape, w: Names, spread: bool, board: Value, x: Value, top: Value, rows: Value) -> None:
    """board[r][j] = x[top + r][j - pad], zeros outside; with `spread`, rows and columns of x are that far apart."""
    d = float32 if shape.element == "float" else float64
    zero = f.const(shape.element, 0)
    with f.range(0, rows) as r:
        to, h = f.at(board, r * w.pitch, shape.element), top + r
        if not spread:
            inside = h.ult(w.height)
            row = f.at(x, f.select(inside, h * w.width, f.i64(0)), shape.element)
            fill_row(f, d, shape.lanes, to, w.pitch - shape.lanes, row, w.pad_width, f.select(inside, w.width, f.i64(0)), zero)
        else:
            fill_row(f, d, shape.lanes, to, w.pitch - shape.lanes, x, f.i64(0), f.i64(0), zero)
            real = f.smax(h, 0).udiv(w.spread_h)
            with f.when((h >= 0) & (real * w.spread_h).eq(h) & (real < w.height)):
                row = f.at(x, real * w.width, shape.element)
                with f.range(0, w.width) as j:
                    place = w.pad_width + j * w.spread_w
                    with f.when(place.ult(w.pitch)):
                        f.store(f.load(shape.element, row, j), to, place)


def _column(f: Function, shape: Shape, w: Names, form: Form, weights: Value, b: Term) -> list[Value]:
    """The taps of a column of the kernel, each in all lanes."""
    kh, kw = form.kernel
    return [f.splat(f.load(form.element, weights, w.step * (f.i64(b) + a * kw)), shape.lanes) for a in range(kh)]


def read(f: Function, shape: Shape, stride: int, at: Value) -> Value:
    """A vector of every `stride`-th element."""
    x = f.load(shape.vec, at)
    return x if stride == 1 else f.shuffle(x, f.load(shape.vec, at, shape.lanes), range(0, 2 * shape.lanes, 2))


def _results(
    f: Function, shape: Shape, w: Names, form: Form, here: Value, weights: Value, taps: list[list[Value]], start: Value
) -> list[Value]:
    """`form.rows` rows of a vector of results; column by column of the kernel, in the same order for every result. Without `taps` a loop reads
    a column's: unrolled, LLVM would take one result after the other, and all taps and pixels would be spilled."""
    kh, kw = form.kernel
    acc = [f.var(shape.vec, start) for _ in range(form.rows)]

    def column(b: Term, taps: list[Value]) -> None:
        for line in range((form.rows - 1) * form.stride + kh):
            near = f.at(here, w.pitch * line * (1 if form.close else w.dilation_h) + w.dilation_w * b, form.element)
            x = read(f, shape, form.stride, near)
            for r in range(form.rows):
                if 0 <= line - r * form.stride < kh:
                    acc[r].v = f.fma(taps[line - r * form.stride], x, acc[r].v)

    for b, of in enumerate(taps):
        column(b, of)
    if not taps:
        with f.range(0, kw) as b:
            column(b, _column(f, shape, w, form, weights, b))
    return [a.v for a in acc]


def emit_depthwise_weight(m: Module, name: str, form: Form) -> None:
    """Gradient of the weight, all images of a channel in order: `y` is the result's gradient, `w` what is written. Items: groups."""
    shape = shape_for(form.element, m.target)
    kh, kw = form.kernel
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w, board = Names(f, words, WORDS), scratch(f, worker)
        with f.range(lo, hi) as group:
            acc = [f.var(shape.vec, 0.0) for _ in range(kh * kw)]
            with f.range(0, w.images) as image, f.range(0, w.out_height, w.band) as r0:
                r1 = f.smin(w.out_height, r0 + w.band)
                x = f.at(w.x, image * w.x_image + group * w.x_plane, form.element)
                rows = (r1 - r0 - 1) * form.stride + (kh - 1) * w.dilation_h + 1
                copy_rows(f, shape, w, False, board, x, r0 * form.stride - w.pad_height, rows)
                g = f.at(w.y, image * w.y_image + group * w.y_plane, form.element)
                with f.range(r0, r1) as oh, f.range(0, w.out_width, shape.lanes) as ow:
                    here = f.at(board, (oh - r0) * form.stride * w.pitch + ow * form.stride, form.element)
                    value = f.load(shape.vec, g, oh * w.out_width + ow, f.mask(shape.lanes, w.out_width - ow))
                    for a in range(kh):
                        source = f.at(here, w.pitch * w.dilation_h * a, form.element)
                        for b in range(kw):
                            near = read(f, shape, form.stride, f.at(source, w.dilation_w * b, form.element))
                            acc[a * kw + b].v = f.fma(value, near, acc[a * kw + b].v)
            to = f.at(w.w, group * w.weight_stride, form.element)
            for t, total in enumerate(acc):
                f.store(f.fold(total.v, lambda a, b: a + b), to, t)
