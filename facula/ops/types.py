"""What a tensor's elements are, and which type arguments of several types are computed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base.dtypes import DTYPES
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.tensor import Tensor
from ..spec.block import Composite
from ..spec.promotion import join, of_number
from ..spec.promotion import result_type as promoted
from ..spec.samples import normal, sample


def _question(name: str, answer: Callable[[Tensor], bool], meaning: str, paths: str = "torch") -> None:
    """A bool about one tensor."""

    def compose(input: Tensor) -> bool:
        return answer(input)

    body = {"__doc__": meaning, "__module__": __name__, "schema": f"{name}(Tensor input) -> bool", "paths": paths, "through_binder": True, "out": False, "may_look": name == "is_nonzero", "by_key": name != "is_nonzero",
            "compose": staticmethod(compose), "samples": [sample(normal(1))]}  # fmt: skip
    type("".join(w.title() for w in name.split("_")), (Composite,), body)


def is_nonzero(x: Tensor) -> bool:
    if x.numel() != 1:
        raise refuse(
            RuntimeError,
            "Boolean value of Tensor with no values is ambiguous"
            if not x.numel()
            else "Boolean value of Tensor with more than one value is ambiguous",
        )
    return bool(x.item())


_question("is_complex", lambda x: x.dtype.is_complex, "Whether the elements are complex numbers.")
_question("is_floating_point", lambda x: x.dtype.is_floating_point, "Whether the elements are floating-point numbers.")
_question("is_signed", lambda x: x.dtype.is_signed, "Whether the elements have a sign.")
_question("is_conj", lambda x: False, "Whether the conjugate is still to be taken: never, it is computed at once.")
_question("is_neg", lambda x: False, "Whether the negative is still to be taken: never, it is computed at once.")
_question("is_nonzero", is_nonzero, "Whether the one element is other than 0.", "torch Tensor")


class IsSameSize(Composite):
    """Whether two tensors have the same shape."""

    schema = "is_same_size(Tensor input, Tensor other) -> bool"
    through_binder = by_key = True
    out = False

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> bool:
        return tuple(input.shape) == tuple(other.shape)

    samples = [sample(normal(2), normal(2))]


class Numel(Composite):
    """Number of elements."""

    schema = "numel(Tensor input) -> int"
    paths = "torch"
    through_binder = by_key = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> int:
        return input.numel()

    samples = [sample(normal(2))]


class ResultType(Composite):
    """The type in which arithmetic of two tensors or numbers is done."""

    schema = "result_type(Tensor|Scalar tensor, Tensor|Scalar other) -> ScalarType"
    paths = "torch"
    through_binder = by_key = True
    out = False

    @staticmethod
    def compose(tensor: Any, other: Any) -> DType:
        tensors = [t for t in (tensor, other) if isinstance(t, Tensor)]
        numbers = [of_number(t) for t in (tensor, other) if not isinstance(t, Tensor)]
        return promoted([t.dtype for t in tensors if t.ndim], [t.dtype for t in tensors if not t.ndim], numbers)

    samples = [sample(normal(2), 1.5)]


class PromoteTypes(Composite):
    """The smallest type that both convert to."""

    schema = "promote_types(ScalarType type1, ScalarType type2) -> ScalarType"
    paths = "torch"
    through_binder = by_key = True
    out = False

    @staticmethod
    def compose(type1: DType, type2: DType) -> DType:
        return join(type1, type2)

    samples = [sample(DTYPES["uint8"], DTYPES["int8"])]


class CanCast(Composite):
    """Whether a conversion keeps the category: bool < integral < floating < complex, and unsigned not from signed."""

    schema = "can_cast(ScalarType from_, ScalarType to) -> bool"
    paths = "torch"
    through_binder = by_key = True
    out = False

    @staticmethod
    def compose(from_: DType, to: DType) -> bool:
        unsigned = to.is_integral and not to.is_signed and from_.is_integral and from_.is_signed
        return from_.category <= to.category and not unsigned

    samples = [sample(DTYPES["float32"], DTYPES["int8"])]
