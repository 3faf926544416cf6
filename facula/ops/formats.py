"""Where the results of kernels over images lie: contiguous, or channels_last where an operand does."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.dtypes import dtype as DType
from ..core.layout import Layout, channels_last_strides, is_channels_last, layout
from ..core.result import Result
from ..kernel.copies import flat, with_copies
from ..kernel.launch import Schedule

__all__ = ["flat", "image", "is_last", "result"]


def is_last(x: Layout, spatial: int) -> bool:
    """Whether x, (N, C, *S) with 2 or 3 spatial dims, lies as channels_last or channels_last_3d."""
    return 1 < spatial < 4 and x.ndim == spatial + 2 and is_channels_last(x.shape, x.strides, x.ndim)


def image(shape: Sequence[int], dtype: DType, last: bool) -> Layout:
    """A result that is contiguous or channels_last."""
    return layout(shape, dtype, channels_last_strides(shape) if last else None)


def result(outputs: Sequence[Layout], schedule: Schedule, *operands: Layout) -> Result:
    """Of a schedule that was made for contiguous operands and results, which these need not be."""
    return Result(tuple(outputs), with_copies(schedule, outputs, operands))
