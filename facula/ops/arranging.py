"""Elements in other places: flip, roll, repeat, tile, triangles, diagonals, padding. One read and one write of each element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import contiguous_format, preserve_format
from ..base.errors import refuse
from ..core.copying import converted, fill_in
from ..core.layout import Layout, layout
from ..core.placing import known, no_values
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel import borders
from ..kernel.launch import Array, Counter
from ..kernel.pointwise import copy, flip, pointwise
from ..kernel.scalar import Scalar, const, input, where
from ..spec.block import Composite, Fused, Procedure
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, grid, normal, refused, sample, values
from .creation import strides_like
from .formats import image, is_last


def _list(dims: Any) -> tuple[int, ...]:
    return tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)


class FlipDims(Fused):
    """Read from the last element of the dims back."""

    schema = "flip_dims(Tensor input, int[] dims) -> Tensor"
    batching = "front dims"
    paths = ""

    @staticmethod
    def kernel(x: Layout, dims: tuple[int, ...]) -> Result:
        out = layout(x.shape, x.dtype, strides_like(x, preserve_format))
        return Result((out,), flip(out, x, dims))

    @staticmethod
    def gradient(g: Tensor, dims: tuple[int, ...]) -> Tensor:
        return ops.flip_dims(g, dims)


class Flip(Composite):
    """The order of the indices of some dims turned round."""

    schema = "flip(Tensor input, int[] dims) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, dims: Any = (), *more: int) -> Tensor:
        listed = (*_list(dims), *more)
        wrapped = [wrap_dim(k, input.ndim) for k in listed]
        if len(set(wrapped)) != len(wrapped):
            k = next(k for k in wrapped if wrapped.count(k) > 1)
            raise refuse(RuntimeError, f"dim {k} appears multiple times in the list of dims")
        return ops.flip_dims(input, tuple(wrapped)) if input.ndim and wrapped else input.clone()

    samples = [sample(normal(3, 4), (0,)), sample(normal(3, 4), (0, 1))]


class Roll(Composite):
    """Indices shifted along dims, those that leave coming back at the other end; without dims the flat order is shifted."""

    schema = "roll(Tensor input, int[1] shifts, int[1] dims=[]) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
        moves, listed = _list(shifts), _list(dims)
        if not moves:
            raise refuse(RuntimeError, "`shifts` required")
        if not listed:
            if len(moves) != 1:
                raise refuse(RuntimeError, f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(listed)}")
            return ops.roll(input.reshape(-1), moves, (0,)).view(input.shape)
        if len(moves) != len(listed):
            raise refuse(RuntimeError, f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(listed)}")
        x = input
        for shift, dim in zip(moves, listed):
            k = wrap_dim(dim, x.ndim)
            n = x.shape[k]
            x = ops.rolled(x, shift % n, k) if n and shift % n else x
        return x if x is not input else input.clone()

    samples = [sample(normal(5), 2, 0), sample(normal(3, 4), (1, -1), (0, 1)), sample(normal(3, 4), 3)]


class Rolled(Fused):
    """Indices of one dim moved on by `shift`, which is less than its size."""

    schema = "rolled(Tensor input, int shift, int dim) -> Tensor"
    batching = "front dim"
    paths = ""

    @staticmethod
    def kernel(x: Layout, shift: int, dim: int) -> Result:
        from .gathering import chain

        out, n = layout(x.shape, x.dtype), x.shape[dim]
        parts: list[Any] = []
        for source, target, size in ((0, shift, n - shift), (n - shift, 0, shift)):
            shape = tuple(size if k == dim else m for k, m in enumerate(x.shape))
            part = copy(Array(x.dtype, shape, out.strides), Array(x.dtype, shape, x.strides))
            parts.append(offset(part, target * out.strides[dim] * x.dtype.itemsize, source * x.strides[dim] * x.dtype.itemsize))
        return Result((out,), chain(*parts))

    @staticmethod
    def gradient(g: Tensor, shift: int, dim: int) -> Tensor:
        return ops.rolled(g, g.shape[dim] - shift, dim)


def _copied(wide: Tensor) -> Tensor:
    """Memory of its own, row by row, also where an expanded tensor could be seen in another shape without a copy."""
    return wide.clone(memory_format=contiguous_format)


class Repeat(Composite):
    """The tensor repeated along each dim."""

    schema = "repeat(Tensor input, int[] repeats) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, repeats: Any, *more: int) -> Tensor:
        times = tuple(int(n) for n in (*_list(repeats), *more))
        if len(times) < input.ndim:
            raise refuse(
                RuntimeError,
                "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor",
                received=f"repeats {times} for {input.ndim} dims",
            )
        if any(n < 0 for n in times):
            raise refuse(RuntimeError, f"Trying to create tensor with negative dimension {min(times)}: {list(times)}")
        lead = len(times) - input.ndim
        shape = (*(1,) * lead, *input.shape)
        pairs = [m for n, k in zip(shape, times) for m in (1, n)]
        wide = [m for n, k in zip(shape, times) for m in (k, n)]
        return _copied(input.reshape(tuple(pairs)).expand(tuple(wide))).view(tuple(n * k for n, k in zip(shape, times)))

    samples = [sample(normal(2, 3), (2, 1)), sample(normal(3), (2, 2))]


class Tile(Composite):
    """`repeat` with missing leading counts taken as 1."""

    schema = "tile(Tensor input, int[] dims) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, dims: Any, *more: int) -> Tensor:
        times = (*_list(dims), *more)
        return input.repeat((1,) * (input.ndim - len(times)) + times)

    samples = [sample(normal(2, 3), (2,))]


class RepeatInterleave(Composite):
    """Each element repeated, one after the other, along a dim (flat when none is named)."""

    schema = "repeat_interleave(Tensor input, any repeats, int? dim=None, *, int? output_size=None) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
        if repeats is None:  # repeat_interleave(repeats): how often each index comes
            return ops.repeat_interleave(ops.arange(input.shape[0]), input)
        x = input if dim is not None else input.reshape(-1)
        k = wrap_dim(0 if dim is None else dim, x.ndim)
        n = x.shape[k]
        if not isinstance(repeats, Tensor):
            if repeats < 0:
                raise refuse(RuntimeError, "Repeats must be non-negative")
            wide = x.unsqueeze(k + 1).expand((*x.shape[: k + 1], int(repeats), *x.shape[k + 1 :]))
            return _copied(wide).view((*x.shape[:k], n * int(repeats), *x.shape[k + 1 :]))
        if repeats.ndim > 1:
            raise refuse(RuntimeError, "repeats must be 0-dim or 1-dim tensor")
        if repeats.dtype not in (d.int32, d.int64):
            raise refuse(NotImplementedError, f"\"repeat_interleave_cpu\" not implemented for '{scalar_type_name(repeats.dtype)}'")
        if not known(repeats):
            if output_size is None:
                raise no_values(RuntimeError, "cannot repeat_interleave a meta tensor without output_size")
            return x.new_empty((*x.shape[:k], output_size, *x.shape[k + 1 :]))
        if repeats.numel() == 1:
            return ops.repeat_interleave(x, int(repeats.item()), k)
        if repeats.numel() != n:
            raise refuse(
                RuntimeError,
                f"repeats must have the same size as input along dim, but got repeats.size(0) = {repeats.numel()} and input.size({k}) = {n}",
            )
        counts = repeats.to(d.int64)
        least, most = (int(t.item()) for t in counts.aminmax()) if n else (0, 0)
        if least < 0:
            raise refuse(RuntimeError, "repeats can not be negative")
        total = int(counts.sum().item()) if most * n < 2**63 else sum(counts.tolist())
        if output_size is not None and output_size != total:
            raise refuse(
                RuntimeError, "allocated size does not match required size", received=f"output_size={output_size}", expected=str(total)
            )
        begins = ops.scatter_zeros(ops.ones_like(counts), 0, counts.cumsum(0) - counts, (total + 1,))  # how many begin at each place
        places = begins.narrow(0, 0, total).cumsum(0).sub_(1)
        return ops.index_get(x, [places], (k,), k)

    samples = [sample(normal(3, 2), 2), sample(normal(3, 2), 2, 0)]
    refusals = each(refused(normal(2), values([3, 1], "int16"), raises=NotImplementedError, match="not implemented for 'Short'"),
                    refused(normal(2), values([3, 2**62]), raises=RuntimeError, match="Storage size calculation overflowed"),
                    refused(normal(2), values([3, 1]), output_size=5, raises=RuntimeError, match="allocated size does not match required size"))  # fmt: skip


# -- triangles
class Triangle(Fused):
    """The part of matrices on and below (`upper`: above) a diagonal; zeros elsewhere."""

    schema = "triangle(Tensor input, int diagonal, bool upper) -> Tensor"
    batching = "front"
    paths = ""

    @staticmethod
    def kernel(x: Layout, diagonal: int, upper: bool) -> Result:
        out = layout(x.shape, x.dtype)
        rows, columns = x.shape[-2:]
        kind = d.int32 if rows + columns < 1 << 31 else d.int64
        # how far an element lies to the right of the diagonal
        right = Counter(kind, x.shape, (*(0,) * (x.ndim - 2), -1, 1), -max(-rows, min(diagonal, columns)))
        value, place = input(0, x.dtype.compute), input(1, kind)
        return Result((out,), pointwise([out], [x, right], (where(place >= 0 if upper else place <= 0, value, _zero(value)),)))

    @staticmethod
    def gradient(g: Tensor, diagonal: int, upper: bool) -> Tensor:
        return ops.triangle(g, diagonal, upper)


def _zero(x: Scalar) -> Scalar:
    return const(False if x.dtype is d.bool_ else 0, x.dtype)


def _triangle(name: str, upper: bool, side: str) -> None:
    def compose(input: Tensor, diagonal: int = 0) -> Tensor:
        if input.ndim < 2:
            raise refuse(RuntimeError, f"{name}: input tensor must have at least 2 dimensions", received=f"{input.ndim} dims")
        return ops.triangle(input, int(diagonal), upper)

    def write(self: Tensor, diagonal: int = 0) -> Tensor:
        from ..core import writing

        writing.check_target(self, name + "_")
        writing.check_leaf(self)
        return writing.assign(self, compose(self, diagonal), name + "_")

    body = {"__doc__": f"The part of matrices on and {side} a diagonal.", "__module__": __name__, "schema": f"{name}(Tensor input, int diagonal=0) -> Tensor",
            "compose": staticmethod(compose), "samples": grid(input=[normal(3, 4), normal(2, 3, 3)], diagonal=[0, 1, -1])}  # fmt: skip
    type(name.title(), (Composite,), body)
    setattr(Tensor, name + "_", write)


_triangle("tril", False, "below")
_triangle("triu", True, "above")


# -- padding
class ConstantPadNd(Composite):
    """Constant borders; `pad` lists (before, after) from the last dim backwards, negative counts cut off."""

    schema = "constant_pad_nd(Tensor input, int[] pad, Scalar value=0) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
        pads = tuple(int(p) for p in pad)
        if len(pads) % 2:
            raise refuse(RuntimeError, f"Length of pad must be even but instead it equals {len(pads)}")
        if len(pads) // 2 > input.ndim:
            raise refuse(
                RuntimeError,
                f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pads)}while the input has {input.ndim}dimensions.",
            )
        return ops.padded(input, pads, value if isinstance(value, (int, float, complex)) else value.item())

    samples = [sample(normal(2, 3), (1, 2)), sample(normal(2, 3), (1, -1, 0, 2), 0.5)]


class Padded(Fused):
    """Constant borders."""

    schema = "padded(Tensor input, int[] pad, Scalar value) -> Tensor"
    batching = "front"
    paths = ""
    static = ("value",)

    @staticmethod
    def kernel(x: Layout, pad: tuple[int, ...], value: Any) -> Result:
        from .creation import fill_schedule
        from .gathering import chain, moved

        shape, first, start, kept, strides = list(x.shape), 0, 0, list(x.shape), x.strides
        for k in range(len(pad) // 2):
            dim = x.ndim - 1 - k
            shape[dim] += pad[2 * k] + pad[2 * k + 1]
            if shape[dim] < 0:
                raise refuse(
                    RuntimeError,
                    f"The input size {x.shape[dim]}, plus negative padding {pad[2 * k]} and {pad[2 * k + 1]} resulted in a negative output size, which is invalid. Check dimension {dim} of your input.",
                )
        out = image(shape, x.dtype, is_last(x, x.ndim - 2))
        for k in range(len(pad) // 2):
            dim = x.ndim - 1 - k
            before, after = pad[2 * k], pad[2 * k + 1]
            first += max(before, 0) * out.strides[dim]
            start += max(-before, 0) * strides[dim]
            kept[dim] = max(0, x.shape[dim] + min(before, 0) + min(after, 0))
        inner_out = layout(tuple(kept), x.dtype, out.strides)
        inner_in = layout(tuple(kept), x.dtype, strides)
        copy = offset(
            pointwise([inner_out], [inner_in], (converted(x.dtype, x.dtype),)), first * x.dtype.itemsize, start * x.dtype.itemsize
        )
        return Result((out,), chain(constant(fill_schedule(out, value), value), moved(copy, (0,))))

    @staticmethod
    def gradient(g: Tensor, pad: tuple[int, ...]) -> Tensor:
        return ops.padded(g, tuple(-p for p in pad), 0)


def offset(schedule: Any, out: int, source: int) -> Any:
    """The schedule with its output and input that many bytes further."""
    from dataclasses import replace

    from ..kernel.launch import In, Out

    def further(w: Any) -> Any:
        return Out(w.index, w.offset + out) if isinstance(w, Out) else In(w.index, w.offset + source) if isinstance(w, In) else w

    return replace(schedule, launches=tuple(replace(x, words=tuple(further(w) for w in x.words)) for x in schedule.launches))


def constant(schedule: Any, value: Any) -> Any:
    """The fill's number as a constant."""
    from dataclasses import replace

    from ..kernel.launch import Number, bits

    def fixed(w: Any) -> Any:
        return (int(value) if w.type == "i64" else bits(float(value), w.type)) if isinstance(w, Number) else w

    return replace(schedule, launches=tuple(replace(x, words=tuple(fixed(w) for w in x.words)) for x in schedule.launches))


