"""Order: sort, topk, kthvalue, medians, quantiles, modes. Rows are sorted by radix; PyTorch's order: stable, NaN last."""

from __future__ import annotations

import math
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.named import named_tuple
from ..core.placing import known
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel import sorting as kernels
from ..kernel.launch import Array
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, grid, normal, refused, sample
from .extremes import among_equals

PAIRS = {name: named_tuple(name, ("values", "indices")) for name in ("sort", "topk", "kthvalue", "median", "nanmedian", "mode")}


def rows_of(x: Layout) -> Array:
    """A contiguous layout of at least one dim as (rows, n)."""
    n = x.shape[-1]
    return Array(x.dtype, (x.numel // n if n else 0, n), (n, 1))


def pair(name: str, values: Tensor, indices: Tensor) -> Any:
    """The named result."""
    return PAIRS[name](values, indices)


def last(x: Tensor, dim: int) -> Tensor:
    """The dim moved to the end; a number becomes a row of one."""
    return x.movedim(dim, -1) if x.ndim else x.reshape(1)


def back(x: Tensor, dim: int, ndim: int) -> Tensor:
    """The last dim moved to where it was."""
    if not ndim:
        return x.reshape(())
    return x if dim in (-1, ndim - 1) else x.movedim(-1, dim).contiguous()


def dropped(x: Tensor, dim: int, keepdim: bool, ndim: int) -> Tensor:
    """The last dim, of one element, put back or dropped."""
    return back(x, dim, ndim) if keepdim or not ndim else x.squeeze(-1)


def real(x: Tensor, sentence: str, kind: type[Exception] = NotImplementedError, refuse_bool: bool = False) -> None:
    if x.dtype.is_complex or (refuse_bool and x.dtype is d.bool_):
        raise refuse(kind, sentence.format(scalar_type_name(x.dtype)), received=f"dtype {x.dtype.name}", expected="a real dtype")


def at_places(g: Tensor, index: Tensor, x: Layout) -> Tensor:
    return ops.scatter_zeros(g, x.ndim - 1, index.detach(), tuple(x.shape))


# -- kernels over the last dim
class SortLast(Fused):
    """Rows in order, with the places their elements came from."""

    schema = "sort_last(Tensor input, bool descending) -> (Tensor values, Tensor indices)"
    batching = "front"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, descending: bool) -> Result:
        return Result((layout(x.shape, x.dtype), layout(x.shape, d.int64)), kernels.sort(rows_of(x), descending))

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor) -> Tensor:
        return at_places(g0, out1, input)


class TopkLast(Fused):
    """The k best of each row, best first."""

    schema = "topk_last(Tensor input, int k, bool largest) -> (Tensor values, Tensor indices)"
    batching = "front"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, k: int, largest: bool) -> Result:
        shape = (*x.shape[:-1], k)
        return Result((layout(shape, x.dtype), layout(shape, d.int64)), kernels.topk(rows_of(x), k, largest))

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor) -> Tensor:
        return at_places(g0, out1, input)


class KthLast(Fused):
    """The k-th smallest of each row, kept as a row of one."""

    schema = "kth_last(Tensor input, int k) -> (Tensor values, Tensor indices)"
    batching = "front"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, k: int) -> Result:
        shape = (*x.shape[:-1], 1)
        return Result((layout(shape, x.dtype), layout(shape, d.int64)), kernels.kthvalue(rows_of(x), k))

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor) -> Tensor:
        return at_places(g0, out1, input)


class MedianLast(Fused):
    """The lower median of each row, kept as a row of one; NaN where there is one."""

    schema = "median_last(Tensor input) -> (Tensor values, Tensor indices)"
    batching = "front"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout) -> Result:
        shape = (*x.shape[:-1], 1)
        return Result((layout(shape, x.dtype), layout(shape, d.int64)), kernels.median(rows_of(x)))

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor) -> Tensor:
        return at_places(g0, out1, input)


# -- sort
def sorted_pair(x: Tensor, dim: int, descending: bool) -> tuple[Tensor, Tensor]:
    real(x, "Sort currently does not support complex dtypes on CPU", RuntimeError)
    k = wrap_dim(dim, x.ndim)
    values, indices = ops.sort_last(last(x, k), bool(descending))
    return back(values, k, x.ndim), back(indices, k, x.ndim)


