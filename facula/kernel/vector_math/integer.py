"""Integer functions that are not one instruction."""

from __future__ import annotations

from ...base.dtypes import float64, int32, uint32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const


def integer_floor_divide(n: Scalar, target: Target) -> Scalar:
    """Python's //; x // 0 is 0."""
    a, b = n.args
    q = _quotient(a, b)
    if not n.dtype.is_signed:
        return q
    rest = a - q * b
    return fn.where((rest != 0) & ((rest < 0) ^ (b < 0)) & (b != 0), q - 1, q)


def integer_remainder(n: Scalar, target: Target) -> Scalar:
    """Python's %; x % 0 is 0."""
    a, b = n.args
    rest = a - _quotient(a, b) * b
    if n.dtype.is_signed:
        rest = fn.where((rest != 0) & ((rest < 0) ^ (b < 0)), rest + b, rest)
    return fn.where(b == 0, 0, rest)


def _quotient(a: Scalar, b: Scalar) -> Scalar:
    """C's division. Up to 32 bits it is exact in float64, which vectors have and integer division they have not."""
    kind = a.dtype
    if kind.itemsize > 4 or kind is uint32:
        return fn.trunc_divide(a, b)
    q = fn.cast(a, float64) / fn.cast(fn.where(b == 0, 1, b), float64)
    wrapped = fn.where(q > 2147483647.0, -2147483648.0, q)  # the smallest int32 over -1
    return fn.where(b == 0, 0, fn.cast(fn.cast(wrapped, int32), kind))


def integer_pow(n: Scalar, target: Target) -> Scalar:
    """Square and multiply, modulo the word. A negative exponent gives 0, but 1 for x = 1 and +-1 for x = -1."""
    x, e = n.args
    if e.op == "const" and e.value >= 0:
        return _fixed_power(x, int(e.value))
    one = const(1, n.dtype)
    result, base = one, x
    for bit in range(8 * n.dtype.itemsize - n.dtype.is_signed):
        result = fn.where(((e >> bit) & 1) != 0, result * base, result)
        base = base * base
    if not n.dtype.is_signed:
        return result
    odd = fn.where((e & 1) != 0, x, one)
    return fn.where(e < 0, fn.where(x == 1, one, fn.where(x == -1, odd, const(0, n.dtype))), result)


def _fixed_power(x: Scalar, e: int) -> Scalar:
    result: Scalar | None = None
    while e:
        if e & 1:
            result = x if result is None else result * x
        x, e = x * x, e >> 1
    return const(1, x.dtype) if result is None else result


def gcd(n: Scalar, target: Target) -> Scalar:
    """Euclid's steps, as many as the worst pair of the width needs (consecutive Fibonacci numbers), in blocks that end early."""
    a, b = (fn.abs(x) for x in n.args)
    steps = {1: 12, 2: 24, 4: 47, 8: 92}[n.dtype.itemsize]
    return _euclid(a, b, steps)


def _euclid(a: Scalar, b: Scalar, steps: int) -> Scalar:
    for _ in range(steps):
        a, b = fn.where(b == 0, a, b), fn.where(b == 0, b, fn.fmod(a, fn.where(b == 0, 1, b)))
    return a
