"""Hyperbolic functions, their inverses, and the logistic family, each from one exponential or one logarithm."""

from __future__ import annotations

import math

from ...base.dtypes import float32, float64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from . import coefficients as C
from . import tables as T
from .exponential import LN2_HIGH32, LN2_LOW32, power_by_bits, raised, scaled_exp
from .logarithm import log_wide
from .pieces import INF, NAN, at_most, limited, narrow, piece, poly, poly_of_piece, wide


def tanh(n: Scalar, target: Target) -> Scalar:
    """float32 from a table of polynomials, the last of which ends at 1. float64 near 0 by expm1, beyond as 1 - 2 / (e**2x + 1)."""
    x = n.args[0]
    a = fn.fabs(x)
    if n.dtype is float32:
        return fn.copysign(poly_of_piece(*piece(at_most(a, 9.2), 0.625, 2), T.TANH), x)
    double = limited(a, 0.0, 44.0) * 2
    e = fn.expm1(limited(a, 0.0, 1.0) * 2)
    near = e / (e + 2)
    far = 1 - 2 / (fn.exp(double) + 1)
    return fn.copysign(fn.where(a < 0.5, near, far), x)


def sinh(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    a = fn.fabs(x)
    half = scaled_exp(a, -1, target)
    far = half - 0.25 / half
    t = x * x
    near = fn.fma(a * t, poly(t, C.SINH32 if n.dtype is float32 else C.SINH64), a)
    return fn.copysign(fn.where(a < 1, near, far), x)


def cosh(n: Scalar, target: Target) -> Scalar:
    half = scaled_exp(fn.fabs(n.args[0]), -1, target)
    return half + 0.25 / half


def asinh(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    a = fn.fabs(x)
    if n.dtype is float32:
        t = x * x
        near = fn.fma(a * t, poly(t, C.ASINH32), a)
        big = a > 2.0**20
        u = wide(a) + wide(fn.where(big, 0, fn.sqrt(fn.fma(a, a, 1.0))))
        far = narrow(log_wide(u) + fn.where(big, math.log(2), const(0, float64)))
        far = fn.where(a < INF, far, a)
        return fn.copysign(fn.where(a < 0.7, near, far), x)
    t = a * a
    small = fn.log1p(a + t / (fn.sqrt(t + 1) + 1))
    large = fn.log(a) + math.log(2)
    middle = fn.log(a * 2 + 1 / (fn.sqrt(t + 1) + a))
    far = fn.where(a > 2.0**28, large, fn.where(a > 2, middle, small))
    return fn.where(a < 2.0**-28, x, fn.copysign(far, x))


def acosh(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    big = x > (2.0**20 if n.dtype is float32 else 2.0**28)
    t = x - 1
    s = fn.sqrt(fn.fma(t, t, t * 2))
    if n.dtype is float32:
        u = fn.where(big, wide(x), wide(t) + 1 + wide(s))
        out = narrow(log_wide(u) + fn.where(big, math.log(2), const(0, float64)))
        return fn.where(x < 1, NAN, fn.where(x < INF, out, x))
    small = fn.log1p(t + s)
    return fn.where(x < 1, NAN, fn.where(big, fn.log(x) + math.log(2), small))


def atanh(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    a = fn.fabs(x)
    if n.dtype is float32:
        t = x * x
        near = fn.fma(a * t, poly(t, C.ATANH32), a)
        far = narrow(log_wide(wide((1 + a) / (1 - a))) * 0.5)
        out = fn.where(a < 0.5, near, far)
    else:
        out = fn.where(a < 2.0**-28, a, fn.log1p(a * 2 / (1 - a)) * 0.5)
    return fn.copysign(fn.where(a < 1, out, fn.where(a == 1, INF, const(NAN, n.dtype))), x)


def sigmoid(n: Scalar, target: Target) -> Scalar:
    """1 / (1 + e**-x), in float32 with both terms times 2**-30, so that e**-x overflows nowhere. In float64 from e**-|x|, the numerator for
    negative x."""
    x = n.args[0]
    if n.dtype is float32:
        a = limited(x, -105.0, 60.0)
        k, power = power_by_bits(a, -1 / math.log(2), -30)
        r = fn.fma(k, LN2_LOW32, fn.fma(k, LN2_HIGH32, a))
        out = 2.0**-30 / (raised(poly(r, C.EXPNEG32), power) + 2.0**-30)
        return fn.where(fn.isnan(x), x, out)  # the low bits of a NaN would count as a power
    e = fn.exp(-fn.fabs(x))
    return fn.where(x < 0, e, 1) / (e + 1)


def softplus(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    e = fn.exp(-fn.fabs(x))
    tail = fn.fma(e * e, poly(e, C.LOG1P32), e) if n.dtype is float32 else fn.log1p(e)
    return fn.where(x > 0, x, 0) + tail


def log_sigmoid(n: Scalar, target: Target) -> Scalar:
    return -fn.softplus(-n.args[0])
