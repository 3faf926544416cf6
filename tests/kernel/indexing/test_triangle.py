"""Triangles of matrices: the places of one, and the symmetric matrix of one, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base.dtypes import int64
from facula.kernel.compiler import run
from facula.kernel.indexing import symmetric, triangle_places, triangle_size
from facula.kernel.launch import Array
from facula.runtime import pool
from facula.testing.operands import operand


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 33, 70])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16], ids=lambda k: k.__name__)
def test_symmetric_matrix(n: int, kind: type[np.floating[np.typing.NBitBase]]) -> None:
    x = np.arange(1, n * (n - 1) // 2 + 1).astype(kind)
    want = np.zeros((n, n), kind)
    want[np.triu_indices(n, 1)] = x
    want += want.T
    for threads in (1, 2):
        pool.set_num_threads(threads)
        out = np.full((n, n), 77, kind)
        run(symmetric(operand(out), operand(x)), [out], [x])
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("diagonal", [-20, -3, 0, 2, 20])
def test_places(upper: bool, diagonal: int) -> None:
    n = triangle_size(7, 19, diagonal, upper)
    out = np.zeros((2, n), np.int64)
    run(triangle_places(Array(int64, (2, n), (n, 1)), 7, 19, diagonal, upper), [out], [])
    np.testing.assert_array_equal(out, (np.triu_indices if upper else np.tril_indices)(7, diagonal, 19))
