"""Modified Bessel functions of the first kind, orders 0 and 1, in float64 (float32 is rounded from it)."""

from __future__ import annotations

import math
import sys

from ...base.dtypes import float32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from . import coefficients as C
from .pieces import INF, NAN, limited, narrow, poly, wide

LARGEST32, LARGEST64 = (2 - 2.0**-23) * 2.0**127, sys.float_info.max


def _evaluated(x: Scalar, order: int, scaled: bool, largest: float) -> Scalar:
    """A polynomial in x*x up to 8, in 1/x beyond. As from the product with e**x, infinity where that is beyond `largest`, NaN at infinity."""
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
        beyond = fn.where(a < INF, const(INF, a.dtype), NAN)
        out = fn.where(a <= 8, near, fn.where(a <= math.log(largest), far * fn.exp(a), beyond))
    out = fn.where(fn.isnan(x), x, out)
    return fn.copysign(out, x) if order else out


def _expansion(n: Scalar, order: int, scaled: bool) -> Scalar:
    x = n.args[0]
    if n.dtype is float32:
        return narrow(_evaluated(wide(x), order, scaled, LARGEST32))
    return _evaluated(x, order, scaled, LARGEST64)


def i0(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 0, False)


def i0e(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 0, True)


def i1(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 1, False)


def i1e(n: Scalar, target: Target) -> Scalar:
    return _expansion(n, 1, True)
