"""1 x 1 convolutions with at most a few channels on one side: bound by memory, so planes are read as they lie and nothing is packed."""

from __future__ import annotations

from ...runtime.ir import Function, Module, Names, Value
from .tile import Shape, shape_for

FEW = 4  # channels of the thin side at most
VECTORS = 8  # of pixels at a time, 512 bytes of a plane in a row; half of that for 3 and 4 outputs, whose sums would not fit the registers
PIXELS = 4096  # of an item

WORDS = {
    "x": "ptr", "w": "ptr", "y": "ptr", "bias": "ptr", "channels": "i64", "outputs": "i64", "images": "i64", "pixels": "i64", "blocks": "i64",
    "x_image": "i64", "x_plane": "i64", "y_image": "i64", "y_plane": "i64", "output_stride": "i64", "channel_stride": "i64",
}  # fmt: skip


def emit_thin(m: Module, name: str, element: str, few: int, side: str, bias: bool) -> None:
    """y[o] = bias[o] + sum over c of w[o, c] x[c] with `few` outputs (side "outputs") or `few` channels. Items: images x blocks of pixels."""
    shape = shape_for(element, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as item:
            image, start = item.udiv(w.blocks), item.urem(w.blocks) * PIXELS
            x, y = f.at(w.x, image * w.x_image, element), f.at(w.y, image * w.y_image, element)
            end = f.smin(w.pixels, start + PIXELS)
            if side == "outputs":
                with f.range(start, end, _vectors(few) * shape.lanes) as p:
                    _few_outputs(f, shape, w, few, bias, x, y, p, end)
            else:
                with f.range(0, w.outputs) as o:
                    weights = [_weight(f, shape, w, o, f.i64(c)) for c in range(few)]
                    first = _start(f, shape, w, o, bias)
                    with f.range(start, end, shape.lanes) as p:
                        mask, acc = f.mask(shape.lanes, end - p), first
                        for c in range(few):
                            acc = f.fma(weights[c], f.load(shape.vec, x, w.x_plane * c + p, mask), acc)
                        f.store(acc, f.at(y, o * w.y_plane, element), p, mask)


def _vectors(few: int) -> int:
    return VECTORS if few <= 2 else VECTORS // 2


def _weight(f: Function, shape: Shape, w: Names, o: Value, c: Value) -> Value:
    return f.splat(f.load(shape.element, w.w, o * w.output_stride + c * w.channel_stride), shape.lanes)


def _start(f: Function, shape: Shape, w: Names, o: Value, bias: bool) -> Value:
    return f.splat(f.load(shape.element, w.bias, o), shape.lanes) if bias else f.const(shape.vec, 0.0)


def _few_outputs(f: Function, shape: Shape, w: Names, few: int, bias: bool, x: Value, y: Value, p: Value, end: Value) -> None:
    masks = [f.mask(shape.lanes, end - p - v * shape.lanes) for v in range(_vectors(few))]
    acc = [[f.var(shape.vec, _start(f, shape, w, f.i64(o), bias)) for _ in range(_vectors(few))] for o in range(few)]
    with f.range(0, w.channels) as c:
        here = f.at(x, c * w.x_plane + p, shape.element)
        values = [f.load(shape.vec, here, v * shape.lanes, mask) for v, mask in enumerate(masks)]
        for o in range(few):
            weight = _weight(f, shape, w, f.i64(o), c)
            for v, value in enumerate(values):
                acc[o][v].v = f.fma(weight, value, acc[o][v].v)
    for o in range(few):
        for v, mask in enumerate(masks):
            f.store(acc[o][v].v, f.at(y, w.y_plane * o + p, shape.element), v * shape.lanes, mask)


def emit_thin_weight(m: Module, name: str, element: str, few: int) -> None:
    """w[thin, wide] = sum over images and pixels of y[thin] x[wide], `few` thin planes; all images in order. Items: wide planes.

    `outputs` counts thin planes (of y), `channels` wide ones (of x); the strides say where a product goes in w."""
    shape = shape_for(element, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as c:
            acc = [[f.var(shape.vec, 0.0) for _ in range(2)] for _ in range(few)]
            with f.range(0, w.images) as image:
                x, y = f.at(w.x, image * w.x_image + c * w.x_plane, element), f.at(w.y, image * w.y_image, element)
                with f.range(0, w.pixels, 2 * shape.lanes) as p:
                    masks = [f.mask(shape.lanes, w.pixels - p - v * shape.lanes) for v in range(2)]
                    wide = [f.load(shape.vec, f.at(x, p, element), v * shape.lanes, mask) for v, mask in enumerate(masks)]
                    for o in range(few):
                        thin = f.at(y, w.y_plane * o + p, element)
                        for v, mask in enumerate(masks):
                            acc[o][v].v = f.fma(wide[v], f.load(shape.vec, thin, v * shape.lanes, mask), acc[o][v].v)
            for o in range(few):
                total = f.fold(acc[o][0].v + acc[o][1].v, lambda a, b: a + b)
                f.store(total, w.w, w.output_stride * o + c * w.channel_stride)
