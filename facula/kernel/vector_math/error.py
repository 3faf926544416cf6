"""The error function, its complement and inverse, and the normal distribution function."""

from __future__ import annotations

import math

from ...base.dtypes import float32, float64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from . import coefficients as C
from . import tables as T
from .exponential import LN2_HIGH32, LN2_LOW32, exp_wide, power_by_bits, raised, scaled_exp
from .logarithm import log_wide
from .pieces import INF, NAN, at_most, limited, narrow, piece, poly, poly_of_piece, wide


def erf(n: Scalar, target: Target) -> Scalar:
    """float32 from a table of polynomials: their sum with the distance keeps the slope of 1.13 at 0, which one float32 does not. float64 by a
    polynomial near 0, beyond as 1 - erfc(x)."""
    x = n.args[0]
    a = fn.fabs(x)
    if n.dtype is float32:
        index, distance = piece(at_most(a, 4.0), 1.375, 3)
        return fn.copysign(poly_of_piece(index, distance, T.ERF) + distance, x)
    near = fn.fma(x, poly(x * x, C.ERF64), x)
    return fn.where(a < 1, near, fn.copysign(1 - _erfc_tail(a, target), x))


def erfc(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    if n.dtype is float32:
        return narrow(erfc_wide(wide(x)))
    a = fn.fabs(x)
    tail = _erfc_tail(a, target)
    t = x * x
    near = 1 - fn.fma(x, poly(t, C.ERF64), x)
    return fn.where(a < 0.5, near, fn.where(x < 0, 2 - tail, tail))


def ndtr(n: Scalar, target: Target) -> Scalar:
    """For x <= 0, e**(-x*x/2) times a slow function of x."""
    x = n.args[0]
    if n.dtype is float32:
        a = at_most(fn.fabs(x), 14.5)
        tail = _lifted_density(a) * poly_of_piece(*piece(a, 1.0, 2), T.NDTR)
        above = x > 0
        return fn.fma(tail, fn.where(above, -(2.0**-100), const(2.0**-100, float32)), fn.where(above, 1, const(0, float32)))
    a = limited(fn.fabs(x), 0.0, 40.0)
    tail = _lifted_density64(a, target) * scaled_erfc(a * math.sqrt(0.5)) * 2.0**-129
    return fn.where(x > 0, 1 - tail, tail)


def normal_pdf(n: Scalar, target: Target) -> Scalar:
    """In float32 the factor that `ndtr` and `gelu` have too, so a kernel with both computes it once."""
    x, factor = n.args[0], 1 / math.sqrt(2 * math.pi)
    a = fn.fabs(x)
    if n.dtype is float32:
        value = _lifted_density(at_most(a, 14.5)) * (factor * 2.0**-100)
        return fn.where(fn.isnan(x), x, value)  # the low bits of a NaN would count as a power
    return _lifted_density64(limited(a, 0.0, 40.0), target) * (factor * 2.0**-128)


def gelu(n: Scalar, target: Target) -> Scalar:
    """max(x, 0) - |x| P(X > |x|) in float32: the tail is e**(-x*x/2) times a slow function of |x|, so nothing cancels on either side. NaN for
    -infinity, as from the product."""
    x = n.args[0]
    if n.dtype is not float32:
        return x * fn.ndtr(x)
    a = at_most(fn.fabs(x), 14.5)
    tail = _lifted_density(a) * poly_of_piece(*piece(a, 1.0, 2), T.GELU)
    return fn.fma(tail, -(2.0**-100), x - fn.where(x < 0, x, 0))


def _lifted_density(a: Scalar) -> Scalar:
    """2**100 e**(-a*a/2) in float32: a normal number for 0 <= a <= 14.5, beyond which the tails are below the smallest number."""
    k, power = power_by_bits(a * a, -0.5 / math.log(2), 100)
    r = fn.fma(k, 2 * LN2_LOW32, fn.fma(a, a, k * (2 * LN2_HIGH32)))  # a*a + 2 k ln 2
    return raised(poly(r, (1.0, *C.EXPHALF32)), power)


def _lifted_density64(a: Scalar, target: Target) -> Scalar:
    """2**128 e**(-a*a/2) in float64; the square is kept with what its rounding loses."""
    square = a * a
    e = scaled_exp(square * -0.5, 128, target)
    return fn.fma(e, fn.fma(a, a, -square) * -0.5, e)


def erfc_wide(x: Scalar) -> Scalar:
    """erfc in float64 to 2**-28, for float32 results (0 below their smallest)."""
    a = limited(fn.fabs(x), 0.0, 12.0)
    t = 1 / fn.fma(a, 0.5, 1.0)
    tail = exp_wide(-(a * a)) * poly(t, C.ERFC40)
    return fn.where(x < 0, 2 - tail, tail)


def _erfc_tail(a: Scalar, target: Target) -> Scalar:
    """erfc of a >= 0 in float64: e**(-a*a) times a polynomial of a map of a to [-1, 1]; a*a is split so that its rounding does no harm."""
    b = limited(a, 0.0, 28.0)
    square = b * b
    low = fn.fma(b, b, -square)
    e = scaled_exp(-square, 128, target)  # the product may be subnormal, its factor not
    return fn.fma(e, -low, e) * scaled_erfc(b) * 2.0**-128


def scaled_erfc(a: Scalar) -> Scalar:
    """e**(a*a) erfc(a) for a >= 0 in float64."""
    w = 1 / (a + 2)
    return poly((a - 2) * w, C.ERFCX64) * w


def erfinv(n: Scalar, target: Target) -> Scalar:
    """A polynomial in w = -log(1 - x*x) near the middle, in sqrt(w) in the tails; float64 takes two Newton steps after it."""
    x = n.args[0]
    if n.dtype is float32:
        return narrow(_erfinv_start(wide(x)))
    y = _erfinv_start(x)
    a = fn.fabs(x)
    for _ in range(2):
        b = fn.fabs(y)
        error = fn.where(a < 0.5, fn.erf(b) - a, (1 - a) - fn.erfc(b))
        step = error * (math.sqrt(math.pi) / 2) * fn.exp(b * b)
        b = b - step / (1 + b * step)  # Halley
        y = fn.where((a < 1) & (a > 0), fn.copysign(b, x), y)
    return y


def _erfinv_start(x: Scalar) -> Scalar:
    """erfinv in float64 arithmetic to 2**-27."""
    a = fn.fabs(x)
    inside = limited((1 - a) * (1 + a), 2.0**-1000, 1.0)
    w = -log_wide(inside)
    near = poly(w, C.ERFINV_NEAR)
    s = fn.sqrt(w)
    far = fn.where(s < 4.1, poly(s, C.ERFINV_FAR), poly(s, C.ERFINV_END))
    y = fn.where(w < 5, near, far) * x
    y = fn.where(a < 1, y, fn.where(a == 1, fn.copysign(const(INF, float64), x), NAN))
    return fn.where(fn.isnan(x), x, y)
