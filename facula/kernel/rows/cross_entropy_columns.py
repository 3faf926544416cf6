"""Cross entropy over the middle dimension of (N, C, S): segmentation's logits as they lie in memory. A vector holds neighbouring pixels.

The class loop runs over whole vectors, so the target's logit is picked by comparing each class with the targets. See `cross_entropy`.
"""

from __future__ import annotations

from collections.abc import Callable

import facula.kernel.rows.sweep as rows

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value, vector
from .. import elementary, lanes

WRONG = float("-inf")  # the scale of a row whose target is no class; weights may well be negative

PIXELS = 256  # pixels of a work item

Body = Callable[[Value, Value, "Value | None"], None]


def _items(f: Function, width: int, lo: Value, hi: Value, n: Value, inner: Value, body: Body) -> None:
    """body(address offset of class 0, row, left) for every vector of pixels of the items; row = image * inner + pixel."""
    strips = (inner + (PIXELS - 1)).udiv(PIXELS)
    with f.range(lo, hi) as item:
        image, start = item.udiv(strips), item.urem(strips) * PIXELS
        stop = f.smin(start + PIXELS, inner)
        whole = start + ((stop - start) & -width)
        with f.range(start, whole, width) as s:
            body(image * n * inner + s, image * inner + s, None)
        with f.when(whole < stop):
            body(image * n * inner + whole, image * inner + whole, stop - whole)


def _targets(
    f: Function, width: int, targets: Value, row: Value, left: Value | None, n: Value, ignore: Value
) -> tuple[Value, Value, Value]:
    """(class by lane as i32, lane counts, lane is wrong)."""
    kind = vector(width, "i64")
    if left is None:
        t = f.load(kind, targets, row)
    else:
        stage = f.array("i64", width)
        f.store(f.splat(ignore, width), stage)
        with f.range(0, left) as k:
            f.store(f.load("i64", targets, row + k), stage, k)
        t = f.load(kind, stage)
    inside = t.ult(f.splat(n, width))
    ignored = t.eq(f.splat(ignore, width))
    good = inside & ~ignored
    classes = f.cast("trunc", f.select(good, t, f.const(kind, -1)), vector(width, "i32"))
    return classes, good, ~(inside | ignored)


def emit_forward(m: Module, name: str, d: dtype, weighted: bool, smooth: bool, none: bool) -> None:
    c = d.compute
    types = [*["ptr"] * 6, "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        loss, lses, scales, x, targets, weight, n, ignore = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        smoothing, inner = f.load(one, f.at(words, 8, "i64")), f.load("i64", words, 9)

        def body(at: Value, row: Value, left: Value | None) -> None:
            classes, good, wrong = _targets(f, width, targets, row, left, n, ignore)

            def logit(k: Value) -> Value:
                return lanes.load(f, d, width, x, at + k * inner, left)

            top = f.var(kind, float("-inf"))
            with f.range(0, n) as k:
                v = logit(k)
                top.v = f.select(top.v > v, top.v, v)
            sums, picked, w, plain, total = (f.var(kind, start) for start in (0.0, 0.0, 0.0 if weighted else 1.0, 0.0, 0.0))
            with f.range(0, n) as k:
                v = logit(k) - top.v
                sums.v = sums.v + elementary.exp(f, v)
                here = classes.eq(f.splat(f.cast("trunc", k, "i32"), width))
                picked.v = f.select(here, v, picked.v)
                wk = f.splat(f.load(one, weight, k), width) if weighted else f.const(kind, 1.0)
                if weighted:
                    w.v = f.select(here, wk, w.v)
                if smooth:
                    plain.v, total.v = plain.v + (v * wk if weighted else v), total.v + wk
            log = elementary.log_sum(f, sums.v)
            lanes.store(f, c, top.v + log, lses, row, left)
            value = w.v * (log - picked.v)
            if smooth:
                share = smoothing / f.cast("sitofp", n, one)
                value = f.fma(f.splat(1.0 - smoothing, width), value, f.splat(share, width) * (total.v * log - plain.v))
            zero = f.const(kind, 0.0)
            value = f.select(good, value, f.select(wrong, f.const(kind, float("nan")), zero))
            lanes.store(f, c, f.select(good, w.v, f.select(wrong, f.const(kind, WRONG), zero)), scales, row, left)
            lanes.store(f, d if none else c, value, loss, row, left)

        _items(f, width, lo, hi, n, inner, body)


def emit_backward(m: Module, name: str, d: dtype, weighted: bool, smooth: bool, reduction: str) -> None:
    c = d.compute
    types = [*["ptr"] * 7, "i64", "i64", "i64", "i64"]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx, g, x, targets, lses, scales, weight, n, count, _stream, ignore = f.words(words, *types)
        width, one, kind = rows.kinds(f, d)
        smoothing, inner = f.load(one, f.at(words, 11, "i64")), f.load("i64", words, 12)
        all_weights = f.splat(f.load(one, scales, count + 1), width)

        def body(at: Value, row: Value, left: Value | None) -> None:
            classes, good, _ = _targets(f, width, targets, row, left, n, ignore)
            factor = lanes.load(f, d, width, g, row, left) if reduction == "none" else f.splat(lanes.load_one(f, d, g), width)
            if reduction == "mean":
                factor = factor / f.splat(f.load(one, scales, count), width)
            zero = f.const(kind, 0.0)
            factor = f.select(good, factor, zero)
            hit = lanes.load(f, c, width, scales, row, left) * factor
            share = factor * f.splat(smoothing / f.cast("sitofp", n, one), width) if smooth else zero
            if smooth:
                hit = hit * f.splat(1.0 - smoothing, width)
            scale, shift = hit + share * all_weights if smooth else hit, lanes.load(f, c, width, lses, row, left)
            with f.range(0, n) as k:
                place = at + k * inner
                v = elementary.exp(f, lanes.load(f, d, width, x, place, left) - shift) * scale
                if smooth:
                    v = v - (share * f.splat(f.load(one, weight, k), width) if weighted else share)
                here = classes.eq(f.splat(f.cast("trunc", k, "i32"), width))
                v = f.select(good, f.select(here, v - hit, v), zero)  # ignored pixels get exact zeros, whatever the logits
                lanes.store(f, d, v, gx, place, left)

        _items(f, width, lo, hi, n, inner, body)
