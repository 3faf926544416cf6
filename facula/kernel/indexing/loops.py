"""What reading and writing through indices share: an element's place is its plain offset plus a stride for each index value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...base.dtypes import DTYPES
from ...runtime.ir import Function, Value
from ..coalesce import broadcast
from ..launch import Array, Operand


@dataclass(frozen=True)
class Place:
    """Where elements of an indexed tensor lie: `plain` strides over the loops, and for each index (its operand over the loops, the size of
    the dim that it points into, that dim's stride)."""

    shape: tuple[int, ...]  # of the loops
    plain: tuple[int, ...]
    indices: tuple[tuple[Array, int, int], ...]


def advanced(shape: Sequence[int], tensor: Operand, indices: Sequence[Operand], dims: Sequence[int], place: int | None = None) -> Place:
    """`tensor[..., indices, ...]` as NumPy has it: `indices[k]` points into dim `dims[k]`; they are broadcast together, and their dims stand
    at `place` of the result (default: where the indexed dims stood if they are neighbours, else in front). Raises ValueError if `shape` is
    not the result's."""
    dims = [d % len(tensor.shape) for d in dims]
    together = _broadcast_shape([i.shape for i in indices])
    if place is None:
        place = dims[0] if dims == list(range(dims[0], dims[0] + len(dims))) else 0
    rest = [d for d in range(len(tensor.shape)) if d not in dims]
    expected = (*(tensor.shape[d] for d in rest[:place]), *together, *(tensor.shape[d] for d in rest[place:]))
    if tuple(shape) != expected:
        raise ValueError(f"indexing gives shape {expected}, not {tuple(shape)}")
    plain = (*(tensor.strides[d] for d in rest[:place]), *[0] * len(together), *(tensor.strides[d] for d in rest[place:]))
    after = len(rest) - place
    out: list[tuple[Array, int, int]] = []
    for index, d in zip(indices, dims):
        seen = broadcast(index, together)
        steps = ((0,) * place) + seen.strides + ((0,) * after)
        out.append((Array(index.dtype, expected, steps), tensor.shape[d], tensor.strides[d]))
    return Place(expected, plain, tuple(out))


def along(tensor: Operand, index: Operand, dim: int) -> Place:
    """`tensor` at the index's own place in all dims but `dim`, where the index's value counts (gather, scatter). The index may be smaller
    than the tensor elsewhere."""
    from ..launch import Array

    shape = tuple(index.shape)
    if not shape:  # a 0-dim index into a 0- or 1-dim tensor
        size, step = (tensor.shape[0], tensor.strides[0]) if tensor.shape else (1, 1)
        return Place((), (), ((Array(index.dtype, (), ()), size, step),))
    dim %= len(shape)
    if not tensor.shape:
        return Place(shape, (0,) * len(shape), ((Array(index.dtype, shape, tuple(index.strides)), 1, 1),))
    plain = tuple(0 if d == dim else s for d, s in enumerate(tensor.strides))
    return Place(shape, plain, ((Array(index.dtype, shape, tuple(index.strides)), tensor.shape[dim], tensor.strides[dim]),))


def _broadcast_shape(shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    rank = max(map(len, shapes))
    out = [1] * rank
    for shape in shapes:
        for d, n in enumerate(shape, rank - len(shape)):
            if n != 1:
                if out[d] not in (1, n):
                    raise ValueError(
                        f"shape mismatch: indexing tensors could not be broadcast together with shapes {[tuple(s) for s in shapes]}"
                    )
                out[d] = n
    return tuple(out)


def read_index(f: Function, d: str, pointer: Value, size: Value) -> Value:
    """An index value as i64, counted from the end if negative."""
    kind = DTYPES[d]
    raw = f.load(kind.llvm, pointer)
    i = raw if kind.itemsize == 8 else f.cast("sext" if kind.is_signed else "zext", raw, "i64")
    return f.select(i < 0, i + size, i)
