"""Views: the same storage seen with another shape, other strides, another start. Nothing is computed or copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.device import contiguous_format
from ..base.dtypes import dtype as DType
from ..base.dtypes import int32
from ..base.errors import refuse
from ..core import objects
from ..core.copying import fill_in
from ..core.layout import Layout, extent, layout, row_major
from ..core.result import View
from ..core.tensor import Tensor, wrap_dim
from ..spec.block import Composite, Movement, Procedure
from ..spec.registry import ops
from ..spec.samples import each, grid, normal, refused, sample


def infer_size(size: Sequence[int], numel: int) -> tuple[int, ...]:
    """A shape in which -1 is replaced by what is left."""
    known, hole = 1, -1
    for i, n in enumerate(size):
        if n == -1:
            if hole >= 0:
                raise refuse(RuntimeError, "only one dimension can be inferred", received=f"shape {list(size)}")
            hole = i
        elif n < 0:
            raise refuse(RuntimeError, f"invalid shape dimension {n} at index {i} of shape {list(size)}")
        else:
            known *= n
    if hole >= 0:
        if known == 0 and numel == 0:
            raise refuse(
                RuntimeError,
                f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension size -1 can be any value and is ambiguous",
            )
        if known == 0 or numel % known:
            raise _invalid(size, numel)
        return tuple(numel // known if i == hole else n for i, n in enumerate(size))
    if known != numel:
        raise _invalid(size, numel)
    return tuple(size)


def _invalid(size: Sequence[int], numel: int) -> RuntimeError:
    return refuse(
        RuntimeError,
        f"shape '{list(size)}' is invalid for input of size {numel}",
        received=f"{numel} elements",
        expected=f"{list(size)}: a shape with as many elements",
    )


def view_strides(shape: Sequence[int], strides: Sequence[int], size: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of the same elements in shape `size`, None when they cannot be addressed so."""
    if 0 in shape:
        return row_major(size)
    out = [0] * len(size)
    at = len(size) - 1
    chunk_stride = strides[-1] if shape else 1
    elements = seen = 1
    for d in range(len(shape) - 1, -1, -1):
        elements *= shape[d]
        if d == 0 or (shape[d - 1] != 1 and strides[d - 1] != elements * chunk_stride):
            while at >= 0 and (seen < elements or size[at] == 1):
                out[at] = seen * chunk_stride
                seen *= size[at]
                at -= 1
            if seen != elements:
                return None
            if d > 0:
                chunk_stride = strides[d - 1]
                elements = seen = 1
    if not shape:
        return tuple(1 for _ in size)
    return tuple(out) if at < 0 else None


class ViewOp(Movement):
    """The same elements in another shape, without a copy."""

    schema = "view(Tensor input, int[] size) -> Tensor"
    by_strides = True
    paths = "Tensor"

    @staticmethod
    def view(x: Layout, size: tuple[int, ...]) -> View:
        size = infer_size(size, x.numel)
        strides = view_strides(x.shape, x.strides, size)
        if strides is None:
            raise refuse(
                RuntimeError,
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead.",
                received=f"shape {tuple(x.shape)}, strides {x.strides}",
                expected=f"elements that lie in the order of {size}",
                hint="x.reshape(...) copies when it must",
            )
        return View(size, strides)

    @staticmethod
    def gradient(g: Tensor, input: Layout) -> Tensor:
        return g.reshape(input.shape)

    samples = [sample(normal(2, 3), (3, 2)), sample(normal(2, 3), (-1,)), sample(normal(0, 3), (3, 0))]
    refusals = each(refused(normal(2, 3), (4,), raises=RuntimeError, match="shape '\\[4\\]' is invalid for input of size 6"))


