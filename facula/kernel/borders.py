"""Borders that repeat what is inside: the inside is copied, then each dim's borders from what stands there already, and the other way round.

Limit: a copy of the array; the borders are a few rows and columns of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from .coalesce import contiguous
from .launch import Array, Operand, Out, Schedule, Work, rebased
from .pointwise import copy, flip, pointwise
from .reduction import reduce, sum_of
from .scalar import input

Region = tuple[Array, int]  # part of an array: how it is seen, and bytes from its start


def add_borders(out: Operand, source: Operand, pads: Sequence[tuple[int, int]], mode: str) -> Schedule:
    """out = source with `pads[d]` (elements before, behind; none negative) more along dim d, in mode "reflect", "replicate" or "circular".
    Dims are done from the last one on, so that corners follow."""
    inside, at = _inside(out, source.shape, pads)
    schedules = [rebased(copy(inside, source), [Out(0, at)], ())]
    for d in reversed(range(len(pads))):
        for (strip, here), (shown, there) in _strips(out, source.shape, pads, d, mode):
            if mode == "reflect":
                made = flip(strip, shown, (d,))
            elif mode == "replicate":
                made = copy(strip, Array(shown.dtype, strip.shape, tuple(0 if k == d else s for k, s in enumerate(shown.strides))))
            else:
                made = copy(strip, shown)
            schedules.append(rebased(made, [Out(0, here)], [Out(0, there)]))
    return _joined(schedules)


def fold_borders(out: Operand, grad: Operand, pads: Sequence[tuple[int, int]], mode: str) -> Schedule:
    """The transpose: out = the inside of grad, and what the borders hold added to where they were shown from."""
    whole = Array(grad.dtype, tuple(grad.shape), contiguous(grad.shape))
    used = -(-prod(whole.shape) * grad.dtype.itemsize // 64) * 64
    schedules = [rebased(copy(whole, grad), [Work(0)], ())]
    for d in range(len(pads)):
        for (strip, here), (shown, there) in _strips(whole, out.shape, pads, d, mode):
            if mode == "replicate":
                n = strip.shape[d] + 1  # the border and its edge, which stands before or behind it
                both = Array(strip.dtype, tuple(n if k == d else m for k, m in enumerate(strip.shape)), strip.strides)
                edge = Array(shown.dtype, *(tuple(v for k, v in enumerate(x) if k != d) for x in (shown.shape, shown.strides)))
                added = reduce([edge], [both], (d,), sum_of(edge.dtype.compute))
                schedules.append(rebased(added, [Work(there)], [Work(min(here, there))], used))
            else:
                back = Array(
                    strip.dtype, strip.shape, tuple(-s if k == d and mode == "reflect" else s for k, s in enumerate(strip.strides))
                )
                last = (strip.shape[d] - 1) * strip.strides[d] * strip.dtype.itemsize if mode == "reflect" else 0
                body = input(0, shown.dtype) + input(1, shown.dtype)
                added = pointwise([shown], [shown, back], [body], in_place=True)
                schedules.append(rebased(added, [Work(there)], [Work(there), Work(here + last)]))
    inside, at = _inside(whole, out.shape, pads)
    schedules.append(rebased(copy(out, inside), (), [Work(at)]))
    return replace(_joined(schedules), workspace=max(used, *(s.workspace for s in schedules)))


def _part(whole: Operand, ranges: Sequence[tuple[int, int]]) -> Region:
    """The elements first .. first + n - 1 along each dim."""
    at = sum(first * step for (first, _), step in zip(ranges, whole.strides)) * whole.dtype.itemsize
    return Array(whole.dtype, tuple(n for _, n in ranges), tuple(whole.strides)), at


def _inside(whole: Operand, shape: Sequence[int], pads: Sequence[tuple[int, int]]) -> Region:
    return _part(whole, [(before, n) for (before, _), n in zip(pads, shape)])


def _strips(whole: Operand, shape: Sequence[int], pads: Sequence[tuple[int, int]], d: int, mode: str) -> Iterator[tuple[Region, Region]]:
    """The borders of dim d and what they show: within the inside of the dims before it, as far as the array goes in those behind it."""
    ranges = [(pads[k][0], shape[k]) if k < d else (0, whole.shape[k]) for k in range(len(pads))]
    (before, after), n = pads[d], shape[d]
    front = {"reflect": (before + 1, before), "replicate": (before, 1), "circular": (n, before)}[mode]
    back = {"reflect": (before + n - 1 - after, after), "replicate": (before + n - 1, 1), "circular": (before, after)}[mode]
    for strip, shown in (((0, before), front), ((before + n, after), back)):
        if strip[1]:
            both = [_part(whole, [*ranges[:d], x, *ranges[d + 1 :]]) for x in (strip, shown)]
            yield both[0], both[1]


def _joined(schedules: Sequence[Schedule]) -> Schedule:
    return Schedule(tuple(x for s in schedules for x in s.launches), 0, tuple(n for s in schedules for n in s.notes))
