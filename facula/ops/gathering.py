"""Reading and writing through index tensors: x[i], gather, scatter. Every index is checked before a kernel uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..base import dtypes as d
from ..base.device import META
from ..base.errors import refuse
from ..core import writing
from ..core.batching import Examples, bare
from ..core.chains import nothing_found
from ..core.copying import converted
from ..core.expression import PLANS, broadcast, expanded, wants
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.placing import known
from ..core.plan import allocate, as_plan, execute
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel import indexing as kernels
from ..kernel.launch import In, Schedule
from ..kernel.pointwise import pointwise
from ..spec.block import Composite, Fused, Procedure
from ..spec.registry import ops
from ..spec.samples import integer, normal, sample, values


def perform(make: Callable[..., Schedule], key: tuple[Any, ...], outs: list[Tensor], tensors: list[Tensor], counted: bool = False) -> None:
    """`execute` of `make(*key)`, by a plan that is kept: the key holds the layouts of all operands."""
    place = perform, make, key, counted
    plan = PLANS.get(place)
    if plan is None:
        if any(t._layout.batch for t in (*outs, *tensors)):
            return execute(make(*key), outs, tensors)  # which refuses
        plan = PLANS[place] = as_plan(make(*key), outs, tensors, counted)
    plan.run([*outs, *tensors])


def check(index: Tensor, size: int, sentence: str, wrap: bool = True, kind: type[Exception] = IndexError) -> None:
    """An error when an index lies outside; `sentence` may name {value}."""
    if not index._layout.numel or not known(index):
        return
    index = bare(index)
    outside = ops.index_outside(index, size, wrap)
    if not nothing_found(outside):
        at = outside.item()
        value = int(index.reshape(-1)[at].item())
        raise refuse(
            kind, sentence.format(value=value), received=f"index {value} at position {at}", expected=f"{-size if wrap else 0} to {size - 1}"
        )


def check_classes(target: Tensor, classes: int, ignore_index: int) -> None:
    """IndexError when a target is neither a class nor the one to ignore."""
    if not target._layout.numel or not known(target):
        return
    target = bare(target)
    outside = ops.index_outside(target, classes, False, ignore_index)
    if not nothing_found(outside):
        at = outside.item()
        value = int(target.reshape(-1)[at].item())
        raise refuse(
            IndexError,
            f"Target {value} is out of bounds.",
            received=f"target[{at}] = {value}",
            expected=f"0 to {classes - 1}, or ignore_index={ignore_index}",
        )


class IndexOutside(Fused):
    """int64: the row-major position of the first index outside a dim of `size` that is not `ignored`, or -1. One read of the indices."""

    schema = "index_outside(Tensor index, int size, bool wrap, int? ignored=None) -> Tensor"
    batching = "front"
    paths = ""
    at_once = True

    @staticmethod
    def kernel(index: Layout, size: int, wrap: bool, ignored: int | None) -> Result:
        out = layout((), d.int64)
        return Result((out,), kernels.check_indices(out, index, size, wrap, ignored))


def put_schedule(
    out: Layout, values: Layout, indices: tuple[Layout, ...], dims: tuple[int, ...], place: int, reduce: str | None
) -> Schedule:
    """`kernels.index_put` with everything broadcast."""
    common = broadcast([i.shape for i in indices])
    shape = indexed_shape(out.shape, common, dims, place)
    return kernels.index_put(out, expanded(values, shape), [expanded(i, common) for i in indices], dims, place, reduce)


def moved(schedule: Schedule, places: Sequence[int]) -> Schedule:
    """The schedule with input i at places[i]."""
    launches = tuple(
        replace(x, words=tuple(In(places[w.index], w.offset) if isinstance(w, In) else w for w in x.words)) for x in schedule.launches
    )
    return replace(schedule, launches=launches)


def chain(*schedules: Schedule) -> Schedule:
    """One after the other; at most one of them may have a workspace."""
    launches = tuple(x for s in schedules for x in s.launches)
    return Schedule(
        launches,
        max(s.workspace for s in schedules),
        tuple(n for s in schedules for n in s.notes),
        tuple(k for s in schedules for k in s.keep),
    )


def indexed_shape(shape: Sequence[int], index: Sequence[int], dims: Sequence[int], place: int) -> tuple[int, ...]:
    rest = [n for k, n in enumerate(shape) if k not in dims]
    return (*rest[:place], *index, *rest[place:])


def own_rows(examples: Examples, indices: list[Tensor]) -> tuple[Tensor, tuple[int, ...]]:
    """(the index of the example, which goes before the other indices; the common shape of those)."""
    common = broadcast([i.shape[1:] for i in indices])
    return ops.arange(examples.n).view(examples.n, *(1,) * len(common)), common


def _aligned(indices: list[Tensor], rank: int) -> list[Tensor]:
    """Indices with the examples' dim first and `rank` more."""
    return [i.view(i.shape[0], *(1,) * (rank + 1 - i.ndim), *i.shape[1:]) for i in indices]


