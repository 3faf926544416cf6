"""NumPy arrays as the operands of a nest, for tests and benchmarks of kernels by themselves."""

from __future__ import annotations

import numpy as np

from ..base.dtypes import DTYPES, dtype
from ..kernel.launch import Array


def operand(a: np.ndarray, d: dtype | None = None) -> Array:
    """The array as it lies in memory, its elements seen as `d` where NumPy's type says less."""
    return Array(d or DTYPES[a.dtype.name], a.shape, tuple(s // a.itemsize for s in a.strides))
