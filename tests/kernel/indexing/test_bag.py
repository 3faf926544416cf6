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


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
@pytest.mark.parametrize("columns", [1, 16, 67])
@pytest.mark.parametrize("skip", [None, 4])
def test_maxima_of_bags(kind: str, columns: int, skip: int | None) -> None:
    random = np.random.default_rng(1)
    weight = random.integers(-3, 4, (9, columns)).astype(kind)
    weight[5] = -np.inf
    index = random.integers(0, 9, 21).astype(np.int32)
    offsets = np.array([0, 0, 5, 5, 20])
    out, which = np.full((5, columns), np.nan, kind), np.full((5, columns), -7)
    run(indexing.bag_maxima(*map(operand, (out, which, weight, index, offsets)), skip), [out, which], [weight, index, offsets])
    for b, (first, last) in enumerate(pairwise([*offsets, 21])):
        rows = [i for i in index[first:last] if i != skip]
        place = np.array(rows)[weight[rows].argmax(0)] if rows else np.zeros(columns, int)
        assert np.array_equal(which[b], place)
        assert np.array_equal(out[b], weight[place, np.arange(columns)] if rows else np.zeros(columns))


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
@pytest.mark.parametrize("columns", [1, 16, 67, 200])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_bags(kind: str, columns: int, mean: bool, weighted: bool) -> None:
    random = np.random.default_rng(2)
    grad = random.standard_normal((5, columns)).astype(kind)
    index, offsets = random.integers(0, 9, 21), np.array([0, 0, 5, 5, 20], np.int32)
    factors = random.standard_normal(21).astype(kind)
    out, want = np.full((9, columns), np.nan, kind), np.zeros((9, columns))
    schedule = indexing.bag_backward(operand(out), operand(grad), operand(index), operand(offsets), mean, weighted)
    run(schedule, [out], [grad, index, offsets, *([factors] if weighted else [])])
    for b, (first, last) in enumerate(pairwise([*offsets, 21])):
        for j in range(first, last):
            want[index[j]] += grad[b].astype(float) / (last - first if mean else 1) * (float(factors[j]) if weighted else 1)
    tolerance = 2e-2 if kind == "float16" else 1e-5
    np.testing.assert_allclose(out.astype(float), want, rtol=tolerance, atol=tolerance)