class IndexGet(Fused):
    """x with index tensors in `dims`; their common shape comes at `place` of the other dims."""

    schema = "index_get(Tensor input, Tensor[] indices, int[] dims, int place) -> Tensor"
    paths = ""

    @staticmethod
    def batch(examples: Examples, input: Tensor, indices: list[Tensor], dims: tuple[int, ...], place: int) -> Tensor:
        if "indices" not in examples:
            return ops.index_get(input, indices, tuple(k + 1 for k in dims), place + 1)
        rows, common = own_rows(examples, indices)
        x = examples.all(input, "input")
        got = ops.index_get(x, [rows, *_aligned(indices, len(common))], (0, *(k + 1 for k in dims)), 0)  # (examples, *common, *others)
        return got.movedim(tuple(range(1, len(common) + 1)), tuple(range(place + 1, place + 1 + len(common)))) if place and common else got

    @staticmethod
    def kernel(x: Layout, indices: list[Layout], dims: tuple[int, ...], place: int) -> Result:
        common = broadcast([i.shape for i in indices])
        out = layout(indexed_shape(x.shape, common, dims, place), x.dtype)
        return Result((out,), kernels.index_get(out, x, [expanded(i, common) for i in indices], dims, place))

    @staticmethod
    def gradient(g: Tensor, input: Layout, indices: list[Tensor], dims: tuple[int, ...], place: int) -> tuple[Any, ...]:
        return ops.index_add_zeros(g, indices, tuple(input.shape), dims, place), [None] * len(indices)


class IndexAddZeros(Fused):
    """Zeros of shape `size` with values added where the indices point: the transpose of reading through them."""

    schema = "index_add_zeros(Tensor values, Tensor[] indices, int[] size, int[] dims, int place) -> Tensor"
    paths = ""

    @staticmethod
    def batch(
        examples: Examples, values: Tensor, indices: list[Tensor], size: tuple[int, ...], dims: tuple[int, ...], place: int
    ) -> Tensor:
        v = examples.all(values, "values")
        if "indices" not in examples:
            return ops.index_add_zeros(v, indices, (examples.n, *size), tuple(k + 1 for k in dims), place + 1)
        rows, common = own_rows(examples, indices)
        if place and common:
            v = v.movedim(tuple(range(place + 1, place + 1 + len(common))), tuple(range(1, len(common) + 1)))
        used = [rows, *_aligned(indices, len(common))]
        return ops.index_add_zeros(v, used, (examples.n, *size), (0, *(k + 1 for k in dims)), 0)

    @staticmethod
    def kernel(values: Layout, indices: list[Layout], size: tuple[int, ...], dims: tuple[int, ...], place: int) -> Result:
        out = layout(size, values.dtype)
        common = broadcast([i.shape for i in indices])
        wide = [expanded(i, common) for i in indices]
        if tuple(dims) == (0,) and place == 0 and len(size) == 2 and len(wide) == 1:
            return Result((out,), kernels.embedding_backward(out, values, wide[0]))
        put = kernels.index_put(out, values, wide, dims, place, "sum")
        return Result((out,), chain(cleared(out), put))

    @staticmethod
    def gradient(g: Tensor, indices: list[Tensor], dims: tuple[int, ...], place: int) -> tuple[Any, ...]:
        return ops.index_get(g, indices, dims, place), [None] * len(indices)


def cleared(out: Layout) -> Schedule:
    from .creation import fill_schedule

    schedule = fill_schedule(out, 0)
    from ..kernel.launch import Number

    fixed = tuple(replace(x, words=tuple(0 if isinstance(w, Number) else w for w in x.words)) for x in schedule.launches)
    return replace(schedule, launches=fixed)


