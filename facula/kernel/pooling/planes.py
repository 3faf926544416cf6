"""Pooling one plane at a time: scattering by index, gathering by index, and regions of any size (adaptive pooling, gradients of averages).

An item is a plane, done by one worker in row-major order, so overlapping windows add up in the same order whatever the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import facula.kernel.pooling.lanes as ln

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Names, Value, is_float, vector
from ...runtime.pool_code import scratch
from ..lanes import load_first, narrow, store_first

SCATTER_WORDS = {
    "g": "ptr", "codes": "ptr", "to": "ptr", "offsets": "ptr", "size": "i64", "out_depth": "i64", "out_height": "i64", "out_width": "i64",
    "step_d": "i64", "step_h": "i64", "step_w": "i64", "corner": "i64",
}  # fmt: skip


def emit_scatter(m: Module, name: str, dtype_name: str, note: str, how: str) -> None:
    """to[plane][place of (plane, i)] += or = g[plane][i], from zeros. `note`: places are flat indices ("index"; outside ones are skipped), or
    the window's corner plus the offset of its tap ("tap")."""
    d = ln.named(dtype_name)
    kind = ln.compute(d)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w = Names(f, words, SCATTER_WORDS)
        with f.range(lo, hi) as plane:
            to = f.at(w.to, plane * w.size, d.llvm)
            sums = scratch(f, worker) if kind != d.llvm else to
            _clear(f, sums, w.size, kind, ln.lanes_of(kind, m.target))
            with f.range(0, w.out_depth) as od, f.range(0, w.out_height) as oh:
                row = ((plane * w.out_depth + od) * w.out_height + oh) * w.out_width
                corner = od * w.step_d + oh * w.step_h + w.corner
                with f.range(0, w.out_width) as ow:
                    if note == "index":
                        place = f.load("i64", w.codes, row + ow)
                    else:
                        tap = f.cast("zext", f.load("i8", w.codes, row + ow), "i64")
                        place = corner + ow * w.step_w + f.load("i64", w.offsets, tap)
                    x = _one(f, d, f.load(d.llvm, w.g, row + ow))
                    with f.when(place.ult(w.size)):
                        f.store(f.load(kind, sums, place) + x if how == "add" else x, sums, place)
            if kind != d.llvm:
                _narrow_plane(f, d, kind, ln.lanes_of(kind, m.target), sums, to, w.size)


def _one(f: Function, d: dtype, x: Value) -> Value:
    """One element widened."""
    return x if ln.compute(d) == d.llvm else f.extract(ln.widen(f, d, f.splat(x, 2)), 0)


def _clear(f: Function, to: Value, size: Value, kind: str, lanes: int) -> None:
    zero = f.const(vector(lanes, kind), 0)
    whole = size & -lanes
    with f.range(0, whole, lanes) as i:
        f.store(zero, to, i)
    with f.range(whole, size) as i:
        f.store(f.const(kind, 0), to, i)


def _narrow_plane(f: Function, d: dtype, kind: str, lanes: int, source: Value, to: Value, size: Value) -> None:
    with f.range(0, size, lanes) as i:
        store_first(f, narrow(f, d, f.load(vector(lanes, kind), source, i)), f.at(to, i, d.llvm), size - i)


TAKE_WORDS = {"source": "ptr", "codes": "ptr", "to": "ptr", "size": "i64", "count": "i64"}


