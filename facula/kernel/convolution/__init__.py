"""Convolutions of one to three spatial dims: forward, gradient of the input (also transposed convolution), gradient of the weight."""

from __future__ import annotations

from collections.abc import Sequence

from ...base.target import Target
from ..launch import In, Operand, Out, Schedule
from .geometry import backward_grids, forward_grid
from .plan import Builder, Side, Weights, dense, problem, product


def forward(
    out: Operand, x: Operand, w: Operand, *, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int = 1,
    bias: bool = False, target: Target | None = None,
) -> Schedule:  # fmt: skip
    """out (N, O, *R) = convolution of x (N, C, *S) with w (O, C / groups, *K). In 0 x, 1 w, 2 bias (O,) of out's dtype."""
    p = problem(out, x, w, stride, padding, dilation, groups)
    b = Builder(target)
    grid = forward_grid(p.source, p.kernel, p.stride, p.padding, p.dilation, p.result)
    weights = Weights(In(1), p.outputs * w.strides[0], w.strides[0], w.strides[1])
    product(b, p, grid, p.outputs, p.channels, Side(In(0), *dense(x, "x")), Side(Out(0), *dense(out, "out")), weights, In(2) if bias else None)
    return b.schedule()


def backward_input(
    gx: Operand, g: Operand, w: Operand, *, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int = 1,
    bias: bool = False, target: Target | None = None,
) -> Schedule:  # fmt: skip
    """gx (N, C, *S) from g (N, O, *R): the convolution's transpose. In 0 g, 1 w, 2 bias (C,) of a transposed convolution."""
    p = problem(g, gx, w, stride, padding, dilation, groups)
    b = Builder(target)
    weights = Weights(In(1), p.outputs * w.strides[0], w.strides[1], w.strides[0])
    source, result = Side(In(0), *dense(g, "g")), Side(Out(0), *dense(gx, "gx"))
    for grid in backward_grids(p.result, p.kernel, p.stride, p.padding, p.dilation, p.source):
        product(b, p, grid, p.channels, p.outputs, source, result, weights, In(2) if bias else None)
    return b.schedule()
