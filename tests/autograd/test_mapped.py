"""`autograd.Function` with a rule for `vmap`: results and gradients as PyTorch 2.13 gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula
from facula import func


class _Sort(facula.autograd.Function):
    """Through NumPy, which only takes tensors without hidden dims."""

    generate_vmap_rule = False
    seen: list[Any] = []

    @staticmethod
    def forward(x: Any, dim: int) -> Any:
        places = np.argsort(x.detach().numpy(), axis=dim)
        return facula.tensor(np.take_along_axis(x.detach().numpy(), places, dim)), facula.tensor(places)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx: Any, g: Any, _: Any) -> Any:
        (places,) = ctx.saved_tensors
        return facula.zeros_like(g).scatter(ctx.dim, places, g), None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any, dim: int) -> Any:
        _Sort.seen.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
        return _Sort.apply(x.movedim(in_dims[0], 0), dim + 1), (0, 0)


def test_the_rule_of_a_function() -> None:
    """As in PyTorch 2.13."""
    x, w = facula.tensor([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]]), facula.tensor([1.0, 2.0, 3.0])

    def first(row: Any) -> Any:
        return _Sort.apply(row, 0)[0]

    _Sort.seen.clear()
    assert func.vmap(first)(x).tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert _Sort.seen == [(2, "error", (0, None), (2, 3))]
    assert func.vmap(func.vmap(first))(x.view(2, 1, 3)).tolist() == [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]
    want = [[3.0, 1.0, 2.0], [3.0, 2.0, 1.0]]
    assert func.grad(lambda x: (func.vmap(first)(x) * w).sum())(x).tolist() == want
    assert func.vmap(func.grad(lambda r: (first(r) * w).sum()))(x).tolist() == want


class _Odd(facula.autograd.Function):
    """Its rule, its forward and its backward can be told apart."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 100

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        return x * 3, in_dims[0]


def test_which_derivative_a_rule_has() -> None:
    """A gradient inside `vmap` is the function's own, one outside is that of what the rule did; as in PyTorch 2.13."""
    x = facula.tensor([[3.0, 1.0], [6.0, 5.0]])
    assert func.vmap(_Odd.apply)(x).tolist() == [[9.0, 3.0], [18.0, 15.0]]
    assert func.vmap(_Odd.apply, in_dims=1)(x).tolist() == [[9.0, 18.0], [3.0, 15.0]]
    assert func.vmap(lambda a, b: _Odd.apply(b) + a, in_dims=(0, None))(x, x[0]).tolist() == [[9.0, 3.0], [12.0, 7.0]]
    assert func.grad(lambda x: func.vmap(_Odd.apply)(x).sum())(x).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert func.vmap(func.grad(lambda r: _Odd.apply(r).sum()))(x).tolist() == [[100.0, 100.0], [100.0, 100.0]]


def test_a_rule_that_is_wrong() -> None:
    x = facula.ones(2, 3)
    both = type("Both", (_Odd,), {"generate_vmap_rule": True})
    with pytest.raises(RuntimeError, match="You tried to vmap over Both, but it has both generate_vmap_rule=True"):
        func.vmap(both.apply)(x)
    for rule, sentence in (
        (lambda info, in_dims, x: x, "Expected the vmap staticmethod to have two returns"),
        (lambda info, in_dims, x: (x, 0, 0), "Got 3 returns instead"),
        (lambda info, in_dims, x: (x, 1), "incompatible"),
        (lambda info, in_dims, x: ((x, x), (0,)), "incompatible"),
    ):
        wrong = type("Wrong", (_Odd,), {"vmap": staticmethod(rule)})
        with pytest.raises(RuntimeError, match=sentence):
            func.vmap(wrong.apply)(x)
        assert func.vmap(lambda r: r * 2)(x).tolist() == [[2.0] * 3] * 2
