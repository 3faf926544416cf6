"""Convolutions of one to three spatial dims: forward, gradient of the input (also transposed convolution), gradient of the weight.

Operands are float32, float64, or half precision that computes in float32 and is rounded once, of any strides. Contiguous planes are read and
written where they lie (in half precision, whole operands), and so are pixels whose channels lie together under a 1 x 1 kernel; others are
copied. Every function returns a Schedule; `target` is the instruction set, this machine's by default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...base.dtypes import dtype
from ...base.target import Target
from ..copies import flat, row_major, with_copies
from ..launch import Array, In, Kernel, Operand, Out, Schedule, Word
from . import halves, pixels
from .geometry import backward_grids, forward_grid
from .plan import (
    ITEMS,
    Builder,
    Problem,
    Side,
    Weights,
    dense_planes,
    depthwise,
    depthwise_fits,
    filtered,
    phased,
    problem,
    product,
    thin,
    thin_fits,
    thin_weight,
    weight_gradient,
    winograd,
    winograd_gradient,
    zero,
)


def forward(
    out: Operand, x: Operand, w: Operand, *, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int = 1,
    bias: bool = False, target: Target | None = None,
) -> Schedule:  # fmt: skip
    """out (N, O, *R) = convolution of x (N, C, *S) with w (O, C / groups, *K). In 0 x, 1 w, 2 bias (O,) of out's dtype."""
    p = problem(out, x, w, stride, padding, dilation, groups)
    if p.plain and (at := _rows(x, out)):
        return pixels.forward(at[1], at[0], w, bias, target)
    if not in_planes(x, w, out):
        inner = forward(
            flat(out), flat(x), flat(w), stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias, target=target
        )
        return with_copies(inner, (out,), (x, w))
    b = Builder(target)
    xs, ys = _Half.side(b, In(0), x), _Half.result(b, out)
    weights = _weights(b, p, In(1), w, False)
    given = _bias(b, out) if bias else None
    if depthwise_fits(p, False):
        depthwise(b, p, "forward", xs, ys, weights.at, weights.output, given)
    elif thin_fits(p):
        thin(b, p, p.outputs, p.channels, xs, ys, weights, given)
    elif not (filtered(p, p.outputs, p.channels) and winograd(b, p, False, xs, ys, weights, given)):
        grid = forward_grid(p.source, p.kernel, p.stride, p.padding, p.dilation, p.result)
        grid, xs = phased(b, p, grid, xs)
        product(b, p, [grid], p.outputs, p.channels, xs, ys, weights, given)
    return _finish(b, ys, out)


def backward_input(
    gx: Operand, g: Operand, w: Operand, *, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int = 1,
    bias: bool = False, target: Target | None = None,
) -> Schedule:  # fmt: skip
    """gx (N, C, *S) from g (N, O, *R): the convolution's transpose. In 0 g, 1 w (O, C / groups, *K), 2 bias (C,) of a transposed convolution."""
    p = problem(g, gx, w, stride, padding, dilation, groups)
    if p.plain and (at := _rows(g, gx)):
        return pixels.backward_input(at[1], at[0], w, bias, target)
    if not in_planes(g, w, gx):
        inner = backward_input(
            flat(gx), flat(g), flat(w), stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias, target=target
        )
        return with_copies(inner, (gx,), (g, w))
    b = Builder(target)
    gs, xs = _Half.side(b, In(0), g), _Half.result(b, gx)
    weights = _weights(b, p, In(1), w, True)
    given = _bias(b, gx) if bias else None
    if depthwise_fits(p, True):
        depthwise(b, p, "input", gs, xs, weights.at, weights.channel, given)
        return _finish(b, xs, gx)
    if thin_fits(p) and p.result == p.source:
        thin(b, p, p.channels, p.outputs, gs, xs, weights, given)
        return _finish(b, xs, gx)
    if filtered(p, p.channels, p.outputs) and winograd(b, p, True, gs, xs, weights, given):
        return _finish(b, xs, gx)
    grids = backward_grids(p.result, p.kernel, p.stride, p.padding, p.dilation, p.source)
    product(b, p, grids, p.channels, p.outputs, gs, xs, weights, given)
    return _finish(b, xs, gx)


