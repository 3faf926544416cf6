"""What bodies hand back to the plan: the outputs and schedule of a fused kernel, or another view of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..base.dtypes import dtype as DType
from ..kernel.launch import Schedule
from .layout import Layout, layout


@dataclass(frozen=True)
class Result:
    """Outputs of a fused kernel and the launches that fill them."""

    outputs: tuple[Layout, ...]
    schedule: Schedule


@dataclass(frozen=True)
class View:
    """The same storage from `offset` elements on, with this shape and these strides (elements); `dtype` when it is read as another type."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    dtype: DType | None = None

    def layout(self, source: Layout) -> Layout:
        return layout(self.shape, self.dtype or source.dtype, self.strides, source.device)

    def delta(self, source: Layout) -> int:
        """Bytes from the source's first element; the offset counts elements of the source's type."""
        return self.offset * source.dtype.itemsize


def outputs(*specs: tuple[Sequence[int], DType]) -> tuple[Layout, ...]:
    """Contiguous layouts for (shape, dtype) pairs."""
    return tuple(layout(tuple(shape), dtype) for shape, dtype in specs)
