"""What bodies hand back to the plan: the outputs and schedule of a fused kernel, or another view of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..base.dtypes import dtype as DType
from ..kernel.launch import Schedule
from .layout import Batch, Layout, layout


@dataclass(frozen=True)
class Result:
    """Outputs of a fused kernel and the launches that fill them. `overwritten`: operands that are written to as well, and are results
    behind the outputs."""

    outputs: tuple[Layout, ...]
    schedule: Schedule
    overwritten: tuple[int, ...] = ()


@dataclass(frozen=True)
class View:
    """The same storage from `offset` elements on, with this shape and these strides (elements); `dtype` when it is read as another type."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    dtype: DType | None = None
    batch: Batch | None = None  # hidden dims, when they are not the source's

    def layout(self, source: Layout) -> Layout:
        batch = source.batch if self.batch is None else self.batch
        if batch and self.dtype and self.dtype.itemsize != source.dtype.itemsize:
            a, b = source.dtype.itemsize, self.dtype.itemsize
            if any(s * a % b for _, _, s in batch):
                raise RuntimeError(f"vmap: examples that are not a multiple of {b} bytes apart cannot be viewed as {self.dtype}")
            batch = tuple((level, n, s * a // b) for level, n, s in batch)
        return layout(self.shape, self.dtype or source.dtype, self.strides, source.device, batch)

    def delta(self, source: Layout) -> int:
        """Bytes from the source's first element; the offset counts elements of the source's type."""
        return self.offset * source.dtype.itemsize


def outputs(*specs: tuple[Sequence[int], DType]) -> tuple[Layout, ...]:
    """Contiguous layouts for (shape, dtype) pairs."""
    return tuple(layout(tuple(shape), dtype) for shape, dtype in specs)