def _places(n: int, before: int, after: int, mode: str) -> Tensor:
    """Which index each place of a padded dim shows."""
    if mode == "circular":  # what is cut off does not come back on the other side
        first, kept = max(-before, 0), n + min(before, 0) + min(after, 0)
        return first + ops.remainder(ops.arange(-max(before, 0), kept + max(after, 0)), kept)
    shown = ops.arange(-before, n + after)
    if mode == "replicate":
        return shown.clamp(0, n - 1)
    turns = ops.remainder(shown, max(2 * (n - 1), 1))
    return ops.minimum(turns, 2 * (n - 1) - turns)


class Pad(Composite):
    """Borders: constant, reflect, replicate or circular."""

    schema = 'pad(Tensor input, int[] pad, str mode="constant", float? value=None) -> Tensor'
    paths = ""

    @staticmethod
    def compose(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
        pads = tuple(int(p) for p in pad)
        if len(pads) % 2:
            raise refuse(RuntimeError, "Padding length must be divisible by 2")
        if len(pads) // 2 > input.ndim:
            raise refuse(
                RuntimeError,
                f"Padding length should be less than or equal to two times the input dimension but got padding length {len(pads)} and input of dimension {input.ndim}",
            )
        if mode == "constant":
            return ops.constant_pad_nd(input, pads, 0 if value is None else value)
        if value not in (None, 0):
            raise refuse(RuntimeError, f'Padding mode "{mode}" doesn\'t take in value argument')
        if mode not in ("reflect", "replicate", "circular"):
            raise refuse(NotImplementedError, f"Unrecognised padding mode {mode}")
        n = len(pads) // 2
        if not (n in (1, 2, 3) and input.ndim in (n + 1, n + 2)):
            raise refuse(NotImplementedError, f"Padding size {len(pads)} is not supported for {input.ndim}D input tensor.\n"
                         "Supported combinations for non-constant padding:\n  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
                         "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)")  # fmt: skip
        first = input.ndim - n - 1
        if mode != "circular" and any(v == 0 for v in input.shape[max(first, 0) :]):
            raise refuse(
                RuntimeError,
                f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {list(input.shape)}",
            )
        if mode != "circular" and input.dtype is d.bool_:
            raise refuse(
                NotImplementedError, f"\"{'reflection' if mode == 'reflect' else 'replication'}_pad{n}d\" not implemented for 'Bool'"
            )
        for k in range(n):
            _check_border(input, input.ndim - 1 - k, pads[2 * k], pads[2 * k + 1], mode, k)
        if min(pads) >= 0:
            return ops.bordered(input, pads, mode)
        x = input
        for k in range(n):
            dim, before, after = input.ndim - 1 - k, pads[2 * k], pads[2 * k + 1]
            x = ops.selected_border(x, _places(x.shape[dim], before, after, mode), dim) if before or after else x
        return x

    samples = [sample(normal(1, 2, 4), (1, 2), mode) for mode in ("reflect", "replicate", "circular")]


def _check_border(x: Tensor, dim: int, before: int, after: int, mode: str, k: int) -> None:
    n = x.shape[dim]
    if mode == "reflect" and (before >= n or after >= n):
        raise refuse(
            RuntimeError,
            f"Argument #{4 + 2 * k}: Padding size should be less than the corresponding input dimension, but got: padding ({before}, {after}) at dimension {dim} of input {list(x.shape)}",
        )
    if mode == "circular" and (before > n or after > n):
        raise refuse(RuntimeError, "Padding value causes wrapping around more than once.")
    if mode == "circular" and (n + before + after < 0):
        raise refuse(RuntimeError, "Negative padding value is resulting in an empty dimension")
    if not n or n + before + after <= 0:
        raise refuse(RuntimeError, f"input (W: {n}) is too small. Calculated output W: {n + before + after}")


class Bordered(Fused):
    """Borders that repeat what is inside, none of them negative."""

    schema = "bordered(Tensor input, int[] pad, str mode) -> Tensor"
    batching = "front"
    paths = ""

    @staticmethod
    def kernel(x: Layout, pad: tuple[int, ...], mode: str) -> Result:
        pads = _by_dim(pad, x.ndim)
        shape = [n + before + after for n, (before, after) in zip(x.shape, pads)]
        out = image(shape, x.dtype, mode != "circular" and is_last(x, x.ndim - 2))
        return Result((out,), borders.add_borders(out, x, pads, mode))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, pad: tuple[int, ...], mode: str) -> Tensor:
        return ops.bordered_backward(g, input, pad, mode)


