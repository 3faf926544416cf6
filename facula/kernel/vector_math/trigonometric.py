"""sin, cos, tan: the argument is reduced to the nearest multiple of pi/2 with as many bits of pi as it takes.

float32 up to 2**16 is reduced by three products with 72 bits of pi/2 (tan: up to 2**30 in float64, with 106 bits); float64 up to 2**40 with
159 bits. Beyond, a block that hardly ever runs multiplies with the bits of 2/pi that matter at the argument's exponent (Payne and Hanek, 1983).
"""

from __future__ import annotations

import math

import facula.kernel.scalar.functions as fn
import facula.kernel.vector_math.coefficients as C

from ...base.dtypes import float32, float64, int32, int64
from ...base.target import Target
from ..scalar.node import Scalar, const
from .pieces import NAN, Pair, narrow, poly, quick_sum, to_integer, two_sum, wide

# pi/2 in pieces of 53 bits, each the rest of those before.
HALF_PI = (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c07p-54"), float.fromhex("-0x1.f1976b7ed8fbcp-110"))

# The same in pieces of 24 bits.
HALF_PI32 = (float.fromhex("0x1.921fb4p+0"), float.fromhex("0x1.4442dp-24"), float.fromhex("0x1.846988p-48"))

# 2/pi as a whole number of 2**-1280: enough for the largest float64 and 100 bits beyond.
TWO_OVER_PI_BITS = 1280


def two_over_pi() -> int:
    """floor(2/pi * 2**1280), from Machin's formula for pi in whole numbers."""
    digits = TWO_OVER_PI_BITS + 64
    one = 1 << digits

    def arctan(inverse: int) -> int:
        total, term, k = 0, one // inverse, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term //= inverse * inverse
            k += 1
        return total

    pi = 4 * (4 * arctan(5) - arctan(239))
    return (2 * one * one // pi) >> 64


def sin(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    if n.dtype is float32:
        out = _wave32(fn.fabs(x), 0)
        return fn.bitcast(fn.bitcast(out, int32) ^ (fn.bitcast(x, int32) & -(1 << 31)), float32)
    return fn.where(x == 0, x, _wave64(*_reduced64(x)))


def cos(n: Scalar, target: Target) -> Scalar:
    if n.dtype is float32:
        return _wave32(fn.fabs(n.args[0]), 1)
    quadrant, r = _reduced64(n.args[0])
    return _wave64(quadrant + 1, r)


def tan(n: Scalar, target: Target) -> Scalar:
    x = n.args[0]
    if n.dtype is float32:
        quadrant, r = _reduced32(x)
        odd = (quadrant & 1) != 0
        sine, cosine = _sine(r), _cosine(r)
        out = narrow(fn.where(odd, -cosine, sine)) / narrow(fn.where(odd, sine, cosine))
        return fn.where(x == 0, x, out)
    quadrant, (high, low) = _reduced64(x)
    t, e = _tangent(high, low)
    s = t + e
    rest = e - (s - t)
    inverse = -1 / s
    inverse = inverse + inverse * (fn.fma(inverse, s, 1.0) + inverse * rest)  # Newton: -1 / (s + rest)
    return fn.where(x == 0, x, fn.where((quadrant & 1) != 0, inverse, s))


def _tangent(r: Scalar, low: Scalar) -> Pair:
    """tan(r + low) = t + e."""
    z = r * r
    cube = z * r
    t = fn.fma(cube, poly(z, C.TAN64), low * (1 + z))
    return r, t


def _sine(r: Scalar) -> Scalar:
    """float64 sine to 2**-33 of a reduced argument."""
    z = r * r
    return fn.fma(z * r, poly(z, C.SIN40), r)


def _cosine(r: Scalar) -> Scalar:
    z = r * r
    return fn.fma(z * z, poly(z, C.COS40), fn.fma(z, -0.5, 1.0))


def _wave32(a: Scalar, first: int) -> Scalar:
    """sin(a + first * pi/2) for a >= 0."""
    magic = 1.5 * 2.0**23 + first  # leaves the quadrant in the low bits
    turned = fn.fma(a, 2 / math.pi, magic)
    n, r = turned - magic, a
    for part in HALF_PI32:
        r = fn.fma(n, -part, r)  # the first is exact
    near = _quarter(fn.bitcast(turned, int32), r)
    quadrant, rest = _far32(a)
    return fn.rare(~(a < 2.0**16), _quarter(quadrant + first, narrow(rest)), near)


def _quarter(quadrant: Scalar, r: Scalar) -> Scalar:
    """sin(r + quadrant * pi/2): one polynomial in r*r, whose coefficients are those of the sine or of the cosine."""
    odd = (quadrant & 1) != 0
    z = r * r
    sine, cosine = C.SIN32, (-0.5, *C.COS32)
    p = fn.where(odd, cosine[-1], const(sine[-1], float32))
    for s, c in zip(sine[-2::-1], cosine[-2::-1]):
        p = fn.fma(p, z, fn.where(odd, c, const(s, float32)))
    out = fn.fma(p, fn.where(odd, z, z * r), fn.where(odd, 1, r))
    return fn.bitcast(fn.bitcast(out, int32) ^ ((quadrant & 2) << 30), float32)


def _wave64(quadrant: Scalar, r: Pair) -> Scalar:
    """sin(r + quadrant * pi/2) from the two polynomials."""
    high, low = r
    z = high * high
    s = high + fn.fma(z * high, poly(z, C.SIN64), low * fn.fma(z, -0.5, 1.0))
    half = z * 0.5
    top = 1 - half
    lost = (1 - top) - half
    c = top + fn.fma(z * z, poly(z, C.COS64), lost + (fn.fma(high, high, -z) * -0.5 - high * low))
    out = fn.where((quadrant & 1) != 0, c, s)
    return fn.bitcast(fn.bitcast(out, int64) ^ ((quadrant & 2) << 62), float64)


def _reduced32(x: Scalar) -> Pair:
    """The quadrant (an integer; its two low bits count) and the rest in float64, at most pi/4. Infinities give NaN."""
    y = wide(x)
    n = fn.round(y * (2 / math.pi))
    r = fn.fma(n, -HALF_PI[1], fn.fma(n, -HALF_PI[0], y))
    far = ~(fn.fabs(x) < 2.0**30)
    quadrant, rest = _far32(x)
    return fn.rare(far, quadrant, fn.cast(fn.where(far, 0, n), int32)), fn.rare(far, rest, r)


def _reduced64(x: Scalar) -> tuple[Scalar, Pair]:
    """As `_reduced32` for float64, the rest as high + low."""
    n = fn.round(x * (2 / math.pi))
    far = ~(fn.fabs(x) < 2.0**40)
    first = fn.fma(n, -HALF_PI[0], x)
    product = n * HALF_PI[1]
    lost = fn.fma(n, HALF_PI[1], -product)
    high, low = two_sum(first, -product)
    low = low - lost - n * HALF_PI[2]
    high, low = quick_sum(high, low)
    quadrant, far_high, far_low = _far64(x)
    whole = fn.rare(far, quadrant, to_integer(fn.where(far, 0, n)))
    return whole, (fn.rare(far, far_high, high), fn.rare(far, far_low, low))


def _bits(position: Scalar) -> Scalar:
    """64 bits of 2/pi as an int64: bit 63 is worth 2**(-1 - position). Positions below 0 are leading zeros."""
    return Scalar("two_over_pi", (position,), int64)


def _far32(x: Scalar) -> tuple[Scalar, Scalar]:
    """x = m 2**e with 24 bits of m: 2 x / pi modulo 4 needs the 96 bits of 2/pi from 2**(1 - e) on."""
    bits = fn.cast(fn.bitcast(x, int32), int64)
    e = ((bits >> 23) & 255) - 150
    m = (bits & 0x7FFFFF) | 0x800000
    top = _bits(e - 2)  # worth 2**(1 - e) and below: times m 2**e, modulo 4, in units of 2**-62
    low = (_bits(e + 62) >> 32) & 0xFFFFFFFF
    fixed = m * top + ((m * low) >> 32)
    quadrant = (fixed + (1 << 61)) >> 62
    rest = fn.cast(fixed - (quadrant << 62), float64) * (math.pi / 2 * 2.0**-62)
    negative = bits < 0
    rest = fn.where(fn.isfinite(x), fn.where(negative, -rest, rest), NAN)
    return fn.cast(fn.where(negative, -quadrant, quadrant), int32), rest


def _far64(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """As `_far32` with 53 bits of m and 192 of 2/pi, in limbs of 32 bits: the product modulo 4 in units of 2**-126."""
    bits = fn.bitcast(x, int64)
    e = ((bits >> 52) & 2047) - 1075
    m = (bits & ((1 << 52) - 1)) | (1 << 52)
    limb = 0xFFFFFFFF
    m1, m0 = m >> 32, m & limb
    w3, w2 = _high(_bits(e - 2)), _bits(e - 2) & limb
    w1, w0 = _high(_bits(e + 62)), _bits(e + 62) & limb
    v1 = _high(_bits(e + 126))
    # columns of 32 bits; column 0 is worth 2**-126, products below it only carry
    carry = _high(m0 * v1) + m1 * v1
    c0 = (m0 * w0 & limb) + (carry & limb)
    carry = _high(m0 * w0) + _high(carry) + _high(c0)
    c1a = m0 * w1
    c1b = m1 * w0
    c1 = (c1a & limb) + (c1b & limb) + (carry & limb)
    carry = _high(c1a) + _high(c1b) + _high(carry) + _high(c1)
    c2a = m0 * w2
    c2b = m1 * w1
    c2 = (c2a & limb) + (c2b & limb) + (carry & limb)
    carry = _high(c2a) + _high(c2b) + _high(carry) + _high(c2)
    c3 = m0 * w3 + m1 * w2 + carry
    top = (c3 << 32) | (c2 & limb)
    below = ((c1 & limb) << 32) | (c0 & limb)
    quadrant = (top + (1 << 61)) >> 62
    signed = top - (quadrant << 62)  # in units of 2**-62, and `below` in units of 2**-126, not negative
    a = fn.cast(signed >> 20, float64) * 2.0**-42
    b = fn.cast(((signed & ((1 << 20) - 1)) << 32) | _high(below), float64) * 2.0**-94
    c = fn.cast(below & limb, float64) * 2.0**-126
    turn_high, turn_low = two_sum(a, b)
    turn_low = turn_low + c
    turn_high, turn_low = quick_sum(turn_high, turn_low)
    high = turn_high * HALF_PI[0]
    low = fn.fma(turn_high, HALF_PI[0], -high) + (turn_high * HALF_PI[1] + turn_low * HALF_PI[0])
    high, low = quick_sum(high, low)
    minus = bits < 0
    high = fn.where(fn.isfinite(x), fn.where(minus, -high, high), NAN)
    return fn.where(minus, -quadrant, quadrant), high, fn.where(minus, -low, low)


def _high(x: Scalar) -> Scalar:
    return (x >> 32) & 0xFFFFFFFF
