"""Comparisons, extremes, limits, classes of numbers, and the choice between two tensors."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout
from ..core.tensor import Tensor
from ..kernel.scalar import Scalar, bitcast, cast, const, imag
from ..kernel.scalar import abs as scalar_abs
from ..kernel.scalar import clamp as scalar_clamp
from ..kernel.scalar import fmax as scalar_fmax
from ..kernel.scalar import fmin as scalar_fmin
from ..kernel.scalar import isfinite as scalar_isfinite
from ..kernel.scalar import isinf as scalar_isinf
from ..kernel.scalar import isnan as scalar_isnan
from ..kernel.scalar import maximum as scalar_maximum
from ..kernel.scalar import minimum as scalar_minimum
from ..kernel.scalar import where as scalar_where
from ..spec.block import Composite, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import boolean, each, grid, integer, normal, refused, sample, values
from .locating import UNKNOWN

OTHERS = [normal(3, 5), normal(5), normal(), 0, 0.5]


def _bits(x: Scalar) -> Scalar:
    """Bool as a number, so that it has an order."""
    return cast(x, d.uint8) if x.dtype is d.bool_ else x


class Eq(Pointwise):
    """input == other."""

    overloaded = True
    schema = "eq(Tensor input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote bool rounded"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _bits(x) == _bits(y)

    samples = grid(input=[integer(3, 5)], other=[integer(3, 5), integer(5), 0, 0.5])


class Ne(Pointwise):
    """input != other."""

    overloaded = True
    schema = "ne(Tensor input, Tensor|Scalar other) -> Tensor"
    aliases = "not_equal"
    dims = "*s, *s -> *s"
    promotion = "promote bool rounded"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _bits(x) != _bits(y)

    samples = grid(input=[integer(3, 5)], other=[integer(3, 5), integer(5), 0, 0.5])


class Lt(Pointwise):
    """input < other."""

    overloaded = True
    schema = "lt(Tensor input, Tensor|Scalar other) -> Tensor"
    aliases = "less"
    dims = "*s, *s -> *s"
    promotion = "promote bool rounded no_complex kernel=lt_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _bits(x) < _bits(y)

    samples = grid(input=[normal(3, 5)], other=OTHERS)


class Le(Pointwise):
    """input <= other."""

    overloaded = True
    schema = "le(Tensor input, Tensor|Scalar other) -> Tensor"
    aliases = "less_equal"
    dims = "*s, *s -> *s"
    promotion = "promote bool rounded no_complex kernel=le_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _bits(x) <= _bits(y)

    samples = grid(input=[normal(3, 5)], other=OTHERS)


class Gt(Pointwise):
    """input > other."""

    overloaded = True
    schema = "gt(Tensor input, Tensor|Scalar other) -> Tensor"
    aliases = "greater"
    dims = "*s, *s -> *s"
    promotion = "promote bool rounded no_complex kernel=gt_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _bits(x) > _bits(y)

    samples = grid(input=[normal(3, 5)], other=OTHERS)


class Ge(Pointwise):
    """input >= other."""

    overloaded = True
    schema = "ge(Tensor input, Tensor|Scalar other) -> Tensor"
    aliases = "greater_equal"
    dims = "*s, *s -> *s"
    promotion = "promote bool rounded no_complex kernel=ge_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return _bits(x) >= _bits(y)

    samples = grid(input=[normal(3, 5)], other=OTHERS)


def refuse_complex(name: str) -> Any:
    """PyTorch's sentence for extremes of complex tensors."""

    def check(*operands: Any) -> None:
        if any(isinstance(x, Layout) and x.dtype.is_complex for x in operands):
            raise refuse(
                RuntimeError,
                f"{name} not implemented for complex tensors.",
                received="a complex tensor",
                expected="real tensors: complex numbers have no order",
            )

    return check


