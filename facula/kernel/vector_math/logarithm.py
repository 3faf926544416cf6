"""Logarithms: x = 2**k m. In float64 m is in [sqrt(1/2), sqrt(2)) and a polynomial in m - 1 does it; in float32 m is in [3/4, 3/2), and
log m = log(m c) - log c with c next to 1/m from a table of 16, whose logarithm has few bits (Gal 1986: "accurate tables")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...base.dtypes import float32, float64, int32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const, round32
from . import coefficients as C
from . import tables as T
from .exponential import LN2_HIGH64, LN2_LOW64
from .pieces import (
    INF,
    NAN,
    Pair,
    has_exponents,
    mantissa_bits,
    poly,
    quick_sum,
    to_float,
    two_product,
    two_sum,
    word,
)

_FIRST = {"float32": 0x3F400000, "float64": 0x3FE6A09E667F3BCD}  # the bits of the least m


class Base(NamedTuple):
    """What a float32 logarithm to a base is made of."""

    inverse: Sequence[float]  # c of each piece, chosen by the first four bits of the mantissa
    value: Sequence[float]  # -log c, a multiple of 2**-16
    slope: float  # 1 / ln base as a float32,
    series: Sequence[float]  # and the rest: log(1 + r) = slope * r + r * (polynomial in r)
    high: float  # the logarithm of 2: a multiple of 2**-16, so that k times it plus `value` is exact,
    low: float  # and the rest, which is not negative


def _base(table: Sequence[Sequence[float]], slope: float, high: float, low: float) -> Base:
    leading = round32(slope)
    return Base(table[0], table[1], leading, [slope - leading, *(slope * c for c in C.LOG32)], high, low)


_LN2_HIGH, _LOG2_HIGH = 45425 * 2.0**-16, 19728 * 2.0**-16
E = _base(T.LOG, 1.0, _LN2_HIGH, math.log(2) - _LN2_HIGH)
TWO = _base(T.LOG2, 1 / math.log(2), 1.0, 0.0)
TEN = _base(T.LOG10, 1 / math.log(10), _LOG2_HIGH, math.log10(2) - _LOG2_HIGH)


def split(x: Scalar) -> Pair:
    """k (as a float) and m of a positive normal x."""
    kind, shift = word(x.dtype), mantissa_bits(x.dtype)
    bits = fn.bitcast(x, kind)
    up = (bits - _FIRST[x.dtype.name]) >> shift
    return to_float(up), fn.bitcast(bits - (up << shift), x.dtype)


def parts(x: Scalar) -> Pair:
    """k and m - 1."""
    k, m = split(x)
    return k, m - 1


def normal_split(x: Scalar) -> Pair:
    """As `split`, for subnormal x too."""
    tiny, lift = (2.0**-126, 25) if x.dtype is float32 else (2.0**-1022, 54)
    small = x < tiny
    k, m = split(fn.where(small, x * 2.0**lift, x))
    return fn.where(small, k - lift, k), m


def normal_parts(x: Scalar) -> Pair:
    k, m = normal_split(x)
    return k, m - 1


def ends(x: Scalar, value: Scalar, low: float = 0.0) -> Scalar:
    """The value where x is positive and finite; the logarithm's poles and NaN elsewhere (the pole is at `low`)."""
    value = fn.where(x < INF, value, x)  # infinity and NaN stay
    return fn.where(x > low, value, fn.where(x == low, -INF, fn.where(x < low, NAN, value)))


def log(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    if n.dtype is float64:
        return ends(x, _log64(*normal_parts(x), const(0, float64)))
    return _log32(x, E, target)


def _log32(x: Scalar, base: Base, target: Target) -> Scalar:
    if has_exponents(target):
        return _of_pieces(*_exponents(x), base)
    return ends(x, _of_pieces(*normal_split(x), base))


def _exponents(x: Scalar) -> Pair:
    """k and m by instruction, subnormals included. Where the logarithm is infinite so is k, and below 0 m is NaN."""
    m = Scalar("mantissa", (x,), float32)
    return Scalar("exponent", (x,), float32) - Scalar("exponent", (m,), float32), m


def _of_pieces(k: Scalar, m: Scalar, base: Base, lost: Scalar | None = None) -> Scalar:
    """log(2**k (m + lost)). Next to 1 the table holds 1 and 0: there the result is as exact as `m - 1 + lost`."""
    index = fn.bitcast(m, int32) >> 19
    c = fn.lookup(index, base.inverse)
    r = fn.fma(m, c, -1.0)
    rest = r * poly(r, base.series)
    if lost is not None:
        rest = fn.fma(lost * c, 1 - r, rest)
    if base.low:
        rest = fn.fma(k, base.low, rest)
    return fn.fma(k, base.high, fn.lookup(index, base.value)) + fn.fma(r, base.slope, rest)


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
    if n.dtype is float32:
        return _log32(n.args[0], TWO, target)
    return _other_base64(n.args[0], 1 / math.log(2), 1.0, 0.0)


def log10(n: Scalar, target: Target) -> Scalar:
    if n.dtype is float32:
        return _log32(n.args[0], TEN, target)
    return _other_base64(n.args[0], 1 / math.log(10), float.fromhex("0x1.34413509f7800p-2"), float.fromhex("0x1.fef311f12b358p-46"))


def _other_base64(x: Scalar, factor: float, two_high: float, two_low: float) -> Scalar:
    """log x / log base. `two_high` + `two_low` is the logarithm of 2; the exponent times the first is exact."""
    k, f = normal_parts(x)
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
    if n.dtype is float32:
        return _log1p32(x, target)
    u = x + 1
    lost = fn.where(fn.fabs(x) < 1, x - (u - 1), 1 - (u - x))
    k, f = parts(fn.where(u > 0, u, 1))
    return ends(x, fn.where(fn.fabs(x) < 2.0**-54, x, _log64(k, f, lost / u)), -1.0)


def _log1p32(x: Scalar, target: Target) -> Scalar:
    big, small = fn.where(x > 1, x, 1), fn.where(x > 1, 1, x)
    u = big + small
    k, m = _exponents(u) if has_exponents(target) else split(u)
    inverse = fn.bitcast(fn.bitcast(m, int32) - fn.bitcast(u, int32) + 0x3F800000, float32)  # 2**-k
    lost = fn.where(x < 2.0**25, (small - (u - big)) * inverse, 0)
    value = _of_pieces(k, m, E, lost)
    return fn.copysign(value if has_exponents(target) else ends(x, value, -1.0), x)