class Sort(Composite):
    """(values, indices) in order along a dim; equal elements keep their order."""

    overloaded = True  # in PyTorch
    schema = "sort(Tensor input, int dim=-1, bool descending=False, bool stable=False) -> (Tensor values, Tensor indices)"

    @staticmethod
    def compose(input: Tensor, dim: Any = -1, descending: bool = False, stable: bool | None = False) -> Any:
        return pair("sort", *sorted_pair(input, dim, descending))

    samples = grid(input=[distinct(3, 5), distinct(2, 3, 4)], dim=[0, -1], descending=[False, True])
    refusals = [refused(normal(2, 3), 2, raises=IndexError, match="Dimension out of range")]


class Argsort(Composite):
    """The places of elements in order along a dim."""

    overloaded = True  # in PyTorch
    schema = "argsort(Tensor input, int dim=-1, bool descending=False, bool stable=False) -> Tensor"

    @staticmethod
    def compose(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
        return sorted_pair(input.detach(), dim, descending)[1]

    samples = grid(input=[distinct(3, 5)], dim=[0, -1], descending=[False, True])


class Msort(Composite):
    """Values in order along the first dim."""

    schema = "msort(Tensor input) -> Tensor"

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        return sorted_pair(input, 0, False)[0]

    samples = [sample(distinct(4, 3))]


class Topk(Composite):
    """(values, indices) of the k largest or smallest along a dim, best first."""

    schema = "topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)"

    @staticmethod
    def compose(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        at = wrap_dim(dim, input.ndim)
        if not 0 <= k <= (input.shape[at] if input.ndim else 1):
            raise refuse(
                RuntimeError, "selected index k out of range", received=f"k={k}", expected=f"0 to {input.shape[at] if input.ndim else 1}"
            )
        real(input, "\"topk_cpu\" not implemented for '{}'")
        values, indices = ops.topk_last(last(input, at), int(k), bool(largest))
        return pair("topk", back(values, at, input.ndim), back(indices, at, input.ndim))

    samples = grid(input=[distinct(3, 5)], k=[1, 3], dim=[0, -1], largest=[True, False])
    refusals = [refused(normal(2, 3), 4, raises=RuntimeError, match="selected index k out of range")]


class Kthvalue(Composite):
    """(values, indices) of the k-th smallest along a dim, counted from 1."""

    schema = "kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)"
    disjoint = True
    out_dtype = ("output values must be of same type as input", "output indices must be of scalar type Long")

    @staticmethod
    def compose(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
        at = wrap_dim(dim, input.ndim)
        n = input.shape[at] if input.ndim else 1
        if n == 0:
            raise refuse(IndexError, f"kthvalue(): Expected reduction dim {at} to have non-zero size.")
        if not 1 <= k <= n:
            raise refuse(
                RuntimeError, f"kthvalue(): selected number k out of range for dimension {at}", received=f"k={k}", expected=f"1 to {n}"
            )
        real(input, "\"kthvalue_cpu\" not implemented for '{}'", refuse_bool=True)
        values, indices = ops.kth_last(last(input, at), int(k))
        return pair("kthvalue", dropped(values, at, keepdim, input.ndim), dropped(indices, at, keepdim, input.ndim))

    samples = grid(input=[distinct(3, 5)], k=[2], dim=[0, -1], keepdim=[False, True])


# -- medians
def nan_like(x: Tensor) -> Tensor:
    """The median of nothing."""
    return ops.full(
        (), float("nan") if x.dtype.is_floating_point else -(1 << (8 * x.dtype.itemsize - 1)) if x.dtype.is_signed else 0, dtype=x.dtype
    )


class MedianAll(Fused):
    """The lower median of all elements; the gradient is shared among equals."""

    schema = "median_all(Tensor input) -> Tensor"
    batching = "rows median first"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout) -> Result:
        from ..kernel.launch import Launch, Out, Schedule, Work

        got = kernels.median(Array(x.dtype, (1, x.numel), (x.numel, 1)))
        launches = []
        for launch in got.launches:  # the index is not asked for: it goes to the end of the workspace
            words = tuple(Work(got.workspace) if isinstance(w, Out) and w.index == 1 else w for w in launch.words)
            launches.append(Launch(launch.kernel, words, launch.total, launch.grain, launch.bytes, launch.flops))
        return Result((layout((), x.dtype),), Schedule(tuple(launches), got.workspace + 8, got.notes, got.keep))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
        return among_equals(g, out, input, None, False, whole=True)


def _median_along(name: str, input: Tensor, dim: int, keepdim: bool, skip: bool) -> Any:
    real(input, "\"median_cpu\" not implemented for '{}'")
    at = wrap_dim(dim, input.ndim)
    if input.ndim and not input.shape[at]:
        raise refuse(IndexError, f"median(): Expected reduction dim {at} to have non-zero size.", received=f"shape {tuple(input.shape)}")
    x = last(input, at)
    values, indices = _among_numbers(x) if skip and x.dtype.is_floating_point else ops.median_last(x)
    return pair(name, dropped(values, at, keepdim, input.ndim), dropped(indices, at, keepdim, input.ndim))


def _among_numbers(x: Tensor) -> tuple[Tensor, Tensor]:
    """The median of each row's elements that are not NaN."""
    values, indices = ops.sort_last(x, False)
    count = (x.detach() == x.detach()).sum(-1, True)
    place = ops.div(count.clamp(min=1) - 1, 2, rounding_mode="floor")
    return ops.gather_along(values, x.ndim - 1, place), ops.gather_along(indices, x.ndim - 1, place)


def _balanced(row: Tensor) -> Tensor:
    """A row with its NaN replaced by infinities, so many of either sign that the median is that of the numbers; all NaN stay."""
    missing = row.detach() != row.detach()
    place = missing.cumsum(0)
    numbers = row.numel() - place[-1]
    below = (row.numel() - 1) // 2 - ops.div(numbers - 1, 2, rounding_mode="floor")
    fill = ops.where(place <= below, -math.inf, math.inf)
    return ops.where(missing & (numbers > 0), fill.to(row.dtype), row)


class Median(Composite):
    """The lower median, of all elements or (values, indices) along a dim. NaN where there is one."""

    schema = "median(Tensor input, int dim=None, bool keepdim=False) -> Tensor"

    @staticmethod
    def compose(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is not None:
            return _median_along("median", input, dim, keepdim, False)
        real(input, "\"median_cpu\" not implemented for '{}'")
        return ops.median_all(input) if input.numel() else nan_like(input)

    samples = [sample(distinct(3, 5)), sample(distinct(3, 5), 0), sample(distinct(3, 4), 1, True)]


class Nanmedian(Composite):
    """The lower median of what is not NaN, of all elements or along a dim."""

    schema = "nanmedian(Tensor input, int dim=None, bool keepdim=False) -> Tensor"

    @staticmethod
    def compose(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is not None:
            return _median_along("nanmedian", input, dim, keepdim, True)
        real(input, "\"median_cpu\" not implemented for '{}'")
        if not input.numel():
            return nan_like(input)
        return ops.median_all(_balanced(input.reshape(-1)) if input.dtype.is_floating_point else input)

    samples = [sample(distinct(3, 5)), sample(distinct(3, 5), 0), sample(distinct(3, 4), 1, True)]


# -- mode
class Mode(Composite):
    """(the commonest value, the last of its places) along a dim; the smallest of equally common ones."""

    schema = "mode(Tensor input, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)"
    out_dtype = tuple(f"expected scalar type '{{Want}}' but got '{{Got}}' for {part} output" for part in ("values", "indices"))

    @staticmethod
    def compose(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
        at = wrap_dim(dim, input.ndim)
        if input.ndim and not input.shape[at]:
            raise refuse(IndexError, f"mode(): Expected reduction dim {at} to have non-zero size.", received=f"shape {tuple(input.shape)}")
        real(input, "\"mode\" not implemented for '{}'")
        values, indices = ops.sort_last(last(input, at), False)
        plain = values.detach()
        n = plain.shape[-1]
        place = ops.arange(n).expand(plain.shape)
        begins = ops.cat([ops.ones((*plain.shape[:-1], 1), dtype=d.bool_), plain.narrow(-1, 1, n - 1) != plain.narrow(-1, 0, n - 1)], -1)
        run = place - ops.where(begins, place, ops.zeros_like(place)).cummax(-1)[0]
        best = run.argmax(-1, True)
        k = plain.ndim - 1
        return pair("mode", *(dropped(ops.gather_along(t, k, best), at, keepdim, input.ndim) for t in (values, indices)))  # pyright: ignore[reportCallIssue]

    samples = [sample(distinct(3, 5)), sample(distinct(3, 5), 0, True)]


# -- quantiles
INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(title: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Tensor:
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise refuse(RuntimeError, "quantile() q must be in the range [0, 1] but got " + f"{float(q):g}")
        q = ops.tensor(q, dtype=input.dtype)
    if input.dtype not in (d.float32, d.float64):
        raise refuse(RuntimeError, "quantile() input tensor must be either float or double dtype", received=f"dtype {input.dtype.name}")
    if not input.numel():
        raise refuse(RuntimeError, "quantile() input tensor must be non-empty")
    if q.ndim > 1:
        raise refuse(RuntimeError, "quantile() q must be a scalar or 1D tensor", received=f"{q.ndim} dims")
    if q.dtype is not input.dtype:
        raise refuse(RuntimeError, "quantile() q tensor must be same dtype as the input tensor")
    if interpolation not in INTERPOLATIONS:
        raise refuse(
            RuntimeError, f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if q.numel() and known(q) and not bool(((q >= 0) & (q <= 1)).all()):
        raise refuse(RuntimeError, "quantile() q values must be in the range [0, 1]")
    x = input.reshape(-1) if dim is None else last(input, wrap_dim(dim, input.ndim))
    got = _between(x, q.reshape(-1), interpolation, skip)  # (..., k)
    got = got.movedim(-1, 0)  # the quantiles come first
    if keepdim and input.ndim:
        shape = (got.shape[0], *(1,) * input.ndim) if dim is None else None
        got = got.reshape(shape) if shape else got.unsqueeze(wrap_dim(dim, input.ndim) + 1)  # type: ignore[arg-type]
    return (got if q.ndim else got.squeeze(0)).contiguous()


def _between(x: Tensor, q: Tensor, interpolation: str, skip: bool) -> Tensor:
    """Quantiles q (k,) of each row of x: (..., k)."""
    values = ops.sort_last(x, False)[0]
    n, k = x.shape[-1], x.ndim - 1
    numbers = x.detach() == x.detach()
    if skip:
        rank = q * (numbers.sum(-1, True) - 1).clamp(min=0).to(q.dtype)
    else:
        rank = ops.where(numbers.all(-1, True), q * (n - 1), ops.full((), float(n - 1), dtype=q.dtype))
    rank = {"lower": ops.floor, "higher": ops.ceil, "nearest": ops.round}.get(interpolation, lambda r: r)(rank)
    below = rank.detach().to(d.int64)
    low = ops.gather_along(values, k, below)
    if interpolation not in ("linear", "midpoint"):
        return low
    weight = ops.full_like(rank, 0.5) if interpolation == "midpoint" else rank - below.to(rank.dtype)
    high = ops.gather_along(values, k, rank.detach().ceil().to(d.int64))
    return ops.lerp(low, high, weight)


def _declare_quantile(name: str, skip: bool, what: str) -> None:
    def compose(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
        return _quantile(name, input, q, dim, keepdim, interpolation, skip)

    body = {"__doc__": f"The values below which a share q of {what} lies.", "__module__": __name__, "out_dtype": "quantile() out tensor must be same dtype as the input tensor",
            "schema": f"{name}(Tensor input, Tensor|Scalar q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
            "floats": ("float32", "float64"), "compose": staticmethod(compose), "samples": grid(input=[distinct(3, 5)], q=[0.3], dim=[None, 0, -1], keepdim=[False, True])}  # fmt: skip
    type(name.title(), (Composite,), body)


_declare_quantile("quantile", False, "all elements")
_declare_quantile("nanquantile", True, "the elements that are not NaN")
