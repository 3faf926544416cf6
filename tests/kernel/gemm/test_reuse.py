"""A product whose second matrix stays the same packs it once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facula.base.dtypes import float32
from facula.kernel import compiler
from facula.kernel.gemm import matmul
from facula.kernel.launch import Array


def test_the_second_launch_alone_gives_the_same_product() -> None:
    m, k, n = 32, 96, 200
    a, b = (np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in ((m, k), (n, k)))
    x, y, c = Array(float32, (m, k), (k, 1)), Array(float32, (k, n), (1, k)), Array(float32, (m, n), (n, 1))
    plain, kept = matmul(c, x, y), matmul(c, x, y, reused=True)
    assert len(kept.launches) == 2
    twice = replace(kept, launches=(*kept.launches, kept.launches[1]))
    got, want = np.empty((m, n), np.float32), np.empty((m, n), np.float32)
    compiler.run(twice, [got], [a, b.T])
    compiler.run(plain, [want], [a, b.T])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
