"""Sums, differences, products, quotients, remainders and powers."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.layout import Layout
from ..core.tensor import Tensor
from ..kernel.scalar import Scalar, cast, const, isinf, trunc_divide, where
from ..kernel.scalar import abs as scalar_abs
from ..kernel.scalar import floor_divide as scalar_floor_divide
from ..kernel.scalar import fmod as scalar_fmod
from ..kernel.scalar import pow as scalar_pow
from ..kernel.scalar import remainder as scalar_remainder
from ..spec.block import FOUND_TYPE, Composite, Pointwise
from ..spec.promotion import cpp_name, of_number
from ..spec.registry import ops
from ..spec.samples import each, grid, integer, normal, positive, refused, sample, values

PAIRS = [normal(), normal(7), normal(3, 5), normal(3, 1), normal(0)]
OTHERS = [normal(3, 5), normal(5), normal(), 2, 0.5]


def kind_of(x: Any) -> DType:
    """The type of a tensor's layout, or the one that a number would have."""
    return x.dtype if isinstance(x, Layout) else of_number(x)


def check_alpha(x: Any, y: Any, alpha: Any) -> None:
    """A factor must not be of a higher category than the result."""
    result = max((kind_of(x), kind_of(y)), key=lambda t: t.category)
    if isinstance(alpha, bool) and result is not d.bool_:
        raise refuse(RuntimeError, "Boolean alpha only supported for Boolean results.", received=f"alpha={alpha} for {result.name}")
    if isinstance(alpha, float) and result.category < 2:
        raise refuse(
            RuntimeError,
            "For integral input tensors, argument alpha must not be a floating point number.",
            received=f"alpha={alpha} for {result.name}",
        )
    if isinstance(alpha, complex) and result.category < 3:
        raise refuse(
            RuntimeError,
            "For non-complex input tensors, argument alpha must not be a complex number.",
            received=f"alpha={alpha} for {result.name}",
        )


def scaled(y: Scalar, alpha: Any) -> Scalar:
    if isinstance(alpha, Scalar):
        return y * alpha
    return y if alpha == 1 else y & bool(alpha) if y.dtype is d.bool_ else y * alpha


