"""Trigonometric and hyperbolic functions, their inverses, and angles."""

from __future__ import annotations

import math

from ..base.errors import refuse
from ..core.layout import Layout
from ..kernel import scalar as s
from ..kernel.scalar import Scalar
from ..spec.block import Pointwise
from ..spec.samples import grid, normal, uniform
from .exponential import unary

ANY = [normal(3, 5), normal(), normal(0)]
INSIDE = [uniform(3, 5, low=-0.9, high=0.9), uniform()]

Sin = unary("sin", s.sin, "Sine of radians.", ANY, family=__name__)
Cos = unary("cos", s.cos, "Cosine of radians.", ANY, family=__name__)
Tan = unary("tan", s.tan, "Tangent of radians.", [uniform(3, 5, low=-1.2, high=1.2), uniform()], family=__name__)
Asin = unary("asin", s.asin, "Arc sine.", INSIDE, aliases="arcsin", family=__name__)
Acos = unary("acos", s.acos, "Arc cosine.", INSIDE, aliases="arccos", family=__name__)
Atan = unary("atan", s.atan, "Arc tangent.", ANY, aliases="arctan", family=__name__)
Sinh = unary("sinh", s.sinh, "Hyperbolic sine.", ANY, family=__name__)
Cosh = unary("cosh", s.cosh, "Hyperbolic cosine.", ANY, family=__name__)
Asinh = unary("asinh", s.asinh, "Inverse hyperbolic sine.", ANY, aliases="arcsinh", family=__name__)
Acosh = unary("acosh", s.acosh, "Inverse hyperbolic cosine.", [uniform(3, 5, low=1.1, high=4)], aliases="arccosh", family=__name__)
Atanh = unary("atanh", s.atanh, "Inverse hyperbolic tangent.", INSIDE, aliases="arctanh", family=__name__)


class Atan2(Pointwise):
    """Angle of the point (other, input), in (-pi, pi]."""

    schema = "atan2(Tensor input, Tensor other) -> Tensor"
    aliases = "arctan2"
    dims = "*s, *s -> *s"
    promotion = "promote float no_complex kernel=atan2_cpu"

    @staticmethod
    def scalar(y: Scalar, x: Scalar) -> Scalar:
        return s.atan2(y, x)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Hypot(Pointwise):
    """sqrt(input**2 + other**2) without overflow on the way."""

    schema = "hypot(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_bool no_integral no_complex kernel=hypot_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return s.hypot(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Deg2rad(Pointwise):
    """Degrees as radians."""

    schema = "deg2rad(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote float"

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex:
            raise refuse(RuntimeError, "deg2rad is not supported for complex tensors.")

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return x * (math.pi / 180)

    samples = grid(input=ANY)


class Rad2deg(Pointwise):
    """Radians as degrees."""

    schema = "rad2deg(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote float"

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex:
            raise refuse(RuntimeError, "rad2deg is not supported for complex tensors.")

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return x * (180 / math.pi)

    samples = grid(input=ANY)
