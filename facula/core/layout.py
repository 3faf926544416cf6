"""`Layout`: what a tensor is apart from its values. Interned: equal layouts are one object, so plans are found by identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..base.device import CPU, device
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..base.size import Size

Batch = tuple[tuple[int, int, int], ...]


class Layout:
    """dtype, device, shape and strides (in elements). Make them with `layout()`; compare with `is`.

    `batch` holds what `vmap` hides: (level, extent, stride) per dim that the program does not see, ordered by level. Shape, strides, numel,
    contiguous and dense are those of one example.
    """

    __slots__ = ("__weakref__", "batch", "contiguous", "dense", "device", "dtype", "nbytes", "ndim", "numel", "shape", "strides")

    dtype: DType
    device: device
    shape: Size
    strides: tuple[int, ...]
    ndim: int
    numel: int
    contiguous: bool  # row-major without gaps
    dense: bool  # without gaps or overlap, in some order of dims
    nbytes: int  # from the first element to the end of the last, over all examples
    batch: Batch

    def __repr__(self) -> str:
        hidden = f", batch={self.batch}" if self.batch else ""
        return f"Layout({self.dtype.name}, {tuple(self.shape)}, strides={self.strides}, {self.device}{hidden})"

    def __reduce__(self) -> tuple[Any, ...]:
        return layout, (tuple(self.shape), self.dtype, self.strides, self.device, self.batch)

    @property
    def extent(self) -> int:
        """Elements from the first to the last, inclusive."""
        return extent(self.shape, self.strides)


LAYOUTS: dict[tuple[Any, ...], Layout] = {}
LIMIT = 1 << 16  # layouts kept before unused ones are dropped
MAX_ELEMENTS = 1 << 62


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides without gaps, last dim fastest; extents of 0 count as 1, as PyTorch does."""
    out: list[int] = []
    n = 1
    for extent_ in reversed(shape):
        out.append(n)
        n *= max(extent_, 1)
    return tuple(reversed(out))


def extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    return 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides))


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    expected = 1
    for n, s in sorted(((n, s) for n, s in zip(shape, strides) if n != 1), key=lambda p: p[1]):
        if s != expected:
            return False
        expected *= n
    return True


def layout(shape: Sequence[int], dtype: DType, strides: Sequence[int] | None = None, device: device = CPU, batch: Batch = ()) -> Layout:
    """The layout with these properties; contiguous when `strides` is not given."""
    shape = tuple(shape)
    key = (shape, dtype, None if strides is None else tuple(strides), device, batch)
    got = LAYOUTS.get(key)
    return got if got is not None else _make(key)


def _make(key: tuple[Any, ...]) -> Layout:
    shape, dtype, given, device, batch = key
    for n in shape:
        if n < 0:
            raise refuse(
                RuntimeError,
                f"Trying to create tensor with negative dimension {n}: {list(shape)}",
                received=f"shape {shape}",
                expected="extents >= 0",
            )
    contiguous = row_major(shape)
    numel = math.prod(shape)
    strides = contiguous if given is None else given
    reach = extent((*(n for _, n, _ in batch), *shape), (*(s for _, _, s in batch), *strides))
    if numel > MAX_ELEMENTS or reach * dtype.itemsize >= 1 << 63:
        raise refuse(
            RuntimeError,
            f"Storage size calculation overflowed with sizes={list(shape)}",
            received=f"shape {shape}",
            expected="fewer than 2**63 bytes",
        )
    if given is None or _same_order(shape, strides, contiguous):
        full = LAYOUTS.get((shape, dtype, strides, device, batch))
        if full is not None:
            LAYOUTS[key] = full
            return full
    if len(LAYOUTS) > LIMIT:
        _trim()
    self = object.__new__(Layout)
    self.dtype, self.device, self.shape, self.strides, self.batch = dtype, device, Size(shape), strides, batch
    self.ndim, self.numel = len(shape), numel
    self.contiguous = numel == 0 or _same_order(shape, strides, contiguous)
    self.dense = self.contiguous or is_dense(shape, strides)
    self.nbytes = reach * dtype.itemsize
    LAYOUTS[(shape, dtype, strides, device, batch)] = self
    LAYOUTS[key] = self
    return self


def _same_order(shape: Sequence[int], strides: Sequence[int], contiguous: Sequence[int]) -> bool:
    return all(n == 1 or s == c for n, s, c in zip(shape, strides, contiguous))


TRIM: list[Any] = []  # called before layouts are dropped: tables keyed by identity empty themselves


def _trim() -> None:
    for listener in TRIM:
        listener()
    LAYOUTS.clear()


def channels_last_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """NHWC or NDHWC order for shapes (N, C, H, W) or (N, C, D, H, W)."""
    order = [1, *range(len(shape) - 1, 1, -1), 0]
    strides, n = [0] * len(shape), 1
    for d in order:
        strides[d] = n
        n *= max(shape[d], 1)
    return tuple(strides)


def is_channels_last(shape: Sequence[int], strides: Sequence[int], ndim: int = 4) -> bool:
    if len(shape) != ndim:
        return False
    least = 0
    if strides[1] == 0:
        return False
    for d in [1, *range(ndim - 1, 1, -1), 0]:
        if shape[d] == 0 or strides[d] < least:
            return False
        if d == 0 and least == strides[1]:
            return False
        least = strides[d] * (shape[d] if shape[d] > 1 else 1)
    return True


def dense_like(shape: Sequence[int], *operands: Sequence[int]) -> tuple[int, ...]:
    """Gap-free strides in the order of dims of the operands, given by their strides: what PyTorch gives the result of a pointwise operator.

    The first operand that tells two dims apart decides; one that repeats its elements along either of them does not tell.
    """

    def order(first: int, second: int) -> int:
        for strides in operands:
            if strides[first] and strides[second]:
                if strides[first] != strides[second]:
                    return strides[first] - strides[second]
                if shape[first] > shape[second]:
                    return 1
        return 0

    dims = list(range(len(shape) - 1, -1, -1))  # the one with the smallest stride first
    for i in range(1, len(dims)):  # by insertion, as an undecided pair leaves the rest open
        at = i
        for k in range(i - 1, -1, -1):
            found = order(dims[k], dims[at])
            if found < 0:
                break
            if found > 0:
                dims[k], dims[at] = dims[at], dims[k]
                at = k
    out, n = [0] * len(shape), 1
    for d in dims:
        out[d] = n
        n *= max(shape[d], 1)
    return tuple(out)


def wrap_dim(dim: Any, ndim: int, name: str = "") -> int:
    """A dim counted from the front. IndexError with PyTorch's sentence when out of range."""
    n = max(ndim, 1)
    try:
        inside = -n <= dim < n
    except TypeError:
        kind = type(dim).__name__
        sentence = f"{name}(): argument 'dim' (position 1) must be int, not {kind}" if name else f"argument 'dim' must be int, not {kind}"
        raise refuse(TypeError, sentence, received=f"dim={dim!r:.60}", expected="int") from None
    if not inside:
        raise refuse(
            IndexError,
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})",
            received=f"dim={dim} for {ndim} dims",
        )
    return dim % n