def backward_weight(
    gw: Operand, g: Operand, x: Operand, *, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int = 1,
    target: Target | None = None,
) -> Schedule:  # fmt: skip
    """gw (O, C / groups, *K) from g (N, O, *R) and x (N, C, *S). In 0 g, 1 x. The bias' gradient is a plain sum of g."""
    p = problem(g, x, gw, stride, padding, dilation, groups)
    if p.plain and (at := _rows(g, x)):
        return pixels.backward_weight(gw, *at, target)
    if not in_planes(g, x) or not row_major(gw):
        inner = backward_weight(flat(gw), flat(g), flat(x), stride=stride, padding=padding, dilation=dilation, groups=groups, target=target)
        return with_copies(inner, (gw,), (g, x))
    b = Builder(target)
    gs, xs, ws = _Half.side(b, In(0), g), _Half.side(b, In(1), x), _Half.result(b, gw)
    if not p.images or not min(p.result):
        zero(b, p, ws.at)
        return _finish(b, ws, gw)
    if depthwise_fits(p, True) and p.stride[1] == p.stride[2] <= 2 and p.groups >= ITEMS:
        depthwise(b, p, "weight", xs, gs, ws.at, ws.image)
        return _finish(b, ws, gw)
    if thin_fits(p) and max(p.channels, p.outputs) >= ITEMS:
        thin_weight(b, p, xs, gs, ws.at, ws.image)
        return _finish(b, ws, gw)
    if filtered(p, p.channels, p.outputs):
        winograd_gradient(b, p, xs, gs, ws.at, ws.image)
        return _finish(b, ws, gw)
    grid = forward_grid(p.source, p.kernel, p.stride, p.padding, p.dilation, p.result)
    grid, xs = phased(b, p, grid, xs)
    weight_gradient(b, p, grid, xs, gs, ws.at, ws.image)
    return _finish(b, ws, gw)


def _rows(first: Operand, second: Operand) -> tuple[Array, Array] | None:
    """Both as matrices of pixels, if both lie so."""
    a, b = pixels.rows(first), pixels.rows(second)
    return (a, b) if a and b else None


def in_planes(*operands: Operand) -> bool:
    """Whether the kernels take the operands as they lie: float32 and float64 plane by plane, half precision in one piece."""
    return all(row_major(x) if x.dtype.itemsize == 2 else dense_planes(x) for x in operands)


class _Half:
    """Where an operand lies for the kernels: itself, or widened in workspace."""

    @staticmethod
    def side(b: Builder, at: Word, operand: Operand) -> Side:
        if operand.dtype.itemsize != 2:
            return Side(at, *operand.strides[:2])
        return Side(_convert(b, at, operand.dtype, math.prod(operand.shape), True), *_strides(operand))

    @staticmethod
    def result(b: Builder, operand: Operand) -> Side:
        if operand.dtype.itemsize != 2:
            return Side(Out(0), *operand.strides[:2])
        return Side(b.room(4 * math.prod(operand.shape)), *_strides(operand))


def _strides(operand: Operand) -> tuple[int, int]:
    plane = math.prod(operand.shape[2:])
    return operand.shape[1] * plane, plane


def _convert(b: Builder, at: Word, d: dtype, count: int, up: bool, to: Word | None = None) -> Word:
    where = b.room(4 * count) if to is None else to
    kernel = Kernel(halves.emit_convert, (d.name, up))
    b.launch(kernel, halves.WORDS, {"source": at, "to": where, "count": count}, -(-count // halves.CHUNK), 1, 6 * count)
    return where


def _weights(b: Builder, p: Problem, at: Word, w: Operand, backward: bool) -> Weights:
    if w.dtype.itemsize == 2:
        at = _convert(b, at, w.dtype, math.prod(w.shape), True)
        output, channel = _strides(w)
    else:
        output, channel = w.strides[:2]
    rows = (channel, output) if backward else (output, channel)
    return Weights(at, p.outputs * output, *rows)


def _bias(b: Builder, out: Operand) -> Word:
    return _convert(b, In(2), out.dtype, out.shape[1], True) if out.dtype.itemsize == 2 else In(2)


def _finish(b: Builder, result: Side, operand: Operand) -> Schedule:
    if operand.dtype.itemsize == 2:
        _convert(b, result.at, operand.dtype, math.prod(operand.shape), False, Out(0))
    return b.schedule()
