"""Weights laid out for the register tile: for each k = (channel, tap) the weights of a panel of outputs, next to each other.

A weight's taps lie next to each other in memory, so the rows of a panel (its outputs) are read by vectors and transposed in registers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.ir import Function, Module, Names, Value
from ..lanes import load_first, store_first
from .tile import Shape, shape_for

WORDS = {
    "to": "ptr", "weight": "ptr", "places": "ptr", "outputs": "i64", "channels": "i64", "panels": "i64", "group_stride": "i64",
    "output_stride": "i64", "channel_stride": "i64", "channel_block": "i64", "kernel": "i64",
}  # fmt: skip


def turned(f: Function, shape: Shape, rows: Sequence[Value], left: Value) -> list[list[Value]]:
    """The first `left` elements at each of `rows`, transposed: [element][vector of rows]."""
    vectors: list[list[Value]] = []
    for v in range(0, len(rows), shape.lanes):
        some = [load_first(f, shape.element, shape.lanes, row, left) for row in rows[v : v + shape.lanes]]
        vectors.append(f.transpose([*some, *[some[-1]] * (shape.lanes - len(some))]))
    return [list(element) for element in zip(*vectors)]


def store_rows(f: Function, shape: Shape, values: Sequence[Value], to: Value, rows: int) -> None:
    """The first `rows` lanes of vectors, one after the other."""
    for v, x in enumerate(values):
        store_first(f, x, f.at(to, v * shape.lanes, shape.element), f.i64(rows - v * shape.lanes))


def emit_panels(m: Module, name: str, element: str, rows: int) -> None:
    """Weights of any strides (their `kernel` taps contiguous) -> panels [c block][tap][c][rows], those of each grid by themselves; `places` has
    for each tap its place among its grid's, or -1, how many these are, and where the grid's panels begin. Items: groups x panels."""
    shape = shape_for(element, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as item:
            group, panel = item.udiv(w.panels), item.urem(w.panels)
            first = panel * rows
            base = f.at(w.weight, group * w.group_stride, element)
            beside = w.output_stride.eq(1) & w.kernel.eq(1)
            with f.when(beside):
                _beside(f, shape, w, f.at(base, first, element), w.outputs - first, item, rows)
            with f.otherwise(beside):
                # Rows past the last repeat it: the tile computes them and does not store them.
                starts = [f.at(base, f.smin(first + r, w.outputs - 1) * w.output_stride, element) for r in range(rows)]
                _apart(f, shape, w, starts, item, rows)


def _panel(f: Function, shape: Shape, w: Names, tap: Value, item: Value, rows: int) -> tuple[Value, Value, Value]:
    """(place of a tap among its grid's, how many these are, the item's panel in that grid)."""
    place, taps, start = (f.load("i64", w.places, tap * 3 + i) for i in range(3))
    return place, taps, f.at(w.to, start + item * (w.channels * taps * rows), shape.element)


def _beside(f: Function, shape: Shape, w: Names, source: Value, left: Value, item: Value, rows: int) -> None:
    """One tap, and outputs next to each other."""
    _, _, to = _panel(f, shape, w, f.i64(0), item, rows)
    with f.range(0, w.channels) as c:
        at = f.at(source, c * w.channel_stride, shape.element)
        steps = range(0, rows, shape.lanes)
        values = [load_first(f, shape.element, shape.lanes, f.at(at, v, shape.element), f.smin(left, rows) - v) for v in steps]
        store_rows(f, shape, values, f.at(to, c * rows, shape.element), rows)


def _apart(f: Function, shape: Shape, w: Names, starts: list[Value], item: Value, rows: int) -> None:
    """Runs of contiguous weights: all channels' taps, or those of one channel after the other."""
    joined = w.channel_stride.eq(w.kernel)
    run = f.select(joined, w.kernel * w.channels, w.kernel)
    channel, tap, block = f.var("i64", 0), f.var("i64", 0), f.var("i64", 0)
    with f.range(0, f.select(joined, f.smin(w.channels, 1), w.channels)) as c, f.range(0, run, shape.lanes) as j:
        left = run - j
        values = turned(f, shape, [f.at(start, c * w.channel_stride + j, shape.element) for start in starts], left)
        for i, vectors in enumerate(values):
            with f.when(left > i):
                place, taps, to = _panel(f, shape, w, tap.v, item, rows)
                with f.when(place >= 0):
                    across = f.smin(w.channel_block, w.channels - block.v)
                    at = block.v * taps + place * across + (channel.v - block.v)
                    store_rows(f, shape, vectors, f.at(to, at * rows, shape.element), rows)
                ended = (tap.v + 1).eq(w.kernel)
                tap.v, channel.v = f.select(ended, f.i64(0), tap.v + 1), f.select(ended, channel.v + 1, channel.v)
                block.v = f.select((channel.v - block.v) >= w.channel_block, channel.v, block.v)
