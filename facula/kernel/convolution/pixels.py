"""1 x 1 convolutions of images whose channels lie together, NHWC: pixels are the rows of a matrix, and a product reads and writes them there."""

from __future__ import annotations

from math import prod

from ...base.target import Target
from ..gemm import matmul
from ..launch import Array, Operand, Schedule


def rows(image: Operand) -> Array | None:
    """(pixels, channels) of (N, C, *S); None where the channels of a pixel do not follow each other or pixels are not evenly apart."""
    shape, strides = (image.shape[0], *image.shape[2:]), (image.strides[0], *image.strides[2:])
    long = [(n, s) for n, s in zip(reversed(shape), reversed(strides)) if n != 1]
    together = image.shape[1] > 1 and image.strides[1] == 1
    if not together or 0 in shape or any(s != n * step for (n, step), (_, s) in zip(long, long[1:])):
        return None
    return Array(image.dtype, (prod(shape), image.shape[1]), (long[0][1] if long else image.shape[1], 1))


def matrix(weight: Operand) -> Array:
    """(O, C) of (O, C, 1, ...)."""
    return Array(weight.dtype, weight.shape[:2], weight.strides[:2])


def turned(a: Array) -> Array:
    return Array(a.dtype, a.shape[::-1], a.strides[::-1])


def forward(y: Array, x: Array, w: Operand, bias: bool, target: Target | None) -> Schedule:
    """y = x W^T + bias. In 0 x, 1 w, 2 bias."""
    return matmul(y, x, turned(matrix(w)), bias=_bias(y) if bias else None, target=target)


def backward_input(gx: Array, g: Array, w: Operand, bias: bool, target: Target | None) -> Schedule:
    """gx = g W + bias. In 0 g, 1 w, 2 bias."""
    return matmul(gx, g, matrix(w), bias=_bias(gx) if bias else None, target=target)


def backward_weight(gw: Operand, g: Array, x: Array, target: Target | None) -> Schedule:
    """gW = g^T x. In 0 g, 1 x."""
    return matmul(matrix(gw), turned(g), x, target=target)


def _bias(y: Array) -> Array:
    return Array(y.dtype, y.shape[1:], (1,))
