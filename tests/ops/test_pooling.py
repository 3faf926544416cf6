"""Pooling: derived checks, and whole numbers."""

from __future__ import annotations

from typing import Any

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.pooling")


def test_means_of_integers_are_cut_towards_zero() -> None:
    x = facula.tensor([[-3, -4, 5, 8]])
    assert facula.nn.functional.avg_pool1d(x, 2).tolist() == [[-3, 6]]
    assert facula.nn.functional.avg_pool2d(x.view(1, 1, 4), (1, 2), divisor_override=-1).tolist() == [[[7, -13]]]


def test_gradients_of_empty_batches() -> None:
    x = facula.ones(0, 3, 8, requires_grad=True)
    facula.nn.functional.adaptive_avg_pool1d(x, 5).sum().backward()
    assert x.grad.shape == (0, 3, 8)


@pytest.mark.parametrize("dtype", [facula.float32, facula.bfloat16])
def test_planes_that_do_not_fit_a_usual_slot_of_scratch_memory(dtype: Any) -> None:
    n = (1 << 20) + 8
    F = facula.nn.functional
    x = (facula.arange(2 * n) % 8).to(dtype).reshape(1, 2, n).requires_grad_()
    assert F.max_pool1d(x, n - 8, 1).unique().tolist() == [7] and F.avg_pool1d(x, n, 1).tolist() == [[[3.5], [3.5]]]
    for y, wanted in ((F.max_pool1d(x, 8, 8), [0, 1]), (F.adaptive_avg_pool1d(x, n // 8), [0.125]), (F.avg_pool1d(x, 8, 8), [0.125])):
        (gradient,) = facula.autograd.grad(y.sum(), x)
        assert gradient.unique().tolist() == wanted and gradient.sum(dtype=facula.float64).item() == 2 * n / 8