class Maximum(Pointwise):
    """The larger of two; NaN if either is."""

    schema = "maximum(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    in_place = False
    check = refuse_complex("maximum")

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return scalar_maximum(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Minimum(Pointwise):
    """The smaller of two; NaN if either is."""

    schema = "minimum(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    in_place = False
    check = refuse_complex("minimum")

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return scalar_minimum(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Fmax(Pointwise):
    """The larger of two; a NaN gives way to a number."""

    schema = "fmax(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    in_place = False
    check = refuse_complex("fmax")

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return scalar_fmax(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Fmin(Pointwise):
    """The smaller of two; a NaN gives way to a number."""

    schema = "fmin(Tensor input, Tensor other) -> Tensor"
    dims = "*s, *s -> *s"
    in_place = False
    check = refuse_complex("fmin")

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return scalar_fmin(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Clamp(Pointwise):
    """input limited to min..max; either may be absent. Where they cross, max wins."""

    overloaded = True
    schema = "clamp(Tensor input, Tensor|Scalar? min=None, Tensor|Scalar? max=None) -> Tensor"
    aliases = "clip"
    dims = "*s, *s, *s -> *s"

    @staticmethod
    def check(x: Layout, low: Any, high: Any) -> None:  # type: ignore[override]
        if low is None and high is None:
            raise refuse(RuntimeError, "torch.clamp: At least one of 'min' or 'max' must not be None")
        if any((isinstance(v, Layout) and v.dtype.is_complex) or isinstance(v, complex) for v in (x, low, high)):
            raise refuse(NotImplementedError, "clamp is not supported for complex types")

    @staticmethod
    def scalar(x: Scalar, low: Any, high: Any) -> Scalar:
        return scalar_clamp(x, low, high)

    samples = [
        *grid(input=[normal(3, 5)], min=[None, -0.5, -1, normal(5)], max=[0.5, 1, normal(3, 1)]),
        sample(normal(3, 5), 0.0),
        sample(integer(4), 2, 5),
    ]
    refusals = each(refused(normal(3), raises=RuntimeError, match="At least one of 'min' or 'max' must not be None"))


class ClampMin(Pointwise):
    """input, but not below min."""

    overloaded = True
    schema = "clamp_min(Tensor input, Tensor|Scalar min) -> Tensor"
    dims = "*s, *s -> *s"

    @staticmethod
    def check(x: Layout, low: Any) -> None:  # type: ignore[override]
        Clamp.check(x, low, None)

    @staticmethod
    def scalar(x: Scalar, low: Scalar) -> Scalar:
        return scalar_clamp(x, low)

    samples = grid(input=[normal(3, 5)], min=[-0.5, 0, normal(5)])


class ClampMax(Pointwise):
    """input, but not above max."""

    overloaded = True
    schema = "clamp_max(Tensor input, Tensor|Scalar max) -> Tensor"
    dims = "*s, *s -> *s"

    @staticmethod
    def check(x: Layout, high: Any) -> None:  # type: ignore[override]
        Clamp.check(x, None, high)

    @staticmethod
    def scalar(x: Scalar, high: Scalar) -> Scalar:
        return scalar_clamp(x, None, high)

    samples = grid(input=[normal(3, 5)], max=[-0.5, 0, normal(5)])


# -- classes of numbers
WITH_SPECIAL = [normal(3, 5), values([0.0, -0.0, float("inf"), -float("inf"), float("nan")])]


class Isnan(Pointwise):
    """Whether an element is NaN."""

    schema = "isnan(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = out = False

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return scalar_isnan(x)

    samples = grid(input=WITH_SPECIAL)


class Isinf(Pointwise):
    """Whether an element is an infinity."""

    schema = "isinf(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = out = False

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return scalar_isinf(x)

    samples = grid(input=WITH_SPECIAL)


class Isfinite(Pointwise):
    """Whether an element is neither infinite nor NaN."""

    schema = "isfinite(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = out = False

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return scalar_isfinite(x)

    samples = grid(input=WITH_SPECIAL)


class Isposinf(Pointwise):
    """Whether an element is +inf."""

    schema = "isposinf(Tensor input) -> Tensor"
    out_dtype = "isposinf does not support non-boolean outputs."
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = False

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex:
            raise refuse(RuntimeError, "isposinf does not support complex inputs.")

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return x == float("inf") if x.dtype.is_floating_point else const(False, d.bool_)

    samples = grid(input=WITH_SPECIAL)


class Isneginf(Pointwise):
    """Whether an element is -inf."""

    schema = "isneginf(Tensor input) -> Tensor"
    out_dtype = "isneginf does not support non-boolean outputs."
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = False

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex:
            raise refuse(RuntimeError, "isneginf does not support complex inputs.")

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return x == -float("inf") if x.dtype.is_floating_point else const(False, d.bool_)

    samples = grid(input=WITH_SPECIAL)


class Isreal(Pointwise):
    """Whether the imaginary part is 0."""

    schema = "isreal(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = out = False

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return imag(x) == 0 if x.dtype.is_complex else const(True, d.bool_)

    samples = grid(input=WITH_SPECIAL)


class Signbit(Pointwise):
    """Whether the sign is minus, also that of -0 and of NaN."""

    schema = "signbit(Tensor input) -> Tensor"
    out_dtype = "signbit does not support non-boolean outputs."
    dims = "*s -> *s"
    promotion = "promote bool"
    in_place = False

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype.is_complex:
            raise refuse(NotImplementedError, "signbit is not implemented for complex tensors.")

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        if x.dtype.is_floating_point:
            return bitcast(x, d.int64 if x.dtype is d.float64 else d.int32) < 0
        return x < 0 if x.dtype.is_signed else const(False, d.bool_)

    samples = grid(input=WITH_SPECIAL)


class Isclose(Pointwise):
    """|input - other| <= atol + rtol * |other|; infinities of one sign are close."""

    schema = "isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote bool"
    in_place = out = False
    static = ("rtol", "atol")

    @staticmethod
    def check(x: Layout, y: Layout, rtol: float, atol: float, equal_nan: bool) -> None:  # type: ignore[override]
        if x.dtype is not y.dtype:
            raise refuse(
                RuntimeError,
                f"{scalar_type_name(x.dtype)} did not match {scalar_type_name(y.dtype)}",
                received=f"{x.dtype.name} and {y.dtype.name}",
            )
        for name, v in (("rtol", rtol), ("atol", atol)):
            if v < 0:
                raise refuse(RuntimeError, f"{name} must be greater than or equal to zero, but got {v:g}")

    @staticmethod
    def scalar(x: Scalar, y: Scalar, rtol: float, atol: float, equal_nan: bool) -> Scalar:
        close = x == y
        if equal_nan:
            close = close | (scalar_isnan(x) & scalar_isnan(y))
        if rtol == 0 and atol == 0:
            return close
        if x.dtype.category < 2:
            difference, allowed = cast(cast(x, d.int64) - cast(y, d.int64), d.float64), scalar_abs(cast(y, d.float64)) * rtol + atol
        else:
            difference, allowed = x - y, scalar_abs(y * (complex(rtol) if y.dtype.is_complex else rtol)) + atol
        far = scalar_abs(difference)
        return close | (scalar_isfinite(far) & (far <= allowed))

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)], rtol=[1e-5, 0.5], atol=[1e-8, 0.1])
    refusals = each(refused(normal(3), normal(3), -1.0, raises=RuntimeError, match="rtol must be greater than or equal to zero"))


class Allclose(Composite):
    """Whether all elements are close, as a Python bool."""

    may_look = True
    schema = "allclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
        return bool(ops.isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan).all())

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(5)])