class Add(Pointwise):
    """input + alpha * other."""

    schema = "add(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor"
    dims = "*s, *s -> *s"
    special = {"alpha": "integers"}
    check = check_alpha

    @staticmethod
    def scalar(x: Scalar, y: Scalar, alpha: Any) -> Scalar:
        return x + scaled(y, alpha)

    samples = grid(input=[normal(3, 5)], other=OTHERS, alpha=[1, 2])
    refusals = each(
        refused(normal(3), normal(4), raises=RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(4\)"),
        refused(normal(3), "x", raises=TypeError, match="argument 'other' \\(position 2\\) must be Tensor, not str"),
        refused(
            integer(3),
            integer(3),
            alpha=0.5,
            raises=RuntimeError,
            match="For integral input tensors, argument alpha must not be a floating point number",
        ),
    )


def check_difference(x: Any, y: Any, alpha: Any = 1) -> None:
    """Bool has no difference."""
    kinds = kind_of(x), kind_of(y)
    if kinds == (d.bool_, d.bool_):
        raise refuse(
            RuntimeError,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead.",
        )
    if d.bool_ in kinds:
        raise refuse(
            RuntimeError,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` "
            "operator instead.",
        )
    check_alpha(x, y, alpha)


class Sub(Pointwise):
    """input - alpha * other."""

    schema = "sub(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor"
    aliases = "subtract"
    dims = "*s, *s -> *s"
    special = {"alpha": "integers"}
    check = check_difference

    @staticmethod
    def scalar(x: Scalar, y: Scalar, alpha: Any) -> Scalar:
        return x - scaled(y, alpha)

    samples = grid(input=[normal(3, 5)], other=OTHERS, alpha=[1, 2])
    refusals = each(refused(values([True]), values([True]), raises=RuntimeError, match="with two bool tensors is not supported"))


class Rsub(Composite):
    """other - alpha * input."""

    schema = "rsub(Tensor input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor"
    paths = "torch"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, other: Any, alpha: Any = 1) -> Tensor:
        return ops.sub(other, input, alpha=alpha)

    samples = grid(input=[normal(3, 5)], other=OTHERS, alpha=[1, 2])


class Mul(Pointwise):
    """input * other."""

    schema = "mul(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    aliases = "multiply"
    dims = "*s, *s -> *s"
    promotion = "promote unrounded"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x * y

    samples = grid(input=[normal(3, 5)], other=OTHERS)


def no_quotient() -> RuntimeError:
    return refuse(
        RuntimeError,
        "ZeroDivisionError",
        received="a divisor of 0 and integers",
        hint="divide floating tensors, or replace the zeros first",
    )


def refuse_zero(y: Tensor) -> None:
    """Integers have no quotient by 0."""
    if bool((y == 0).any()):
        raise no_quotient()


def check_divisor(x: Scalar, y: Any) -> None:
    """The same for a divisor that is a number: 0 is part of the body."""
    if not isinstance(y, Scalar) and x.dtype.is_integral:
        raise no_quotient()


class Div(Pointwise):
    """input / other; integers become floating."""

    schema = "div(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    aliases = "divide true_divide"
    promotion = "promote float unrounded"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return x / y

    samples = grid(input=[normal(3, 5)], other=OTHERS)


class DivMode(Pointwise):
    """input / other, rounded: "trunc" towards 0, "floor" down; integers stay integers then."""

    schema = "div.mode(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode) -> Tensor"
    dims = "*s, *s -> *s"
    guard = ("other", refuse_zero)
    special = {"other": "zero"}

    @staticmethod
    def promotion(x: Any, y: Any, rounding_mode: str | None) -> str:  # type: ignore[override]
        return "promote float" if rounding_mode is None else "promote no_complex no_bool kernel=div_" + rounding_mode

    @staticmethod
    def check(x: Any, y: Any, rounding_mode: str | None) -> None:  # type: ignore[override]
        if rounding_mode not in (None, "floor", "trunc"):
            raise refuse(RuntimeError, f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")

    @staticmethod
    def scalar(x: Scalar, y: Scalar, rounding_mode: str | None) -> Any:
        if rounding_mode is None:
            return x / y
        check_divisor(x, y)
        return scalar_floor_divide(x, y) if rounding_mode == "floor" else trunc_divide(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), 2, 0.5], rounding_mode=["floor", "trunc", None])
    refusals = each(
        refused(
            normal(3),
            2,
            rounding_mode="up",
            raises=RuntimeError,
            match="div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'",
        )
    )


class FloorDivide(Pointwise):
    """floor(input / other), in the promoted type."""

    schema = "floor_divide(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_complex no_bool kernel=div_floor_cpu"
    guard = ("other", refuse_zero)
    special = {"other": "zero"}

    @staticmethod
    def scalar(x: Scalar, y: Any) -> Scalar:
        check_divisor(x, y)
        return scalar_floor_divide(x, y)

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), 2, 0.5])


def _unless_endless(x: Scalar, y: Any, r: Scalar) -> Scalar:
    """r; NaN where x / y overflows, as in PyTorch's vector code. Added, not chosen, so that r's derivative stays; -0.0 changes no sign."""
    return r + where(isinf(x / y), float("nan"), const(-0.0, r.dtype)) if r.dtype.is_floating_point else r


class Remainder(Pointwise):
    """What is left of input over other, with the sign of other (Python's %)."""

    overloaded = True
    schema = "remainder(Tensor|Scalar input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_complex no_bool kernel=remainder_cpu"
    guard = ("other", refuse_zero)
    special = {"other": "zero"}

    @staticmethod
    def scalar(x: Scalar, y: Any) -> Scalar:
        check_divisor(x, y)
        return _unless_endless(x, y, scalar_remainder(x, y))

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), 2, 0.5])


class Fmod(Pointwise):
    """What is left of input over other, with the sign of input (C's fmod)."""

    overloaded = True
    schema = "fmod(Tensor input, Tensor|Scalar other) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_complex no_bool kernel=fmod_cpu"
    guard = ("other", refuse_zero)
    special = {"other": "zero"}

    @staticmethod
    def scalar(x: Scalar, y: Any) -> Scalar:
        check_divisor(x, y)
        return _unless_endless(x, y, scalar_fmod(x, y))

    samples = grid(input=[normal(3, 5)], other=[normal(3, 5), 2, 0.5])


class Neg(Pointwise):
    """-input."""

    schema = "neg(Tensor input) -> Tensor"
    out_dtype = FOUND_TYPE
    aliases = "negative"
    dims = "*s -> *s"

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype is d.bool_:
            raise refuse(
                RuntimeError,
                "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead.",
            )

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return -x

    samples = grid(input=PAIRS)


class Positive(Composite):
    """The tensor itself."""

    schema = "positive(Tensor input) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if input.dtype is d.bool_:
            raise refuse(RuntimeError, "The `+` operator, on a bool tensor is not supported.")
        return input

    samples = grid(input=PAIRS)


def _short_exponent(e: Any) -> bool:
    """Exponents that have a body of their own: whole numbers (repeated products) and roots."""
    return isinstance(e, int) or (isinstance(e, float) and e in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0))


class Pow(Pointwise):
    """input ** exponent, either of them a number or a tensor."""

    overloaded = True
    schema = "pow(Tensor|Scalar input, Tensor|Scalar exponent) -> Tensor"
    dims = "*s, *s -> *s"
    promotion = "promote no_bool kernel=pow"
    special = {"exponent": _short_exponent}

    @staticmethod
    def scalar(x: Scalar, e: Any) -> Scalar:
        if isinstance(e, (int, float)) and not isinstance(x, Scalar):
            raise TypeError("pow() received an invalid combination of arguments")
        if isinstance(e, int) and e < 0 and x.dtype.is_integral:
            raise refuse(
                RuntimeError,
                "Integers to negative integer powers are not allowed.",
                received=f"{x.dtype.name} ** {e}",
                hint="convert to a floating type first",
            )
        if isinstance(e, int) and not isinstance(e, bool) and abs(e) > 3 and not x.dtype.is_integral:
            return scalar_pow(x, cast(const(e, d.int64), x.dtype) if x.dtype.is_complex else float(e))
        return scalar_pow(x, e)

    samples = [
        *grid(input=[positive(3, 5)], exponent=[*OTHERS, 0, 1, 2, 3, 5, -1, -2, -3, 2.5, -0.5]),
        sample(2.5, normal(3, 5)),
        sample(2, normal(3, 5)),
    ]
    refusals = each(refused(integer(3), -1, raises=RuntimeError, match="Integers to negative integer powers are not allowed"))


class FloatPower(Composite):
    """input ** exponent in double precision (complex128 for complex arguments)."""

    overloaded = True
    schema = "float_power(Tensor|Scalar input, Tensor|Scalar exponent) -> Tensor"
    out_dtype = "the output given to float_power has dtype {Got} but the operation's result requires dtype {Want}"
    through_binder = True
    in_place = True

    @staticmethod
    def compose(input: Any, exponent: Any) -> Tensor:
        kind = d.complex128 if any(kind_of(v._layout if isinstance(v, Tensor) else v).is_complex for v in (input, exponent)) else d.float64
        return ops.pow(
            *(v.to(kind) if isinstance(v, Tensor) else complex(v) if kind is d.complex128 else float(v) for v in (input, exponent))
        )

    samples = grid(input=[positive(3, 5)], exponent=[normal(3, 5), 2, 0.5])


class Square(Pointwise):
    """input * input."""

    schema = "square(Tensor input) -> Tensor"
    dims = "*s -> *s"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return cast(x, d.int64) if x.dtype is d.bool_ else x * x

    samples = grid(input=PAIRS)


class Reciprocal(Pointwise):
    """1 / input; integers become floating."""

    schema = "reciprocal(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote float"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return 1 / x

    samples = grid(input=[positive(3, 5), positive(), positive(0)])


class Addcmul(Pointwise):
    """input + value * tensor1 * tensor2."""

    schema = "addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor"
    dims = "*s, *s, *s -> *s"
    promotion = "promote no_bool kernel=addcmul_cpu_out"
    special = {"value": "integers"}

    @staticmethod
    def scalar(x: Scalar, a: Scalar, b: Scalar, value: Any) -> Scalar:
        return x + (a * b if not isinstance(value, Scalar) and value == 1 else value * a * b)

    samples = [*grid(input=[normal(3, 5)], tensor1=[normal(3, 5), normal(5)], tensor2=[normal(3, 1)], value=[1, 2, 0.5])]


class Addcdiv(Pointwise):
    """input + value * tensor1 / tensor2, for floating tensors."""

    schema = "addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor"
    dims = "*s, *s, *s -> *s"
    special = {"value": "integers"}

    @staticmethod
    def check(x: Layout, a: Layout, b: Layout, value: Any) -> None:  # type: ignore[override]
        if a.dtype.category < 2 and b.dtype.category < 2:
            raise refuse(
                RuntimeError,
                "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of tensor1 and tensor2. "
                "The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as "
                "(input + value * tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value * tensor1 / "
                "tensor2), for all dtypes.",
            )

    @staticmethod
    def scalar(x: Scalar, a: Scalar, b: Scalar, value: Any) -> Scalar:
        return x + (a / b if not isinstance(value, Scalar) and value == 1 else value * a / b)

    samples = [*grid(input=[normal(3, 5)], tensor1=[normal(3, 5), normal(5)], tensor2=[positive(3, 1)], value=[1, 2, 0.5])]


class Lerp(Pointwise):
    """input + weight * (end - input), taken from the nearer end so that weight 1 gives `end` exactly."""

    schema = "lerp(Tensor input, Tensor end, Tensor|Scalar weight) -> Tensor"
    dims = "*s, *s, *s -> *s"
    promotion = "promote keep=weight no_bool no_integral kernel=lerp_kernel"

    @staticmethod
    def check(x: Layout, end: Layout, weight: Any) -> None:  # type: ignore[override]
        for name, other in (("end", end), ("weight", weight)):
            if isinstance(other, Layout) and other.dtype is not x.dtype and not (name == "weight" and other.ndim == 0):
                want, got = cpp_name(x.dtype), cpp_name(other.dtype)
                raise refuse(
                    RuntimeError,
                    f"expected dtype {want} for `{name}` but got dtype {got}",
                    received=f"{name} of {other.dtype.name}",
                    expected=x.dtype.name,
                )

    @staticmethod
    def scalar(x: Scalar, end: Scalar, weight: Scalar) -> Scalar:
        w = cast(weight, x.dtype)
        step = end - x
        return where(scalar_abs(w) < 0.5, x + w * step, end - step * (1 - w))

    samples = grid(input=[normal(3, 5)], end=[normal(3, 5), normal(5)], weight=[0.25, 0.75, normal(3, 1)])


def __rdiv__(self: Tensor, other: Any) -> Any:
    return ops.div(other, self)


Tensor.__rdiv__ = __rdiv__


def __pos__(self: Tensor) -> Any:
    return ops.positive(self)


Tensor.__pos__, Tensor.__div__, Tensor.__idiv__ = __pos__, Tensor.__truediv__, Tensor.__itruediv__
