"""Tensors put together and taken apart: cat, stack, split, chunk, unbind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import refuse
from ..core.copying import converted
from ..core.layout import Layout, layout
from ..core.result import Result, View
from ..core.tensor import Tensor, wrap_dim
from ..kernel.launch import Array, In, Launch, Out, Schedule
from ..kernel.pointwise import pointwise
from ..spec.block import Composite, Fused, Movement
from ..spec.promotion import result_type
from ..spec.registry import ops
from ..spec.samples import each, normal, refused, sample


class Cat(Fused):
    """Tensors one after another along a dim. One read and one write of each element."""

    schema = "cat(Tensor[] tensors, int dim=0) -> Tensor"
    out_dtype = "cast"
    batching = "front dim"
    paths = "torch"
    disjoint = True

    @staticmethod
    def kernel(tensors: list[Layout], dim: int) -> Result:
        if not tensors:
            raise refuse(ValueError, "torch.cat(): expected a non-empty list of Tensors")
        real = [t for t in tensors if t is not None and not (t.ndim == 1 and t.numel == 0)] or tensors[:1]
        first = real[0]
        for i, t in enumerate(tensors):
            if t is None:
                raise TypeError(f"expected Tensor as element {i} in argument 0, but got NoneType")
            if not t.ndim:
                raise refuse(RuntimeError, f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        d = wrap_dim(dim, first.ndim)
        total = 0
        for i, t in enumerate(tensors):
            if t.ndim == 1 and t.numel == 0:
                continue
            if t.ndim != first.ndim:
                raise refuse(RuntimeError, f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}")
            for k in range(first.ndim):
                if k != d and t.shape[k] != first.shape[k]:
                    raise refuse(
                        RuntimeError,
                        f"Sizes of tensors must match except in dimension {d}. Expected size {first.shape[k]} but got size {t.shape[k]} for tensor number {i} in the list.",
                        received=", ".join(str(tuple(x.shape)) for x in tensors),
                    )
            total += t.shape[d]
        kind = result_type([t.dtype for t in tensors])
        strides = None
        if first.ndim == 4 and not first.contiguous:
            from ..core.layout import channels_last_strides, is_channels_last

            if all(is_channels_last(t.shape, t.strides) for t in real):
                strides = channels_last_strides((*first.shape[:d], total, *first.shape[d + 1 :]))
        out = layout((*first.shape[:d], total, *first.shape[d + 1 :]), kind, strides)
        launches: list[Launch] = []
        at = 0
        for i, t in enumerate(tensors):
            if t.ndim != first.ndim or not t.numel:
                continue
            part = pointwise([Array(kind, tuple(t.shape), out.strides)], [t], (converted(t.dtype, kind),))
            offset = at * out.strides[d] * kind.itemsize
            for x in part.launches:
                words = tuple(
                    Out(0, w.offset + offset) if isinstance(w, Out) else In(i, w.offset) if isinstance(w, In) else w for w in x.words
                )
                launches.append(Launch(x.kernel, words, x.total, x.grain, x.bytes, x.flops))
            at += t.shape[d]
        return Result((out,), Schedule(tuple(launches)))

    @staticmethod
    def gradient(g: Tensor, tensors: list[Layout], dim: int, needs: Any) -> tuple[Any, ...]:
        parts, at = [], 0
        ndim = g.ndim
        d = wrap_dim(dim, ndim)
        for t, wanted in zip(tensors, needs[0]):
            if t.ndim == 1 and t.numel == 0 and ndim != 1:
                parts.append(ops.zeros((0,), dtype=t.dtype) if wanted else None)
                continue
            n = t.shape[d]
            piece = ops.slice(g, d, at, at + n) if wanted else None
            parts.append(piece if piece is None or piece.dtype is t.dtype else piece.to(t.dtype))
            at += n
        return (parts,)

    samples = [sample([normal(2, 3), normal(1, 3)]), sample([normal(2, 3), normal(2, 2)], 1), sample([normal(2, 0), normal(2, 2)], -1)]
    refusals = each(
        refused(
            [normal(2, 3), normal(2, 4)],
            raises=RuntimeError,
            match="Sizes of tensors must match except in dimension 0. Expected size 3 but got size 4",
        )
    )


class Stack(Composite):
    """Tensors of one shape along a new dim."""

    schema = "stack(Tensor[] tensors, int dim=0) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(tensors: Sequence[Tensor], dim: int = 0, *, out: Any = None) -> Tensor:
        if isinstance(tensors, Tensor):
            raise TypeError("stack(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
        if not len(tensors):
            raise refuse(RuntimeError, "stack expects a non-empty TensorList")
        first = tensors[0].shape
        for i, t in enumerate(tensors):
            if t.shape != first:
                raise refuse(
                    RuntimeError,
                    f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(t.shape)} at entry {i}",
                )
        d = wrap_dim(dim, len(first) + 1)
        return ops.cat([t.unsqueeze(d) for t in tensors], d) if out is None else ops.cat([t.unsqueeze(d) for t in tensors], d, out=out)

    samples = [sample([normal(2, 3), normal(2, 3)]), sample([normal(2, 3), normal(2, 3)], -1)]


class SplitWithSizes(Movement):
    """Views of the given extents along a dim."""

    schema = "split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor"

    @staticmethod
    def view(x: Layout, split_sizes: tuple[int, ...], dim: int) -> list[View]:
        if not x.ndim:
            raise refuse(RuntimeError, "split expects at least a 1-dimensional tensor")
        d = wrap_dim(dim, x.ndim)
        if any(n < 0 for n in split_sizes):
            raise refuse(
                RuntimeError,
                f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={list(split_sizes)}",
            )
        if sum(split_sizes) != x.shape[d]:
            raise refuse(
                RuntimeError,
                f"split_with_sizes expects split_sizes to sum exactly to {x.shape[d]} (input tensor's size at dimension {d}), but got split_sizes={list(split_sizes)}",
            )
        views, at = [], 0
        for n in split_sizes:
            views.append(View((*x.shape[:d], n, *x.shape[d + 1 :]), x.strides, at * x.strides[d]))
            at += n
        return views

    @staticmethod
    def gradient(gs: Any, split_sizes: tuple[int, ...], dim: int) -> Tensor:
        return ops.cat(list(gs), dim)

    samples = [sample(normal(5, 2), (2, 3)), sample(normal(2, 5), (1, 0, 4), 1)]


class Split(Composite):
    """Pieces of `split_size` elements (the last may be smaller), or of the listed extents."""

    schema = "split(Tensor tensor, any split_size_or_sections, int dim=0) -> Tensor"
    out = False

    @staticmethod
    def compose(tensor: Tensor, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None) -> tuple[Tensor, ...]:
        size = split_size_or_sections if split_size_or_sections is not None else split_size
        if not hasattr(size, "__index__"):
            if not isinstance(size, (tuple, list)):
                raise refuse(
                    TypeError,
                    f"split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not {type(size).__name__}",
                    received=f"split_size_or_sections={size!r:.60}",
                    expected="an int or a tuple of ints",
                )
            return ops.split_with_sizes(tensor, tuple(size), dim)
        size = size.__index__()
        if not tensor.ndim:
            raise refuse(RuntimeError, "split expects at least a 1-dimensional tensor")
        n = tensor.shape[wrap_dim(dim, tensor.ndim)]
        if size < 0:
            raise refuse(RuntimeError, f"split expects split_size be non-negative, but got split_size={size}")
        if not size:
            if n:
                raise refuse(RuntimeError, f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
            return ops.split_with_sizes(tensor, (0,), dim)
        pieces = max(1, -(-n // size))
        return ops.split_with_sizes(tensor, (*(size,) * (pieces - 1), n - size * (pieces - 1)), dim)

    samples = [sample(normal(5, 2), 2), sample(normal(2, 5), (2, 3), 1)]


class Chunk(Composite):
    """At most `chunks` pieces of one extent (the last may be smaller)."""

    schema = "chunk(Tensor input, int chunks, int dim=0) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        if not input.ndim:
            raise refuse(RuntimeError, "chunk expects at least a 1-dimensional tensor")
        if chunks <= 0:
            raise refuse(RuntimeError, f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        n = input.shape[wrap_dim(dim, input.ndim)]
        size = -(-n // chunks)
        return ops.split_with_sizes(input, (0,) * chunks, dim) if not n else ops.split(input, size, dim)

    samples = [sample(normal(5, 2), 2), sample(normal(2, 5), 3, 1)]


class Unbind(Movement):
    """One view per index of a dim; the dim goes."""

    schema = "unbind(Tensor input, int dim=0) -> Tensor"

    @staticmethod
    def view(x: Layout, dim: int) -> list[View]:
        if not x.ndim:
            raise refuse(IndexError, "Dimension specified as 0 but tensor has no dimensions")
        d = wrap_dim(dim, x.ndim)
        return [View((*x.shape[:d], *x.shape[d + 1 :]), (*x.strides[:d], *x.strides[d + 1 :]), i * x.strides[d]) for i in range(x.shape[d])]

    @staticmethod
    def gradient(gs: Any, dim: int) -> Tensor:
        return ops.stack(list(gs), dim)

    samples = [sample(normal(3, 2)), sample(normal(2, 3), 1)]
