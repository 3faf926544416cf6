"""Writing through index tensors: index_add, index_copy, index_fill, index_reduce, scatter and its reductions, put, masked_scatter.

Where several elements go to one place they are taken in row-major order, whatever the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import contiguous_format
from ..base.errors import refuse
from ..core.copying import fill_in
from ..core.expression import broadcast
from ..core.layout import Layout, layout
from ..core.placing import known
from ..core.plan import allocate
from ..core.tensor import Tensor, wrap_dim
from ..kernel import indexing as kernels
from ..spec.block import Composite, Procedure
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import boolean, each, integer, normal, refused, sample, values
from .gathering import check, perform, put_schedule

OUT_OF_BOUNDS = "index {{value}} is out of bounds for dimension {dim} with size {size}"


def _name(t: Tensor) -> str:
    return scalar_type_name(t.dtype)


def fresh(x: Tensor) -> Tensor:
    """A contiguous copy."""
    out = allocate(layout(x.shape, x.dtype, None, x.device))
    fill_in(out, x)
    return out


# -- scatter
def worst(kind: d.dtype, reduce: str) -> Any:
    """What a reduction starts from: no value changes it."""
    if reduce == "prod":
        return 1
    if reduce in ("sum", "mean"):
        return 0
    if kind.is_floating_point:
        return float("-inf") if reduce == "amax" else float("inf")
    if kind is d.bool_:
        return reduce == "amin"
    bits = 8 * kind.itemsize
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind.is_signed else (0, (1 << bits) - 1)
    return low if reduce == "amax" else high


def scatter_into(out: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> None:
    """One kernel: the elements of src at their places in out, replacing or combined (sum, prod, amax, amin) with what is there."""
    perform(kernels.scatter, (out._layout, src._layout, index._layout, dim, reduce or None), [out], [src, index])


class Scattered(Procedure):
    """A copy of `input` with `src` put at, or combined with, the places that `index` names along a dim."""

    schema = "scattered(Tensor input, int dim, Tensor index, Tensor src, str reduce, bool include_self) -> Tensor"
    batching = "front dim"
    paths = ""

    @staticmethod
    def run(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
        out = fresh(input)
        if not include_self:
            start = ops.full((), worst(out.dtype, reduce), dtype=out.dtype)
            scatter_into(out, dim, index, start.expand(index.shape), "")
        scatter_into(out, dim, index, src, "sum" if reduce == "mean" else reduce)
        if reduce == "mean":
            count = _counts(out, dim, index, include_self)
            return out.div_(count) if out.dtype.is_floating_point or out.dtype.is_complex else out.div_(count, rounding_mode="floor")
        return out

    @staticmethod
    def gradient(g: Tensor, dim: int, index: Tensor, src: Layout, reduce: str, include_self: bool, needs: Any) -> tuple[Any, ...]:
        gx, gs = (_sum if reduce == "sum" else _mean if reduce else _replaced)(g, dim, index, include_self)
        return _given(gx, gs, dim, index, src, bool(reduce) and not include_self, needs)


class ScatteredValues(Scattered):
    """The same for products and extremes, whose derivatives read values."""

    schema = "scattered_values(Tensor input, int dim, Tensor index, Tensor src, str reduce, bool include_self) -> Tensor"

    @staticmethod
    def gradient(  # type: ignore[override]
        g: Tensor, out: Tensor, input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool, needs: Any
    ) -> tuple[Any, ...]:
        gx, gs = (_prod if reduce == "prod" else _extreme)(g, out, input, dim, index, src, include_self)
        return _given(gx, gs, dim, index, src._layout, not include_self, needs)


def _given(gx: Any, gs: Any, dim: int, index: Tensor, src: Layout, without_self: bool, needs: Any) -> tuple[Any, ...]:
    """The gradients that are wanted; none reaches what was left out of the combination."""
    if without_self and gx is not None:
        gx = ops.scattered(gx, dim, index, ops.zeros((), dtype=gx.dtype).expand(index.shape), "", True)
    return (gx if needs[0] else None), None, (_onto(gs, src) if needs[2] else None)


def _onto(g: Tensor, src: Layout) -> Tensor:
    """The gradient of the part of src that was read; zeros for the rest."""
    for k, n in enumerate(src.shape):
        if g.shape[k] != n:
            g = ops.slice_backward(g, (*g.shape[:k], n, *g.shape[k + 1 :]), k, 0, g.shape[k], 1)
    return g


def _part(src: Tensor, index: Tensor) -> Tensor:
    """What of src has an index."""
    for k, n in enumerate(index.shape):
        src = src if src.shape[k] == n else src.narrow(k, 0, n)
    return src


def _counts(like: Tensor, dim: int, index: Tensor, include_self: bool) -> Tensor:
    count = ops.ones_like(like) if include_self else ops.zeros_like(like)
    count = ops.scattered(count, dim, index, ops.ones((), dtype=like.dtype).expand(index.shape), "sum", True)
    return count.masked_fill(count == 0, 1)


def _replaced(g: Tensor, dim: int, index: Tensor, include_self: bool) -> tuple[Any, Any]:
    zeros = ops.zeros((), dtype=g.dtype).expand(index.shape)
    return ops.scattered(g, dim, index, zeros, "", True), ops.gather_along(g, dim, index)


def _sum(g: Tensor, dim: int, index: Tensor, include_self: bool) -> tuple[Any, Any]:
    return g, ops.gather_along(g, dim, index)


def _mean(g: Tensor, dim: int, index: Tensor, include_self: bool) -> tuple[Any, Any]:
    share = g / _counts(g.detach(), dim, index, include_self)
    return share, ops.gather_along(share, dim, index)


def _prod(g: Tensor, out: Tensor, x: Tensor, dim: int, index: Tensor, src: Tensor, include_self: bool) -> tuple[Any, Any]:
    """The product of the others: the result divided by the element, and beside a single zero the product without it."""
    part = _part(src, index)
    whole = x.masked_fill(x == 0, 1)
    gx = g * ops.scattered_values(whole, dim, index, part, "prod", include_self) / whole
    zero = part == 0
    counts = ops.scattered(ops.zeros_like(x).detach(), dim, index, zero.to(x.dtype), "sum", True)
    alone = zero & (ops.gather_along(counts, dim, index) == 1)
    without = ops.scattered_values(x, dim, index, part.masked_fill(alone, 1), "prod", include_self)
    gs = ops.where(alone, ops.gather_along(g * without, dim, index), ops.gather_along(g * out, dim, index) / part.masked_fill(zero, 1))
    return gx, gs


def _extreme(g: Tensor, out: Tensor, x: Tensor, dim: int, index: Tensor, src: Tensor, include_self: bool) -> tuple[Any, Any]:
    """Shared evenly among the elements that are the extreme."""
    hit = (_part(src, index) == ops.gather_along(out, dim, index)).to(g.dtype).detach()
    own = (x == out).to(g.dtype).detach()
    share = g / ops.scattered(own, dim, index, hit, "sum", True)
    return own * share, hit * ops.gather_along(share, dim, index)


REDUCTIONS = ("sum", "mean", "prod", "amax", "amin")


def checked(x: Tensor, dim: int, index: Tensor, src: Tensor | None) -> int:
    """The dim counted from the front, after every check of scatter's arguments."""
    k = wrap_dim(dim, x.ndim)
    if index.numel() and index.dtype not in (d.int64, d.int32):
        raise refuse(RuntimeError, "scatter(): Expected dtype int32/int64 for index", received=f"an index of {index.dtype.name}")
    if src is not None and src.dtype is not x.dtype:
        raise refuse(
            RuntimeError, "scatter(): Expected self.dtype to be equal to src.dtype", received=f"{x.dtype.name} and {src.dtype.name}"
        )
    if not index.numel():
        return k
    for other, name in ((x, "self"), *(((src, "src"),) if src is not None else ())):
        if max(index.ndim, 1) != max(other.ndim, 1):
            raise refuse(
                RuntimeError,
                f"Index tensor must have the same number of dimensions as {name} tensor",
                received=f"{index.ndim} and {other.ndim} dims",
            )
    own, given = (tuple(t.shape) or (1,) for t in (x, index))
    room = given if src is None else tuple(src.shape) or (1,)
    if any(n > m for n, m in zip(given, room)) or any(n > m for i, (n, m) in enumerate(zip(given, own)) if i != k):
        bound = "" if src is None else f" and to be no larger size than src {list(src.shape)}"
        raise refuse(
            RuntimeError, f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension {k}{bound}"
        )
    check(index, own[k], OUT_OF_BOUNDS.format(dim=k, size=own[k]), False, RuntimeError)
    return k


