"""Attributes of tensors, natively and in the twin."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import facula


def test_what_they_say() -> None:
    x = facula.ones(2, 3)
    assert (x.shape, x.ndim, x.dtype, x.device) == ((2, 3), 2, facula.float32, facula.device("cpu"))
    assert (x.requires_grad, x.is_leaf, x.grad_fn, x.grad) == (False, True, None, None)
    x.requires_grad = True
    y = x * 2
    assert x.requires_grad and x.is_leaf and x.grad_fn is None
    assert y.requires_grad and not y.is_leaf and y.grad_fn.name() == "MulBackward0"
    y.sum().backward()
    got = x.grad
    assert got is x.grad and got.tolist() == [[2.0] * 3] * 2
    x.grad = None
    assert x.grad is None
    x.grad = got * 2
    assert x.grad.tolist() == [[4.0] * 3] * 2
    del x.grad
    assert x.grad is None


def test_a_view_asks_its_base() -> None:
    y = facula.ones(4, requires_grad=True) * 1
    view, late = y[:2], y.detach()[2:]
    y.mul_(2)
    assert view.grad_fn.name() == "AsStridedBackward0" and view.requires_grad and not view.is_leaf
    assert late.grad_fn is None and late.is_leaf and not late.requires_grad


def test_a_gradient_that_is_not_kept() -> None:
    y = facula.ones(2, requires_grad=True) * 2
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert y.grad is None
    assert len(heard) == 1 and "is not a leaf Tensor" in str(heard[0].message) and heard[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="not a leaf"):
            _ = y.grad
        y.retain_grad()
        assert y.grad is None


@pytest.mark.parametrize("name", ["shape", "ndim", "dtype", "device", "is_leaf", "grad_fn"])
def test_what_cannot_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(facula.ones(2), name, None)


def test_what_is_refused() -> None:
    x = facula.ones(2, 3, requires_grad=True)
    wrong: list[Any] = [1, None, "yes"]
    for value in wrong:
        with pytest.raises(RuntimeError, match="requires_grad must be a bool"):
            x.requires_grad = value
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        (x * 2).requires_grad = False
    with pytest.raises(RuntimeError, match="floating point"):
        facula.arange(3).requires_grad = True
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None but got grad of type int"):
        x.grad = 1
    with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
        x.grad = x
    with pytest.raises(RuntimeError, match=r"attempting to assign a gradient of size '\[2\]' to a tensor of size '\[2, 3\]'"):
        x.grad = facula.ones(2)
    assert x.grad is None and x.requires_grad
