"""Exponentials and logarithms: derived checks, then what only a person knows."""

from __future__ import annotations

import math

import facula
from facula.testing import derived

test_declared = derived("facula.ops.exponential")


def test_logaddexp_at_the_ends() -> None:
    a, b = facula.tensor([1e4, -math.inf, math.inf, 0.0]), facula.tensor([1e4, -math.inf, math.inf, -1e4])
    assert facula.logaddexp(a, b).tolist() == [facula.tensor(1e4 + math.log(2)).item(), -math.inf, math.inf, 0.0]


def test_xlogy_of_zero_is_zero_and_its_gradient_finite() -> None:
    x, y = facula.zeros(2, requires_grad=True), facula.tensor([0.0, 2.0], requires_grad=True)
    got = facula.xlogy(x, y)
    got.sum().backward()
    assert got.tolist() == [0.0, 0.0] and x.grad[0].item() == 0.0 and y.grad[1].item() == 0.0


def test_frexp_takes_numbers_apart_exactly() -> None:
    values = [8.0, -0.3, 1e-42, 0.0, math.inf]
    mantissa, exponent = facula.frexp(facula.tensor(values, dtype=facula.float64))
    assert [(m, e) for m, e in zip(mantissa.tolist(), exponent.tolist())] == [math.frexp(v) for v in values]
    assert exponent.dtype is facula.int32 and facula.frexp(facula.tensor([8.0])).mantissa.item() == 0.5
    assert facula.ldexp(mantissa, exponent).tolist() == values
