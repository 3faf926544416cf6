"""Where elements are: nonzero, argwhere, flat indices unravelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import META
from ..base.errors import refuse
from ..core.layout import layout
from ..core.placing import known
from ..core.plan import allocate
from ..core.tensor import Tensor
from ..kernel import indexing as kernels
from ..spec.block import Composite, Procedure
from ..spec.registry import ops
from ..spec.samples import normal, sample, values
from .gathering import perform

UNKNOWN = (
    "The register_meta function for torch.nonzero() raises unimplemented by default, as a correct data-independent implementation does not "
    "exist. This implementation returns a fake value, assuming all elements of the tensor are non-zero. To enable this registration, please set "
    "'torch.fx.experimental._config.meta_nonzero_assume_all_nonzero' to True."
)


class NonzeroPlaces(Procedure):
    """(n, ndim) int64: the index of every element that is not zero, in row-major order."""

    needs_values = UNKNOWN
    schema = "nonzero_places(Tensor input) -> Tensor"
    paths = ""

    @staticmethod
    def run(input: Tensor) -> Tensor:
        return places(_holding(input))


def _holding(x: Tensor) -> Tensor:
    return x if x.dtype is d.bool_ else x != 0


def places(mask: Tensor) -> Tensor:
    """(n, ndim) int64: where a mask holds."""
    counts = allocate(layout((kernels.chunks(mask._layout),), d.int64))
    perform(kernels.count_true, (counts._layout, mask._layout), [counts], [mask])
    out = allocate(layout((counts[-1].item(), mask.ndim), d.int64))
    if out._layout.numel:
        perform(kernels.nonzero, (out._layout, mask._layout), [out], [mask, counts])
    return out


class Nonzero(Composite):
    """The index of every element that is not zero: (n, ndim), or one tensor per dim."""

    needs_values = UNKNOWN
    schema = "nonzero(Tensor input, *, bool as_tuple=False) -> Tensor"
    out_dtype = "nonzero: Expected out tensor to have scalar type Long but got scalar type{Got}"
    through_binder = True

    @staticmethod
    def compose(input: Tensor, as_tuple: bool = False) -> Any:
        if not as_tuple:
            plain = not input._layout.batch and input._layout.device is not META
            return places(_holding(input)) if plain else ops.nonzero_places(input)
        return ops.nonzero_places(input if input.ndim else input.reshape(1)).unbind(1)

    samples = [sample(normal(3, 4)), sample(values([[0, 1], [2, 0]], "int64"))]


class Argwhere(Composite):
    """(n, ndim) int64: the index of every element that is not zero."""

    needs_values = UNKNOWN
    schema = "argwhere(Tensor input) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        return ops.nonzero_places(input)

    samples = [sample(values([[0, 1], [2, 0]], "int64"))]


class NonzeroStatic(Composite):
    """`nonzero` cut or filled up to `size` rows."""

    schema = "nonzero_static(Tensor input, *, int size, int fill_value=-1) -> Tensor"
    through_binder = True

    @staticmethod
    def compose(input: Tensor, size: int, fill_value: int = -1) -> Tensor:
        if size < 0:
            raise refuse(RuntimeError, "nonzero_static: 'size' must be an non-negative integer", received=f"size={size}")
        if not known(input):
            return ops.empty((size, input.ndim), dtype=d.int64)
        got = ops.nonzero_places(input)
        n = got.shape[0]
        if n >= size:
            return got.narrow(0, 0, size).clone()
        return ops.cat([got, ops.full((size - n, input.ndim), fill_value, dtype=d.int64)])

    samples = [sample(values([[0, 1], [2, 0]], "int64"), size=3)]


class UnravelIndex(Composite):
    """Flat indices as one tensor of indices per dim of `shape`."""

    schema = "unravel_index(Tensor indices, any shape) -> Tensor[]"
    paths = "torch"
    through_binder = True
    out = False

    @staticmethod
    def compose(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
        if indices.dtype.is_floating_point or indices.dtype.is_complex or indices.dtype is d.bool_:
            raise refuse(TypeError, f"expected 'indices' to be integer dtype, but got {indices.dtype}")
        if not hasattr(shape, "__index__") and not all(hasattr(n, "__index__") for n in shape):  # type: ignore[union-attr]
            raise refuse(TypeError, f"expected 'shape' sequence to only contain ints, but got {shape}")
        sizes = (shape.__index__(),) if hasattr(shape, "__index__") else tuple(n.__index__() for n in shape)  # type: ignore[union-attr]
        if any(n < 0 for n in sizes):
            raise refuse(ValueError, f"'shape' cannot have negative values, but got {tuple(sizes)}")
        out, rest = [], indices.to(d.int64)
        for n in reversed(sizes):
            out.append(rest % n)
            rest = ops.div(rest, n, rounding_mode="floor")
        return tuple(reversed(out))

    samples = [sample(values([3, 7], "int64"), (2, 4))]
