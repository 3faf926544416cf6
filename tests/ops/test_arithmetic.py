"""Arithmetic: derived checks, then what only a person knows."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.arithmetic")


def test_integers_and_bool_promote_as_in_pytorch() -> None:
    i, b = facula.tensor([-7, 7]), facula.tensor([True, False])
    assert (i / 2).dtype is facula.float32 and (i // 2).tolist() == [-4, 3] and (i % -2).tolist() == [-1, -1]
    assert (b + b).dtype is facula.bool and (b * 2).dtype is facula.int64 and (b / b).dtype is facula.float32
    assert facula.div(i, 2, rounding_mode="trunc").tolist() == [-3, 3]
    half = facula.tensor([1.0]).to(facula.bfloat16)
    assert (half + 1.5).dtype is facula.bfloat16 and (half + facula.tensor(1.5)).dtype is facula.bfloat16


@pytest.mark.parametrize(
    "expression",
    [lambda i: i // 0, lambda i: i % 0, lambda i: 1 // (i - i), lambda i: i.clone().remainder_(0), lambda i: facula.fmod(i, i * 0)],
)
def test_integers_refuse_division_by_zero(expression) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        expression(facula.tensor([3]))


def test_an_exponent_that_is_a_number_keeps_its_own_body_and_value() -> None:
    x = facula.tensor([4.0, 9.0])
    for exponent in (0.5, 2.5, 0.5, -1.0, 2.5, 3):  # the plan of one must not serve another
        assert facula.allclose(x**exponent, facula.tensor([4.0**exponent, 9.0**exponent]))
    assert (2 ** facula.tensor([3, 5])).tolist() == [8, 32]


def test_in_place_keeps_the_value_that_the_derivative_reads() -> None:
    x, y = facula.tensor([2.0], requires_grad=True), facula.tensor([3.0], requires_grad=True)
    z = x * 1
    z.mul_(y).pow_(2)
    z.backward()
    assert x.grad.item() == 36.0 and y.grad.item() == 24.0


@pytest.mark.parametrize("name", ["fmod", "remainder"])
def test_a_remainder_whose_quotient_overflows_is_nan_as_in_pytorch(name: str) -> None:
    function = getattr(facula, name)
    x, y = facula.tensor([3e38, 88.8, -0.0, 7.0], requires_grad=True), facula.tensor([0.5, 2e-38, 3.0, 4.0])
    out = function(x, y)
    assert [str(v) for v in out.tolist()] == ["nan", "nan", "-0.0", "3.0"]
    out.sum().backward()
    assert x.grad.tolist() == [1.0] * 4
    assert function(x.detach().double(), y.double()).isfinite().all().item()
    assert [str(v) for v in function(x.detach().bfloat16(), y.bfloat16()).tolist()] == ["nan", "nan", "-0.0", "3.0"]
