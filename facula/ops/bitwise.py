"""Bits, truth values, and divisors of integers."""

from __future__ import annotations

from ..base import dtypes as d
from ..kernel import scalar as s
from ..kernel.scalar import Scalar, cast, where
from ..spec.block import FOUND_TYPE, Pointwise
from ..spec.samples import boolean, each, grid, integer, normal, refused, sample

WHOLE = "promote no_floating no_complex kernel="
OTHERS = [integer(3, 5), integer(5), 3]


class BitwiseNot(Pointwise):
    """Each bit turned over; a bool negated."""

    schema = "bitwise_not(Tensor input) -> Tensor"
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"
    promotion = WHOLE + "bitwise_not_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return ~x

    samples = grid(input=[integer(3, 5), boolean(3, 5)])
    refusals = each(refused(normal(3), raises=NotImplementedError, match="\"bitwise_not_cpu\" not implemented for 'Float'"))


class BitwiseAnd(Pointwise):
    """Bits that both have."""

    schema = "bitwise_and(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    promotion = WHOLE + "bitwise_and_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x & y

    samples = [*grid(input=[integer(3, 5)], other=OTHERS), sample(boolean(3, 5), boolean(5))]


class BitwiseOr(Pointwise):
    """Bits that either has."""

    schema = "bitwise_or(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    promotion = WHOLE + "bitwise_or_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x | y

    samples = [*grid(input=[integer(3, 5)], other=OTHERS), sample(boolean(3, 5), boolean(5))]


class BitwiseXor(Pointwise):
    """Bits that one of the two has."""

    schema = "bitwise_xor(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    promotion = WHOLE + "bitwise_xor_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x ^ y

    samples = [*grid(input=[integer(3, 5)], other=OTHERS), sample(boolean(3, 5), boolean(5))]


class BitwiseLeftShift(Pointwise):
    """input * 2 ** other on the bits."""

    schema = "bitwise_left_shift(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    promotion = WHOLE + "lshift_cpu no_bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x << y

    samples = grid(input=[integer(3, 5)], other=OTHERS)


class BitwiseRightShift(Pointwise):
    """input / 2 ** other on the bits; the sign is kept."""

    schema = "bitwise_right_shift(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    promotion = WHOLE + "rshift_cpu no_bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x >> y

    samples = grid(input=[integer(3, 5)], other=OTHERS)


# -- truth values: what is not 0
def truth(x: Scalar) -> Scalar:
    return cast(x, d.bool_)


class LogicalNot(Pointwise):
    """Whether input is 0."""

    schema = "logical_not(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote bool"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return ~truth(x)

    samples = grid(input=[boolean(3, 5), integer(3, 5, high=2), normal(3)])


class LogicalAnd(Pointwise):
    """Whether both are other than 0."""

    schema = "logical_and(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return truth(x) & truth(y)

    samples = grid(input=[boolean(3, 5), integer(3, 5, high=2)], other=[boolean(5), normal(3, 5)])


class LogicalOr(Pointwise):
    """Whether either is other than 0."""

    schema = "logical_or(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return truth(x) | truth(y)

    samples = grid(input=[boolean(3, 5), integer(3, 5, high=2)], other=[boolean(5), normal(3, 5)])


class LogicalXor(Pointwise):
    """Whether one of the two is other than 0."""

    schema = "logical_xor(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return truth(x) ^ truth(y)

    samples = grid(input=[boolean(3, 5), integer(3, 5, high=2)], other=[boolean(5), normal(3, 5)])


# -- divisors
class Gcd(Pointwise):
    """Greatest common divisor, never negative."""

    schema = "gcd(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = WHOLE + "gcd_cpu no_bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return s.gcd(x, y)

    samples = grid(input=[integer(3, 5, low=-20, high=20)], other=[integer(3, 5), integer(5)])


class Lcm(Pointwise):
    """Least common multiple, never negative."""

    schema = "lcm(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = WHOLE + "lcm_cpu no_bool"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        divisor = s.gcd(x, y)
        return where(divisor == 0, 0, s.abs(s.trunc_divide(x, divisor) * y))

    samples = grid(input=[integer(3, 5, low=-20, high=20)], other=[integer(3, 5), integer(5)])