def scatter(x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool = True) -> Tensor:
    """The public forms end here: 0-dim tensors are vectors of one element."""
    if not index.numel():
        return x.clone()
    shape = x.shape
    x, index, src = (t if t.ndim else t.reshape(1) for t in (x, index, src))
    combined = ops.scattered_values if reduce in ("prod", "amax", "amin") else ops.scattered
    got = combined(x, dim, index, src, reduce, include_self)
    return got if got.shape == shape else got.reshape(shape)


def scatter_now(x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> bool:
    """The same in x's own memory, without history."""
    if index.numel():
        src = fresh(src) if src._block == x._block else src
        index = fresh(index) if index._block == x._block else index
        x, index, src = (t if t.ndim else t.reshape(1) for t in (x, index, src))
        scatter_into(x, dim, index, src, reduce)
    return True


def _value(x: Tensor, index: Tensor, value: Any) -> Tensor:
    return ops.full((), value, dtype=x.dtype).expand(index.shape)


WORDS = {"add": "sum", "multiply": "prod"}


def _word(reduce: str | None) -> str:
    if reduce not in WORDS:
        raise refuse(RuntimeError, "reduce argument must be either add or multiply.", received=f"reduce={reduce!r}")
    return WORDS[reduce]


class ScatterSrc(Composite):
    """out[i][index[i][j]] = src[i][j] for dim 1, and so on."""

    schema = "scatter.src(Tensor input, int dim, Tensor index, Tensor src) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        return scatter(input, checked(input, dim, index, src), index, src, "")

    @staticmethod
    def write(input: Tensor, dim: int, index: Tensor, src: Tensor) -> bool:
        return scatter_now(input, checked(input, dim, index, src), index, src, "")

    samples = [sample(normal(3, 4), 1, values([[0, 2], [3, 1], [2, 0]], "int64"), normal(3, 2))]
    refusals = each(
        refused(
            normal(3, 4),
            0,
            values([[0, 5]], "int64"),
            normal(3, 4),
            raises=RuntimeError,
            match="index 5 is out of bounds for dimension 0 with size 3",
        )
    )


class ScatterValue(Composite):
    """One value at every place that the index names."""

    schema = "scatter.value(Tensor input, int dim, Tensor index, Scalar value) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
        return scatter(input, checked(input, dim, index, None), index, _value(input, index, value), "")

    @staticmethod
    def write(input: Tensor, dim: int, index: Tensor, value: Any) -> bool:
        return scatter_now(input, checked(input, dim, index, None), index, _value(input, index, value), "")

    samples = [sample(normal(3, 4), 0, values([[0, 2], [1, 1]], "int64"), 2.5)]


class ScatterReduceSrc(Composite):
    """Combined with what is there: add or multiply."""

    schema = "scatter.reduce(Tensor input, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> Tensor:
        return scatter(input, checked(input, dim, index, src), index, src, _word(reduce))

    samples = [sample(normal(3, 4), 0, integer(2, 4, low=0, high=2), normal(2, 4), reduce="add")]


class ScatterReduceValue(Composite):
    """One value combined with every place that the index names."""

    schema = "scatter.value_reduce(Tensor input, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, value: Any, reduce: str) -> Tensor:
        return scatter(input, checked(input, dim, index, None), index, _value(input, index, value), _word(reduce))

    samples = [sample(normal(3, 4), 0, integer(2, 4, low=0, high=2), 2.0, reduce="multiply")]


class ScatterAdd(Composite):
    """src added at the places that the index names."""

    schema = "scatter_add(Tensor input, int dim, Tensor index, Tensor src) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        return scatter(input, checked(input, dim, index, src), index, src, "sum")

    @staticmethod
    def write(input: Tensor, dim: int, index: Tensor, src: Tensor) -> bool:
        return scatter_now(input, checked(input, dim, index, src), index, src, "sum")

    samples = [sample(normal(3, 4), 0, integer(5, 4, low=0, high=2), normal(5, 4))]


class ScatterReduce(Composite):
    """src combined by sum, prod, mean, amax or amin at the places that the index names, with or without what was there."""

    schema = "scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
        if reduce not in REDUCTIONS:
            raise refuse(RuntimeError, f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
        if input.dtype.is_complex and reduce in ("amax", "amin"):
            name = f"scatter_gather_tensor_cpu_reduce_{reduce}"
            raise refuse(NotImplementedError, f"\"{name}\" not implemented for '{_name(input)}'", expected="a real dtype")
        return scatter(input, checked(input, dim, index, src), index, src, reduce, include_self)

    samples = [
        *(sample(normal(3, 4), 0, integer(5, 4, low=0, high=2), normal(5, 4), word) for word in REDUCTIONS),
        sample(normal(3, 4), 0, integer(5, 4, low=0, high=2), normal(5, 4), "amax", include_self=False),
    ]


# -- whole slices along a dim
def _slices(title: str, x: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """The checks of index_add and index_reduce."""
    k = wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise refuse(
            IndexError,
            f"{title}: Index is supposed to be a vector, but got dim: {index.ndim} with type: {_name(index)} and size: {list(index.shape)}",
        )
    if index.dtype not in (d.int64, d.int32):
        raise refuse(RuntimeError, f"{title}: Expected dtype int32/int64 for index but got: {_name(index)}")
    if source.dtype is not x.dtype:
        raise refuse(RuntimeError, f"{title}: self ({_name(x)}) and source ({_name(source)}) must have the same scalar type")
    if x.ndim and not source.ndim:
        raise refuse(IndexError, f"Dimension specified as {k} but tensor has no dimensions")
    n = source.shape[k] if source.ndim > k else 1
    if x.ndim != source.ndim or any(n != m for i, (n, m) in enumerate(zip(x.shape, source.shape)) if i != k):
        raise refuse(
            RuntimeError,
            f"source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {list(x.shape)} source.shape = {list(source.shape)}",
        )
    if index.numel() != n:
        raise refuse(RuntimeError, f"{title}: Number of indices ({index.numel()}) should be equal to source.size(dim): ({n}), for dim: {k}")
    return k


def _not_empty(x: Tensor, k: int, index: Tensor) -> None:
    """index_copy and index_fill reach for the first slice before they look at the index: PyTorch says so where there is none."""
    if not x.ndim or x.shape[k] or not index.numel():
        return
    shape, strides = ([1 if i == k else n for i, n in enumerate(x.shape)], [0 if i == k else s for i, s in enumerate(x.stride())])
    bytes_ = math.prod(shape) * x.dtype.itemsize
    if bytes_:
        raise refuse(
            RuntimeError,
            f"setStorage: sizes {shape}, strides {strides}, storage offset 0, and itemsize {x.dtype.itemsize} requiring a storage size of {bytes_} are out of "
            "bounds for storage of size 0",
            received=f"an index into dim {k}, which has no elements",
        )


def put_slices(x: Tensor, k: int, index: Tensor, source: Tensor, accumulate: bool) -> Tensor:
    if not x.ndim:
        return ops.index_put_copy(x.reshape(1), source.reshape(-1), [index.reshape(-1)], (0,), 0, accumulate).reshape(())
    return ops.index_put_copy(x, source, [index.reshape(-1)], (k,), k, accumulate)


def put_slices_now(x: Tensor, k: int, index: Tensor, source: Tensor, accumulate: bool) -> bool:
    """The same in x's own memory, without history."""
    x, index = x if x.ndim else x.reshape(1), index.reshape(-1)
    source, index = (fresh(t) if t._block == x._block else t for t in (source, index))
    perform(put_schedule, (x._layout, source._layout, (index._layout,), (k,), k, "sum" if accumulate else None), [x], [source, index])
    return True


class IndexAdd(Composite):
    """alpha times each slice of `source` added to the slice that the index names."""

    schema = "index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def _checked(x: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
        k = _slices("index_add_()", x, dim, index, source)
        size = x.shape[k] if x.ndim else 1
        if x.ndim > 1:
            check(index, size, OUT_OF_BOUNDS.format(dim=k, size=size), False, RuntimeError)
        else:
            check(index, size, "index out of range in self", False)
        return k

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any) -> Tensor:
        k = IndexAdd._checked(input, dim, index, source)
        return put_slices(input, k, index, source if alpha == 1 else source * alpha, True)

    @staticmethod
    def write(input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any) -> bool:
        k = IndexAdd._checked(input, dim, index, source)
        return put_slices_now(input, k, index, source if alpha == 1 else source * alpha, True)

    samples = [
        sample(normal(3, 4), 0, values([0, 2, 0], "int64"), normal(3, 4)),
        sample(normal(3, 4), 1, values([3, 0], "int64"), normal(3, 2), alpha=2),
    ]
    refusals = each(
        refused(
            normal(3, 4),
            0,
            values([0, 4], "int64"),
            normal(2, 4),
            raises=RuntimeError,
            match="index 4 is out of bounds for dimension 0 with size 3",
        )
    )


class IndexCopy(Composite):
    """Each slice of `source` at the place that the index names."""

    schema = "index_copy(Tensor input, int dim, Tensor index, Tensor source) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def _checked(x: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
        k = wrap_dim(dim, x.ndim)
        title = "index_copy_()"
        n = source.shape[k] if source.ndim > k else 1
        if index.ndim >= 2:
            raise refuse(IndexError, f"{title}: Index should have dimension 1 or 0 (got {index.ndim})")
        if not source.ndim and index.numel() != 1:
            raise refuse(IndexError, f"{title}: When source is scalar, index should have one element (got {index.numel()})")
        if source.ndim != x.ndim and source.ndim and x.ndim:
            raise refuse(
                IndexError,
                f"{title}: When source and destination are not scalars, their dimensionality must match. Source dimensionality ({source.ndim}), destination dimensionality ({x.ndim})",
            )
        if index.dtype is not d.int64:
            raise refuse(RuntimeError, f"{title}: Expected a long tensor for index, but got {_name(index)}")
        if source.dtype is not x.dtype:
            raise refuse(
                RuntimeError,
                f"{title}: self and source expected to have the same dtype, but got (self) {_name(x)} and (source) {_name(source)}",
            )
        own, given = ([m for i, m in enumerate(t.shape) if i != k] for t in (x, source))
        if x.ndim and source.ndim and own != given:
            raise refuse(
                RuntimeError,
                f"{title}: Source/destination tensor must have same slice shapes. Destination slice shape: {' '.join(map(str, own))} at dimension {k} "
                f"and source slice shape: {' '.join(map(str, given))} at dimension 0.",
            )
        if source.ndim and index.numel() != n:
            raise refuse(IndexError, f"{title}: Number of indices ({index.numel()}) should be equal to source.size(dim) ({n})")
        size = x.shape[k] if x.ndim else 1
        _not_empty(x, k, index)
        check(index, size, f"{title}: " + OUT_OF_BOUNDS.format(dim=k, size=size), False)
        return k

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
        return put_slices(input, IndexCopy._checked(input, dim, index, source), index, source, False)

    @staticmethod
    def write(input: Tensor, dim: int, index: Tensor, source: Tensor) -> bool:
        return put_slices_now(input, IndexCopy._checked(input, dim, index, source), index, source, False)

    samples = [sample(normal(3, 4), 0, values([2, 0], "int64"), normal(2, 4))]


class IndexFill(Composite):
    """One value in every slice that the index names."""

    schema = "index_fill(Tensor input, int dim, Tensor index, Tensor|Scalar value) -> Tensor"
    out = False
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
        k = wrap_dim(dim, input.ndim)
        if index.dtype is not d.int64:
            raise refuse(IndexError, "index_fill_(): Expected dtype int64 for index.")
        if index.ndim > 1:
            raise refuse(RuntimeError, "Index has to be a vector/scalar")
        if isinstance(value, Tensor) and value.ndim:
            raise refuse(
                RuntimeError, f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
            )
        if isinstance(value, complex) and not input.dtype.is_complex:
            raise refuse(RuntimeError, "index_fill_(): Converting complex Scalar to non-complex type is not supported")
        size = input.shape[k] if input.ndim else 1
        _not_empty(input, k, index)
        check(index, size, OUT_OF_BOUNDS.format(dim=k, size=size))
        source = value.to(input.dtype) if isinstance(value, Tensor) else ops.full((), value, dtype=input.dtype)
        if not input.ndim:
            return put_slices(input, k, index, source, False)
        chosen = ops.index_put_copy(ops.zeros((size,), dtype=d.bool_), ops.ones((), dtype=d.bool_), [index.reshape(-1)], (0,), 0, False)
        return ops.where(chosen.reshape((-1, *(1,) * (input.ndim - k - 1))), source, input)

    samples = [sample(normal(3, 4), 1, values([0, -1], "int64"), 2.5), sample(normal(3, 4), 0, values([1], "int64"), normal())]


class IndexReduce(Composite):
    """Each slice of `source` combined by prod, mean, amax or amin with the slice that the index names."""

    schema = "index_reduce(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor"
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool) -> Tensor:
        if reduce not in ("prod", "mean", "amax", "amin"):
            raise refuse(RuntimeError, f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
        k = _slices("index_reduce_()", input, dim, index, source)
        if input.dtype.is_complex:
            raise refuse(NotImplementedError, f"\"index_func_\" not implemented for '{_name(input)}'", expected="a real dtype")
        check(index, input.shape[k] if input.ndim else 1, "index out of range in self", False)
        if source.ndim:
            index = index.reshape((*(1,) * k, -1, *(1,) * (source.ndim - k - 1))).expand(source.shape)
        return scatter(input, k, index, source, reduce, include_self)

    samples = [sample(normal(3, 4), 0, values([0, 2, 0], "int64"), normal(3, 4), word) for word in ("prod", "mean", "amax", "amin")]


# -- flat indices and masks
def flat_check(index: Tensor, n: int) -> None:
    check(index, n, f"out of range: tried to access index {{value}} on a tensor of {n} elements.")


class Put(Composite):
    """source at flat indices, replacing or added."""

    schema = "put(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor"
    out = False
    through_binder = in_place = True

    @staticmethod
    def compose(input: Tensor, index: Tensor, source: Tensor, accumulate: bool) -> Tensor:
        if index.dtype is not d.int64:
            raise refuse(RuntimeError, f"put_(): Expected a long tensor for index, but got {_name(index)}")
        if source.dtype is not input.dtype:
            raise refuse(
                RuntimeError,
                f"put_(): self and source expected to have the same dtype, but got self.dtype = {_name(input)} and source.dtype = {_name(source)}",
            )
        if index.numel() != source.numel():
            raise refuse(
                IndexError,
                f"put_(): Expected source and index to have the same number of elements, but got source.numel() = {source.numel()}, index.numel() = {index.numel()}",
            )
        if index.numel() and not input.numel():
            raise refuse(IndexError, "put_(): Tried to put elements into an empty tensor")
        flat_check(index, input.numel())
        if not index.numel():
            return input.clone()
        return ops.index_put_copy(input.reshape(-1), source.reshape(-1), [index.reshape(-1)], (0,), 0, accumulate).reshape(input.shape)

    samples = [
        sample(normal(3, 4), values([0, 11, -2], "int64"), normal(3)),
        sample(normal(3, 4), values([0, 0], "int64"), normal(2), True),
    ]


class MaskedScatter(Composite):
    """The first elements of `source`, in row-major order, where the mask holds."""

    schema = "masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor"
    through_binder = in_place = by_example = True
    out = False

    @staticmethod
    def compose(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
        if mask.dtype is not d.bool_:
            raise refuse(RuntimeError, f"masked_scatter_ only supports boolean masks, but got mask with dtype {_name(mask)}")
        if source.dtype is not input.dtype:
            raise refuse(
                RuntimeError, f"masked_scatter: expected self and source to have same dtypes but got{_name(input)} and {_name(source)}"
            )
        shape = broadcast([mask.shape, input.shape])
        x, m = input.expand(shape), mask.expand(shape)
        return ops.masked_scattered(x, m, source)

    samples = [sample(normal(3, 4), boolean(3, 4), normal(12))]


class MaskedScattered(Procedure):
    """The same for an input and a mask of one shape."""

    schema = "masked_scattered(Tensor input, Tensor mask, Tensor source) -> Tensor"
    paths = ""

    @staticmethod
    def run(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
        mask = mask.contiguous()  # counted and read in the same order
        if not known(mask):
            return input.clone(memory_format=contiguous_format)
        counts = allocate(layout((kernels.chunks(mask._layout),), d.int64))
        perform(kernels.count_true, (counts._layout, mask._layout), [counts], [mask])
        n = int(counts.select(0, counts.shape[0] - 1).item())
        if source.numel() < n:
            raise refuse(
                RuntimeError, "Number of elements of source < number of ones in mask", received=f"{source.numel()} elements for {n} places"
            )
        out = input.clone(memory_format=contiguous_format)
        if n:
            given = source.reshape(-1).contiguous()
            perform(kernels.masked_scatter, (out._layout, given._layout, mask._layout), [out], [given, mask, counts])
        return out

    @staticmethod
    def gradient(g: Tensor, mask: Tensor, source: Layout, needs: Any) -> tuple[Any, ...]:
        by_source = None
        if needs[2] and not known(mask):
            by_source = g.new_empty(source.shape)
        elif needs[2]:
            picked = g[mask] if g.ndim else g.reshape(1)[mask.reshape(1)]
            rest = ops.zeros((source.numel - picked.shape[0],), dtype=g.dtype)
            by_source = ops.cat([picked, rest]).reshape(source.shape)
        return (g.masked_fill(mask, 0) if needs[0] else None), None, by_source


class Take(Composite):
    """Elements by flat index."""

    schema = "take(Tensor input, Tensor index) -> Tensor"
    out_dtype = "take(): self and out expected to have the same dtype, but got self.dtype = {Want} and out.dtype = {Got}"
    through_binder = disjoint = True

    @staticmethod
    def compose(input: Tensor, index: Tensor) -> Tensor:
        if index.dtype is not d.int64:
            raise refuse(RuntimeError, f"take(): Expected a long tensor for index, but got {_name(index)}")
        if index.numel() and not input.numel():
            raise refuse(IndexError, "take(): tried to take from an empty tensor")
        flat_check(index, input.numel())
        return ops.index_get(input.reshape(-1), [index], (0,), 0)

    samples = [sample(normal(3, 4), values([[0, 11], [-1, 5]], "int64"))]


class TakeAlongDim(Composite):
    """Elements along a dim, one per index; the other dims are broadcast. Flat indices without a dim."""

    schema = "take_along_dim(Tensor input, Tensor indices, int? dim=None) -> Tensor"
    through_binder = True

    @staticmethod
    def compose(input: Tensor, indices: Tensor, dim: int | None) -> Tensor:
        if dim is None:
            return ops.gather(input.reshape(-1), 0, indices.reshape(-1))
        if input.ndim != indices.ndim:
            raise refuse(
                RuntimeError,
                "torch.take_along_dim(): input and indices should have the same number of dimensions, "
                f"but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices",
            )
        if indices.dtype is not d.int64:
            raise refuse(RuntimeError, f"torch.take_along_dim(): dtype of indices should be Long but got {_name(indices)}")
        k = wrap_dim(dim, input.ndim)
        if input.ndim:  # counted from the end, as lists are
            indices = ops.where(indices < 0, indices + input.shape[k], indices)
        rest = broadcast([_but(input.shape, k), _but(indices.shape, k)])
        x = input.expand((*rest[:k], input.shape[k], *rest[k + 1 :])) if input.ndim else input
        at = indices.expand((*rest[:k], indices.shape[k], *rest[k + 1 :])) if input.ndim else indices
        return ops.gather(x, k, at)

    samples = [sample(normal(3, 4), values([[0, 3]], "int64"), 1), sample(normal(3, 4), values([5, 0], "int64"))]


def _but(shape: Sequence[int], k: int) -> tuple[int, ...]:
    return tuple(1 if i == k else n for i, n in enumerate(shape))
