"""Maxima of windows at random places: Graham 2014, arXiv 1412.6071. One number of 0..1 for each plane and dim says where all its windows begin.

Items: planes. Where windows begin along each dim is first written to the worker's scratch memory; then elements are read one by one.
"""

from __future__ import annotations

import facula.kernel.pooling.lanes as ln

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Names, Value
from ...runtime.pool_code import scratch

WORDS = {
    "x": "ptr", "samples": "ptr", "y": "ptr", "codes": "ptr", "count": "i64", "at_d": "i64", "at_h": "i64", "at_w": "i64",
    "depth": "i64", "height": "i64", "width": "i64", "out_depth": "i64", "out_height": "i64", "out_width": "i64",
    "kd": "i64", "kh": "i64", "kw": "i64",
}  # fmt: skip
FAR = 2.0**31  # a number beyond is no place


def emit_fractional(m: Module, name: str, dtype_name: str) -> None:
    """`count`: numbers of a plane; `at_*`: which of them is a dim's. The last of several NaN wins, as in PyTorch."""
    d = ln.named(dtype_name)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w, begins_d = Names(f, words, WORDS), scratch(f, worker)
        begins_h = f.at(begins_d, w.out_depth, "i64")
        begins_w = f.at(begins_h, w.out_height, "i64")
        with f.range(lo, hi) as plane:
            own = f.at(w.samples, plane * w.count, d.llvm)
            _begins(f, d, begins_d, f.load(d.llvm, own, w.at_d), w.depth, w.kd, w.out_depth)
            _begins(f, d, begins_h, f.load(d.llvm, own, w.at_h), w.height, w.kh, w.out_height)
            _begins(f, d, begins_w, f.load(d.llvm, own, w.at_w), w.width, w.kw, w.out_width)
            x = f.at(w.x, plane * w.depth * w.height * w.width, d.llvm)
            with f.range(0, w.out_depth) as od, f.range(0, w.out_height) as oh, f.range(0, w.out_width) as ow:
                z, h, v = f.load("i64", begins_d, od), f.load("i64", begins_h, oh), f.load("i64", begins_w, ow)
                where = _maximum(f, w, d, x, (z * w.height + h) * w.width + v)
                at = ((plane * w.out_depth + od) * w.out_height + oh) * w.out_width + ow
                f.store(f.load(d.llvm, x, where), w.y, at)
                f.store(where, w.codes, at)


def _begins(f: Function, d: dtype, to: Value, sample: Value, size: Value, kernel: Value, result: Value) -> None:
    """int((i + s) a) - int(s a) with a = (size - kernel) / (result - 1), and the last window at the end. Whatever s is, windows lie inside."""
    kind, last = ln.compute(d), size - kernel
    s = sample if d.llvm == kind else ln.widen(f, d, sample)
    a = f.cast("sitofp", last, kind) / f.cast("sitofp", f.smax(result - 1, 1), kind)

    def place(x: Value) -> Value:
        near = (x < FAR) & (x > -FAR)  # not of NaN
        return f.cast("fptosi", f.select(near, x, f.const(kind, 0)), "i64")

    first = place(s * a)
    with f.range(0, result - 1) as i:
        begin = place((f.cast("sitofp", i, kind) + s) * a) - first
        f.store(f.smin(f.smax(begin, f.i64(0)), last), to, i)
    f.store(last, to, result - 1)


def _maximum(f: Function, w: Names, d: dtype, x: Value, corner: Value) -> Value:
    """Where in the plane the largest element of a window is."""

    def read(at: Value) -> Value:
        raw = f.load(d.llvm, x, at)
        return raw if ln.compute(d) == d.llvm else ln.widen(f, d, raw)

    best, where = f.var(ln.compute(d), float("-inf")), f.var("i64", corner)
    with f.range(0, w.kd) as kd, f.range(0, w.kh) as kh:
        row = corner + (kd * w.height + kh) * w.width
        with f.range(row, row + w.kw) as at:
            value = read(at)
            better = (value > best.v) | value.isnan()
            best.v, where.v = f.select(better, value, best.v), f.select(better, at, where.v)
    return where.v
