"""Sums, differences, products, quotients."""

from __future__ import annotations

from typing import Any

from ..kernel.scalar import Scalar, trunc
from ..kernel.scalar import floor_divide as scalar_floor_divide
from ..base.errors import refuse
from ..spec.block import Pointwise
from ..spec.samples import each, grid, normal, refused

PAIRS = [normal(), normal(7), normal(3, 5), normal(3, 1), normal(0)]


class Add(Pointwise):
    """input + alpha * other."""

    schema = "add(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor"
    dims = "*s, *s -> *s"
    static = ("alpha",)

    @staticmethod
    def scalar(x: Scalar, y: Scalar, alpha: float) -> Scalar:
        return x + (y if alpha == 1 else y * alpha)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5), normal(), 2, 0.5], alpha=[1, 2])
    refusals = each(
        refused(normal(3), normal(4), raises=RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(4\)"),
        refused(normal(3), "x", raises=TypeError, match="argument 'other' \\(position 2\\) must be Tensor, not str"),
    )


class Sub(Pointwise):
    """input - alpha * other."""

    schema = "sub(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor"
    dims = "*s, *s -> *s"
    static = ("alpha",)

    @staticmethod
    def scalar(x: Scalar, y: Scalar, alpha: float) -> Scalar:
        return x - (y if alpha == 1 else y * alpha)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5), 2, 0.5], alpha=[1, 2])


class Mul(Pointwise):
    """input * other."""

    schema = "mul(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x & y if x.dtype.name == "bool" else x * y

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5), 2, 0.5])


class Div(Pointwise):
    """input / other; `rounding_mode` "trunc" or "floor" keeps integers."""

    schema = "div(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote float"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x / y

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), 2, 0.5])


class DivMode(Pointwise):
    """input / other, rounded."""

    schema = "div.mode(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode) -> Tensor"
    dims = "*s, *s -> *s"
    gradient = "from scalar"

    @staticmethod
    def scalar(x: Scalar, y: Scalar, rounding_mode: str | None) -> Any:
        if rounding_mode == "floor":
            return scalar_floor_divide(x, y)
        if rounding_mode == "trunc":
            return trunc(x / y)
        raise refuse(RuntimeError, f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5)], rounding_mode=["floor", "trunc"])


class Neg(Pointwise):
    """-input."""

    schema = "neg(Tensor input) -> Tensor"
    dims = "*s -> *s"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return -x

    samples = grid(input=PAIRS)
