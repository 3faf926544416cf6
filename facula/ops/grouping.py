"""Sets and counts: unique values, places in sorted rows, histograms, membership."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.named import named_tuple
from ..core.placing import known
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel import sorting as kernels
from ..spec.block import Composite, Fused
from ..spec.promotion import cpp_name, result_type, scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, refused, sample, uniform, values

HISTOGRAM = named_tuple("histogram", ("hist", "bin_edges"))
HISTOGRAMDD = named_tuple("histogramdd", ("hist", "bin_edges"))


# -- unique
class SortRows(Fused):
    """(the places of rows (n, k) in the order of their first, then second, ... elements, where a row differs from the one before it)."""

    schema = "sort_rows(Tensor input) -> (Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout) -> Result:
        n = x.shape[0]
        return Result((layout((n,), d.int64), layout((n,), d.bool_)), kernels.sort_rows(x))


class RowBegins(Fused):
    """Where a row of (n, k) differs from the one before it; the first does."""

    schema = "row_begins(Tensor input) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout) -> Result:
        return Result((layout((x.shape[0],), d.bool_),), kernels.begins(x))


def _real(x: Tensor, name: str) -> None:
    if x.dtype.is_complex:
        raise refuse(NotImplementedError, f"\"{name}\" not implemented for '{scalar_type_name(x.dtype)}'", expected="a real dtype")


def _slices(x: Tensor, dim: int) -> tuple[Tensor, int]:
    """(the slices along a dim as rows (n, k), the dim)."""
    if not x.ndim:
        raise refuse(IndexError, f"Dimension specified as {dim} but tensor has no dimensions", received="a 0-dim tensor")
    k = wrap_dim(dim, x.ndim)
    if not x.numel() and x.shape[k]:
        raise refuse(
            RuntimeError,
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied",
            received=f"shape {tuple(x.shape)}",
        )
    _real(x, "unique_dim")
    return x.movedim(k, 0).reshape((x.shape[k], x.numel() // (x.shape[k] or 1))), k


def _groups(begins: Tensor) -> Tensor:
    """The group of each place, of runs that begin where the mask holds."""
    return begins.cumsum(0).sub_(1)


def _sizes(begins: Tensor) -> Tensor:
    """The lengths of the runs."""
    first = ops.nonzero_places(begins).reshape(-1)
    ends = ops.cat([first.narrow(0, 1, first.shape[0] - 1), ops.tensor([begins.shape[0]], dtype=d.int64)]) if first.shape[0] else first
    return ends - first


def _differ(x: Tensor) -> Tensor:
    """Where an element of a vector differs from the one before it; the first does."""
    n = x.shape[0]
    return ops.cat([ops.ones((1,), dtype=d.bool_), x.narrow(0, 1, n - 1) != x.narrow(0, 0, n - 1)]) if n else ops.empty((0,), dtype=d.bool_)


def _answer(values: Tensor, begins: Tensor, group: Callable[[Tensor], Tensor], inverse: bool, counts: bool) -> Any:
    """What was asked for; the groups, which `group` puts in place, and their sizes are found only then."""
    picked = (values, *([group(_groups(begins))] if inverse else []), *([_sizes(begins)] if counts else []))
    return picked if len(picked) > 1 else values


class Unique(Composite):
    """Each value once, in order, of all elements or of slices along a dim."""

    needs_values = True
    schema = "unique(Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None) -> Tensor"
    out = False

    @staticmethod
    def compose(
        input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        x = input.detach()
        if dim is None:
            _real(x, "unique")
            ordered, order = ops.sort(x.reshape(-1))
            begins = _differ(ordered)
            return _answer(
                ordered.masked_select(begins), begins, lambda group: _placed(group, order).reshape(x.shape), return_inverse, return_counts
            )
        rows, k = _slices(x, dim)
        order, begins = ops.sort_rows(rows)
        values = x.index_select(k, order.masked_select(begins))
        return _answer(values, begins, lambda group: _placed(group, order), return_inverse, return_counts)

    samples = [sample(values([2, 1, 2, 3], "int64")), sample(values([[1, 2], [1, 2], [0, 1]], "int64"), dim=0)]


def _placed(group: Tensor, order: Tensor) -> Tensor:
    """Groups of the places in order, back at the places they came from."""
    return ops.empty_like(group).scatter_(0, order, group)


class UniqueConsecutive(Composite):
    """The first of every run of equal elements, or of equal slices along a dim."""

    needs_values = True
    schema = "unique_consecutive(Tensor input, bool return_inverse=False, bool return_counts=False, int? dim=None) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
        x = input.detach()
        if dim is None:
            _real(x, "unique")
            flat = x.reshape(-1)
            begins = _differ(flat)
            return _answer(flat.masked_select(begins), begins, lambda group: group.reshape(x.shape), return_inverse, return_counts)
        rows, k = _slices(x, dim)
        begins = ops.row_begins(rows)
        first = ops.nonzero_places(begins).reshape(-1)
        return _answer(x.index_select(k, first), begins, lambda group: group, return_inverse, return_counts)

    samples = [sample(values([1, 1, 2, 1], "int64")), sample(values([[1, 2], [1, 2], [0, 1]], "int64"), dim=0)]


# -- places in sorted rows
class SearchRows(Fused):
    """How many of a sorted row's elements lie before each value."""

    schema = "search_rows(Tensor edges, Tensor input, Tensor? sorter, bool right, bool narrow) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(edges: Layout, x: Layout, sorter: Layout | None, right: bool, narrow: bool) -> Result:
        out = layout(x.shape, d.int32 if narrow else d.int64)
        return Result((out,), kernels.search(out, edges, x, right, sorter is not None))


