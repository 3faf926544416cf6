"""Remainders, neighbours, and what follows from the square root."""

from __future__ import annotations

from ...base.dtypes import float32, float64, int32, int64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from .pieces import INF, NAN, Pair, power_of_two


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
    """a - b * trunc(a / b), exact: quotients up to 2**50 at once, larger ones in a block that hardly ever runs."""
    a, b = n.args
    kind = n.dtype
    x, y = (fn.fabs(fn.cast(v, float64)) for v in (a, b))
    ordinary = (y > 0) & (x < INF) & (y < INF)
    far = ordinary & ~(x < y * 2.0**50)
    safe = fn.where(far, 1, y)
    r = fn.rare(far, _long_remainder(x, y, 6 if kind is float32 else 42), _step(fn.where(far, 0, x), safe))
    r = fn.where(ordinary, r, fn.where((y == INF) & (x < INF), x, NAN))
    return fn.copysign(fn.cast(r, kind), a)


def _step(x: Scalar, y: Scalar) -> Scalar:
    """x mod y for x / y < 2**52: the quotient may be one off, which the sign of the rest tells."""
    r = fn.fma(-fn.trunc(x / y), y, x)
    r = fn.where(r < 0, r + y, r)
    return fn.where(r >= y, r - y, r)


def _long_remainder(x: Scalar, y: Scalar, steps: int) -> Scalar:
    """Long division in base 2**50 on the mantissas, as many digits as the exponents are apart; both are positive and finite."""
    x_exponent, r = _mantissa(x)
    y_exponent, divisor = _mantissa(y)
    gap = x_exponent - y_exponent
    r = fn.where(r >= divisor, r - divisor, r)
    for _ in range(steps):
        digit = fn.where(gap > 50, 50, fn.where(gap > 0, gap, 0))
        r = _step(r * power_of_two(digit, float64), divisor)
        gap = gap - digit
    half = y_exponent >> 1
    return r * power_of_two(half, float64) * power_of_two(y_exponent - half, float64)  # a multiple of y's last bit: exact


def _mantissa(x: Scalar) -> Pair:
    """Exponent and mantissa in [1, 2) of a positive finite float64."""
    small = x < 2.0**-1022
    bits = fn.bitcast(fn.where(small, x * 2.0**54, x), int64)
    exponent = (bits >> 52) - fn.where(small, 1077, const(1023, int64))
    return exponent, fn.bitcast((bits & ((1 << 52) - 1)) | (1023 << 52), float64)


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
