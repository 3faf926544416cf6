"""New tensors."""

from __future__ import annotations

from typing import Any

from ..base.dtypes import dtype as DType
from ..base.settings import SETTINGS
from ..core.layout import channels_last_strides, dense_like, layout
from ..core.plan import allocate
from ..core.tensor import Tensor
from ..spec.block import Procedure
from ..spec.samples import grid, normal, sample


class Empty(Procedure):
    """Uninitialised memory of a shape."""

    schema = "empty(int[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor"
    paths = "torch"

    @staticmethod
    def run(size: tuple[int, ...], dtype: DType | None, lay: Any, device: Any, pin_memory: bool, requires_grad: bool, memory_format: Any) -> Tensor:
        strides = channels_last_strides(size) if memory_format is not None and "last" in memory_format.name else None
        return allocate(layout(size, dtype or SETTINGS.default_dtype, strides)).requires_grad_(requires_grad)

    samples = [sample((2, 3))]


class FromNumpy(Procedure):
    """A tensor on a NumPy array's memory."""

    schema = "from_numpy(any array) -> Tensor"
    paths = "torch"

    @staticmethod
    def run(array: Any) -> Tensor:
        from ..base.dtypes import from_numpy
        from ..core import objects
        from ..runtime import allocator

        kind = from_numpy(array.dtype)
        block = allocator.external(array.ctypes.data, array.nbytes, array)
        return objects.adopt(Tensor, layout(array.shape, kind, tuple(s // array.itemsize for s in array.strides)), block)

    samples = [sample(None)]


_ = dense_like, grid, normal