def _search(edges: Tensor, input: Any, narrow: bool, right: bool, side: str | None, sorter: Tensor | None) -> Tensor:
    if side not in (None, "left", "right"):
        raise refuse(RuntimeError, f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise refuse(RuntimeError, "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True")
    x = (
        input
        if isinstance(input, Tensor)
        else ops.tensor(input, dtype=edges.dtype if edges.dtype.is_floating_point or isinstance(input, int) else d.float32)
    )
    if sorter is not None and tuple(sorter.shape) != tuple(edges.shape):
        raise refuse(
            RuntimeError,
            f"torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor {list(edges.shape)}and got sorter tensor {list(sorter.shape)}",
        )
    if not edges.ndim:
        raise refuse(
            RuntimeError,
            f"torch.searchsorted(): input value can be a scalar only when boundary tensor dimension is 1, but we got boundary tensor dim({edges.ndim}) and input value's dim({x.ndim}) numel({x.numel()})"
            if not x.ndim
            else "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension",
        )
    if x.dtype is not edges.dtype:
        kind = result_type([edges.dtype, x.dtype])
        edges, x = edges.to(kind), x.to(kind)
    if x.dtype.is_complex:
        raise refuse(
            NotImplementedError, f"\"searchsorted_out_cpu\" not implemented for '{scalar_type_name(x.dtype)}'", expected="real dtypes"
        )
    if edges.ndim > 1 and (edges.ndim != x.ndim or tuple(edges.shape[:-1]) != tuple(x.shape[:-1])):
        raise refuse(
            RuntimeError,
            f"torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {list(edges.shape)} and input value tensor {list(x.shape)}",
        )
    if sorter is not None:
        if sorter.dtype is not d.int64:
            raise refuse(
                RuntimeError, f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {scalar_type_name(sorter.dtype)}"
            )
        if sorter.numel() and known(sorter) and not 0 <= int(sorter.min().item()) <= int(sorter.max().item()) < edges.shape[-1]:
            raise refuse(RuntimeError, "torch.searchsorted(): sorter index out of range")
    if not x.numel():
        return ops.empty(x.shape, dtype=d.int32 if narrow else d.int64)
    return ops.search_rows(edges.detach(), x.detach(), sorter, bool(right or side == "right"), bool(narrow))


class Searchsorted(Composite):
    """Where values would be put to keep rows sorted: before equal elements, or after them (`right`)."""

    overloaded = True  # in PyTorch
    schema = "searchsorted(Tensor sorted_sequence, Tensor|Scalar input, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        sorted_sequence: Tensor,
        input: Any,
        *,
        out_int32: bool = False,
        right: bool = False,
        side: str | None = None,
        sorter: Tensor | None = None,
    ) -> Tensor:
        return _search(sorted_sequence, input, out_int32, right, side, sorter)

    samples = [sample(values([1.0, 2.0, 3.0]), values([0.5, 2.0, 9.0]))]


