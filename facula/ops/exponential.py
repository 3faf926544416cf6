"""Exponentials, logarithms, roots, and their combinations."""

from __future__ import annotations

import math
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout
from ..core.tensor import Tensor
from ..kernel import scalar as s
from ..kernel.scalar import Scalar, bitcast, cast, const, where
from ..spec.block import Pointwise
from ..spec.registry import ops
from ..spec.samples import grid, integer, normal, positive, sample, values

ANY = [normal(3, 5), normal(), normal(0)]
ABOVE = [positive(3, 5), positive(), positive(0)]


def unary(name: str, function: Any, meaning: str, samples: Any, promotion: str = "promote float", aliases: str = "", paths: str = "torch Tensor", in_place: bool = True,
          family: str = __name__) -> type:  # fmt: skip
    """A block for a function of one argument that the scalar language has."""

    def scalar(x: Scalar) -> Scalar:
        return function(x)

    body = {
        "__doc__": meaning, "__module__": family, "schema": f"{name}(Tensor input) -> Tensor", "dims": "*s -> *s", "promotion": promotion, "paths": paths,
        "aliases": aliases, "scalar": staticmethod(scalar), "samples": grid(input=samples), "in_place": in_place,
    }  # fmt: skip
    return type("".join(w.title() for w in name.split("_")), (Pointwise,), body)


Exp = unary("exp", s.exp, "e ** input.", ANY)
Exp2 = unary("exp2", s.exp2, "2 ** input.", ANY)
Expm1 = unary("expm1", s.expm1, "e ** input - 1, exact for small input.", ANY)
Log = unary("log", s.log, "Natural logarithm.", ABOVE)
Log2 = unary("log2", s.log2, "Logarithm to base 2.", ABOVE)
Log10 = unary("log10", s.log10, "Logarithm to base 10.", ABOVE)
Log1p = unary("log1p", s.log1p, "log(1 + input), exact for small input.", ABOVE)
Sqrt = unary("sqrt", s.sqrt, "Square root.", ABOVE)
Rsqrt = unary("rsqrt", s.rsqrt, "1 / sqrt(input).", ABOVE)


class Sinc(Pointwise):
    """sin(pi x) / (pi x), 1 at 0."""

    schema = "sinc(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote float"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        t = x * (complex(math.pi) if x.dtype.is_complex else math.pi)
        safe = where(x == 0, 1, t)
        return where(x == 0, 1, s.sin(safe) / safe)

    @staticmethod
    def gradient(g: Tensor, input: Tensor) -> Tensor:
        pix = input * math.pi
        slope = (pix * ops.cos(pix) - ops.sin(pix)) * math.pi / (pix * pix)
        zero = (input == 0) if input.dtype.is_complex else (pix * pix == 0)
        return ops.where(zero, 0.0, g * (slope.conj() if slope.dtype.is_complex else slope))

    samples = grid(input=[normal(3, 5), values([0.0, 0.5, 1.0])])


def _join(x: Scalar, y: Scalar, softplus: Any) -> Scalar:
    """x + softplus(y - x) from the larger end, so that nothing cancels; equal infinities stay."""
    same = (x == y) & s.isinf(x)
    up = s.real(x) >= s.real(y) if x.dtype.is_complex else x >= y
    top, gap = where(up, x, y), where(up, y - x, x - y)
    return where(same, x, top + softplus(gap))


class Logaddexp(Pointwise):
    """log(exp(input) + exp(other)) without overflow."""

    schema = "logaddexp(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_bool no_integral kernel=logaddexp_cpu"
    in_place = False

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _join(x, y, lambda t: s.log1p(s.exp(t)))

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Logaddexp2(Pointwise):
    """log2(2 ** input + 2 ** other) without overflow."""

    schema = "logaddexp2(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_bool no_integral no_complex kernel=logaddexp2_cpu"
    in_place = False

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        scale = 1 / math.log(2)
        return _join(x, y, lambda t: s.log1p(s.exp2(t)) * (complex(scale) if t.dtype.is_complex else scale))

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


def _product_of_log(x: Scalar, y: Scalar, log: Any) -> Scalar:
    """x * log(y), 0 where x is 0 unless y is NaN."""
    found = where(x == 0, 0, x * log(y))
    return where(s.isnan(y), y, found)


