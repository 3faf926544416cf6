"""Logarithms: x = 2**k m with m in [sqrt(1/2), sqrt(2)), a polynomial in m - 1, and k ln 2 in two parts."""

from __future__ import annotations

import math

from ...base.dtypes import float32, float64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const, round32
from . import coefficients as C
from .exponential import LN2_HIGH32, LN2_HIGH64, LN2_LOW32, LN2_LOW64
from .pieces import INF, NAN, Pair, mantissa_bits, poly, power_of_two, quick_sum, to_float, to_integer, two_product, two_sum, word

_ROOT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2)


def parts(x: Scalar) -> Pair:
    """k (as a float) and m - 1 of a positive normal x."""
    kind, shift = word(x.dtype), mantissa_bits(x.dtype)
    bits = fn.bitcast(x, kind)
    up = (bits - _ROOT_HALF[x.dtype.name]) >> shift
    return to_float(up), fn.bitcast(bits - (up << shift), x.dtype) - 1


def normal_parts(x: Scalar) -> Pair:
    """As `parts`, for subnormal x too."""
    tiny, lift = (2.0**-126, 25) if x.dtype is float32 else (2.0**-1022, 54)
    small = x < tiny
    k, f = parts(fn.where(small, x * 2.0**lift, x))
    return fn.where(small, k - lift, k), f


def ends(x: Scalar, value: Scalar, low: float = 0.0) -> Scalar:
    """The value where x is positive and finite; the logarithm's poles and NaN elsewhere (the pole is at `low`)."""
    value = fn.where(x < INF, value, x)  # infinity and NaN stay
    return fn.where(x > low, value, fn.where(x == low, -INF, fn.where(x < low, NAN, value)))


def log(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    k, f = normal_parts(x)
    if n.dtype is float32:
        return ends(x, _log32(k, f, const(0, float32)))
    return ends(x, _log64(k, f, const(0, float64)))


def _log32(k: Scalar, f: Scalar, correction: Scalar) -> Scalar:
    """k ln 2 + log(1 + f) + correction."""
    square = f * f
    small = fn.fma(k, LN2_LOW32, fn.fma(square, -0.5, correction))
    return fn.fma(k, LN2_HIGH32, f + fn.fma(poly(f, C.LOG32), square * f, small))


def _log64(k: Scalar, f: Scalar, correction: Scalar) -> Scalar:
    """k ln 2 + log(1 + f) + correction; s = f / (2 + f) makes the series short, f*f/2 is kept apart and exact."""
    s = f / (f + 2)
    t = s * s
    half = f * f * 0.5
    series = s * (half + t * poly(t, C.LOG64))
    return fn.fma(k, LN2_HIGH64, f - (half - (series + fn.fma(k, LN2_LOW64, correction))))


def log_wide(u: Scalar) -> Scalar:
    """log u of a positive normal float64 to 2**-33 of its size, for float32 results."""
    k, f = parts(u)
    return fn.fma(k, math.log(2), f * poly(f, C.LOG40))


def log2_wide(u: Scalar) -> Scalar:
    """log2 u of a positive normal float64 to 2**-33 of its size."""
    k, f = parts(u)
    return fn.fma(f * poly(f, C.LOG40), 1 / math.log(2), k)


def log2(n: Scalar, target: Target) -> Scalar:
    return _other_base(n, 1 / math.log(2), 1.0, 0.0)


def log10(n: Scalar, target: Target) -> Scalar:
    if n.dtype is float32:
        return _other_base(n, 1 / math.log(10), 0.301025390625, math.log10(2) - 0.301025390625)
    return _other_base(n, 1 / math.log(10), float.fromhex("0x1.34413509f7800p-2"), float.fromhex("0x1.fef311f12b358p-46"))


def _other_base(n: Scalar, factor: float, two_high: float, two_low: float) -> Scalar:
    """log x / log base. `two_high` + `two_low` is the logarithm of 2; the exponent times the first is exact."""
    x = n.args[0]
    k, f = normal_parts(x)
    if n.dtype is float32:
        leading = round32(factor)
        square = f * f
        p = f * leading
        lost = fn.fma(fn.fma(f, f, -square), -0.5 * factor, fn.fma(f, factor - leading, fn.fma(f, leading, -p)))
        tail = fn.fma(fn.fma(poly(f, C.LOG32), square * f, square * -0.5), factor, lost)
    else:
        high, low = _log_of_rest(f)
        p, e = two_product(high, const(factor, float64))
        tail = e + fn.fma(high, _LOW[factor], low * factor)
    s, lost = two_sum(k * two_high, p)
    return ends(x, s + (lost + fn.fma(k, two_low, tail)))


_LOW = {1 / math.log(2): 2.0355273740931033e-17, 1 / math.log(10): 6.649434773342547e-17}  # what 1/ln 2 and 1/ln 10 lose as float64


def _log_of_rest(f: Scalar) -> Pair:
    """log(1 + f) as high + low, to about 2**-65, for f in [-0.293, 0.4143]: s = f / (2 + f) with what its division leaves."""
    d = f + 2
    d_low = f - (d - 2)
    s = f / d
    s_low = (fn.fma(-s, d, f) - s * d_low) / d
    t = s * s
    high, low = quick_sum(s * 2, s_low * 2)
    cube = t * s
    third, third_low = two_product(cube, const(2 / 3, float64))
    third_low = third_low + cube * (2 / 3 - 0.6666666666666666) + (fn.fma(s, s, -t) * s + fn.fma(t, s, -cube) + t * s_low * 3) * (2 / 3)
    third_low = third_low + cube * 3.700743415417188e-17
    rest = cube * t * poly(t, C.LOG64[1:]) + cube * (C.LOG64[0] - 2 / 3)
    h, e = quick_sum(high, third)
    return quick_sum(h, e + (low + (third_low + rest)))


def log_pair(x: Scalar) -> Pair:
    """log x of a positive x as high + low, to about 2**-63."""
    k, f = normal_parts(x)
    high, low = _log_of_rest(f)
    big = k * LN2_HIGH64
    h, e = two_sum(big, high)
    return quick_sum(h, e + (low + k * LN2_LOW64))


def log1p(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    u = x + 1
    lost = fn.where(fn.fabs(x) < 1, x - (u - 1), 1 - (u - x))
    k, f = parts(fn.where(u > 0, u, 1))
    if n.dtype is float32:
        same = k == 0
        correction = fn.where(same, 0, lost * power_of_two(-to_integer(fn.where(k > 126, 126, k)), float32))
        correction = correction * fn.fma(f, fn.fma(f, 0.9, -1.0), 1.0)  # over 1 + f, as far as it counts
        return ends(x, fn.where(x == 0, x, _log32(k, fn.where(same, x, f), correction)), -1.0)
    value = _log64(k, f, lost / u)
    return ends(x, fn.where(fn.fabs(x) < 2.0**-54, x, value), -1.0)
