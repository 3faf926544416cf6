"""Inverse trigonometric functions."""

from __future__ import annotations

import math

from ...base.dtypes import float32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from . import coefficients as C
from .pieces import NAN, poly
from .trigonometric import HALF_PI

HALF_PI_32 = (1.57079637050628662109375, -4.37113900018624283e-8)  # pi/2 as two float32


def _half_pi(x: Scalar) -> tuple[float, float]:
    return HALF_PI_32 if x.dtype is float32 else HALF_PI[:2]


def _series(a: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """asin of s = a or, for a > 1/2, of s = sqrt((1 - a) / 2): (large, s, what rounding took from the root, asin s - s)."""
    large = a > 0.5
    half = (1 - a) * 0.5
    z = fn.where(large, half, a * a)
    root = fn.sqrt(half)
    s = fn.where(large, root, a)
    lost = fn.where(large & (root > 0), fn.fma(-root, root, half) / (root * 2), 0)
    return large, s, lost, s * z * poly(z, C.ASIN32 if a.dtype is float32 else C.ASIN64)


def asin(n: Scalar, target: Target) -> Scalar:
    """asin a = pi/2 - 2 asin sqrt((1 - a) / 2) for a > 1/2."""
    x = n.args[0]
    a = fn.fabs(x)
    high, low = _half_pi(x)
    large, s, lost, rest = _series(a)
    far = high - s * 2
    far = far + ((high - far) - s * 2 + (low - (rest + lost) * 2))
    return fn.where(a > 1, NAN, fn.copysign(fn.where(large, far, s + rest), x))


def acos(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    a = fn.fabs(x)
    high, low = _half_pi(x)
    large, s, lost, rest = _series(a)
    near_one = (s + (rest + lost)) * 2  # acos of x > 1/2
    near_minus = (high - s) * 2
    near_minus = near_minus + ((high - near_minus * 0.5) - s + (low - (rest + lost))) * 2
    signed, signed_rest = fn.copysign(s, x), fn.copysign(rest, x)
    middle = high - signed
    middle = middle + ((high - middle) - signed + (low - signed_rest))
    return fn.where(a > 1, NAN, fn.where(large, fn.where(x > 0, near_one, near_minus), middle))


def _atan_fraction(y: Scalar, x: Scalar) -> Scalar:
    """atan(y / x) for 0 <= y <= x: float64 first turns by pi/8 where y / x is above tan(pi/8)."""
    if x.dtype is float32:
        q = y / x
        z = q * q
        return fn.fma(q * z, poly(z, C.ATAN32), q)
    steep = y > x * math.tan(math.pi / 8)
    q = fn.where(steep, y - x, y) / fn.where(steep, y + x, x)
    z = q * q
    tail = q * z * poly(z, C.ATAN64)
    quarter_low = float.fromhex("0x1.1a62633145c07p-55")
    return fn.where(steep, math.pi / 4 + (q + (tail + quarter_low)), q + tail)


def atan(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    a = fn.fabs(x)
    large = a > 1
    high, low = _half_pi(x)
    t = _atan_fraction(fn.where(large, 1, a), fn.where(large, a, 1))
    return fn.copysign(fn.where(large, high - (t - low), t), x)


def atan2(n: Scalar, target: Target) -> Scalar:
    """The first octant by the quotient, then turned; scaled where the quotient's parts are subnormal or infinite."""
    y, x = n.args
    a, b = fn.fabs(x), fn.fabs(y)
    endless = fn.isinf(a) & fn.isinf(b)
    up, right = fn.where(endless, 1, b), fn.where(endless, 1, a)
    steep = up > right
    small, big = fn.where(steep, right, up), fn.where(steep, up, right)
    limit = 2.0**-100 if n.dtype is float32 else 2.0**-900
    lift = fn.where(big < limit, 1 / limit, const(1, n.dtype))
    huge = fn.where(big > 1 / limit, 0.125, lift)
    t = _atan_fraction(small * huge, fn.where(big == 0, 1, big * huge))
    high, low = _half_pi(x)
    t = fn.where(steep, high - (t - low), t)
    left = fn.copysign(const(1, n.dtype), x) < 0
    t = fn.where(left, 2 * high - (t - 2 * low), t)
    return fn.where(fn.isnan(x) | fn.isnan(y), x + y, fn.copysign(t, y))
