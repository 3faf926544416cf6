"""Roundings and signs: derived checks, then what only a person knows."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.rounding")


def test_halves_go_to_even_and_decimals_scale() -> None:
    assert facula.round(facula.tensor([0.5, 1.5, 2.5, -0.5])).tolist() == [0.0, 2.0, 2.0, -0.0]
    assert facula.round(facula.tensor([1234.567]), decimals=-2).tolist() == [1200.0]


def test_flat_functions_have_a_gradient_of_zeros() -> None:
    x = facula.tensor([1.5], requires_grad=True)
    facula.floor(x).sum().backward()
    assert x.grad.tolist() == [0.0]


def test_the_sign_of_nan_is_zero_and_signbit_sees_minus_zero() -> None:
    assert facula.sign(facula.tensor(float("nan"))).item() == 0.0 and facula.signbit(facula.tensor([-0.0])).item()


def test_neighbours_of_halves_are_halves() -> None:
    one = facula.ones(1, dtype=facula.bfloat16)
    assert facula.nextafter(one, one * 2).item() == 1 + 2**-7 and facula.nextafter(one * 0, one).item() > 0
