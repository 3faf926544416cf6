"""An image taken apart by the stride: elements that are a stride apart become neighbours.

    row of 7, stride 3      a b c d e f g      phases  | a d g | b e . | c f . |

Under any tap a convolution with that stride meets every stride-th element, all of one phase. So afterwards it reads as one of stride 1 does:
whole vectors, where it would have gathered its pixels anew for each tap. Phases that no tap meets are left out.
"""

from __future__ import annotations

from ...runtime.ir import Function, Module, Names, Value
from ..lanes import gather
from .tile import Shape, shape_for

PACES = 8  # up to this stride, elements are picked out of neighbouring vectors; beyond it they are gathered

WORDS = {
    "x": "ptr", "to": "ptr", "parts": "ptr", "plane": "i64", "count": "i64", "channels": "i64", "x_image": "i64", "x_plane": "i64", "depth": "i64",
    "height": "i64", "width": "i64", "room_d": "i64", "room_h": "i64", "room_w": "i64", "step_d": "i64", "step_h": "i64", "step_w": "i64",
}  # fmt: skip


def emit_phases(m: Module, name: str, element: str, pace: int) -> None:
    """to[image][channel], `plane` elements each, hold [part][room_d][room_h][room_w]; `parts` are the phases' first coordinates; `pace`: step_w,
    0 for any. Elements of a part that lie outside of the image are not written. Items: images x channels x room_d."""
    shape = shape_for(element, m.target)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        w = Names(f, words, WORDS)
        with f.range(lo, hi) as item:
            d, plane = item.urem(w.room_d), item.udiv(w.room_d)
            x = f.at(w.x, plane.udiv(w.channels) * w.x_image + plane.urem(w.channels) * w.x_plane, element)
            with f.range(0, w.count) as part:
                first = [f.load("i64", w.parts, part * 3 + i) for i in range(3)]
                z = first[0] + d * w.step_d
                rows = f.select(z < w.depth, (w.height - first[1] + (w.step_h - 1)).udiv(w.step_h), f.i64(0))
                with f.range(0, rows) as h:
                    row = f.at(x, (z * w.height + first[1] + h * w.step_h) * w.width + first[2], element)
                    to = f.at(w.to, plane * w.plane + ((part * w.room_d + d) * w.room_h + h) * w.room_w, element)
                    left = w.width - first[2]
                    with f.range(0, (left + (w.step_w - 1)).udiv(w.step_w), shape.lanes) as j:
                        picked = pick(f, shape, pace, f.at(row, j * w.step_w, element), left - j * w.step_w, w.step_w)
                        f.store(picked, to, j, f.mask(shape.lanes, (left - j * w.step_w + (w.step_w - 1)).udiv(w.step_w)))


def pick(f: Function, shape: Shape, pace: int, at: Value, left: Value, step: Value) -> Value:
    """Every `step`-th of `left` elements, as far as a vector holds."""
    lanes = shape.lanes
    if not pace:
        index = f.lanes(f"<{lanes} x i32>", list(range(lanes))) * f.splat(f.cast("trunc", step, "i32"), lanes)
        return gather(f, shape.element, at, index, index.ult(f.splat(f.cast("trunc", left, "i32"), lanes)))
    found = f.load(shape.vec, at, 0, f.mask(lanes, left))
    held = [lane * pace % lanes for lane in range(lanes)]  # where in `found` a lane's element is
    for v in range(1, (lanes - 1) * pace // lanes + 1):
        index = [lanes + lane * pace % lanes if lane * pace // lanes == v else held[lane] for lane in range(lanes)]
        found = f.shuffle(found, f.load(shape.vec, at, v * lanes, f.mask(lanes, left - v * lanes)), index)
        held = list(range(lanes))
    return found
