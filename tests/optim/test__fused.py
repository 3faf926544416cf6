"""The fused steps against the definitions in ordinary operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import facula as torch
from facula.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, _fused

MAKERS: dict[str, Callable[[Any], Optimizer]] = {
    "adamw": lambda p: AdamW(p, lr=0.1),
    "adam": lambda p: Adam(p, lr=0.1, weight_decay=0.1, maximize=True),
    "amsgrad": lambda p: Adam(p, lr=0.1, amsgrad=True),
    "sgd": lambda p: SGD(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: RMSprop(p, centered=True, momentum=0.5, weight_decay=0.1),
    "adagrad": lambda p: Adagrad(p, lr=0.1, lr_decay=0.1),
}


def train(make: Callable[[Any], Optimizer], dtype: Any) -> list[np.ndarray]:
    """Four steps; one parameter sits the second out, one is a transposed view whose gradient is not."""
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(n, 3, dtype=dtype)) for n in (1, 5, 7000)]
    params.append(torch.nn.Parameter(torch.randn(5, 4, dtype=dtype).t()))
    optimizer = make(params)
    for step in range(4):
        for p in params:
            p.grad = torch.randn(*p.shape, dtype=dtype)
        if step == 1:
            params[1].grad = None
        before = params[0]._version
        optimizer.step()
        assert params[0]._version > before
    return [p.detach().double().numpy() for p in params]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fused_is_the_definition(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = getattr(torch, dtype)
    fused = train(MAKERS[name], kind)
    for cls in (Adam, SGD, RMSprop, Adagrad):
        monkeypatch.setattr(cls, "fused", None)
    for got, want in zip(fused, train(MAKERS[name], kind)):
        assert np.abs(got - want).max() <= {"float32": 1e-6, "float64": 1e-14}[dtype]


def test_a_graph_of_the_step_takes_the_definition() -> None:
    p = torch.nn.Parameter(torch.randn(3))
    group = SGD([p], lr=0.1, differentiable=True).param_groups[0]
    assert not _fused.sgd([p], [torch.randn(3)], [{}], group)


def test_complex_parameters_take_the_definition() -> None:
    p = torch.nn.Parameter(torch.randn(3, dtype=torch.complex64))
    p.grad = torch.ones(3, dtype=torch.complex64)
    before = p.detach().clone()
    SGD([p], lr=0.5).step()
    assert torch.allclose(p.detach(), before - 0.5)
