"""exp and its kin: x = n ln 2 + r, a polynomial for e**r, and 2**n put on at the end with one rounding. pow: in double-length logarithms."""

from __future__ import annotations

import math

from ...base.dtypes import float32, float64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from . import coefficients as C
from .pieces import (
    INF,
    NAN,
    Pair,
    limited,
    narrow,
    poly,
    power_of_two,
    quick_sum,
    times_power,
    to_integer,
    two_product,
    two_sum,
    wide,
    word,
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


# -- pow
def pow(n: Scalar, target: Target) -> Scalar:
    """|x|**y = 2**(y log2 |x|), then C's special cases."""
    x, y = n.args
    a = fn.fabs(x)
    if n.dtype is float32:
        from .logarithm import log2_wide

        size = narrow(exp2_wide(limited(wide(y) * log2_wide(wide(a)), -200.0, 200.0)))
    else:
        size = _pow64(a, y, target)
    plain = (x > 0) & (x < INF) & (fn.fabs(y) < INF)
    return fn.rare(~plain, _special_pow(x, y, size), size)


def _special_pow(x: Scalar, y: Scalar, size: Scalar) -> Scalar:
    """|x|**y with its sign, and the values that C gives at 0, infinity and NaN."""
    a, kind = fn.fabs(x), x.dtype
    whole = fn.trunc(y) == y
    half = y * 0.5
    odd = whole & (fn.trunc(half) != half) & (fn.fabs(y) < INF)
    minus = fn.bitcast(x, word(kind)) < 0
    edge = fn.where((a == 0) ^ (y < 0), const(0, kind), INF)  # of 0 and infinity: y > 0 keeps, y < 0 turns round
    size = fn.where((a == 0) | (a == INF), edge, size)
    size = fn.where(fn.fabs(y) == INF, fn.where((a > 1) ^ (y < 0), INF, const(0, kind)), size)
    size = fn.where(minus & (a != 0) & (a < INF) & ~whole, NAN, size)
    out = fn.where(minus & odd, -size, size)
    out = fn.where(fn.isnan(x) | fn.isnan(y), x + y, out)
    return fn.where((y == 0) | (x == 1) | ((x == -1) & (fn.fabs(y) == INF)), 1, out)


def _pow64(a: Scalar, y: Scalar, target: Target) -> Scalar:
    from .logarithm import log_pair

    high, low = log_pair(a)
    y = limited(y, -1e20, 1e20)  # the least |log a| is 1.1e-16
    p, e = two_product(y, high)
    p, e = quick_sum(p, fn.fma(y, low, e))
    bounded = limited(p, -760.0, 760.0)
    e = fn.where(bounded == p, e, 0)
    k, r = reduced(bounded)
    r_high = fn.fma(k, -LN2_HIGH64, bounded)
    r, rest = two_sum(r_high, k * -LN2_LOW64)
    e = e + rest
    small = exp_of_rest(r)
    return times_power(1 + (small + fn.fma(small, e, e)), k, target)