class IndexPutCopy(Fused):
    """A copy of x with values put (or added) where the indices point."""

    schema = "index_put_copy(Tensor input, Tensor values, Tensor[] indices, int[] dims, int place, bool accumulate) -> Tensor"
    paths = ""

    @staticmethod
    def batch(
        examples: Examples, input: Tensor, values: Tensor, indices: list[Tensor], dims: tuple[int, ...], place: int, accumulate: bool
    ) -> Tensor:
        x = examples.all(input, "input")
        lead = () if "indices" in examples else tuple(indices)
        common = own_rows(examples, indices)[1] if not lead else broadcast([i.shape for i in lead])
        shape = indexed_shape(x.shape[1:], common, dims, place)
        v = examples.all(values, "values")
        v = v.view(examples.n, *(1,) * (len(shape) + 1 - v.ndim), *v.shape[1:])
        if lead:
            return ops.index_put_copy(x, v, indices, tuple(k + 1 for k in dims), place + 1, accumulate)
        v = v.expand(examples.n, *shape)
        if place and common:
            v = v.movedim(tuple(range(place + 1, place + 1 + len(common))), tuple(range(1, len(common) + 1)))
        used = [own_rows(examples, indices)[0], *_aligned(indices, len(common))]
        return ops.index_put_copy(x, v, used, (0, *(k + 1 for k in dims)), 0, accumulate)

    @staticmethod
    def kernel(x: Layout, values: Layout, indices: list[Layout], dims: tuple[int, ...], place: int, accumulate: bool) -> Result:
        out = layout(x.shape, x.dtype)
        common = broadcast([i.shape for i in indices])
        shape = indexed_shape(x.shape, common, dims, place)
        copy = pointwise([out], [x], (converted(x.dtype, x.dtype),))
        put = kernels.index_put(
            out, expanded(values, shape), [expanded(i, common) for i in indices], dims, place, "sum" if accumulate else None
        )
        return Result((out,), chain(copy, moved(put, range(1, 2 + len(indices)))))

    @staticmethod
    def gradient(
        g: Tensor, values: Layout, indices: list[Tensor], dims: tuple[int, ...], place: int, accumulate: bool, needs: Any
    ) -> tuple[Any, ...]:
        gx = g if accumulate else ops.index_put_copy(g, ops.zeros((), dtype=g.dtype), indices, dims, place, False)
        gv = ops.sum_to_size(ops.index_get(g, indices, dims, place), values.shape) if needs[1] else None
        return (gx if needs[0] else None), gv, [None] * len(indices)


# -- x[indices]
def prepared(x: Tensor, indices: Sequence[Any]) -> tuple[list[Tensor], tuple[int, ...], int]:
    """(int64 indices, the dims they index, where their shape goes), checked. Masks become the places where they hold."""
    row: list[Any] = []
    inside: list[int] = []  # places in it that come from a mask
    _count(x, sum(t.ndim if t is not None and t.dtype in (d.bool_, d.uint8) else 1 for t in indices))
    for t in indices:
        if t is None:
            row.append(None)
        elif t.dtype in (d.bool_, d.uint8):
            at = len(row)
            if tuple(t.shape) != tuple(x.shape[at : at + t.ndim]):
                bad = next((k for k in range(t.ndim) if at + k >= x.ndim or t.shape[k] != x.shape[at + k]), 0)
                raise refuse(
                    IndexError,
                    f"The shape of the mask {list(t.shape)} at index {bad} does not match the shape of the indexed tensor {list(x.shape)} at index {at + bad}",
                )
            found = list(ops.nonzero(t).unbind(1)) if t.ndim else [ops.nonzero(t.reshape(1)).unbind(1)[0]]
            inside += range(len(row), len(row) + len(found))
            row += found
        elif t.dtype in (d.int64, d.int32):
            row.append(t)
        elif t.dtype.is_integral:
            row.append(t.to(d.int64))
        else:
            raise refuse(
                IndexError, "tensors used as indices must be long, int, byte or bool tensors", received=f"an index of {t.dtype.name}"
            )
    _count(x, len(row))
    dims = tuple(k for k, t in enumerate(row) if t is not None)
    used = [row[k] if x.device is not META else row[k].to(META) for k in dims]
    try:
        broadcast([t.shape for t in used])
    except RuntimeError:
        raise refuse(
            IndexError,
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {', '.join(str(list(t.shape)) for t in used)}",
        ) from None
    for k, t in zip(dims, used):
        if k not in inside:
            check(t, x.shape[k], f"index {{value}} is out of bounds for dimension {k} with size {x.shape[k]}")
    adjacent = all(b - a == 1 for a, b in zip(dims, dims[1:]))
    return used, dims, dims[0] if adjacent else 0


