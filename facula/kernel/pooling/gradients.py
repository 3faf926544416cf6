"""Gradient of average pooling over windows of stride 1 or 2: every element of the input gathers from the outputs whose windows hold it.

An item is a plane. The outputs' gradients, divided, are first copied to the worker's scratch memory with a border of zeros. With u = w + padding,
element u meets tap k of output (u - k) / stride where that is whole; for stride 2 even and odd u are separate vectors, interleaved at the end.
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
                    if stride == 2:
                        orders = [[(half * lanes + i) // 2 + lanes * (i % 2) for i in range(lanes)] for half in (0, 1)]
                        sums = [f.shuffle(sums[0], sums[1], order) for order in orders]
                    for half, x in enumerate(sums):
                        f.store(x, b.row, j * stride + half * lanes)
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
    with f.range(0, w.kd) as kd, f.range(0, w.kh) as kh:
        far, down = z - kd, h - kh
        od, oh = far.udiv(w.sd), down.udiv(w.sh)
        meets = (far >= 0) & (down >= 0) & (od * w.sd).eq(far) & (oh * w.sh).eq(down) & (od < w.out_depth) & (oh < w.out_height)
        with f.when(meets):
            f.store((od * w.out_height + oh) * w.pitch + w.border, b.met, n.v)
            n.v = n.v + 1
    return n.v


def _gather(f: Function, w: Names, b: _Board, stride: int, count: Value, j: Value) -> list[Value]:
    """Sums for elements stride * (j + lane) + parity of a row, for each parity."""
    sums = [f.var(b.vec, 0.0) for _ in range(stride)]
    with f.range(0, count) as i:
        row = f.at(b.g, f.load("i64", b.met, i) + j, b.kind)
        for parity, total in enumerate(sums):
            with f.range(parity, w.kw, stride) as kw:
                total.v = total.v + f.load(b.vec, row, (parity - kw).ashr(stride - 1) if stride == 2 else -kw)
    return [total.v for total in sums]
