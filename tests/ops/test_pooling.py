"""Pooling: derived checks, and whole numbers."""

from __future__ import annotations

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