def _count(x: Tensor, n: int) -> None:
    if n > max(x.ndim, 0):
        raise refuse(IndexError, f"too many indices for tensor of dimension {x.ndim} (got {n})")


class Index(Composite):
    """x[indices]: one index tensor, mask or None per dim."""

    schema = "index(Tensor input, any indices) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, indices: Sequence[Any]) -> Tensor:
        used, dims, place = prepared(input, indices)
        return ops.index_get(input, used, dims, place)


class IndexPut(Composite):
    """A copy with `values` put, or added, at the indices."""

    schema = "index_put(Tensor input, any indices, Tensor values, bool accumulate=False) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Tensor:
        used, dims, place = prepared(input, indices)
        _check_values(input, used, dims, place, values)
        return ops.index_put_copy(input, values, used, dims, place, bool(accumulate))

    samples = [sample(normal(4, 3), [values([0, 2])], normal(2, 3))]


def _check_values(x: Tensor, used: list[Tensor], dims: tuple[int, ...], place: int, values: Tensor) -> None:
    if values.dtype is not x.dtype:
        raise refuse(
            RuntimeError,
            f"Index put requires the source and destination dtypes match, got {_name(x)} for the destination and {_name(values)} for the source.",
        )
    shape = indexed_shape(x.shape, broadcast([t.shape for t in used]), dims, place)
    try:
        fits = broadcast([shape, values.shape]) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise refuse(
            RuntimeError,
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to indexing result of shape {list(shape)}",
        )


def _name(t: Tensor) -> str:
    from ..spec.promotion import scalar_type_name

    return scalar_type_name(t.dtype)


def index_put_(self: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Tensor:
    """Puts, or adds, `values` at the indices."""
    writing.check_target(self, "index_put_")
    writing.check_leaf(self)
    if values.dtype is not self.dtype and values.ndim == 0:
        values = values.to(self.dtype)
    if self.device is META and not (MODE.grad and (wants(values) or wants(self))):
        writing.objects.bump(self)
        return self
    used, dims, place = prepared(self, indices)
    _check_values(self, used, dims, place, values)
    if MODE.grad and (wants(values) or wants(self)):
        return writing.assign(self, ops.index_put_copy(self, values, used, dims, place, bool(accumulate)), "index_put_")
    if any(writing.partly_overlap(self, t) or t is self for t in used):
        raise refuse(RuntimeError, writing.SHARED, received="an index in the memory that is written", hint="index.clone()")
    if values._block == self._block:
        values = values.clone()
    layouts = tuple(t._layout for t in used)
    key = self._layout, values._layout, layouts, tuple(dims), place, "sum" if accumulate else None
    perform(put_schedule, key, [self], [values, *used], counted=True)
    return self


Tensor.index_put_ = index_put_
ops.index_put_ = index_put_


class IndexSelect(Composite):
    """The listed indices of a dim."""

    schema = "index_select(Tensor input, int dim, Tensor index) -> Tensor"
    out_dtype = "index_select(): self and result must have the same scalar type"
    through_binder = disjoint = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor) -> Tensor:
        if index.ndim > 1:
            raise refuse(IndexError, "index_select(): Index is supposed to be a vector", received=f"{index.ndim} dims")
        if index.dtype not in (d.int64, d.int32):
            raise refuse(RuntimeError, "index_select(): Expected dtype int32 or int64 for index")
        k = wrap_dim(dim, input.ndim)
        if not input.ndim:
            check(index, 1, "index_select(): self indexing axis dim should be positive and less than the number of dims", False)
            return input.clone()
        check(index, input.shape[k], "index out of range in self", False)
        return ops.index_get(input, [index.reshape(-1)], (k,), k)

    samples = [sample(normal(4, 3), 0, integer(2, low=0, high=3)), sample(normal(4, 3), 1, integer(2, low=0, high=3))]