class Xlogy(Pointwise):
    """input * log(other), 0 where input is 0."""

    overloaded = True
    schema = "xlogy(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote float no_complex kernel=xlogy_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _product_of_log(x, y, s.log)

    @staticmethod
    def gradient(g: Tensor, input: Any, other: Any, needs: Any) -> Any:
        first = (
            g * ops.where((_tensor(input) == 0) & (_tensor(other) <= 0), 0.0, ops.log(_tensor(other)))
            if isinstance(input, Tensor) and needs[0]
            else None
        )
        second = g * input / other if isinstance(other, Tensor) and needs[1] else None
        return first, second

    samples = [*grid(input=[normal(3, 5), 2, 0], other=[positive(3, 5), positive(5)]), sample(normal(3, 5), 2.5)]


class SpecialXlog1py(Pointwise):
    """input * log1p(other), 0 where input is 0."""

    overloaded = True
    schema = "special_xlog1py(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    paths = ""
    in_place = False
    dims = "*s, *s -> *s"
    promotion = "promote float no_complex kernel=xlog1py_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _product_of_log(x, y, s.log1p)

    @staticmethod
    def gradient(g: Tensor, input: Any, other: Any, needs: Any) -> Any:
        first = (
            g * ops.where((_tensor(input) == 0) & (_tensor(other) <= -1), 0.0, ops.log1p(_tensor(other)))
            if isinstance(input, Tensor) and needs[0]
            else None
        )
        second = g * input / (other + 1) if isinstance(other, Tensor) and needs[1] else None
        return first, second

    samples = grid(input=[normal(3, 5), 2, 0], other=[positive(3, 5), positive(5)])


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else ops.scalar_tensor(float(x))


class Ldexp(Pointwise):
    """input * 2 ** other."""

    schema = "ldexp(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"

    @staticmethod
    def promotion(x: Any, other: Any) -> str:  # type: ignore[override]
        return "promote float keep=other" if other.dtype.category < 2 else "promote float"

    @staticmethod
    def check(x: Layout, other: Layout) -> None:  # type: ignore[override]
        if other.dtype is d.bool_ and x.dtype.is_floating_point:
            raise refuse(
                NotImplementedError,
                "\"ldexp_cpu_exp\" not implemented for 'Bool'",
                received="an exponent of bool",
                expected="an integer or floating one",
            )

    @staticmethod
    def scalar(x: Scalar, other: Scalar) -> Scalar:
        return x * (s.exp2(other) if other.dtype is x.dtype else cast(s.exp2(cast(other, x.dtype.real)), x.dtype))

    samples = grid(input=[normal(3, 5)], other=[integer(3, 5, low=-3, high=4), integer(5)])


class Frexp(Pointwise):
    """Mantissa in [0.5, 1) and exponent with input = mantissa * 2 ** exponent; zeros, infinities and NaN stay, with exponent 0."""

    schema = "frexp(Tensor input) -> (Tensor mantissa, Tensor exponent)"
    out_dtype = (
        "torch.frexp() expects mantissa to have dtype {want} but got {got}",
        "torch.frexp() expects exponent to have int dtype but got {got}",
    )
    dims = "*s -> *s, *s"
    in_place = False

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if not x.dtype.is_floating_point:
            raise refuse(RuntimeError, "torch.frexp() only supports floating-point dtypes")

    @staticmethod
    def scalar(x: Scalar) -> tuple[Scalar, Scalar]:
        word, digits, bias = (d.int64, 52, 1022) if x.dtype is d.float64 else (d.int32, 23, 126)
        special = (x == 0) | ~s.isfinite(x)
        small = s.abs(x) < 2.0 ** (1 - bias)
        y = where(small, x * 2.0**digits, x)  # subnormals, made normal
        bits = bitcast(y, word)
        ones = (1 << (word.itemsize * 8 - 1 - digits)) - 1
        exponent = ((bits >> digits) & ones) - bias - where(small, const(digits, word), const(0, word))
        mantissa = bitcast((bits & ~(ones << digits)) | (bias << digits), x.dtype)
        return where(special, x, mantissa), where(special, 0, cast(exponent, d.int32))

    @staticmethod
    def gradient(g0: Tensor, out1: Tensor) -> Tensor:
        return g0 / ops.exp2(out1.to(g0.dtype))

    samples = grid(input=[normal(3, 5), values([0.0, 1.0, -3.5, 1e-30, float("inf")])])
