"""Gradient of average pooling over windows of a small stride: every element of the input gathers from the outputs whose windows hold it.

An item is a plane. The outputs' gradients, divided, are first copied to the worker's scratch memory with a border of zeros. With u = w + padding,
element u meets tap k of output (u - k) / stride where that is whole; u of equal rest are separate vectors, interleaved at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import facula.kernel.pooling.lanes as ln

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Names, Value, vector
from ...runtime.pool_code import scratch
from ..lanes import fill_row, narrow, store_first

WORDS = {
    "g": "ptr", "to": "ptr", "divisor_w": "ptr", "divisor_h": "ptr", "divisor_d": "ptr",
    "depth": "i64", "height": "i64", "width": "i64", "out_depth": "i64", "out_height": "i64", "out_width": "i64",
    "kd": "i64", "kh": "i64", "kw": "i64", "sd": "i64", "sh": "i64", "pd": "i64", "ph": "i64", "pw": "i64", "border": "i64", "pitch": "i64",
}  # fmt: skip


@dataclass(frozen=True)
class _Board:
    """Scratch memory: the bordered gradients, the rows of them that a row of elements meets, a row of sums."""

    g: Value
    met: Value
    row: Value
    kind: str
    lanes: int

    @property
    def vec(self) -> str:
        return vector(self.lanes, self.kind)


def emit_gradient(m: Module, name: str, dtype_name: str, stride: int) -> None:
    """Items: planes."""
    d = ln.named(dtype_name)
    kind = ln.compute(d)
    lanes = ln.lanes_of(kind, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w, g = Names(f, words, WORDS), scratch(f, worker)
        met = f.at(g, ((w.out_depth * w.out_height + 2) * w.pitch + 1) & -2, kind)
        b = _Board(g, met, f.at(met, w.kd * w.kh, "i64"), kind, lanes)
        with f.range(lo, hi) as plane:
            with f.range(0, w.out_depth) as od, f.range(0, w.out_height) as oh:
                _copy(f, w, d, b, plane, od, oh)
            with f.range(0, w.depth) as z, f.range(0, w.height) as h:
                count = _meet(f, w, b, z + w.pd, h + w.ph)
                with f.range(w.pw.udiv(stride), (w.width + w.pw + (stride - 1)).udiv(stride), lanes) as j:
                    sums = _gather(f, w, b, stride, count, j)
                    for part, x in enumerate(_interleaved(f, sums, lanes)):
                        f.store(x, b.row, j * stride + part * lanes)
                to = f.at(w.to, ((plane * w.depth + z) * w.height + h) * w.width, d.llvm)
                with f.range(0, w.width, lanes) as c:
                    x = narrow(f, d, f.load(b.vec, b.row, w.pw + c))
                    store_first(f, x, f.at(to, c, d.llvm), w.width - c)


def _copy(f: Function, w: Names, d: dtype, b: _Board, plane: Value, od: Value, oh: Value) -> None:
    """One row of outputs: its gradients over their divisors."""
    row = od * w.out_height + oh
    source = f.at(w.g, (plane * w.out_depth * w.out_height + row) * w.out_width, d.llvm)
    to = f.at(b.g, row * w.pitch, b.kind)
    fill_row(f, d, b.lanes, to, w.pitch - b.lanes, source, w.border, w.out_width, f.const(b.kind, 0))
    rest = f.splat(f.load(b.kind, w.divisor_d, od) * f.load(b.kind, w.divisor_h, oh), b.lanes)
    with f.range(0, w.out_width, b.lanes) as ow:
        place = f.at(to, w.border + ow, b.kind)
        f.store(f.load(b.vec, place) / (f.load(b.vec, w.divisor_w, ow) * rest), place)


def _meet(f: Function, w: Names, b: _Board, z: Value, h: Value) -> Value:
    """List where the rows of outputs start whose windows hold a row of elements (coordinates with padding) -> how many."""
    n = f.var("i64", 0)

    def holding(at: Value, size: Value, stride: Value, outputs: Value) -> tuple[Value, Value]:
        return f.smax(at - size + stride, 0).udiv(stride), f.smin(at.udiv(stride) + 1, outputs)

    with f.range(*holding(z, w.kd, w.sd, w.out_depth)) as od, f.range(*holding(h, w.kh, w.sh, w.out_height)) as oh:
        f.store((od * w.out_height + oh) * w.pitch + w.border, b.met, n.v)
        n.v = n.v + 1
    return n.v


def _gather(f: Function, w: Names, b: _Board, stride: int, count: Value, j: Value) -> list[Value]:
    """Sums for elements stride * (j + lane) + rest of a row, for each rest."""
    sums = [f.var(b.vec, 0.0) for _ in range(stride)]
    with f.range(0, count) as i:
        row = f.at(b.g, f.load("i64", b.met, i) + j, b.kind)
        for rest, total in enumerate(sums):
            with f.range(rest, w.kw, stride) as kw:
                total.v = total.v + f.load(b.vec, row, -(kw - rest).udiv(stride))
    return [total.v for total in sums]


def _interleaved(f: Function, vectors: list[Value], lanes: int) -> list[Value]:
    """Lane 0 of each, lane 1 of each, and so on."""
    out: list[Value] = []
    n = len(vectors)
    for part in range(n):
        found, places = vectors[0], [(part * lanes + i) // n for i in range(lanes)]
        for k in range(1, n):
            own = [(part * lanes + i) % n == k for i in range(lanes)]
            order = [lanes + place if mine else i if k > 1 else place for i, (place, mine) in enumerate(zip(places, own))]
            found = f.shuffle(found, vectors[k], order)
        out.append(found)
    return out
