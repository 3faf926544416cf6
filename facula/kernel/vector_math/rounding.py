"""Remainders, neighbours, and what follows from the square root."""

from __future__ import annotations

from ...base.dtypes import float32, float64, int32, int64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const


def rsqrt(n: Scalar, target: Target) -> Scalar:
    """One root, one division: each rounds once, together below 1.5 ULP."""
    return 1 / fn.sqrt(n.args[0])


def hypot(n: Scalar, target: Target) -> Scalar:
    """float32: squares in float64 neither overflow nor lose bits. float64: scaled by a power of two, the sum of squares by fma."""
    a, b = (fn.fabs(x) for x in n.args)
    endless = fn.isinf(a) | fn.isinf(b)
    if n.dtype is float32:
        x, y = fn.cast(a, float64), fn.cast(b, float64)
        return fn.where(endless, float("inf"), fn.cast(fn.sqrt(x * x + y * y), float32))
    big, small = fn.fmax(a, b), fn.fmin(a, b)
    scale = fn.where(big > 1e150, 2.0**-600, fn.where(big < 1e-150, 2.0**600, const(1, float64)))
    back = fn.where(big > 1e150, 2.0**600, fn.where(big < 1e-150, 2.0**-600, const(1, float64)))
    x, y = big * scale, small * scale
    r = fn.sqrt(fn.fma(x, x, y * y))
    safe = fn.where(r == 0, 1, r)
    rest = fn.fma(-r, r, x * x) + fn.fma(x, x, -(x * x)) + y * y  # one Newton step on what the root left over
    out = fn.where(r == 0, 0, r + rest / (safe * 2)) * back
    return fn.where(endless, float("inf"), fn.where(fn.isnan(a) | fn.isnan(b), a + b, out))


def fmod(n: Scalar, target: Target) -> Scalar:
    """a - b * trunc(a / b), exact: quotients of up to 2**50 at a time, larger ratios in a block that hardly ever runs."""
    a, b = n.args
    kind = n.dtype
    x, y = (fn.fabs(fn.cast(v, float64)) for v in (a, b))
    reach = 2.0**50
    rest = _step(x, y)
    steps = 6 if kind is float32 else 43
    slow, scale = x, 2.0 ** (50 * (steps - 1) if kind is float32 else 1000)
    if kind is float32:
        for _ in range(steps):
            slow = fn.where(slow >= y * scale, _step(slow, y * scale), slow)
            scale /= reach
    else:
        slow = _long_remainder(x, y)
    r = fn.rare((x >= y * reach) & (x < float("inf")) & (y > 0), slow, rest)
    r = fn.where((y == 0) | fn.isinf(x) | fn.isnan(x) | fn.isnan(y), float("nan"), fn.where(fn.isinf(y), x, r))
    return fn.copysign(fn.cast(r, kind), a)


def _step(x: Scalar, y: Scalar) -> Scalar:
    """x mod y for x / y < 2**52: the quotient may be one off, which the sign of the rest tells."""
    q = fn.trunc(x / y)
    r = fn.fma(-q, y, x)
    r = fn.where(r < 0, r + y, r)
    return fn.where(r >= y, r - y, r)


def _long_remainder(x: Scalar, y: Scalar) -> Scalar:
    """float64: y times falling powers of two is taken away while it fits; y is first brought out of the subnormals."""
    small = y < 2.0**-900
    y = fn.where(small, y * 2.0**100, y)
    x_small = fn.where(small, x * 2.0**100, x)
    huge = x_small >= 2.0**900  # the product y * 2**k must not overflow, nor may x * 2**100
    x = fn.where(small & (x >= 2.0**900), x, x_small)
    del huge
    r = x
    exponent = fn.bitcast(x, int64) >> 52
    below = fn.bitcast(y, int64) >> 52
    gap = exponent - below
    for i in range(42):
        k = gap - 50 * (i + 1)
        k = fn.where(k > 0, k, 0)
        power = _power(k)
        part = y * power
        r = fn.where((r >= part), _step(r, part), r)
    return fn.where(small, r * 2.0**-100, r)


def _power(k: Scalar) -> Scalar:
    """2**k for 0 <= k < 2100; beyond float64 it is an infinity, which never fits."""
    top = fn.where(k > 1023, 1023, k)
    return fn.where(k > 1023, float("inf"), fn.bitcast((top + 1023) << 52, float64))


def remainder(n: Scalar, target: Target) -> Scalar:
    """Python's %: the sign of the divisor."""
    a, b = n.args
    r = fn.fmod(a, b)
    return fn.where((r != 0) & ((r < 0) ^ (b < 0)), r + b, r)


def floor_divide(n: Scalar, target: Target) -> Scalar:
    """Python's //: from the exact remainder, so that it agrees with %."""
    a, b = n.args
    r = fn.fmod(a, b)
    q = (a - r) / b
    q = fn.where((r != 0) & ((r < 0) ^ (b < 0)), q - 1, q)
    whole = fn.floor(q)
    whole = fn.where(q - whole > 0.5, whole + 1, whole)
    out = fn.where(q == 0, fn.copysign(const(0, n.dtype), a / b), whole)
    return fn.where(b == 0, a / b, out)


def trunc_divide(n: Scalar, target: Target) -> Scalar:
    return fn.trunc(n.args[0] / n.args[1])


def nextafter(n: Scalar, target: Target) -> Scalar:
    """A step of one in the integer that the bits spell."""
    a, b = n.args
    word = int32 if n.dtype is float32 else int64
    bits = fn.bitcast(a, word)
    away = (a < b) == (a > 0)  # from zero
    moved = fn.bitcast(fn.where(away, bits + 1, bits - 1), n.dtype)
    least = fn.copysign(fn.bitcast(const(1, word), n.dtype), b)
    out = fn.where(a == b, b, fn.where(a == 0, least, moved))
    return fn.where(fn.isnan(a) | fn.isnan(b), a + b, out)