def _by_dim(pad: Sequence[int], ndim: int) -> list[tuple[int, int]]:
    """(before, after) of each dim, from the first one on."""
    listed = [(pad[2 * k], pad[2 * k + 1]) for k in range(len(pad) // 2)]
    return [(0, 0)] * (ndim - len(listed)) + listed[::-1]


class BorderedBackward(Fused):
    """Each gradient added where it was shown from. The input's values do not matter: its own derivative is zero, but there is one."""

    schema = "bordered_backward(Tensor grad, Tensor input, int[] pad, str mode) -> Tensor"
    batching = "front"
    paths = ""

    @staticmethod
    def kernel(grad: Layout, input: Layout, pad: tuple[int, ...], mode: str) -> Result:
        out = image(input.shape, grad.dtype, mode != "circular" and is_last(input, input.ndim - 2))
        return Result((out,), borders.fold_borders(out, grad, _by_dim(pad, grad.ndim), mode))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, pad: tuple[int, ...], mode: str) -> tuple[Any, ...]:
        return ops.bordered(g, pad, mode), ops.zeros_like(input)


class SelectedBorder(Procedure):
    """The places of a dim that a border shows, where others are cut off."""

    schema = "selected_border(Tensor input, Tensor places, int dim) -> Tensor"
    paths = ""

    @staticmethod
    def run(input: Tensor, places: Tensor, dim: int) -> Tensor:
        return ops.index_get(input, [places], (dim,), dim)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, places: Tensor, dim: int) -> tuple[Any, ...]:
        return ops.selected_border_backward(g, input, places, dim), None


