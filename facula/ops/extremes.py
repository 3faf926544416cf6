"""Largest and smallest: max, min, amax, amin, argmax, argmin, aminmax. One read of each element."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.layout import Layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.reduction import argmax_of, argmin_of, max_of, min_max_of, min_of
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, each, grid, normal, refused, sample
from .reduction import reduced_dims, reduction, spread


def refuse_complex(x: Layout, name: str) -> None:
    if x.dtype.is_complex:
        raise refuse(NotImplementedError, f"\"{name}\" not implemented for '{scalar_type_name(x.dtype)}'")


def not_empty(x: Layout, dims: tuple[int, ...], title: str, dim: Any) -> None:
    """Extremes of nothing do not exist."""
    if dim is None:
        if not x.numel:
            raise refuse(
                RuntimeError,
                f"{title}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.",
                received=f"shape {tuple(x.shape)}",
            )
        return
    listed = dim if isinstance(dim, (tuple, list)) else dims
    for k in listed:
        if x.ndim and x.shape[k] == 0:
            name = title if title == "aminmax" else title + "()"
            raise refuse(IndexError, f"{name}: Expected reduction dim {k} to have non-zero size.", received=f"shape {tuple(x.shape)}")


def among_equals(g: Tensor, out: Tensor, input: Tensor, dim: Any, keepdim: bool, whole: bool = False) -> Tensor:
    """The gradient shared evenly among the elements that equal the extreme: NaN for a row with one, but of a `whole` tensor its NaN share it."""
    dims = reduced_dims(dim, input.ndim)
    full = spread(out, input.shape, dim, keepdim)
    hit = (input == full) | ((input != input) & (full != full)) if whole else input == full  # if nothing equals it, 0 / 0
    hit = hit.to(g.dtype)
    share = spread(g, input.shape, dim, keepdim) / (hit.sum(dims, True) if dims else hit)
    return share * hit


class _Extreme:
    """The parts that amax and amin share."""

    @staticmethod
    def result(x: Layout, dim: Any, keepdim: bool, title: str, of: Any) -> Result:
        refuse_complex(x, "max_values_cpu" if title == "amax" else "min_values_cpu")
        dims = reduced_dims(dim, x.ndim)
        not_empty(x, dims, title, dim if dim else None)
        return reduction(x, dims, keepdim, of(x.dtype.compute, first=True), x.dtype)


class Amax(Fused):
    """Maximum over dims; the gradient is shared among equals. NaN wins."""

    schema = "amax(Tensor input, int[1]? dim=[], bool keepdim=False) -> Tensor"
    out_dtype = "Expected the dtype for input and out to match, but got {Want} for input's dtype and {Got} for out's dtype."
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: tuple[int, ...], keepdim: bool) -> Result:
        return _Extreme.result(x, dim, keepdim, "amax", max_of)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, dim: Any, keepdim: bool) -> Tensor:
        return among_equals(g, out, input, dim, keepdim)

    samples = grid(input=[distinct(3, 4, 5)], dim=[(), 0, (0, 2)], keepdim=[False, True])
    refusals = each(refused(normal(2, 0), 1, raises=IndexError, match="Expected reduction dim 1 to have non-zero size"))


class Amin(Fused):
    """Minimum over dims; the gradient is shared among equals. NaN wins."""

    schema = "amin(Tensor input, int[1]? dim=[], bool keepdim=False) -> Tensor"
    out_dtype = "Expected the dtype for input and out to match, but got {Want} for input's dtype and {Got} for out's dtype."
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: tuple[int, ...], keepdim: bool) -> Result:
        return _Extreme.result(x, dim, keepdim, "amin", min_of)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, dim: Any, keepdim: bool) -> Tensor:
        return among_equals(g, out, input, dim, keepdim)

    samples = grid(input=[distinct(3, 4, 5)], dim=[(), 0, (0, 2)], keepdim=[False, True])


class MaxAll(Fused):
    """The largest of all elements; the gradient is shared among equals."""

    schema = "max(Tensor input) -> Tensor"
    out_dtype = "cast"
    batching = "rows amax"

    @staticmethod
    def kernel(x: Layout) -> Result:
        refuse_complex(x, "max_all")
        not_empty(x, (), "max", None)
        return reduction(x, tuple(range(x.ndim)), False, max_of(x.dtype.compute), x.dtype)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
        return among_equals(g, out, input, None, False, whole=True)

    samples = [sample(distinct(3, 4))]


class MinAll(Fused):
    """The smallest of all elements; the gradient is shared among equals."""

    schema = "min(Tensor input) -> Tensor"
    out_dtype = "cast"
    batching = "rows amin"

    @staticmethod
    def kernel(x: Layout) -> Result:
        refuse_complex(x, "min_all")
        not_empty(x, (), "min", None)
        return reduction(x, tuple(range(x.ndim)), False, min_of(x.dtype.compute), x.dtype)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
        return among_equals(g, out, input, None, False, whole=True)

    samples = [sample(distinct(3, 4))]


class MaxOther(Composite):
    """The larger of two, element by element."""

    schema = "max.other(Tensor input, Tensor other) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        return ops.maximum(input, other)

    samples = [sample(normal(3), normal(3))]


class MinOther(Composite):
    """The smaller of two, element by element."""

    schema = "min.other(Tensor input, Tensor other) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        return ops.minimum(input, other)

    samples = [sample(normal(3), normal(3))]


def with_index(x: Layout, dim: int, keepdim: bool, title: str, of: Any) -> Result:
    refuse_complex(x, title)
    k = wrap_dim(dim, x.ndim)
    not_empty(x, (k,), title, dim)
    return reduction(x, (k,) if x.ndim else (), keepdim, of(x.dtype.compute, True), x.dtype, d.int64)


def at_index(g: Tensor, index: Tensor, input: Layout, dim: int, keepdim: bool) -> Tensor:
    """The gradient where the index says."""
    if not input.ndim:
        return g
    if not keepdim:
        g, index = g.unsqueeze(dim), index.unsqueeze(dim)
    return ops.scatter_zeros(g, wrap_dim(dim, input.ndim), index.detach(), tuple(input.shape))


class MaxDim(Fused):
    """(values, indices) of the first maximum along a dim."""

    schema = "max.dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)"
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: int, keepdim: bool) -> Result:
        return with_index(x, dim, keepdim, "max", argmax_of)

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor, dim: int, keepdim: bool) -> Tensor:
        return at_index(g0, out1, input, dim, keepdim)

    samples = grid(input=[distinct(3, 4)], dim=[0, -1], keepdim=[False, True])


class MinDim(Fused):
    """(values, indices) of the first minimum along a dim."""

    schema = "min.dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)"
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: int, keepdim: bool) -> Result:
        return with_index(x, dim, keepdim, "min", argmin_of)

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor, dim: int, keepdim: bool) -> Tensor:
        return at_index(g0, out1, input, dim, keepdim)

    samples = grid(input=[distinct(3, 4)], dim=[0, -1], keepdim=[False, True])


def arg(x: Layout, dim: int | None, keepdim: bool, title: str, of: Any) -> Result:
    if x.dtype.is_complex:
        raise refuse(RuntimeError, f"{title}(): does not support complex input", received=f"dtype {x.dtype.name}", expected="a real dtype")
    if x.dtype is d.bool_:
        raise refuse(RuntimeError, f"{title}(): does not support bool input")
    if dim is None:
        if not x.numel:
            raise refuse(
                IndexError,
                f"{title}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.",
            )
        return reduction(x, tuple(range(x.ndim)), keepdim, of(x.dtype.compute), d.int64)
    k = wrap_dim(dim, x.ndim)
    not_empty(x, (k,), title, dim)
    return reduction(x, (k,) if x.ndim else (), keepdim, of(x.dtype.compute), d.int64)


def along_own(f: Any, examples: Examples, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    """An extreme of each example: of all its elements, or along one of its dims."""
    ndim = x.ndim - 1
    if dim is None or not ndim:
        got = f(x.reshape(examples.n, -1), 1)
        return got.view(examples.n, *(1,) * ndim) if keepdim else got
    return f(x, wrap_dim(dim, ndim) + 1, keepdim)


class Argmax(Fused):
    """Index of the first maximum, of all elements (row-major) or along a dim."""

    schema = "argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor"

    @staticmethod
    def batch(examples: Examples, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
        return along_own(ops.argmax, examples, input, dim, keepdim)

    @staticmethod
    def kernel(x: Layout, dim: int | None, keepdim: bool) -> Result:
        return arg(x, dim, keepdim, "argmax", argmax_of)

    samples = grid(input=[distinct(3, 4)], dim=[None, 0, -1], keepdim=[False, True])


class Argmin(Fused):
    """Index of the first minimum, of all elements (row-major) or along a dim."""

    schema = "argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor"

    @staticmethod
    def batch(examples: Examples, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
        return along_own(ops.argmin, examples, input, dim, keepdim)

    @staticmethod
    def kernel(x: Layout, dim: int | None, keepdim: bool) -> Result:
        return arg(x, dim, keepdim, "argmin", argmin_of)

    samples = grid(input=[distinct(3, 4)], dim=[None, 0, -1], keepdim=[False, True])


class Aminmax(Fused):
    """(min, max) of all elements or along a dim."""

    schema = "aminmax(Tensor input, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)"

    @staticmethod
    def batch(examples: Examples, input: Tensor, dim: int | None, keepdim: bool) -> tuple[Tensor, ...]:
        return tuple(along_own(f, examples, input, dim, keepdim) for f in (ops.amin, ops.amax))

    @staticmethod
    def kernel(x: Layout, dim: int | None, keepdim: bool) -> Result:
        refuse_complex(x, "aminmax_cpu")
        dims = reduced_dims(dim, x.ndim)
        if dim is None and not x.numel:
            raise refuse(
                RuntimeError,
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.",
                received=f"shape {tuple(x.shape)}",
            )
        not_empty(x, dims, "aminmax", dim)
        return reduction(x, dims, keepdim, min_max_of(x.dtype.compute), x.dtype, x.dtype)

    @staticmethod
    def gradient(g0: Tensor, g1: Tensor, input: Tensor, out0: Tensor, out1: Tensor, dim: Any, keepdim: bool) -> Tensor:
        return among_equals(g0, out0, input, dim, keepdim) + among_equals(g1, out1, input, dim, keepdim)

    samples = [sample(distinct(3, 4)), sample(distinct(3, 4), dim=1)]
