"""Whole numbers, signs, sizes, neighbours."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout
from ..core.tensor import Tensor
from ..kernel import scalar as s
from ..kernel.scalar import Scalar, cast, const, where
from ..spec.block import FOUND_TYPE, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, grid, integer, normal, refused, values

ANY = [normal(3, 5), normal(), normal(0), values([0.5, 1.5, 2.5, -0.5, -1.5])]


def _whole(name: str, function: Any, meaning: str, aliases: str = "") -> type:
    """floor, ceil, trunc: integers stay as they are."""

    def scalar(x: Scalar) -> Scalar:
        return function(x)

    def check(x: Layout) -> None:
        if x.dtype.is_complex:
            raise refuse(NotImplementedError, f"{name} is not supported for complex inputs")

    body = {
        "__doc__": meaning, "__module__": __name__, "schema": f"{name}(Tensor input) -> Tensor", "dims": "*s -> *s", "promotion": f"promote no_bool kernel={name}_vml_cpu",
        "aliases": aliases, "scalar": staticmethod(scalar), "check": staticmethod(check), "samples": grid(input=ANY), "out_dtype": FOUND_TYPE,
    }  # fmt: skip
    return type(name.title(), (Pointwise,), body)


Floor = _whole("floor", s.floor, "The largest whole number not above input.")
Ceil = _whole("ceil", s.ceil, "The smallest whole number not below input.")
Trunc = _whole("trunc", s.trunc, "input without its fraction.", aliases="fix")


class Round(Pointwise):
    """The nearest whole number, halves to even; with `decimals`, the nearest multiple of 10 ** -decimals."""

    schema = "round(Tensor input, *, int decimals=0) -> Tensor"
    out_dtype = FOUND_TYPE
    aliases = "special_round"
    dims = "*s -> *s"

    @staticmethod
    def check(x: Layout, decimals: int) -> None:  # type: ignore[override]
        if x.dtype.is_complex or x.dtype is d.bool_ or (decimals and not x.dtype.is_floating_point):
            name = "round_cpu" if decimals else "round_vml_cpu"
            raise refuse(
                NotImplementedError, f"\"{name}\" not implemented for '{scalar_type_name(x.dtype)}'", received=f"dtype {x.dtype.name}"
            )

    @staticmethod
    def scalar(x: Scalar, decimals: int) -> Scalar:
        if decimals == 0:
            return s.round(x)
        ten = 10.0 ** abs(decimals)
        return s.round(x * ten) / ten if decimals > 0 else s.round(x / ten) * ten

    samples = [*grid(input=ANY, decimals=[0]), *grid(input=[values([12.345, -0.055, 1e3])], decimals=[2, -1])]


class Frac(Pointwise):
    """The fraction: input - trunc(input)."""

    schema = "frac(Tensor input) -> Tensor"
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"
    promotion = "promote no_bool no_integral no_complex kernel=frac_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return x - s.trunc(x)

    samples = grid(input=ANY)


class Sign(Pointwise):
    """-1, 0 or 1."""

    schema = "sign(Tensor input) -> Tensor"
    dims = "*s -> *s"

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex:
            raise refuse(
                NotImplementedError,
                "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.",
                hint="x.sgn()",
            )

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.sign(x)

    samples = grid(input=ANY)


class Sgn(Pointwise):
    """The sign; for complex numbers input / |input|, 0 at 0."""

    schema = "sgn(Tensor input) -> Tensor"
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.sign(x)

    samples = grid(input=ANY)


class Abs(Pointwise):
    """|input|; real for complex input."""

    schema = "abs(Tensor input) -> Tensor"
    aliases = "absolute"
    dims = "*s -> *s"
    promotion = "promote real no_bool kernel=abs_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.abs(x)

    samples = grid(input=ANY)


class Copysign(Pointwise):
    """|input| with the sign of other."""

    schema = "copysign(Tensor input, Tensor|Scalar other) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    promotion = "promote float no_complex kernel=copysign_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return s.copysign(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5), -1.0])


class Nextafter(Pointwise):
    """The next number of the type from input towards other."""

    schema = "nextafter(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_bool no_integral no_complex kernel=nextafter_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar, common: d.dtype) -> Scalar:
        if common.itemsize != 2:
            return s.nextafter(x, y)
        bits = s.bitcast(cast(x, common), d.int16)  # away from 0 is one up
        step = where((x < y) == (x > 0), const(1, d.int16), const(-1, d.int16))
        least = where(y > 0, const(1, d.int16), const(-32767, d.int16))
        moved = cast(s.bitcast(where(x == 0, least, bits + step), common), x.dtype)
        return where(s.isnan(x) | s.isnan(y), x + y, where(x == y, y, moved))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        moved = ops.where(input == other, 0.0, g)  # a neighbour moves with the number
        return ops.sum_to_size(moved, input.shape), ops.zeros_like(other)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Heaviside(Pointwise):
    """0 below 0, 1 above, `values` at 0."""

    schema = "heaviside(Tensor input, Tensor values) -> Tensor"
    dims = "*s, *s -> *s"
    gradient = None

    @staticmethod
    def check(x: Layout, values: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex or values.dtype.is_complex:
            raise refuse(RuntimeError, "heaviside is not yet implemented for complex tensors.")
        if x.dtype is not values.dtype:
            raise refuse(
                RuntimeError,
                "heaviside is not yet implemented for tensors with different dtypes.",
                received=f"{x.dtype.name} and {values.dtype.name}",
            )

    @staticmethod
    def scalar(x: Scalar, values: Scalar) -> Scalar:
        if x.dtype is d.bool_:
            return x | values
        return where(x == 0, values, cast(x > 0, x.dtype))

    samples = grid(input=[integer(3, low=-1, high=2, dtype=""), normal(3)], values=[normal(3), normal()])
    refusals = each(
        refused(normal(3), integer(3), raises=RuntimeError, match="heaviside is not yet implemented for tensors with different dtypes")
    )