class SelectedBorderBackward(Procedure):
    """Each gradient added where it was shown from. The input's values do not matter: its own derivative is zero, but there is one."""

    schema = "selected_border_backward(Tensor grad, Tensor input, Tensor places, int dim) -> Tensor"
    paths = ""

    @staticmethod
    def run(grad: Tensor, input: Tensor, places: Tensor, dim: int) -> Tensor:
        return ops.zeros(tuple(input.shape), dtype=grad.dtype).index_add(dim, places, grad)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, places: Tensor, dim: int) -> tuple[Any, ...]:
        return ops.selected_border(g, places, dim), ops.zeros_like(input), None


class DiagEmbed(Composite):
    """Matrices with the last dim on a diagonal."""

    schema = "diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        ndim = input.ndim + 1
        a, b = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
        n = input.shape[-1] + abs(offset)
        if a == b:
            raise refuse(RuntimeError, f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        rest = iter(input.shape[:-1])
        shape = tuple(n if k in (a, b) else next(rest) for k in range(ndim))
        return ops.diagonal_backward(input, shape, offset, a, b)

    samples = [sample(normal(2, 3)), sample(normal(3), 1)]


class Diag(Composite):
    """A matrix with a vector on its diagonal, or the diagonal of a matrix."""

    schema = "diag(Tensor input, int diagonal=0) -> Tensor"

    @staticmethod
    def compose(input: Tensor, diagonal: int = 0) -> Tensor:
        if input.ndim not in (1, 2):
            raise refuse(RuntimeError, f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
        return ops.diag_embed(input, diagonal) if input.ndim == 1 else input.diagonal(diagonal).clone()

    samples = [sample(normal(3)), sample(normal(3, 4), 1)]


class Diagflat(Composite):
    """A matrix with all elements on its diagonal."""

    schema = "diagflat(Tensor input, int offset=0) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, offset: int = 0) -> Tensor:
        return ops.diag_embed(input.reshape(-1), offset)

    samples = [sample(normal(2, 2))]


class Eye(Composite):
    """Ones on the diagonal."""

    overloaded = True  # in PyTorch
    schema = "eye(int n, int? m=None, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        n: int,
        m: int | None = None,
        *,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        columns = n if m is None else m
        if n < 0 or columns < 0:
            raise refuse(
                RuntimeError, f"n must be greater or equal to 0, got {n}" if n < 0 else f"m must be greater or equal to 0, got {columns}"
            )
        t = ops.zeros(n, columns, dtype=dtype)
        if min(n, columns):
            fill_in(t.diagonal(), ops.ones((), dtype=t.dtype))
        return ops.resize_(out, tuple(t.shape)).copy_(t) if out is not None else t.requires_grad_(requires_grad)

    samples = [sample(3), sample(2, 3)]