class Bucketize(Composite):
    """Which of the buckets between boundaries each element falls in."""

    overloaded = True  # in PyTorch
    schema = "bucketize(Tensor|Scalar input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
        if boundaries.ndim != 1:
            raise refuse(RuntimeError, f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
        return _search(boundaries, input, out_int32, right, None, None)

    samples = [sample(values([0.5, 2.0, 9.0]), values([1.0, 2.0, 3.0]))]


# -- counts
class Bincount(Composite):
    """How often each number 0, 1, ... comes, or the sum of its weights."""

    needs_values = True
    schema = "bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
        if minlength < 0:
            raise refuse(RuntimeError, "minlength should be >= 0", received=f"minlength={minlength}")
        if input.dtype.is_floating_point or input.dtype.is_complex or input.dtype is d.bool_:
            raise refuse(
                NotImplementedError, f"\"bincount_cpu\" not implemented for '{scalar_type_name(input.dtype)}'", expected="an integral dtype"
            )
        if input.ndim != 1 or (input.numel() and int(input.min().item()) < 0):
            if input.ndim != 1 and not input.numel() and input.ndim == 0:
                return ops.zeros((minlength,), dtype=d.int64)
            raise refuse(RuntimeError, "bincount only supports 1-d non-negative integral inputs.", received=f"shape {tuple(input.shape)}")
        if weights is not None and tuple(weights.shape) != tuple(input.shape):
            raise refuse(RuntimeError, "weights should be 1-d and have the same length as input")
        if not input.numel():
            return ops.zeros((minlength,), dtype=d.int64)
        places = input.to(d.int64)
        size = max(minlength, int(places.max().item()) + 1)
        if weights is None:
            return ops.scatter_zeros(ops.ones(places.shape, dtype=d.int64), 0, places, (size,))
        kind = d.float32 if weights.dtype is d.float32 else d.float64
        return ops.scatter_zeros(weights.detach().to(kind), 0, places, (size,))

    samples = [sample(values([1, 0, 3, 1], "int64")), sample(values([1, 0, 3, 1], "int64"), minlength=6)]
    refusals = [refused(values([1, -1], "int64"), raises=RuntimeError, match="bincount only supports 1-d non-negative integral inputs")]


def _bounds(x: Tensor, low: float, high: float, title: str) -> tuple[float, float]:
    """The range of a histogram: the data's where none is given."""
    if low == high and x.numel() and known(x):
        low, high = float(x.min().item()), float(x.max().item())
    if low == high:
        low, high = low - (0.5 if title == "histogram" else 1), high + (0.5 if title == "histogram" else 1)
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise refuse(RuntimeError, f"torch.{title}: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise refuse(RuntimeError, f"torch.{title}: max must be larger than min", received=f"min={low:g}, max={high:g}")
    return low, high


class Histc(Composite):
    """How many elements fall in each of `bins` equal parts of [min, max]; others are not counted."""

    schema = "histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0) -> Tensor"
    out_dtype = "torch.histogram: input tensor and hist tensor should have the same dtype, but got input {want} and hist {got}"

    @staticmethod
    def compose(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
        x = input.detach().reshape(-1)
        if not x.dtype.is_floating_point:
            raise refuse(
                NotImplementedError, f"\"histogram_cpu\" not implemented for '{scalar_type_name(x.dtype)}'", expected="a floating dtype"
            )
        if bins <= 0:
            raise refuse(RuntimeError, f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
        low, high = _bounds(x, min, max, "histc")
        inside = (x >= low) & (x <= high)
        place = ops.where(inside, (x - low) * bins / (high - low), ops.zeros_like(x)).to(d.int64).clamp(max=bins - 1)
        return ops.scatter_zeros(inside.to(d.int64), 0, place, (bins,)).to(x.dtype)

    samples = [sample(uniform(20), 4, -1, 1)]


def _check_histogram(input: Tensor, bins: Any, weight: Tensor | None) -> None:
    if isinstance(bins, Tensor):
        if bins.ndim != 1:
            raise refuse(
                RuntimeError,
                f"torch.histogramdd: bins tensor should have one dimension, but got {bins.ndim} dimensions in the bins tensor for dimension 0",
            )
        if bins.dtype is not input.dtype:
            raise refuse(
                RuntimeError,
                f"torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype {cpp_name(input.dtype)} and bins for dimension 0 with dtype {cpp_name(bins.dtype)}",
            )
    if weight is not None and input.ndim and weight.numel() != input.numel():
        raise refuse(
            RuntimeError,
            f"torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding its innermost dimension, but got input with shape {[input.numel(), 1]} and weight with shape {[weight.numel()]}",
        )
    if input.dtype not in (d.float32, d.float64):
        raise refuse(NotImplementedError, f"\"histogramdd\" not implemented for '{scalar_type_name(input.dtype)}'")


class Histogram(Composite):
    """(counts or weights in each bin, the bins' edges)."""

    schema = (
        "histogram(Tensor input, any bins, *, any range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)"
    )
    out_dtype = "torch.histogram: input tensor and hist tensor should have the same dtype, but got input {want} and hist {got}"

    @staticmethod
    def compose(input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False) -> Any:
        x = input.detach().reshape(-1)
        _check_histogram(input, bins, weight)
        if isinstance(bins, Tensor):
            edges = bins.clone()
        else:
            low, high = _bounds(x, *(range or (0.0, 0.0)), "histogram")  # pyright: ignore[reportCallIssue]
            edges = ops.linspace(low, high, int(bins) + 1, dtype=x.dtype)
        n = edges.shape[0] - 1
        place = ops.searchsorted(edges, x, right=True) - 1
        place = ops.where(x == edges[-1], ops.full_like(place, n - 1), place)
        inside = (place >= 0) & (place < n)
        share = inside.to(x.dtype) if weight is None else ops.where(inside, weight.reshape(-1), ops.zeros_like(x))
        hist = ops.scatter_zeros(share, 0, place.clamp(0, n - 1), (n,))
        if density:
            hist = hist / (hist.sum() * edges.diff())
        return HISTOGRAM(hist, edges)

    samples = [sample(uniform(20), 4, range=(-1.0, 1.0))]


class Histogramdd(Composite):
    """Counts of points (..., D) in boxes of a grid, and the grid's edges in each dim."""

    schema = (
        "histogramdd(Tensor input, any bins, any range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)"
    )
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, bins: Any, range: Any = None, weight: Tensor | None = None, density: bool = False) -> Any:
        if input.ndim < 2:
            raise refuse(
                RuntimeError,
                "torch.histogramdd: input tensor should have at least 2 dimensions, but got a tensor with 1 dimensions"
                if input.ndim
                else "torch.histogramdd: input tensor should have at least 2 dimensions",
            )
        n = input.shape[-1]
        counts = [bins] * n if isinstance(bins, int) else list(bins)
        if len(counts) != n:
            raise refuse(
                RuntimeError,
                "histogramdd: The size of bins must be equal to the innermost dimension of the input.",
                received=f"{len(counts)} for {n}",
            )
        for k, b in enumerate(counts):
            if isinstance(b, Tensor) and b.dtype is not input.dtype:
                raise refuse(
                    RuntimeError,
                    f"torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype {cpp_name(input.dtype)} and bins for dimension {k} with dtype {cpp_name(b.dtype)}",
                )
        if input.dtype not in (d.float32, d.float64):
            raise refuse(NotImplementedError, f"\"histogramdd\" not implemented for '{scalar_type_name(input.dtype)}'")
        x = input.detach().reshape(-1, n)
        edges = [_edges(x.select(1, k), b, range[2 * k : 2 * k + 2] if range is not None else (0.0, 0.0)) for k, b in enumerate(counts)]
        flat, inside = ops.zeros((x.shape[0],), dtype=d.int64), ops.ones((x.shape[0],), dtype=d.bool_)
        for k, edge in enumerate(edges):
            place, here = _bins(x.select(1, k).contiguous(), edge)
            flat, inside = flat * (edge.shape[0] - 1) + place, inside & here
        shape = tuple(e.shape[0] - 1 for e in edges)
        share = inside.to(x.dtype) if weight is None else ops.where(inside, weight.reshape(-1), ops.zeros((x.shape[0],), dtype=x.dtype))
        hist = ops.scatter_zeros(share, 0, flat, (prod(shape),)).reshape(shape)
        if density:
            hist = hist / hist.sum()
            for k, edge in enumerate(edges):
                hist = hist / edge.diff().view((-1, *(1,) * (n - 1 - k)))
        return HISTOGRAMDD(hist, tuple(edges))

    samples = [sample(uniform(20, 2), [3, 4], range=[-1.0, 1.0, -1.0, 1.0])]


def _edges(x: Tensor, bins: Any, bounds: Any) -> Tensor:
    if isinstance(bins, Tensor):
        return bins
    low, high = _bounds(x, *bounds, "histogram") if x.numel() or bounds[0] != bounds[1] else (0.0, 1.0)  # pyright: ignore[reportCallIssue]
    return ops.linspace(low, high, int(bins) + 1, dtype=x.dtype)


def _bins(x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """(bin of each element, whether it lies in one); the last bin includes its right edge."""
    n = edges.shape[0] - 1
    place = ops.searchsorted(edges, x, right=True) - 1
    place = ops.where(x == edges[-1], ops.full_like(place, n - 1), place)
    return place.clamp(0, n - 1), (place >= 0) & (place < n)


# -- membership
class Isin(Composite):
    """Whether each element is one of the test elements."""

    schema = "isin(Tensor|Scalar elements, Tensor|Scalar test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
        x = elements if isinstance(elements, Tensor) else ops.tensor(elements)
        among = (test_elements if isinstance(test_elements, Tensor) else ops.tensor(test_elements)).reshape(-1)
        for t in (x, among):
            if t.dtype is d.bool_ or t.dtype.is_complex:
                raise refuse(RuntimeError, f"Unsupported input type encountered for isin(): {scalar_type_name(t.dtype)}")
        kind = result_type([x.dtype, among.dtype], [], [])
        x, among = x.detach().to(kind), among.detach().to(kind)
        if not among.numel() or not x.numel():
            got = ops.full(x.shape, bool(invert), dtype=d.bool_)
        else:
            ordered = ops.sort(among)[0]
            place = ops.searchsorted(ordered, x).clamp(max=ordered.shape[0] - 1)
            found = ordered[place]
            got = found != x if invert else found == x
        return got

    samples = [sample(values([1, 2, 3], "int64"), values([3, 4], "int64")), sample(normal(3), normal(2))]
