"""Elements replaced where a mask says so, or where they are no ordinary numbers."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.expression import broadcast
from ..core.layout import Layout
from ..kernel import scalar as s
from ..kernel.scalar import Scalar, cast, where
from ..spec.block import Pointwise
from ..spec.promotion import cpp_name
from ..spec.samples import boolean, each, grid, normal, refused, values

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}


class MaskedFill(Pointwise):
    """input, but `value` where the mask holds."""

    schema = "masked_fill(Tensor input, Tensor mask, Tensor|Scalar value) -> Tensor"
    overloaded = True
    dims = "*s, *s -> *s"
    paths = "torch Tensor"
    out = False
    promotion = "first keep=mask"

    @staticmethod
    def check(x: Layout, mask: Layout, value: Any) -> None:  # type: ignore[override]
        if mask.dtype is not d.bool_:
            raise refuse(
                RuntimeError,
                f"masked_fill_ only supports boolean masks, but got mask with dtype {cpp_name(mask.dtype)}",
                expected="a bool mask",
                hint="mask.bool()",
            )
        broadcast([mask.shape, x.shape])
        if isinstance(value, Layout) and value.ndim:
            raise refuse(
                RuntimeError, f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
            )
        if (value.dtype.is_complex if isinstance(value, Layout) else isinstance(value, complex)) and not x.dtype.is_complex:
            name = {"int64": "int64_t", "int32": "int32_t", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t"}.get(
                x.dtype.name, cpp_name(x.dtype)
            )
            raise refuse(RuntimeError, f"value cannot be converted to type {name} without overflow", received="a complex value")

    @staticmethod
    def scalar(x: Scalar, mask: Scalar, value: Scalar) -> Scalar:
        return where(mask, value, x)

    samples = grid(input=[normal(3, 5)], mask=[boolean(3, 5), boolean(5), boolean(3, 1)], value=[normal(), 0, -1e4])
    refusals = each(
        refused(
            normal(3), normal(3), 1.0, raises=RuntimeError, match="masked_fill_ only supports boolean masks, but got mask with dtype float"
        )
    )


class NanToNum(Pointwise):
    """NaN becomes `nan`, the infinities `posinf` and `neginf` (by default 0 and the ends of the type)."""

    schema = "nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor"
    out_dtype = "nan_to_num: dtype of out: {Got} should be same as input: {Want}"
    dims = "*s -> *s"

    @staticmethod
    def scalar(x: Scalar, nan: Any, posinf: Any, neginf: Any, common: DType) -> Scalar:
        if common.is_complex:
            parts = (_number(p, nan, posinf, neginf, common.real) for p in (s.real(x), s.imag(x)))
            return s.complex_(*parts)
        return _number(x, nan, posinf, neginf, common) if common.is_floating_point else x

    samples = [
        *grid(
            input=[values([1.0, float("nan"), float("inf"), -float("inf")]), normal(3, 5)],
            nan=[None, 1.5],
            posinf=[None, 2.5],
            neginf=[None],
        )
    ]


def _number(x: Scalar, nan: Any, posinf: Any, neginf: Any, kind: DType) -> Scalar:
    top = LARGEST[kind.name]
    n, up, down = (
        default if v is None else cast(v, x.dtype) if isinstance(v, Scalar) else float(v)
        for v, default in ((nan, 0.0), (posinf, top), (neginf, -top))
    )
    return where(s.isnan(x), n, where(x == float("inf"), up, where(x == -float("inf"), down, x)))