def emit_take(m: Module, name: str, element: str) -> None:
    """to[plane][i] = source[plane][index[plane][i]], 0 for an index outside. Items: planes."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, TAKE_WORDS)
        with f.range(lo, hi) as plane:
            source = f.at(w.source, plane * w.size, element)
            with f.range(plane * w.count, (plane + 1) * w.count) as i:
                place = f.load("i64", w.codes, i)
                inside = place.ult(w.size)
                x = f.load(element, source, f.select(inside, place, f.i64(0)))
                f.store(f.select(inside, x, f.const(element, 0)), w.to, i)


REGION_WORDS = {
    "x": "ptr", "y": "ptr", "codes": "ptr", "bounds_d": "ptr", "bounds_h": "ptr", "bounds_w": "ptr",
    "depth": "i64", "height": "i64", "width": "i64", "out_depth": "i64", "out_height": "i64", "out_width": "i64", "override": "double",
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """Static: "max", "avg" or "spread" (the average's gradient); the dtype's name; whether a maximum notes its flat index; sums of a box that
    do not wait for each other."""

    how: str
    dtype: str
    index: bool = False
    chains: int = 1


@dataclass(frozen=True)
class _Region:
    """A box of a plane, and what its sum is divided by."""

    d: tuple[Value, Value]
    h: tuple[Value, Value]
    w: tuple[Value, Value]
    divisor: Value


def emit_regions(m: Module, name: str, form: Form) -> None:
    """Every output has a box of the plane: `bounds_*` hold (begin, end, divisor) for each place along a dim, int64. Items: planes."""
    d = ln.named(form.dtype)
    kind = ln.compute(d)
    lanes = ln.lanes_of(kind, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w = Names(f, words, REGION_WORDS)
        size = w.depth * w.height * w.width
        with f.range(lo, hi) as plane:
            x = f.at(w.x, plane * size, d.llvm)
            sums = scratch(f, worker) if form.how == "spread" and kind != d.llvm else x
            if form.how == "spread":
                _clear(f, sums, size, kind, lanes)
            with f.range(0, w.out_depth) as od, f.range(0, w.out_height) as oh, f.range(0, w.out_width) as ow:
                at = ((plane * w.out_depth + od) * w.out_height + oh) * w.out_width + ow
                region = _region(f, w, kind, od, oh, ow)
                if form.how == "spread":
                    _spread(f, w, kind, lanes, region, sums, _one(f, d, f.load(d.llvm, w.y, at)))
                elif form.how == "avg":
                    _store_one(f, d, _sum(f, w, d, kind, lanes, form.chains, region, x) / region.divisor, w.y, at)
                else:
                    _region_maximum(f, w, d, kind, lanes, form.index, region, x, at)
            if form.how == "spread" and kind != d.llvm:
                _narrow_plane(f, d, kind, lanes, sums, x, size)


def _region(f: Function, w: Names, kind: str, od: Value, oh: Value, ow: Value) -> _Region:
    d, h, v = ([f.load("i64", table, i * 3 + j) for j in range(3)] for table, i in ((w.bounds_d, od), (w.bounds_h, oh), (w.bounds_w, ow)))
    divisor = f.const(kind, 1)
    if is_float(kind):
        divisor = f.cast("sitofp", d[2] * h[2] * v[2], "double")
        divisor = f.cast("fptrunc", f.select(w.override.ne(0.0), w.override, divisor), kind)
    return _Region((d[0], d[1]), (h[0], h[1]), (v[0], v[1]), divisor)


def _store_one(f: Function, d: dtype, x: Value, to: Value, at: Value) -> None:
    f.store(x if x.type == d.llvm else f.extract(narrow(f, d, f.splat(x, 2)), 0), to, at)


def _sum(f: Function, w: Names, d: dtype, kind: str, lanes: int, chains: int, region: _Region, x: Value) -> Value:
    """Lane j sums columns j, j + lanes, ...; vectors of a row go to `chains` sums in turn. All are then added in a tree."""
    vec = vector(lanes, kind)
    totals = [f.var(vec, 0) for _ in range(chains)]
    begin, end = region.w
    together = chains * lanes
    whole = begin + ((end - begin) & -together) if chains > 1 else begin
    with f.range(*region.d) as z, f.range(*region.h) as h:
        row = (z * w.height + h) * w.width
        if chains > 1:
            with f.range(begin, whole, together) as c:
                for i, total in enumerate(totals):
                    total.v = total.v + ln.widen(f, d, f.load(vector(lanes, d.llvm), x, row + c + i * lanes))
        with f.range(whole, end, lanes) as c:
            part = ln.widen(f, d, load_first(f, d.llvm, lanes, f.at(x, row + c, d.llvm), end - c))
            totals[0].v = totals[0].v + f.select(f.mask(lanes, end - c), part, f.const(vec, 0))
    while len(totals) > 1:
        half = len(totals) // 2
        for low, high in zip(totals, totals[half:]):
            low.v = low.v + high.v
        totals = totals[:half]
    return f.fold(totals[0].v, lambda a, b: a + b)


def _spread(f: Function, w: Names, kind: str, lanes: int, region: _Region, sums: Value, g: Value) -> None:
    share = f.splat(g / region.divisor, lanes)
    begin, end = region.w
    with f.range(*region.d) as z, f.range(*region.h) as h:
        row = (z * w.height + h) * w.width
        with f.range(begin, end, lanes) as c:
            place, mask = f.at(sums, row + c, kind), f.mask(lanes, end - c)
            f.store(f.load(share.type, place, 0, mask) + share, place, 0, mask)


def _region_maximum(f: Function, w: Names, d: dtype, kind: str, lanes: int, index: bool, region: _Region, x: Value, at: Value) -> None:
    """The first of equal values wins, and any NaN (the last of several), as in PyTorch: so in each lane, then among them."""
    vec, ints = vector(lanes, kind), vector(lanes, "i32")
    column = f.lanes(ints, list(range(lanes)))
    best = f.var(vec, ln.lowest(d))
    begin, end = region.w
    places = f.var(ints, column + _short(f, (region.d[0] * w.height + region.h[0]) * w.width + begin, lanes))

    def take(value: Value, where: Value, better: Value) -> None:
        if is_float(kind):
            better = better | value.isnan()
        best.v, places.v = f.select(better, value, best.v), f.select(better, where, places.v)

    with f.range(*region.d) as z, f.range(*region.h) as h:
        row = (z * w.height + h) * w.width
        whole = begin + (end - begin) // lanes * lanes
        with f.range(begin, whole, lanes) as c:
            value = ln.widen(f, d, f.load(vector(lanes, d.llvm), x, row + c))
            take(value, column + _short(f, row + c, lanes), value > best.v)
        with f.when(whole < end):
            value = ln.widen(f, d, load_first(f, d.llvm, lanes, f.at(x, row + whole, d.llvm), end - whole))
            value = f.select(f.mask(lanes, end - whole), value, f.const(vec, ln.lowest(d)))
            take(value, column + _short(f, row + whole, lanes), value > best.v)
    half = lanes
    while half > 1:
        half //= 2
        turned = [i ^ half for i in range(lanes)]
        value, where = f.shuffle(best.v, None, turned), f.shuffle(places.v, None, turned)
        earlier = where < places.v
        better = (value > best.v) | (value.eq(best.v) & earlier)
        if is_float(kind):  # of two NaN the later
            better = (better & ~best.v.isnan()) | (value.isnan() & ~(best.v.isnan() & earlier))
        best.v, places.v = f.select(better, value, best.v), f.select(better, where, places.v)
    _store_one(f, d, f.extract(best.v, 0), w.y, at)
    if index:
        f.store(f.cast("sext", f.extract(places.v, 0), "i64"), w.codes, at)


def _short(f: Function, x: Value, lanes: int) -> Value:
    return f.splat(f.cast("trunc", x, "i32"), lanes)
