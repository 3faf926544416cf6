"""Complex numbers: parts, conjugates, angles, and views between complex tensors and pairs of reals."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout
from ..core.result import View
from ..core.tensor import Tensor
from ..kernel import scalar as s
from ..kernel.scalar import Scalar
from ..spec.block import FOUND_TYPE, Composite, Movement, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, grid, integer, normal, refused, sample

COMPLEX = [normal(3, 5, dtype="complex64"), normal(dtype="complex64")]


class ViewAsReal(Movement):
    """A complex tensor as pairs: (real, imaginary) along a new last dim."""

    schema = "view_as_real(Tensor input) -> Tensor"
    paths = "torch"

    @staticmethod
    def view(x: Layout) -> View:
        if not x.dtype.is_complex:
            raise refuse(RuntimeError, "view_as_real is only supported for complex tensors", received=f"dtype {x.dtype.name}")
        return View((*x.shape, 2), (*(2 * n for n in x.strides), 1), 0, x.dtype.real)

    @staticmethod
    def gradient(g: Tensor) -> Tensor:
        return ops.view_as_complex(g.contiguous())

    samples = grid(input=COMPLEX)
    refusals = each(refused(normal(3), raises=RuntimeError, match="view_as_real is only supported for complex tensors"))


class ViewAsComplex(Movement):
    """Pairs along the last dim as complex numbers."""

    schema = "view_as_complex(Tensor input) -> Tensor"
    paths = "torch"

    @staticmethod
    def view(x: Layout) -> View:
        if not x.dtype.is_floating_point or x.dtype is d.bfloat16:
            raise refuse(
                RuntimeError,
                f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {scalar_type_name(x.dtype)}",
            )
        if not x.ndim:
            raise refuse(RuntimeError, "Input tensor must have one or more dimensions")
        if x.shape[-1] != 2:
            raise refuse(RuntimeError, "Tensor must have a last dimension of size 2", received=f"shape {tuple(x.shape)}")
        if x.strides[-1] != 1:
            raise refuse(
                RuntimeError, "Tensor must have a last dimension with stride 1", received=f"strides {x.strides}", hint="x.contiguous()"
            )
        if any(n % 2 for n in x.strides[:-1]):
            raise refuse(
                RuntimeError,
                "Tensor must have a stride divisible by 2 for all but last dimension",
                received=f"strides {x.strides}",
                hint="x.contiguous()",
            )
        return View(tuple(x.shape[:-1]), tuple(n // 2 for n in x.strides[:-1]), 0, x.dtype.to_complex())

    @staticmethod
    def gradient(g: Tensor) -> Tensor:
        return ops.view_as_real(g.resolve_conj())

    samples = grid(input=[normal(3, 2, dtype="float32"), normal(2, dtype="float64")])
    refusals = each(refused(normal(3), raises=RuntimeError, match="Tensor must have a last dimension of size 2"))


class Real(Composite):
    """The real part, a view; a real tensor is returned itself."""

    schema = "real(Tensor input) -> Tensor"
    paths = "torch"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        return ops.view_as_real(input).select(-1, 0) if input.dtype.is_complex else input

    samples = grid(input=COMPLEX)


class Imag(Composite):
    """The imaginary part, a view."""

    schema = "imag(Tensor input) -> Tensor"
    paths = "torch"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if not input.dtype.is_complex:
            raise refuse(RuntimeError, "imag is not implemented for tensors with non-complex dtypes.", received=f"dtype {input.dtype.name}")
        return ops.view_as_real(input).select(-1, 1)

    samples = grid(input=COMPLEX)


def _part(index: int) -> property:
    def read(self: Tensor) -> Tensor:
        return (ops.real, ops.imag)[index](self)

    def write(self: Tensor, value: Any) -> None:
        read(self).copy_(value if isinstance(value, Tensor) else ops.scalar_tensor(value))

    return property(read, write, doc=("The real part, a view.", "The imaginary part, a view.")[index])


Tensor.real, Tensor.imag = _part(0), _part(1)


class ConjValues(Pointwise):
    """The conjugate, computed."""

    schema = "conj_values(Tensor input) -> Tensor"
    paths = ""
    dims = "*s -> *s"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.conj(x)

    samples = grid(input=[*COMPLEX, normal(3)])


class ConjPhysical(Composite):
    """The conjugate, computed; a real tensor is returned itself."""

    schema = "conj_physical(Tensor input) -> Tensor"
    out_dtype = FOUND_TYPE
    through_binder = True
    in_place = True

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        return ops.conj_values(input) if input.dtype.is_complex else input

    samples = grid(input=[*COMPLEX, normal(3)])


class Conj(Composite):
    """The conjugate; a real tensor is returned itself."""

    schema = "conj(Tensor input) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        return ops.conj_values(input) if input.dtype.is_complex else input

    samples = grid(input=[*COMPLEX, normal(3)])


def _itself(name: str, meaning: str) -> None:
    """resolve_conj and resolve_neg: our tensors are never lazy."""

    def compose(input: Tensor) -> Tensor:
        return input

    body = {"__doc__": meaning, "__module__": __name__, "schema": f"{name}(Tensor input) -> Tensor", "through_binder": True, "out": False, "compose": staticmethod(compose),
            "samples": grid(input=[*COMPLEX, normal(3)])}  # fmt: skip
    type("".join(w.title() for w in name.split("_")), (Composite,), body)


_itself("resolve_conj", "The tensor itself: conjugates are computed at once.")
_itself("resolve_neg", "The tensor itself: negatives are computed at once.")


class Angle(Pointwise):
    """The argument of a complex number; 0 or pi for real ones (NaN stays)."""

    schema = "angle(Tensor input) -> Tensor"
    dims = "*s -> *s"
    promotion = "promote float real"
    in_place = False

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.angle(x)

    samples = grid(input=[*COMPLEX, normal(3)])


def check_parts(name: str) -> Any:
    def check(a: Layout, b: Layout) -> None:
        floats = (d.float16, d.float32, d.float64)
        if a.dtype not in floats or b.dtype not in floats:
            raise refuse(
                RuntimeError,
                f"Expected both inputs to be Half, Float or Double tensors but got {scalar_type_name(a.dtype)} and {scalar_type_name(b.dtype)}",
            )
        if a.dtype is not b.dtype:
            raise refuse(
                RuntimeError,
                f"Expected object of scalar type {scalar_type_name(a.dtype)} but got scalar type {scalar_type_name(b.dtype)} for second argument",
            )

    check.__name__ = f"check_{name}"
    return check


class Complex(Pointwise):
    """real + i * imag."""

    schema = "complex(Tensor real, Tensor imag) -> Tensor"
    out_dtype = "Expected object of scalar type {Want} but got scalar type {Got} for argument 'out'"
    dims = "*s, *s -> *s"
    paths = "torch"
    in_place = False
    check = check_parts("complex")

    @staticmethod
    def scalar(re: Scalar, im: Scalar) -> Scalar:
        return s.complex_(re, im)

    samples = grid(real=[normal(3, 5, dtype="float32")], imag=[normal(3, 5, dtype="float32"), normal(5, dtype="float32")])
    refusals = each(
        refused(
            normal(3),
            integer(3),
            raises=RuntimeError,
            match="Expected both inputs to be Half, Float or Double tensors but got Float and Long",
        )
    )


class Polar(Pointwise):
    """abs * (cos(angle) + i * sin(angle))."""

    schema = "polar(Tensor abs, Tensor angle) -> Tensor"
    out_dtype = "Expected object of scalar type {Want} but got scalar type {Got} for argument 'out'"
    dims = "*s, *s -> *s"
    paths = "torch"
    in_place = False
    check = check_parts("polar")

    @staticmethod
    def scalar(size: Scalar, angle: Scalar) -> Scalar:
        return s.complex_(size * s.cos(angle), size * s.sin(angle))

    samples = grid(abs=[normal(3, 5, dtype="float32")], angle=[normal(3, 5, dtype="float32"), normal(5, dtype="float32")])


class Adjoint(Composite):
    """The conjugate of the transpose of the last two dims."""

    schema = "adjoint(Tensor input) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if input.ndim == 1:
            raise refuse(RuntimeError, "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
        return (input.transpose(-2, -1) if input.ndim else input).conj()

    samples = [sample(normal(2, 3, 4)), sample(normal(3, 4, dtype="complex64"))]


def _h(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise refuse(
            RuntimeError,
            f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor. For batches of matrices, consider using tensor.mH",
        )
    return self.transpose(0, 1).conj() if self.ndim else self.conj()


Tensor.H = property(_h, doc="The conjugate transpose of a matrix.")
Tensor.mH = property(lambda self: self.adjoint(), doc="The conjugate transpose of the last two dims.")
