"""Windows over planes: max and average pooling forward, vectors along the output's width.

An item is a band of output rows of one plane. The source rows it needs are first copied to the worker's scratch memory, widened to the type of
the arithmetic and bordered with the value that does not count (minus infinity, zero), so that windows have no special cases at edges. Where
nobody asks which element a maximum was, a window's rows are first combined to one, whole vectors at a time; only that one is read at the
stride's pace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import facula.kernel.pooling.lanes as ln

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Names, Value, is_float, vector
from ...runtime.pool_code import scratch
from ..lanes import fill_row, gather, load_first, narrow, store_first

WORDS = {
    "x": "ptr", "y": "ptr", "codes": "ptr", "first_w": "ptr", "first_h": "ptr", "first_d": "ptr",
    "depth": "i64", "height": "i64", "width": "i64", "out_depth": "i64", "out_height": "i64", "out_width": "i64",
    "kd": "i64", "kh": "i64", "kw": "i64", "sd": "i64", "sh": "i64", "sw": "i64", "pd": "i64", "ph": "i64", "pw": "i64",
    "dd": "i64", "dh": "i64", "dw": "i64", "band_height": "i64", "bands_h": "i64", "band_width": "i64", "bands_w": "i64", "pitch": "i64",
    "code_d": "i64", "code_h": "i64", "code_w": "i64",
}  # fmt: skip


PACES = 8  # up to this stride, elements are picked out of neighbouring vectors; beyond it they are gathered


@dataclass(frozen=True)
class Form:
    """Static: "max" or "avg", the dtype's name, the kernel's width when small (0: any) and its pace (up to PACES; 0: any), what is noted of a
    maximum's place: "" nothing, "tap" one byte, "index" PyTorch's flat index in the plane, int64. `tall`: rows are combined first."""

    how: str
    dtype: str
    kw: int
    pace: int
    note: str
    tall: bool = False


def emit_windows(m: Module, name: str, form: Form) -> None:
    """Items: planes x output depths x bands of rows x bands of columns."""
    d = ln.named(form.dtype)
    kind = ln.compute(d)
    lanes = ln.lanes_of(kind, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w = Names(f, words, WORDS)
        board = scratch(f, worker)
        outside = f.const(kind, ln.lowest(d) if form.how == "max" else 0)
        with f.range(lo, hi) as item:
            c0, rest = item.urem(w.bands_w) * w.band_width, item.udiv(w.bands_w)
            r0, rest = rest.urem(w.bands_h) * w.band_height, rest.udiv(w.bands_h)
            od, plane = rest.urem(w.out_depth), rest.udiv(w.out_depth)
            r1, c1 = f.smin(w.out_height, r0 + w.band_height), f.smin(w.out_width, c0 + w.band_width)
            x = f.at(w.x, plane * (w.depth * w.height * w.width), d.llvm)
            rows = (r1 - r0 - 1) * w.sh + (w.kh - 1) * w.dh + 1
            _copy(f, w, d, kind, lanes, board, x, od, r0, c0, rows, outside)
            with f.range(r0, r1) as oh:
                here = f.at(board, (oh - r0) * w.sh * w.pitch, kind)
                if form.tall:
                    row = f.at(board, w.kd * rows * w.pitch, kind)
                    _combine_rows(f, w, form, kind, lanes, here, rows, row, f.splat(outside, lanes))
                    here = row
                with f.range(c0, c1, lanes) as ow:
                    at = ((plane * w.out_depth + od) * w.out_height + oh) * w.out_width + ow
                    emit = _maximum if form.how == "max" else _average
                    emit(f, w, form, d, kind, lanes, f.at(here, (ow - c0) * w.sw, kind), rows, at, od, oh, ow, c1 - ow)


def _copy(
    f: Function,
    w: Names,
    d: dtype,
    kind: str,
    lanes: int,
    board: Value,
    x: Value,
    od: Value,
    r0: Value,
    c0: Value,
    rows: Value,
    outside: Value,
) -> None:
    """The source rows of a band: [tap along depth][row][pitch]."""
    top, left = r0 * w.sh - w.ph, w.pw - c0 * w.sw
    with f.range(0, w.kd) as kd, f.range(0, rows) as r:
        z, h = od * w.sd - w.pd + kd * w.dd, top + r
        inside = z.ult(w.depth) & h.ult(w.height)
        to = f.at(board, (kd * rows + r) * w.pitch, kind)
        row = f.at(x, f.select(inside, (z * w.height + h) * w.width, f.i64(0)), d.llvm)
        fill_row(f, d, lanes, to, w.pitch - lanes, row, left, f.select(inside, w.width, f.i64(0)), outside)


def _better(x: Value, best: Value) -> Value:
    """The first of equal values wins, and any NaN (the last of several), as in PyTorch."""
    return (x > best) | x.isnan() if is_float(x.type) else x > best


def _combine_rows(f: Function, w: Names, form: Form, kind: str, lanes: int, here: Value, rows: Value, to: Value, outside: Value) -> None:
    """One row of the maxima or sums of a window's rows, as far as windows read."""
    vec = vector(lanes, kind)
    with f.range(0, w.pitch - 3 * lanes, lanes) as c:
        acc = f.var(vec, outside)
        with f.range(0, w.kd) as kd, f.range(0, w.kh) as kh:
            x = f.load(vec, here, (kd * rows + kh * w.dh) * w.pitch + c)
            acc.v = f.select(_better(x, acc.v), x, acc.v) if form.how == "max" else acc.v + x
        f.store(acc.v, to, c)


