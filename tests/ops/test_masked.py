"""Masks: derived checks, then what only a person knows."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.masked")


def test_masked_fill_keeps_the_type_and_routes_the_gradient() -> None:
    x, v = facula.tensor([1.0, 2.0], requires_grad=True), facula.tensor(5.0, requires_grad=True)
    x.masked_fill(facula.tensor([True, False]), v).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0] and v.grad.item() == 1.0
    assert facula.tensor([1, 2]).masked_fill(facula.tensor([True, False]), 7.9).tolist() == [7, 2]


def test_nan_to_num_fills_with_the_ends_of_the_type() -> None:
    x = facula.tensor([float("nan"), float("inf"), -float("inf")])
    assert facula.nan_to_num(x.half()).tolist() == [0.0, 65504.0, -65504.0]
    assert facula.nan_to_num(x, 1.0, 2.0, 3.0).tolist() == [1.0, 2.0, 3.0]
