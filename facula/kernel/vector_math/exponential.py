"""exp and its kin: x = n ln 2 + r, a polynomial for e**r, and 2**n put on at the end with one rounding."""

from __future__ import annotations

import math

from ...base.dtypes import float32, float64, int32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar
from . import coefficients as C
from .pieces import (
    Pair,
    limited,
    poly,
    power_of_two,
    times_power,
    to_integer,
)

LN2_HIGH32, LN2_LOW32 = 0.693359375, math.log(2) - 0.693359375  # nine bits: n times it is exact
LN2_HIGH64, LN2_LOW64 = float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")


def _ln2_low(x: Scalar) -> float:
    return LN2_LOW32 if x.dtype is float32 else LN2_LOW64


def first_reduced(x: Scalar) -> Pair:
    """n and x - n times the high part of ln 2, which is exact."""
    n = fn.round(x * (1 / math.log(2)))
    return n, fn.fma(n, -(LN2_HIGH32 if x.dtype is float32 else LN2_HIGH64), x)


def reduced(x: Scalar) -> Pair:
    """n (whole) and r = x - n ln 2, |r| <= 0.347, for |x| up to a few thousand."""
    n, first = first_reduced(x)
    return n, fn.fma(n, -_ln2_low(x), first)


def exp_of_rest(r: Scalar) -> Scalar:
    """e**r - 1 for |r| <= 0.347."""
    return fn.fma(r * r, poly(r, C.EXP32 if r.dtype is float32 else C.EXP64), r)


def exp(n: Scalar, target: Target) -> Scalar:
    return scaled_exp(n.args[0], 0, target)


def scaled_exp(x: Scalar, power: int, target: Target) -> Scalar:
    """e**x * 2**power; the product does not overflow before its value does."""
    bound = 106.0 if x.dtype is float32 else 750.0
    k, r = reduced(limited(x, -bound, bound))
    high = r + 1
    low = r - (high - 1)  # what the sum lost, exactly
    p = high + fn.fma(r * r, poly(r, C.EXP32 if x.dtype is float32 else C.EXP64), low)
    return times_power(p, k + power if power else k, target)


def power_by_bits(x: Scalar, factor: float, lift: int) -> Pair:
    """k, the whole number next to x * factor, and the integer which, added to the bits of a float32, multiplies it by 2**(k + lift)."""
    magic = 1.5 * 2.0**23 + lift  # leaves k + lift in the low bits
    sum_ = fn.fma(x, factor, magic)
    return sum_ - magic, fn.bitcast(sum_, int32) << 23


def raised(x: Scalar, power: Scalar) -> Scalar:
    """The product with the power of two; it and x are normal numbers."""
    return fn.bitcast(fn.bitcast(x, int32) + power, float32)


def exp2(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    bound = 152.0 if x.dtype is float32 else 1080.0
    x = limited(x, -bound, bound)
    k = fn.round(x)
    r = x - k
    return times_power(fn.fma(r, poly(r, C.EXP2_32 if x.dtype is float32 else C.EXP2_64), 1.0), k, target)


def expm1(n: Scalar, target: Target) -> Scalar:
    """2**k (e**r - 1) + (2**k - 1), where the bracket is exact; at half the size, since 2**128 is none."""
    x = n.args[0]
    low, high = (-20.0, 89.0) if x.dtype is float32 else (-40.0, 710.0)
    x = limited(x, low, high)
    k, first = first_reduced(x)
    r = fn.fma(k, -_ln2_low(x), first)
    lost = fn.fma(k, -_ln2_low(x), first - r)
    t = fn.fma(r * r, poly(r, C.EXPM32 if x.dtype is float32 else C.EXP64), lost)  # e**x = 2**k (1 + r + t)
    half = power_of_two(to_integer(k) - 1, x.dtype)
    one = half - 0.5
    u = fn.fma(half, r, one)
    rest = fn.fma(half, r, one - u) + ((half - one) - 0.5)
    out = (u + fn.fma(half, t, rest)) * 2
    return fn.copysign(fn.where(k == 0, r + t, out), x)


# -- float32 through float64
def exp2_wide(t: Scalar) -> Scalar:
    """2**t in float64 to 2**-28, for |t| < 1000."""
    k = fn.round(t)
    r = t - k
    return fn.fma(r, poly(r, C.EXP2_32), 1.0) * power_of_two(to_integer(k), float64)


def exp_wide(x: Scalar) -> Scalar:
    """e**x in float64 to 2**-29, for |x| < 700; three terms fewer than float64's own."""
    k, r = reduced(x)
    return (1 + fn.fma(r * r, poly(r, C.EXP40), r)) * power_of_two(to_integer(k), float64)
