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


# -- out=: three calls each, as the second is planned and the third comes from the plan table
OUT: list[tuple[Any, tuple[int, ...]]] = [
    (lambda x, y, out: facula.add(x, y, out=out), (3, 3)),
    (lambda x, y, out: facula.add(x, 2.5, alpha=2, out=out), (3, 3)),
    (lambda x, y, out: facula.exp(x, out=out), (3, 3)),
    (lambda x, y, out: facula.mm(x, y, out=out), (3, 3)),
    (lambda x, y, out: facula.sum(x, dim=1, out=out), (3,)),
    (lambda x, y, out: facula.cumsum(x, 0, out=out), (3, 3)),
    (lambda x, y, out: facula.cat([x, y], out=out), (6, 3)),
    (lambda x, y, out: facula.where(x > y, x, y, out=out), (3, 3)),
]


@pytest.mark.parametrize("call, shape", OUT)
def test_out_is_written(call: Any, shape: tuple[int, ...]) -> None:
    for _ in range(3):
        x, y, out = facula.randn(3, 3), facula.randn(3, 3), facula.full(shape, 7.0)
        seen = out.view(-1)
        assert call(x, y, out) is out
        assert facula.equal(out, call(x, y, None)) and facula.equal(seen, out.view(-1))
        assert out._version == 1 and out.grad_fn is None
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            call(x.requires_grad_(), y, out)
        with facula.no_grad():
            assert call(x, y, out) is out and not out.requires_grad


def test_out_is_an_operand() -> None:
    for _ in range(3):
        x, y = facula.randn(4, 4), facula.randn(4, 4)
        want, product, last = x + y, x @ y, x.clone()
        assert facula.equal(facula.add(x, y, out=x), want)
        assert facula.equal(facula.mm(last, y, out=last), product)
        z = facula.arange(12.0)
        assert facula.add(z[:8], 1, out=z[4:]).tolist() == [1.0, 2, 3, 4, 5, 6, 7, 8]  # what is still to be read is not overwritten
        turned = facula.arange(16.0).view(4, 4)
        assert facula.equal(facula.mul(turned.t(), 2, out=turned), facula.arange(16.0).view(4, 4).t() * 2)


def test_out_of_several_results() -> None:
    for _ in range(3):
        x = facula.tensor([[3.0, 1.0, 2.0]])
        values, places = facula.empty(1, 3), facula.empty(1, 3, dtype=facula.int64)
        got = facula.sort(x, out=(values, places))
        assert got.values is values and got.indices is places and type(got).__name__ == "sort_out"
        assert values.tolist() == [[1.0, 2.0, 3.0]] and places.tolist() == [[1, 2, 0]]
        same = facula.empty(1, 3)
        with pytest.raises(RuntimeError):
            facula.sort(x, out=(same, same))


def test_out_of_another_form() -> None:
    for _ in range(2):
        x = facula.arange(6.0).view(2, 3)
        turned = facula.zeros(3, 2).t()
        assert facula.add(x, 1, out=turned).stride() == (1, 2) and facula.equal(turned, x + 1)
        assert facula.add(x, 1, out=facula.empty(0)).shape == (2, 3)
        assert facula.add(x, 1, out=facula.empty(2, 3, dtype=facula.float64)).dtype is facula.float64
        with pytest.raises(RuntimeError, match="single memory location"):
            facula.add(x, 1, out=facula.zeros(3).expand(2, 3))
        with facula.inference_mode():
            fixed = facula.empty(2, 3)
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            facula.add(x, 1, out=fixed)