def _read(f: Function, w: Names, pace: int, kind: str, lanes: int, at: Value) -> Value:
    """A vector of elements, `pace` (0: the stride along the width) from one to the next."""
    vec = vector(lanes, kind)
    if not pace:
        index = f.lanes(f"<{lanes} x i32>", list(range(lanes))) * f.splat(f.cast("trunc", w.sw, "i32"), lanes)
        return gather(f, kind, at, index)
    found = f.load(vec, at)
    held = [lane * pace % lanes for lane in range(lanes)]  # where in `found` a lane's element is
    for v in range(1, (lanes - 1) * pace // lanes + 1):
        index = [lanes + lane * pace % lanes if lane * pace // lanes == v else held[lane] for lane in range(lanes)]
        found, held = f.shuffle(found, f.load(vec, at, v * lanes), index), list(range(lanes))
    return found


def _taps(
    f: Function,
    w: Names,
    form: Form,
    kind: str,
    lanes: int,
    here: Value,
    rows: Value,
    visit: Callable[[Value, Value, Value, Value], None],
) -> None:
    """`visit(values, kd, kh, kw)` for every tap in row-major order."""
    one = f.i64(1)
    with f.range(0, one if form.tall else w.kd) as kd, f.range(0, one if form.tall else w.kh) as kh:
        line = f.at(here, (kd * rows + kh * w.dh) * w.pitch, kind)

        def each(kw: Value) -> None:
            visit(_read(f, w, form.pace, kind, lanes, f.at(line, kw * w.dw, kind)), kd, kh, kw)

        if form.kw:
            for k in range(form.kw):
                each(f.i64(k))
        else:
            with f.range(0, w.kw) as k:
                each(k)


def _maximum(
    f: Function,
    w: Names,
    form: Form,
    d: dtype,
    kind: str,
    lanes: int,
    here: Value,
    rows: Value,
    at: Value,
    od: Value,
    oh: Value,
    ow: Value,
    left: Value,
) -> None:
    ints = f"<{lanes} x i32>"
    best = f.var(vector(lanes, kind), ln.lowest(d))

    def short(x: Value) -> Value:
        return f.splat(f.cast("trunc", x, "i32"), lanes)

    code = None
    if form.note:  # a window of nothing but the lowest value notes its first element inside the plane
        first = f.load("i64", w.first_d, od) * w.code_d + f.load("i64", w.first_h, oh) * w.code_h
        start = load_first(f, "i32", lanes, f.at(w.first_w, ow, "i32"), left) * short(w.code_w) + short(first)
        code = f.var(ints, start)

    def visit(x: Value, kd: Value, kh: Value, kw: Value) -> None:
        better = _better(x, best.v)
        best.v = f.select(better, x, best.v)
        if code:
            code.v = f.select(better, short(kd * w.code_d + kh * w.code_h + kw * w.code_w), code.v)

    _taps(f, w, form, kind, lanes, here, rows, visit)
    store_first(f, narrow(f, d, best.v), f.at(w.y, at, d.llvm), left)
    if form.note == "tap" and code:
        store_first(f, f.cast("trunc", code.v, f"<{lanes} x i8>"), f.at(w.codes, at, "i8"), left)
    elif code:
        corner = ((od * w.sd - w.pd) * w.height + (oh * w.sh - w.ph)) * w.width + (ow * w.sw - w.pw)
        index = code.v + short(corner) + f.lanes(ints, list(range(lanes))) * short(w.sw)
        half = lanes // 2
        for h in (0, 1):  # two vectors of int64
            part = f.cast("sext", f.shuffle(index, None, range(h * half, (h + 1) * half)), f"<{half} x i64>")
            with f.when(left > h * half):
                store_first(f, part, f.at(w.codes, at + h * half, "i64"), left - h * half)


def _average(
    f: Function,
    w: Names,
    form: Form,
    d: dtype,
    kind: str,
    lanes: int,
    here: Value,
    rows: Value,
    at: Value,
    od: Value,
    oh: Value,
    ow: Value,
    left: Value,
) -> None:
    """Sum over the window, divided by a product of one number for each dim (`first_*` here: divisors, in the arithmetic's type)."""
    total = f.var(vector(lanes, kind), 0.0)

    def visit(x: Value, *_: Value) -> None:
        total.v = total.v + x

    _taps(f, w, form, kind, lanes, here, rows, visit)
    rest = f.load(kind, w.first_d, od) * f.load(kind, w.first_h, oh)
    by = f.load(vector(lanes, kind), w.first_w, ow) * f.splat(rest, lanes)  # the table is padded to whole vectors
    store_first(f, narrow(f, d, total.v / by), f.at(w.y, at, d.llvm), left)
