"""Sums and means over dims. One read of each element: the bandwidth of reading memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.launch import Array
from ..kernel.reduction import Reducer, reduce, sum_of
from ..kernel.reduction.reducer import mean_of
from ..spec.block import Composite, Fused
from ..spec.registry import ops
from ..spec.samples import each, grid, normal, refused, sample


def reduced_dims(dim: Sequence[int] | int | None, ndim: int) -> tuple[int, ...]:
    """The dims to reduce, counted from the front; None and () mean all."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    listed = [wrap_dim(x, ndim) for x in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    for x in listed:
        if listed.count(x) > 1:
            raise refuse(RuntimeError, f"dim {x} appears multiple times in the list of dims", received=f"dim={dim}")
    return tuple(sorted(listed)) if ndim else ()


def kept_shape(shape: Sequence[int], dims: Sequence[int], keepdim: bool) -> tuple[int, ...]:
    return tuple(1 if i in dims else n for i, n in enumerate(shape) if keepdim or i not in dims)


def reduction(x: Layout, dims: tuple[int, ...], keepdim: bool, reducer: Reducer, *kinds: DType) -> Result:
    """A reducer over dims of one tensor; one output per type."""
    outs = tuple(layout(kept_shape(x.shape, dims, keepdim), k) for k in kinds)
    flat = [Array(o.dtype, s, layout(s, o.dtype).strides) for o in outs for s in [kept_shape(x.shape, dims, False)]]
    return Result(outs, reduce(flat, [x], dims, reducer))


def spread(g: Tensor, shape: Sequence[int], dim: Any, keepdim: bool) -> Tensor:
    """A reduced gradient put back over the dims that went."""
    dims = reduced_dims(dim, len(shape))
    if not keepdim:
        g = g.reshape(kept_shape(shape, dims, True))
    return g.expand(tuple(shape))


class Sum(Fused):
    """Sum over `dim`, or over all dims. Cascaded: the error grows with log n; the same bits for any number of threads."""

    schema = "sum(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    batching = "front dim"
    dims = "*s -> *s/dim"

    @staticmethod
    def kernel(x: Layout, dim: tuple[int, ...] | None, keepdim: bool, dtype: DType | None) -> Result:
        kind = dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else d.int64)
        kept = kind.compute if kind.is_floating_point or kind.is_complex else d.int64
        return reduction(x, reduced_dims(dim, x.ndim), keepdim, sum_of(x.dtype.compute, kept), kind)

    @staticmethod
    def gradient(g: Tensor, input: Layout, dim: Any, keepdim: bool) -> Tensor:
        return spread(g, input.shape, dim, keepdim)

    samples = grid(input=[normal(3, 4, 5), normal(2, 0, 3)], dim=[None, 0, (0, 2), -1], keepdim=[False, True])
    refusals = each(refused(normal(2, 3), 5, raises=IndexError, match=r"expected to be in range of \[-2, 1\], but got 5"))


class Mean(Fused):
    """Mean over `dim`, or over all dims."""

    schema = "mean(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    out_dtype = "cast"
    batching = "front dim"
    dims = "*s -> *s/dim"

    @staticmethod
    def kernel(x: Layout, dim: tuple[int, ...] | None, keepdim: bool, dtype: DType | None) -> Result:
        kind = dtype or x.dtype
        if not (kind.is_floating_point or kind.is_complex):
            what = "Input dtype" if dtype is None else "Optional dtype"
            from ..spec.promotion import scalar_type_name

            raise refuse(
                RuntimeError,
                f"mean(): could not infer output dtype. {what} must be either a floating point or complex dtype. Got: {scalar_type_name(kind)}",
            )
        return reduction(
            x,
            reduced_dims(dim, x.ndim),
            keepdim,
            mean_of(x.dtype.compute if x.dtype.is_floating_point or x.dtype.is_complex else kind.compute),
            kind,
        )

    @staticmethod
    def gradient(g: Tensor, input: Layout, dim: Any, keepdim: bool) -> Tensor:
        n = 1
        for i in reduced_dims(dim, input.ndim):
            n *= input.shape[i]
        return spread(g, input.shape, dim, keepdim) / n

    samples = grid(input=[normal(3, 4, 5)], dim=[None, 0, (0, 2), -1], keepdim=[False, True])


class SumToSize(Composite):
    """Sum over the dims that were broadcast, so that the shape is `size`."""

    schema = "sum_to_size(Tensor input, int[] size) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, *size: Any) -> Tensor:
        shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
        have = input._layout.shape
        if not shape:
            return ops.sum(input)
        if have == shape:
            return input
        lead = len(have) - len(shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(shape, have[lead:])):
            raise refuse(RuntimeError, f"size {{{list(shape)}}} is not expandable to size {{{list(have)}}}.")
        dims = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1 and have[lead + i] != 1))
        return ops.sum(input, dims, True).reshape(shape) if dims else input.reshape(shape)

    samples = [sample(normal(3, 4), (1, 4)), sample(normal(2, 3, 4), (4,))]
