"""Modified Bessel functions of the first kind, orders 0 and 1, in float64 (float32 is rounded from it)."""

from __future__ import annotations

from ...base.dtypes import float32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar
from . import coefficients as C
from .pieces import INF, limited, narrow, poly, wide


def _evaluated(x: Scalar, order: int, scaled: bool) -> Scalar:
    """A polynomial in x*x up to 8, in 1/x beyond; e**x goes on in two halves so that it does not overflow before the result."""
    a = fn.fabs(x)
    square = limited(a, 0.0, 8.0) * limited(a, 0.0, 8.0)
    near = poly(square, C.BESSEL1 if order else C.BESSEL0)
    if order:
        near = near * a
    inverse = 1 / limited(a, 8.0, 1e300)
    far = poly(inverse, C.BESSEL1_FAR if order else C.BESSEL0_FAR) * fn.sqrt(inverse)
    if scaled:
        out = fn.where(a <= 8, near * fn.exp(-a), fn.where(a < INF, far, 0))
    else:
        half = fn.exp(a * 0.5)
        out = fn.where(a <= 8, near, fn.where(a < INF, far * half * half, INF))
    out = fn.where(fn.isnan(x), x, out)
    return fn.copysign(out, x) if order else out


def _expansion(n: Scalar, order: int, scaled: bool) -> Scalar:
    x = n.args[0]
    return narrow(_evaluated(wide(x), order, scaled)) if n.dtype is float32 else _evaluated(x, order, scaled)


def i0(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 0, False)


def i0e(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 0, True)


def i1(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 1, False)


def i1e(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 1, True)
