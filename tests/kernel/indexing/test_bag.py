"""Bags of rows against NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from facula.kernel import indexing
from facula.kernel.compiler import run
from facula.testing.operands import operand


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
@pytest.mark.parametrize("columns", [1, 7, 16, 67])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_bags(kind: str, columns: int, mean: bool, weighted: bool) -> None:
    random = np.random.default_rng(0)
    weight = random.standard_normal((9, columns)).astype(kind)
    index = random.integers(0, 9, 21).astype(np.int32 if weighted else np.int64)
    factors = random.standard_normal(21).astype(kind)
    tolerance = 5e-3 if kind == "float16" else 1e-5
    for offsets in (np.array([0, 0, 5, 5, 20]), np.array([0])):
        out = np.full((len(offsets), columns), np.nan, kind)
        schedule = indexing.bag_rows(operand(out), operand(weight), operand(index), operand(offsets), mean, weighted)
        run(schedule, [out], [weight, index, offsets, *([factors] if weighted else [])])
        wide = weight.astype(np.float64)[index] * (factors.astype(np.float64)[:, None] if weighted else 1.0)
        sums = np.stack([wide[a:b].sum(0) / (max(b - a, 1) if mean else 1) for a, b in pairwise([*offsets, 21])])
        np.testing.assert_allclose(out.astype(np.float64), sums, rtol=tolerance, atol=tolerance)
