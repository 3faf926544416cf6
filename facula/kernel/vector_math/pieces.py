"""Pieces that several functions share: polynomials, powers of two, double-length sums and products."""

from __future__ import annotations

from collections.abc import Sequence

import facula.kernel.scalar.functions as fn

from ...base.dtypes import dtype, float32, float64, int32, int64
from ...base.target import Target
from ..scalar.node import Scalar, const

Pair = tuple[Scalar, Scalar]  # a number as the unevaluated sum of two: high, low

INF, NAN = float("inf"), float("nan")


def poly(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """Horner's rule, one fma a coefficient; coefficients lowest power first."""
    r = const(coefficients[-1], x.dtype)
    for c in coefficients[-2::-1]:
        r = fn.fma(r, x, c)
    return r


def wide(x: Scalar) -> Scalar:
    return fn.cast(x, float64)


def narrow(x: Scalar) -> Scalar:
    return fn.cast(x, float32)


def word(d: dtype) -> dtype:
    """The integer with as many bits."""
    return int32 if d is float32 else int64


def mantissa_bits(d: dtype) -> int:
    return 23 if d is float32 else 52


def bias(d: dtype) -> int:
    return 127 if d is float32 else 1023


_MAGIC = 6755399441055744.0  # 1.5 * 2**52: added to a whole number below 2**51, it leaves the number in the low bits


def to_integer(k: Scalar) -> Scalar:
    """A whole float as an integer of the same size, |k| < 2**31; AVX2 has no conversion to int64, so the sum's bits are read."""
    if k.dtype is float32:
        return fn.cast(k, int32)
    return fn.bitcast(k + _MAGIC, int64) - _MAGIC_BITS


def to_float(k: Scalar) -> Scalar:
    """The inverse of `to_integer`."""
    if k.dtype is int32:
        return fn.cast(k, float32)
    return fn.bitcast(k + _MAGIC_BITS, float64) - _MAGIC


_MAGIC_BITS = 0x4338000000000000


def power_of_two(k: Scalar, d: dtype) -> Scalar:
    """2**k for an integer k in the type's range of normal exponents."""
    return fn.bitcast((k + bias(d)) << mantissa_bits(d), d)


def has_exponents(target: Target) -> bool:
    """Whether the target has instructions for a * 2**k over the whole range, and for the exponent and the mantissa of any number (AVX-512)."""
    return target.name.startswith("x86-64-v4")


def times_power(a: Scalar, k: Scalar, target: Target) -> Scalar:
    """a * 2**k for a whole float k, |k| < 4 * bias: rounded once, also into the subnormals."""
    if has_exponents(target):
        return Scalar("scale", (a, k), a.dtype)
    n = to_integer(k)
    half = n >> 1
    return a * power_of_two(half, a.dtype) * power_of_two(n - half, a.dtype)


def at_most(x: Scalar, bound: float) -> Scalar:
    """The smaller one, as one instruction; NaN passes."""
    return fn.where(const(bound, x.dtype) < x, bound, x)


def limited(x: Scalar, low: float, high: float) -> Scalar:
    """x between the bounds; NaN passes. One max and one min instruction."""
    x = fn.where(const(low, x.dtype) > x, low, x)
    return fn.where(const(high, x.dtype) < x, high, x)


def two_sum(a: Scalar, b: Scalar) -> Pair:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def quick_sum(a: Scalar, b: Scalar) -> Pair:
    """For |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def two_product(a: Scalar, b: Scalar) -> Pair:
    p = a * b
    return p, fn.fma(a, b, -p)


def piece(a: Scalar, start: float, digits: int) -> Pair:
    """Which of 16 pieces a float32 a >= 0 lies in (an integer modulo 16), and the distance from the piece's left end, exactly. A piece is what
    shares the exponent and the first `digits` bits of the mantissa of a + start: wider away from 0; the first begins there."""
    drop = 23 - digits
    bits = fn.bitcast(a + start, int32)
    return bits >> drop, a - (fn.bitcast(bits & -(1 << drop), float32) - start)


def poly_of_piece(index: Scalar, t: Scalar, table: Sequence[Sequence[float]]) -> Scalar:
    """Horner's rule with coefficients of the piece: a row of 16 for each power."""
    r = fn.lookup(index, table[-1])
    for row in table[-2::-1]:
        r = fn.fma(r, t, fn.lookup(index, row))
    return r