class GatherAlong(Fused):
    """out[i][j] = x[i][index[i][j]] for dim 1, and so on."""

    schema = "gather_along(Tensor input, int dim, Tensor index) -> Tensor"
    batching = "front dim"
    paths = ""

    @staticmethod
    def kernel(x: Layout, dim: int, index: Layout) -> Result:
        out = layout(index.shape, x.dtype)
        return Result((out,), kernels.gather(out, x, index, dim))

    @staticmethod
    def gradient(g: Tensor, input: Layout, dim: int, index: Tensor) -> tuple[Any, ...]:
        return ops.scatter_zeros(g, dim, index, tuple(input.shape)), None


class ScatterZeros(Fused):
    """Zeros of shape `size` with g added at the indices."""

    schema = "scatter_zeros(Tensor src, int dim, Tensor index, int[] size) -> Tensor"
    batching = "front dim +size"
    paths = ""

    @staticmethod
    def kernel(src: Layout, dim: int, index: Layout, size: tuple[int, ...]) -> Result:
        out = layout(size, src.dtype)
        return Result((out,), chain(cleared(out), kernels.scatter(out, src, index, dim, "sum")))

    @staticmethod
    def gradient(g: Tensor, dim: int, index: Tensor) -> tuple[Any, ...]:
        return ops.gather_along(g, dim, index), None


def only_dense(sparse: bool, input: Tensor, asked: str) -> None:
    """There are no sparse tensors: a sparse gradient is refused where one would come."""
    if sparse and MODE.grad and wants(input):
        raise refuse(
            NotImplementedError,
            f"{asked} asks for a sparse gradient, and there are no sparse tensors",
            hint="leave it out: the gradient is dense then",
        )


class Gather(Composite):
    """Values along a dim, one per index."""

    schema = "gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor"
    through_binder = disjoint = True

    @staticmethod
    def compose(input: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> Tensor:
        only_dense(sparse_grad, input, "gather(): sparse_grad=True")
        k = wrap_dim(dim, input.ndim)
        if not index._layout.numel:
            return input.reshape(-1)[:0].reshape(tuple(index.shape))
        if index.dtype is not d.int64 and index.dtype is not d.int32:
            raise refuse(RuntimeError, "gather(): Expected dtype int32/int64 for index")
        if max(index.ndim, 1) != max(input.ndim, 1):
            raise refuse(RuntimeError, "Index tensor must have the same number of dimensions as input tensor")
        for i in range(index.ndim):
            if i != k and index.shape[i] > (input.shape[i] if input.ndim else 1):
                raise refuse(
                    RuntimeError,
                    f"Size does not match at dimension {i} expected index {list(index.shape)} to be no larger than self {list(input.shape)} apart from dimension {k}",
                )
        check(
            index,
            input.shape[k] if input.ndim else 1,
            f"index {{value}} is out of bounds for dimension {k} with size {input.shape[k] if input.ndim else 1}",
            False,
            RuntimeError,
        )
        if not input.ndim:
            return input.expand(index.shape).clone()
        return ops.gather_along(input, k, index)

    samples = [sample(normal(3, 4), 1, integer(3, 2, low=0, high=3))]


class MaskedSelect(Composite):
    """The elements where a mask holds, in row-major order."""

    schema = "masked_select(Tensor input, Tensor mask) -> Tensor"
    through_binder = disjoint = needs_values = True

    @staticmethod
    def compose(input: Tensor, mask: Tensor) -> Tensor:
        if mask.dtype is not d.bool_:
            raise refuse(RuntimeError, "masked_select: expected BoolTensor for mask", received=f"mask {mask.dtype.name}")
        shape = broadcast([mask.shape, input.shape])
        return ops.masked_selected(input.expand(shape), mask.expand(shape))

    samples = [sample(normal(3, 4), values([[True, False, True, False]]))]


class MaskedSelected(Procedure):
    """The same for an input and a mask of one shape."""

    needs_values = True
    schema = "masked_selected(Tensor input, Tensor mask) -> Tensor"
    paths = ""

    @staticmethod
    def run(input: Tensor, mask: Tensor) -> Tensor:
        counts = allocate(layout((kernels.chunks(mask._layout),), d.int64))
        perform(kernels.count_true, (counts._layout, mask._layout), [counts], [mask])
        out = allocate(layout((counts[-1].item(),), input.dtype))
        if out._layout.numel:
            perform(kernels.masked_select, (out._layout, input._layout, mask._layout), [out], [input, mask, counts])
        return out

    @staticmethod
    def gradient(g: Tensor, input: Layout, mask: Tensor) -> tuple[Any, ...]:
        return ops.zeros(input.shape, dtype=g.dtype).masked_scatter(mask, g), None
