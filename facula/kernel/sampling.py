"""Planes read at places that values decide: sums of a few weighted elements, and the two gradients of that.

    y[n, c, l] = sum over t of  weights[n, t, l] * x[n, c, places[n, t, l]]        a place of -1 reads 0

Vectors run along l; places and weights of a block stay near while the channels go by. Limit: one gather for a vector and a t.
"""

from __future__ import annotations

from math import prod

from ..base.dtypes import float32, float64
from ..runtime.ir import SIZE, Function, Module, Names, Value, vector
from .lanes import gather, load_first, store_first
from .launch import In, Kernel, Launch, Operand, Out, Schedule, Word, unsigned

BLOCK = 1024  # places of an item
WORDS = {
    "x": "ptr", "places": "ptr", "weights": "ptr", "y": "ptr", "channels": "i64", "size": "i64", "length": "i64", "blocks": "i64",
}  # fmt: skip


def sample(out: Operand, x: Operand, places: Operand, weights: Operand) -> Schedule:
    """out (N, C, L) from In 0 x (N, C, P), In 1 places (N, T, L) of int32, In 2 weights (N, T, L); all contiguous."""
    words: dict[str, Word] = {"x": In(0), "places": In(1), "weights": In(2), "y": Out(0)}
    return _schedule(emit_sample, words, x, places, out.shape[1] * -(-places.shape[2] // BLOCK), BLOCK)


def spread(gx: Operand, g: Operand, places: Operand, weights: Operand) -> Schedule:
    """gx (N, C, P): the gradient of `sample` by x. In 0 g (N, C, L), In 1 places, In 2 weights."""
    words: dict[str, Word] = {"x": Out(0), "places": In(1), "weights": In(2), "y": In(0)}
    return _schedule(emit_spread, words, gx, places, gx.shape[1], places.shape[2])


def match(gw: Operand, g: Operand, x: Operand, places: Operand) -> Schedule:
    """gw (N, T, L): the gradient of `sample` by the weights. In 0 g (N, C, L), In 1 x (N, C, P), In 2 places."""
    words: dict[str, Word] = {"x": In(1), "places": In(2), "weights": Out(0), "y": In(0)}
    return _schedule(emit_match, words, x, places, -(-places.shape[2] // BLOCK), BLOCK * x.shape[1])


def _schedule(emit: object, words: dict[str, Word], x: Operand, places: Operand, items: int, work: int) -> Schedule:
    """`items` of an image, of `work` places each."""
    if x.dtype not in (float32, float64) or places.dtype.name != "int32":
        raise NotImplementedError(f"sampling of {x.dtype} at {places.dtype}; it takes float32 or float64 at int32")
    if x.shape[2] >> 31:
        raise NotImplementedError(f"planes of {x.shape[2]} elements; places are counted in 32 bits")
    images, channels, size = x.shape
    taps, length = places.shape[1:]
    words |= {"channels": channels, "size": size, "length": length, "blocks": -(-length // BLOCK)}
    kernel = Kernel(emit, (x.dtype.llvm, taps))  # type: ignore[arg-type]
    count = images * items
    traffic = x.dtype.itemsize * (images * channels * (size + length)) + (4 + x.dtype.itemsize) * prod(places.shape)
    launch = Launch(
        kernel,
        unsigned(words[name] for name in WORDS),
        count,
        max(1, 8192 // max(1, work * taps)),
        traffic,
        2 * channels * prod(places.shape),
    )
    return Schedule((launch,) if count else (), notes=(f"sampling, {taps} place(s) a result",))


class _Taps:
    """The places and weights of an image."""

    def __init__(self, f: Function, w: Names, element: str, taps: int, image: Value) -> None:
        self.f, self.w, self.element, self.taps = f, w, element, taps
        self.lanes = f.module.target.lanes * 4 // SIZE[element]
        self.first = image * w.length * taps

    def weight(self, t: int, at: Value) -> Value:
        """Where weights from `at` on are."""
        return self.f.at(self.w.weights, self.first + self.w.length * t + at, self.element)

    def read(self, plane: Value, t: int, at: Value, left: Value) -> Value:
        """A vector of a plane's elements, zeros where there is no place."""
        f, n = self.f, self.lanes
        index = load_first(f, "i32", n, f.at(self.w.places, self.first + self.w.length * t + at, "i32"), left)
        return gather(f, self.element, plane, index, (index >= 0) & f.mask(n, left))


def emit_sample(m: Module, name: str, element: str, taps: int) -> None:
    """Items: images x blocks x channels."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as item:
            channel, rest = item.urem(w.channels), item.udiv(w.channels)
            block, image = rest.urem(w.blocks) * BLOCK, rest.udiv(w.blocks)
            row = image * w.channels + channel
            plane, y = f.at(w.x, row * w.size, element), f.at(w.y, row * w.length, element)
            end, of = f.smin(w.length, block + BLOCK), _Taps(f, w, element, taps, image)
            with f.range(block, end, of.lanes) as at:
                left, total = end - at, None
                for t in range(taps):
                    x, weight = of.read(plane, t, at, left), load_first(f, element, of.lanes, of.weight(t, at), left)
                    total = x * weight if total is None else f.fma(x, weight, total)
                store_first(f, f.const(vector(of.lanes, element), 0) if total is None else total, f.at(y, at, element), left)


def emit_spread(m: Module, name: str, element: str, taps: int) -> None:
    """Items: images x channels; a plane is written by one worker, place after place."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as item:
            plane, g = f.at(w.x, item * w.size, element), f.at(w.y, item * w.length, element)
            of = _Taps(f, w, element, taps, item.udiv(w.channels))
            with f.range(0, w.size, of.lanes) as at:
                store_first(f, f.const(vector(of.lanes, element), 0), f.at(plane, at, element), w.size - at)
            with f.range(0, w.length) as at:
                x = f.load(element, g, at)
                for t in range(taps):
                    place = f.cast("sext", f.load("i32", w.places, of.first + w.length * t + at), "i64")
                    with f.when(place >= 0):
                        f.store(f.fma(x, f.load(element, of.weight(t, at)), f.load(element, plane, place)), plane, place)


def emit_match(m: Module, name: str, element: str, taps: int) -> None:
    """Items: images x blocks; channels are added in order."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as item:
            block, image = item.urem(w.blocks) * BLOCK, item.udiv(w.blocks)
            end, of = f.smin(w.length, block + BLOCK), _Taps(f, w, element, taps, image)
            with f.range(block, end, of.lanes) as at:
                left = end - at
                totals = [f.var(vector(of.lanes, element), 0) for _ in range(taps)]
                with f.range(image * w.channels, (image + 1) * w.channels) as row:
                    g = load_first(f, element, of.lanes, f.at(w.y, row * w.length + at, element), left)
                    plane = f.at(w.x, row * w.size, element)
                    for t, total in enumerate(totals):
                        total.v = f.fma(g, of.read(plane, t, at, left), total.v)
                for t, total in enumerate(totals):
                    store_first(f, total.v, of.weight(t, at), left)
