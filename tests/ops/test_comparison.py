"""Comparisons: derived checks, then what only a person knows."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.comparison")
NAN = float("nan")


def test_nan_travels_through_maximum_and_gives_way_in_fmax() -> None:
    a, b = facula.tensor([NAN, 1.0, NAN]), facula.tensor([2.0, NAN, NAN])
    assert facula.maximum(a, b).isnan().all() and facula.fmax(a, b)[:2].tolist() == [2.0, 1.0]
    assert facula.clamp(a, 0.0, 3.0).isnan().tolist() == [True, False, True]


def test_a_number_is_rounded_to_the_half_it_is_compared_with() -> None:
    assert bool(facula.tensor([0.1]).to(facula.bfloat16) == 0.1)


def test_comparison_with_strangers_follows_python() -> None:
    x = facula.tensor([1.0])
    assert (x == None) is False and (x != "a") is True  # noqa: E711


def test_ties_share_the_gradient_of_maximum_and_bounds_pass_that_of_clamp() -> None:
    a, b = facula.tensor([1.0, 3.0], requires_grad=True), facula.tensor([1.0, 2.0], requires_grad=True)
    facula.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 1.0] and b.grad.tolist() == [0.5, 0.0]
    c = facula.tensor([0.0, 1.0, 2.0], requires_grad=True)
    c.clamp(0, 1).sum().backward()
    assert c.grad.tolist() == [1.0, 1.0, 0.0]


def test_where_hides_what_the_branch_not_taken_would_give() -> None:
    x = facula.tensor([0.0, 4.0], requires_grad=True)
    facula.where(x > 0, x.sqrt(), x).sum().backward()
    assert x.grad[1].item() == 0.25
    assert facula.where(facula.tensor([True, False]), 1, 2.5).dtype is facula.float32


def test_equal_compares_values_of_any_types() -> None:
    assert facula.equal(facula.tensor([1, 2]), facula.tensor([1.0, 2.0]))
    assert not facula.equal(facula.tensor([1, 2]), facula.tensor([1.0, 2.5]))
    assert not facula.equal(facula.ones(2), facula.ones(1))
