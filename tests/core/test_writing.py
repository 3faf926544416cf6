"""Recorded writes: values, versions and gradients as PyTorch 2.13 gives them."""

from __future__ import annotations

from typing import Any

import pytest

import facula


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return facula.tensor([1.0, -2.0, 3.0], requires_grad=True), facula.tensor([2.0, 3.0, 4.0], requires_grad=True)


def test_a_chain(pair: tuple[Any, Any]) -> None:
    w, y = pair
    x = w * 1
    x.add_(y, alpha=2).mul_(3.0).sub_(w).div_(y).relu_()
    x.sum().backward()
    assert x.tolist() == pytest.approx([7.0, 4.666666507720947, 7.5])
    assert w.grad.tolist() == pytest.approx([1.0, 0.6666667461395264, 0.5])
    assert y.grad.tolist() == pytest.approx([-0.5, 0.4444444179534912, -0.375])
    assert x._version == 5


def test_the_target_as_operand(pair: tuple[Any, Any]) -> None:
    w, _ = pair
    x = w * 1
    x.add_(x).add_(x)
    x.sum().backward()
    assert w.grad.tolist() == [4.0, 4.0, 4.0]
    x = w * 1
    x.mul_(x)  # its derivative reads what was overwritten
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()


def test_a_retained_gradient(pair: tuple[Any, Any]) -> None:
    w, y = pair
    x = w * 1
    x.retain_grad()
    x.add_(y)
    (x * x).sum().backward()
    assert x.grad.tolist() == [6.0, 2.0, 14.0]
    assert w.grad.tolist() == [6.0, 2.0, 14.0]


def test_through_a_view(pair: tuple[Any, Any]) -> None:
    w, y = pair
    x = w * 1
    x[1:].add_(y[1:])
    (x * x).sum().backward()
    assert x.tolist() == [1.0, 1.0, 7.0]
    assert w.grad.tolist() == [2.0, 2.0, 14.0]


def test_a_saved_result_that_is_overwritten(pair: tuple[Any, Any]) -> None:
    w, _ = pair
    x = (w * 1).relu_()
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="output 0 of Relu, is at version 2; expected version 1 instead"):
        x.sum().backward()


def test_nothing_is_copied(pair: tuple[Any, Any]) -> None:
    """The kernel writes where the target is, and the history grows by one node."""
    w, y = pair
    x = w * 1
    place, before = x.data_ptr(), x.grad_fn
    x.add_(y)
    assert x.data_ptr() == place
    assert x.grad_fn.name() == "AddBackward0"
    assert x.grad_fn.next_functions[0][0] is before