class Equal(Composite):
    """Whether two tensors have the same shape and elements, as a Python bool."""

    needs_values = True
    schema = "equal(Tensor input, Tensor other) -> bool"
    out = False

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> bool:
        return tuple(input.shape) == tuple(other.shape) and bool((input == other).all())

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), normal(3, 4)])


# -- the choice between two
class Where(Pointwise):
    """input where the condition holds, other elsewhere."""

    schema = "where(Tensor condition, Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s, *s -> *s"
    paths = "torch"
    promotion = "promote keep=condition"
    in_place = False

    @staticmethod
    def check(condition: Layout, x: Any, y: Any) -> None:  # type: ignore[override]
        if condition.dtype is not d.bool_ and condition.dtype is not d.uint8:
            raise refuse(
                RuntimeError,
                f"where expected condition to be a boolean tensor, but got a tensor with dtype {scalar_type_name(condition.dtype)}",
            )

    @staticmethod
    def scalar(condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return scalar_where(cast(condition, d.bool_), x, y)

    samples = grid(condition=[boolean(3, 5), boolean(5)], input=[normal(3, 5), normal(), 1.5, 2], other=[normal(3, 5), 0, 0.5])
    refusals = each(refused(normal(3), normal(3), normal(3), raises=RuntimeError, match="where expected condition to be a boolean tensor"))


class WhereIndex(Composite):
    """Indices of the elements that are not 0, one tensor per dim."""

    needs_values = UNKNOWN
    schema = "where.index(Tensor condition) -> Tensor[]"
    paths = "torch"
    out = False

    @staticmethod
    def compose(condition: Tensor) -> Any:
        return ops.nonzero(condition, as_tuple=True)

    samples = grid(condition=[boolean(3, 5)])


def where(self: Tensor, condition: Tensor, other: Any = None) -> Tensor:
    """The tensor where the condition holds, other elsewhere."""
    return ops.where(condition, self, other)


Tensor.where = where
