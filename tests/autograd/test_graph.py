"""Hooks on saved tensors leave derivatives of every order as they are."""

from __future__ import annotations

from typing import Any

import pytest

import facula
from facula.autograd import Function
from facula.autograd.graph import save_on_cpu, saved_tensors_hooks


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Exponential(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: (x * y).tanh() * y,
        lambda x, y: Cube.apply(x) * y,
        lambda x, y: Cube.apply(x * y),
        lambda x, y: Exponential.apply(x * y) * x,
    ],
)
@pytest.mark.parametrize("pack", [lambda t: t, lambda t: t.detach(), lambda t: t.detach().clone()])
def test_what_hooks_unpack_has_the_history_of_what_they_packed(function: Any, pack: Any) -> None:
    x, y = (facula.tensor(v, dtype=facula.float64, requires_grad=True) for v in ([0.5, -1.0], [0.3, 0.8]))

    def hooked(x: Any, y: Any) -> Any:
        with saved_tensors_hooks(pack, lambda t: t):
            return function(x, y)

    assert facula.autograd.gradgradcheck(hooked, (x, y))


def test_a_third_derivative_through_hooks() -> None:
    x = facula.tensor(2.0, dtype=facula.float64, requires_grad=True)
    with save_on_cpu():
        g = x**4
    for want in (32.0, 48.0, 48.0):
        (g,) = facula.autograd.grad(g, x, create_graph=True)
        assert g.item() == want


def test_a_function_saves_several_tensors_through_hooks() -> None:
    class Product(facula.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            out = x * y
            ctx.save_for_backward(x, out, y)
            return out

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, out, y = ctx.saved_tensors
            assert facula.equal(out, x * y)
            return g * y, g * x

    x, y = facula.ones(2, requires_grad=True), facula.full((2,), 3.0, requires_grad=True)
    with saved_tensors_hooks(lambda t: t.detach(), lambda t: t):
        Product.apply(x, y).sum().backward()
    assert x.grad.tolist() == [3, 3] and y.grad.tolist() == [1, 1]
