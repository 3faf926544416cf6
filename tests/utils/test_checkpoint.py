"""Checkpointed parts give the gradients of what they replace, from less memory, and notice when their second run differs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

import facula
from facula import nn
from facula.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential, set_checkpoint_early_stop

MODEL = nn.Sequential(
    nn.Linear(6, 20), nn.ReLU(), nn.Dropout(0.5), nn.LayerNorm(20), nn.Linear(20, 20), nn.GELU(), nn.Dropout(0.1), nn.Linear(20, 3)
)


def numbers_of(run: Callable[[Any], Any], x: Any) -> list[Any]:
    """Result, gradients, and what the generator gives afterwards."""
    MODEL.zero_grad()
    x.grad = None
    facula.manual_seed(7)
    y = run(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in MODEL.parameters()), facula.rand(2)]


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("stop", [True, False])
def test_gradients_and_random_numbers_are_those_of_the_plain_call(reentrant: bool, stop: bool) -> None:
    x = facula.randn(5, 6, requires_grad=True)
    want = numbers_of(MODEL, x)
    runs: list[Callable[[Any], Any]] = [
        lambda x: checkpoint(MODEL, x, use_reentrant=reentrant, early_stop=stop),
        lambda x: checkpoint_sequential(MODEL, 3, x, use_reentrant=reentrant),
        lambda x: checkpoint(lambda x: MODEL[3:](checkpoint(MODEL[:3], x, use_reentrant=reentrant)), x, use_reentrant=reentrant),
    ]
    if not reentrant:
        runs.append(facula.compile(runs[0]))
    for run in runs:
        assert all(facula.equal(a, b) for a, b in zip(numbers_of(run, x), want))


def test_two_backward_passes_and_second_derivatives() -> None:
    x = facula.tensor([0.3, -0.7], dtype=facula.float64, requires_grad=True)

    def part(x: Any, scale: float = 1.0) -> Any:
        return (x * x).sin() * x * scale

    y = checkpoint(part, x, use_reentrant=False, scale=2.0).sum()
    first = facula.autograd.grad(y, x, retain_graph=True)[0]
    assert facula.equal(first, facula.autograd.grad(y, x)[0]) and facula.equal(first, facula.autograd.grad(part(x, 2.0).sum(), x)[0])
    assert facula.autograd.gradgradcheck(lambda x: checkpoint(part, x, use_reentrant=False), x)


def test_arguments_go_with_backward() -> None:
    class Mark:
        pass

    mark = Mark()
    gone = weakref.ref(mark)
    x = facula.ones(3, requires_grad=True)
    y = checkpoint(lambda x, mark: (x * x).exp(), x, mark, use_reentrant=False)
    del mark
    assert gone() is not None
    y.sum().backward()
    assert gone() is None


def changing(*bodies: Callable[[Any], Any]) -> Callable[[Any], Any]:
    left = list(bodies)
    return lambda x: left.pop(0)(x)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (lambda x: x * x, "A different number of tensors was saved during the original forward and recomputation"),
        (lambda x: ((x * x).sin() * x).sin(), "trying to save more tensors during recomputation"),
        (lambda x: (x[:1] * x[:1]).sin(), "have different metadata than during the forward pass"),
    ],
)
def test_a_second_run_that_differs_is_refused(second: Callable[[Any], Any], sentence: str) -> None:
    x = facula.ones(2, requires_grad=True)
    with set_checkpoint_early_stop(False):
        y = checkpoint(changing(lambda x: (x * x).sin(), second), x, use_reentrant=False)
    with pytest.raises(CheckpointError, match=sentence):
        y.sum().backward()


def test_contexts_and_refusals() -> None:
    x, seen = facula.ones(2, requires_grad=True), []

    @contextmanager
    def noted(name: str) -> Any:
        seen.append(name)
        yield

    y = checkpoint(lambda x: x.exp() * x, x, use_reentrant=False, context_fn=lambda: (noted("first"), noted("second")))
    assert seen == ["first"]
    y.sum().backward()
    assert seen == ["first", "second"]
    with pytest.raises(ValueError, match="Unexpected keyword arguments: scale"):
        checkpoint(facula.exp, x, use_reentrant=True, scale=2)
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        checkpoint(facula.exp, x, use_reentrant=False, determinism_check="all")
    with pytest.raises(RuntimeError, match=r"incompatible with \.grad\(\)"):
        facula.autograd.grad(checkpoint(facula.exp, x, use_reentrant=True).sum(), x)
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        checkpoint(facula.exp, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(facula.exp, x.detach(), use_reentrant=True)