class ViewDtype(Movement):
    """The same bytes read as another type."""

    schema = "view.dtype(Tensor input, ScalarType dtype) -> Tensor"
    by_strides = True
    paths = "Tensor"

    @staticmethod
    def view(x: Layout, dtype: DType) -> View:
        a, b = x.dtype.itemsize, dtype.itemsize
        if a == b:
            return View(x.shape, x.strides, 0, dtype)
        if not x.ndim:
            raise refuse(RuntimeError, f"self.dim() cannot be 0 to view {_named(x.dtype)} as {_named(dtype)} (different element sizes)")
        if x.strides[-1] != 1:
            raise refuse(
                RuntimeError,
                f"self.stride(-1) must be 1 to view {_named(x.dtype)} as {_named(dtype)} (different element sizes), but got {x.strides[-1]}",
            )
        if a > b:
            k = a // b
            return View((*x.shape[:-1], x.shape[-1] * k), (*(s * k for s in x.strides[:-1]), 1), 0, dtype)
        k = b // a
        if x.shape[-1] % k:
            raise refuse(
                RuntimeError,
                f"self.size(-1) must be divisible by {k} to view {_named(x.dtype)} as {_named(dtype)} (different element sizes), but got {x.shape[-1]}",
            )
        return View((*x.shape[:-1], x.shape[-1] // k), (*(s // k for s in x.strides[:-1]), 1), 0, dtype)

    samples: Any = [sample(normal(4, dtype="float32"), int32)]


def _named(t: DType) -> str:
    from ..spec.promotion import scalar_type_name

    return scalar_type_name(t)


class Expand(Movement):
    """Dims of extent 1 repeated without copying; -1 keeps an extent."""

    schema = "expand(Tensor input, int[] size, *, bool implicit=False) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def view(x: Layout, size: tuple[int, ...], implicit: bool) -> View:
        lead = len(size) - x.ndim
        if lead < 0:
            raise refuse(
                RuntimeError,
                f"expand(torch.{_legacy(x.dtype)}{{{list(x.shape)}}}, size={list(size)}): the number of sizes provided ({len(size)}) must be greater or equal to the number of dimensions in the tensor ({x.ndim})",
            )
        shape, strides = [], []
        for i in range(len(size) - 1, -1, -1):
            n = size[i]
            have = x.shape[i - lead] if i >= lead else 1
            stride = x.strides[i - lead] if i >= lead else 0
            if n == -1 and (i >= lead or x.ndim):
                if i < lead:
                    raise refuse(
                        RuntimeError, f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                    )
                n = have
            if n < 0 and i < lead:
                raise refuse(
                    RuntimeError, "numel: integer multiplication overflow", received=f"expand to {list(size)}", expected="extents >= 0"
                )
            if n != have and have != 1:
                raise refuse(
                    RuntimeError,
                    f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(x.shape)}",
                )
            shape.append(n)
            strides.append(stride if n == have and i >= lead else 0)
        return View(tuple(reversed(shape)), tuple(reversed(strides)))

    @staticmethod
    def gradient(g: Tensor, input: Layout) -> Tensor:
        return ops.sum_to_size(g, input.shape)

    samples = [sample(normal(3, 1), (3, 4)), sample(normal(3), (2, -1)), sample(normal(), (2,))]


def _legacy(t: DType) -> str:
    return f"{_named(t)}Tensor"


class Permute(Movement):
    """The dims in another order."""

    schema = "permute(Tensor input, int[] dims) -> Tensor"

    @staticmethod
    def view(x: Layout, dims: tuple[int, ...]) -> View:
        if len(dims) != x.ndim:
            raise refuse(
                RuntimeError,
                f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {x.ndim} is not equal to len(dims) = {len(dims)}",
            )
        order = [wrap_dim(d, x.ndim) for d in dims]
        if len(set(order)) != len(order):
            raise refuse(RuntimeError, "permute(): duplicate dims are not allowed.", received=f"dims={dims}")
        return View(tuple(x.shape[d] for d in order), tuple(x.strides[d] for d in order))

    @staticmethod
    def gradient(g: Tensor, dims: tuple[int, ...]) -> Tensor:
        n = len(dims)
        back = [0] * n
        for i, d in enumerate(dims):
            back[d % n] = i
        return g.permute(tuple(back))

    samples = [sample(normal(2, 3, 4), (2, 0, 1)), sample(normal(), ())]


class Transpose(Movement):
    """Two dims exchanged."""

    schema = "transpose(Tensor input, int dim0, int dim1) -> Tensor"

    @staticmethod
    def view(x: Layout, dim0: int, dim1: int) -> View:
        a, b = wrap_dim(dim0, x.ndim), wrap_dim(dim1, x.ndim)
        shape, strides = list(x.shape), list(x.strides)
        if x.ndim:
            shape[a], shape[b], strides[a], strides[b] = shape[b], shape[a], strides[b], strides[a]
        return View(tuple(shape), tuple(strides))

    @staticmethod
    def gradient(g: Tensor, dim0: int, dim1: int) -> Tensor:
        return g.transpose(dim0, dim1)

    samples = grid(input=[normal(2, 3, 4)], dim0=[0, -1], dim1=[1, 2])


class T_(Movement):
    """The transpose of a matrix; vectors and scalars stay."""

    schema = "t(Tensor input) -> Tensor"

    @staticmethod
    def view(x: Layout) -> View:
        if x.ndim > 2:
            raise refuse(
                RuntimeError, f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D", hint="x.mT or x.transpose(a, b)"
            )
        return View(tuple(reversed(x.shape)), tuple(reversed(x.strides)))

    @staticmethod
    def gradient(g: Tensor) -> Tensor:
        return g.t()

    samples = grid(input=[normal(2, 3), normal(3), normal()])


class Unsqueeze(Movement):
    """A dim of extent 1 inserted."""

    schema = "unsqueeze(Tensor input, int dim) -> Tensor"

    @staticmethod
    def view(x: Layout, dim: int) -> View:
        d = wrap_dim(dim, x.ndim + 1)
        stride = x.shape[d] * x.strides[d] if d < x.ndim else 1
        return View((*x.shape[:d], 1, *x.shape[d:]), (*x.strides[:d], stride, *x.strides[d:]))

    @staticmethod
    def gradient(g: Tensor, dim: int) -> Tensor:
        return g.squeeze(dim)

    samples = grid(input=[normal(2, 3)], dim=[0, 1, -1])


class Squeeze(Movement):
    """All dims of extent 1 removed."""

    schema = "squeeze(Tensor input) -> Tensor"

    @staticmethod
    def view(x: Layout) -> View:
        kept = [d for d in range(x.ndim) if x.shape[d] != 1]
        return View(tuple(x.shape[d] for d in kept), tuple(x.strides[d] for d in kept))

    @staticmethod
    def gradient(g: Tensor, input: Layout) -> Tensor:
        return g.reshape(input.shape)

    samples = grid(input=[normal(2, 1, 3), normal(1)])


class SqueezeDim(Movement):
    """The named dims removed where their extent is 1."""

    schema = "squeeze.dim(Tensor input, int[1] dim) -> Tensor"

    @staticmethod
    def view(x: Layout, dim: tuple[int, ...]) -> View:
        gone = {wrap_dim(d, x.ndim) for d in dim}
        kept = [d for d in range(x.ndim) if x.shape[d] != 1 or d not in gone]
        return View(tuple(x.shape[d] for d in kept), tuple(x.strides[d] for d in kept))

    @staticmethod
    def gradient(g: Tensor, input: Layout) -> Tensor:
        return g.reshape(input.shape)

    samples = [sample(normal(2, 1, 3), 1), sample(normal(2, 1, 3), 0)]


class Select(Movement):
    """One index of a dim; the dim goes."""

    schema = "select(Tensor input, int dim, int index) -> Tensor"

    @staticmethod
    def view(x: Layout, dim: int, index: int) -> View:
        if not x.ndim:
            raise refuse(IndexError, "select() cannot be applied to a 0-dim tensor.")
        d = wrap_dim(dim, x.ndim)
        n = x.shape[d]
        if not -n <= index < n:
            raise refuse(
                IndexError,
                f"select(): index {index} out of range for tensor of size {list(x.shape)} at dimension {d}",
                received=f"index {index}",
                expected=f"{-n} to {n - 1}",
            )
        return View((*x.shape[:d], *x.shape[d + 1 :]), (*x.strides[:d], *x.strides[d + 1 :]), (index % n) * x.strides[d])

    @staticmethod
    def gradient(g: Tensor, input: Layout, dim: int, index: int) -> Tensor:
        return ops.select_backward(g, tuple(input.shape), dim, index)

    samples = [sample(normal(3, 4), 0, 1), sample(normal(3, 4), -1, -1)]


class Slice(Movement):
    """start:end:step of a dim."""

    schema = "slice(Tensor input, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor"
    paths = ""

    @staticmethod
    def view(x: Layout, dim: int, start: int | None, end: int | None, step: int) -> View:
        d = wrap_dim(dim, x.ndim)
        if step <= 0:
            raise refuse(ValueError, "step must be greater than zero", received=f"step {step}")
        first, last, _ = slice(start, end, 1).indices(x.shape[d])
        n = max(0, -(-(last - first) // step))
        shape = (*x.shape[:d], n, *x.shape[d + 1 :])
        return View(shape, (*x.strides[:d], x.strides[d] * step, *x.strides[d + 1 :]), first * x.strides[d])

    @staticmethod
    def gradient(g: Tensor, input: Layout, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
        return ops.slice_backward(g, tuple(input.shape), dim, start, end, step)

    samples = [sample(normal(5, 4), 0, 1, 4, 2), sample(normal(5, 4), 1, None, -1)]


class Diagonal(Movement):
    """The diagonal of two dims, as the last dim."""

    schema = "diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor"

    @staticmethod
    def view(x: Layout, offset: int, dim1: int, dim2: int) -> View:
        a, b = wrap_dim(dim1, x.ndim), wrap_dim(dim2, x.ndim)
        if a == b:
            raise refuse(RuntimeError, f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        n = max(0, min(x.shape[a] + min(offset, 0), x.shape[b] - max(offset, 0)))
        start = (offset * x.strides[b] if offset >= 0 else -offset * x.strides[a]) if n else 0
        kept = [d for d in range(x.ndim) if d not in (a, b)]
        return View((*(x.shape[d] for d in kept), n), (*(x.strides[d] for d in kept), x.strides[a] + x.strides[b]), start)

    @staticmethod
    def gradient(g: Tensor, input: Layout, offset: int, dim1: int, dim2: int) -> Tensor:
        return ops.diagonal_backward(g, tuple(input.shape), offset, dim1, dim2)

    samples = [sample(normal(3, 4)), sample(normal(3, 4), 1), sample(normal(2, 3, 4), -1, 1, 2)]


class Unfold(Movement):
    """Windows of `size` along a dim, `step` apart, as a new last dim."""

    schema = "unfold(Tensor input, int dimension, int size, int step) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def view(x: Layout, dimension: int, size: int, step: int) -> View:
        d = wrap_dim(dimension, x.ndim)
        n = x.shape[d] if x.ndim else 1
        if size < 0:
            raise refuse(RuntimeError, f"size is {size} but must be >= 0")
        if size > n:
            raise refuse(RuntimeError, f"maximum size for tensor at dimension {d} is {n} but size is {size}")
        if step <= 0:
            raise refuse(RuntimeError, f"step is {step} but must be > 0")
        if not x.ndim:
            return View((size,), (1,))
        count = (n - size) // step + 1
        return View(
            (*x.shape[:d], count, *x.shape[d + 1 :], size), (*x.strides[:d], x.strides[d] * step, *x.strides[d + 1 :], x.strides[d])
        )

    @staticmethod
    def gradient(g: Tensor, input: Layout, dimension: int, size: int, step: int) -> Tensor:
        return ops.unfold_backward(g, tuple(input.shape), dimension, size, step)

    samples = [sample(normal(7), 0, 3, 2), sample(normal(2, 5), 1, 2, 1)]


class AsStridedFrom(Movement):
    """Any shape and strides, from `offset` elements after the tensor's first one."""

    schema = "as_strided_from(Tensor input, int[] size, int[] stride, int offset) -> Tensor"
    paths = ""

    @staticmethod
    def view(x: Layout, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> View:
        return View(size, stride, offset)

    @staticmethod
    def gradient(g: Tensor, input: Layout, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        return ops.as_strided_backward(g, input, size, stride, offset)


class AsStrided(Composite):
    """Any shape and strides on the storage; `storage_offset` counts elements from the storage's beginning."""

    schema = "as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor"
    out = False
    by_strides = True

    @staticmethod
    def compose(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
        size, stride = tuple(int(n) for n in size), tuple(int(n) for n in stride)
        if len(size) != len(stride):
            raise refuse(RuntimeError, "mismatch in length of strides and shape", received=f"size {size}, stride {stride}")
        if any(s < 0 for s in stride):
            raise refuse(RuntimeError, f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
        here = input.storage_offset()
        offset = here if storage_offset is None else int(storage_offset)
        if offset < 0:
            raise refuse(RuntimeError, f"Tensor: invalid storage offset {offset}")
        held = objects.memory(input)[2]
        need = (offset + extent(size, stride)) * input.dtype.itemsize if 0 not in size else 0
        if need > held:
            raise refuse(
                RuntimeError,
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {input.dtype.itemsize} requiring a storage size of {need} are out of bounds for storage of size {held}",
            )
        return ops.as_strided_from(input, size, stride, offset - here)

    samples = [sample(normal(6), (2, 2), (2, 1))]


# -- gradients of views that leave parts out: zeros with the gradient put in its place
def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    return ops.zeros(tuple(shape), dtype=like.dtype)


class SelectBackward(Procedure):
    """Zeros with `g` at one index of a dim."""

    schema = "select_backward(Tensor g, int[] sizes, int dim, int index) -> Tensor"
    batching = "front dim +sizes"
    paths = ""

    @staticmethod
    def run(g: Tensor, sizes: tuple[int, ...], dim: int, index: int) -> Tensor:
        out = _zeros(sizes, g)
        fill_in(out.select(dim, index), g)
        return out

    @staticmethod
    def gradient(g: Tensor, dim: int, index: int) -> Tensor:
        return g.select(dim, index)


class SliceBackward(Procedure):
    """Zeros with `g` at start:end:step of a dim."""

    schema = "slice_backward(Tensor grad, int[] sizes, int dim, int? start, int? end, int step) -> Tensor"
    batching = "front dim +sizes"
    paths = ""

    @staticmethod
    def run(grad: Tensor, sizes: tuple[int, ...], dim: int, start: int | None, end: int | None, step: int) -> Tensor:
        out = _zeros(sizes, grad)
        fill_in(ops.slice(out, dim, start, end, step), grad)
        return out

    @staticmethod
    def gradient(g: Tensor, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
        return ops.slice(g, dim, start, end, step)


class DiagonalBackward(Procedure):
    """Zeros with `grad` on a diagonal."""

    schema = "diagonal_backward(Tensor grad, int[] sizes, int offset, int dim1, int dim2) -> Tensor"
    batching = "front dim1 dim2 +sizes"
    paths = ""

    @staticmethod
    def run(grad: Tensor, sizes: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Tensor:
        out = _zeros(sizes, grad)
        fill_in(out.diagonal(offset, dim1, dim2), grad)
        return out

    @staticmethod
    def gradient(g: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
        return g.diagonal(offset, dim1, dim2)


RUN = 8  # elements of a window that are worth adding as a run


class UnfoldBackward(Procedure):
    """Windows added back to where they came from."""

    schema = "unfold_backward(Tensor grad, int[] sizes, int dim, int size, int step) -> Tensor"
    batching = "front dim +sizes"
    paths = ""

    @staticmethod
    def run(grad: Tensor, sizes: tuple[int, ...], dim: int, size: int, step: int) -> Tensor:
        out = _zeros(sizes, grad)
        if not sizes:
            return grad.sum().reshape(())
        d = wrap_dim(dim, len(sizes))
        apart = -(-size // step)  # every so many windows do not overlap
        if size < RUN and apart > 1:
            for k in range(size):  # one place of all windows at a time
                ops.slice(out, d, k).unfold(d, 1, step).narrow(d, 0, grad.shape[d]).add_(grad.narrow(-1, k, 1))
            return out
        for first in range(min(apart, grad.shape[d])):
            part = ops.slice(grad, d, first, None, apart)
            where = ops.slice(out, d, first * step).unfold(d, size, apart * step).narrow(d, 0, part.shape[d])
            where.add_(part) if first else where.copy_(part)
        return out

    @staticmethod
    def gradient(g: Tensor, dim: int, size: int, step: int) -> Tensor:
        return g.unfold(dim, size, step)


def _strided(t: Tensor, shape: Sequence[int], strides: Sequence[int], offset: int) -> Tensor:
    """A view of a contiguous buffer that stands for a storage."""
    from ..core.plan import view_of

    return view_of(t, layout(tuple(shape), t.dtype, tuple(strides), t.device), offset * t.dtype.itemsize, None, [t])


class AsStridedBackward(Procedure):
    """The gradient of a strided view of a tensor with geometry `base`: elements seen several times add up."""

    schema = "as_strided_backward(Tensor grad, any base, int[] size, int[] stride, int offset) -> Tensor"
    paths = ""

    @staticmethod
    def run(grad: Tensor, base: Layout, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        start, reach = _reach(base, size, stride, offset)
        places = _strided(ops.arange(reach), size, stride, offset - start)
        buffer = ops.index_add_zeros(grad.reshape(-1), [places.reshape(-1)], (reach,), (0,), 0)
        return _strided(buffer, base.shape, base.strides, -start).clone()

    @staticmethod
    def gradient(g: Tensor, base: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        return ops.as_strided_gather(g, base, size, stride, offset)


def _reach(base: Layout, size: Sequence[int], stride: Sequence[int], offset: int) -> tuple[int, int]:
    """First element and number of elements that cover both the base and the view."""
    last = offset + (0 if 0 in size else sum((n - 1) * s for n, s in zip(size, stride)))
    start = min(0, offset)
    return start, max(base.extent, last + 1) - start


def _as_base(g: Tensor, base: Layout, start: int, reach: int) -> Tensor:
    """`g` (any strides) in a buffer laid out as the base."""
    buffer = _zeros((reach,), g)
    _strided(buffer, base.shape, base.strides, -start).copy_(g)
    return buffer


class AsStridedGather(Procedure):
    """What a strided view of a tensor with geometry `base` and values `grad` sees."""

    schema = "as_strided_gather(Tensor grad, any base, int[] size, int[] stride, int offset) -> Tensor"
    paths = ""

    @staticmethod
    def run(grad: Tensor, base: Layout, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        start, reach = _reach(base, size, stride, offset)
        return _strided(_as_base(grad, base, start, reach), size, stride, offset - start).clone()

    @staticmethod
    def gradient(g: Tensor, base: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        return ops.as_strided_backward(g, base, size, stride, offset)


class AsStridedZeroed(Procedure):
    """`grad` with zeros where a strided view lies."""

    schema = "as_strided_zeroed(Tensor grad, any base, int[] size, int[] stride, int offset) -> Tensor"
    paths = ""

    @staticmethod
    def run(grad: Tensor, base: Layout, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        start, reach = _reach(base, size, stride, offset)
        buffer = _as_base(grad, base, start, reach)
        _strided(buffer, size, stride, offset - start).zero_()
        return _strided(buffer, base.shape, base.strides, -start)

    @staticmethod
    def gradient(g: Tensor, base: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Tensor:
        return ops.as_strided_zeroed(g, base, size, stride, offset)


# -- compositions
class Reshape(Composite):
    """The same elements in another shape: a view where possible, else a copy."""

    schema = "reshape(Tensor input, int[] shape) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, *shape: Any) -> Tensor:
        size = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) and hasattr(shape[0], "__iter__") else shape
        size = infer_size([int(n) for n in size], input._layout.numel)
        if view_strides(input._layout.shape, input._layout.strides, size) is not None:
            return input.view(size)
        return input.clone(memory_format=contiguous_format).view(size)

    samples = [sample(normal(2, 3), (3, 2)), sample(normal(2, 3), (-1,))]


class ViewAs(Composite):
    """`view` with another tensor's shape."""

    schema = "view_as(Tensor input, Tensor other) -> Tensor"
    by_strides = True
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        return input.view(other._layout.shape)

    samples = [sample(normal(2, 3), normal(3, 2))]


class Flatten(Composite):
    """The dims from `start_dim` to `end_dim` as one."""

    schema = "flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        shape = input._layout.shape
        n = len(shape)
        a, b = wrap_dim(start_dim, n), wrap_dim(end_dim, n)
        if a > b:
            raise refuse(RuntimeError, "flatten() has invalid args: start_dim cannot come after end_dim")
        if not n:
            return input.reshape(1)
        if a == b:
            return input
        merged = 1
        for x in shape[a : b + 1]:
            merged *= x
        return input.reshape((*shape[:a], merged, *shape[b + 1 :]))

    samples = [sample(normal(2, 3, 4)), sample(normal(2, 3, 4), 1)]


class Narrow(Composite):
    """`length` indices of a dim from `start` on."""

    schema = "narrow(Tensor input, int dim, int start, int length) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
        if not input.ndim:
            raise refuse(RuntimeError, "narrow() cannot be applied to a 0-dim tensor.")
        if length < 0:
            raise refuse(RuntimeError, "narrow(): length must be non-negative.")
        if isinstance(start, Tensor) and (start.ndim or not start.dtype.is_integral):
            raise refuse(
                RuntimeError, "start must be an 0-dim integral Tensor.", received=f"start of {start.ndim} dims and type {start.dtype.name}"
            )
        d = wrap_dim(dim, input.ndim)
        n, first = input.shape[d], int(start)
        if not -n <= first <= n:
            raise refuse(IndexError, f"start out of range (expected to be in range of [{-n}, {n}], but got {first})")
        first = first + n if first < 0 else first
        if first + length > n:
            raise refuse(RuntimeError, f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
        return ops.slice(input, d, first, first + length, 1)

    samples = [sample(normal(5, 2), 0, 1, 3)]


class Movedim(Composite):
    """Dims moved to other places; the rest keep their order."""

    schema = "movedim(Tensor input, any source, any destination) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, source: Any, destination: Any) -> Tensor:
        n = input.ndim
        given, wanted = (list(x) if isinstance(x, (tuple, list)) else [x] for x in (source, destination))
        if len(given) != len(wanted):
            raise refuse(
                RuntimeError,
                f"movedim: Invalid source or destination dims: source ({given} dims) should contain the same number of dims as destination ({wanted} dims)",
            )
        a, b = ([wrap_dim(x, n) for x in dims] for dims in (given, wanted))
        if len(set(a)) != len(a):
            raise refuse(RuntimeError, f"movedim: repeated dim in `source` ({given})")
        if len(set(b)) != len(b):
            raise refuse(RuntimeError, f"movedim: repeated dim in `destination` ({wanted})")
        order: list[int] = [-1] * n
        for x, y in zip(a, b):
            order[y] = x
        rest = iter(k for k in range(n) if k not in a)
        return input.permute(tuple(k if k >= 0 else next(rest) for k in order))

    samples = [sample(normal(2, 3, 4), 1, -1), sample(normal(2, 3, 4), (0, 1), (2, 0))]


class ExpandAs(Composite):
    """`expand` to another tensor's shape."""

    schema = "expand_as(Tensor input, Tensor other) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        return input.expand(other._layout.shape)

    samples = [sample(normal(3, 1), normal(3, 4))]


class Unflatten(Composite):
    """One dim as several."""

    schema = "unflatten(Tensor input, int dim, int[] sizes) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, dim: int, sizes: Any) -> Tensor:
        d = wrap_dim(dim, input.ndim)
        sizes = tuple(sizes)
        if not input.ndim:
            raise refuse(RuntimeError, "unflatten got an unexpected error:\nindex 0 is out of range for a tensor without dims")
        if not sizes:
            raise refuse(RuntimeError, "unflatten: sizes must be non-empty")
        try:
            parts = infer_size(sizes, input.shape[d])
        except RuntimeError:
            raise refuse(
                RuntimeError,
                f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({input.shape[d]}) in the input tensor",
            ) from None
        return input.view((*input.shape[:d], *parts, *input.shape[d + 1 :]))

    samples = [sample(normal(2, 6), 1, (2, 3))]


def _matrix_transpose(self: Tensor) -> Tensor:
    if self.ndim < 2:
        raise refuse(RuntimeError, f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor.")
    return self.transpose(-2, -1)


Tensor.T = property(lambda self: self.permute(tuple(range(self.ndim - 1, -1, -1))), doc="All dims in reverse order.")
Tensor.mT = property(_matrix_transpose, doc="The last two dims exchanged.")
Tensor.H = property(lambda self: self.t().conj() if self.dtype.is_complex else self.t(), doc="Conjugate transpose of a matrix.")
Tensor.mH = property(
    lambda self: self.transpose(-2, -1).conj() if self.dtype.is_complex else self.transpose(-2, -1),
    doc="Conjugate transpose of the last two dims.",
)
