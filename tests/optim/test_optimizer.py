"""Optimizers against recorded steps of PyTorch, and the contract of the base class."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from facula import ops, optim
from facula.optim.optimizer import register_optimizer_step_post_hook

CASES = json.loads(Path(__file__).with_name("recorded.json").read_text())["optimizers"]


def weights(*shape: int):
    return ops.ones(*shape).requires_grad_()


def options(case: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}


def steps(case: dict, optimizer: optim.Optimizer, params: list, grads: list) -> None:
    for step in grads:
        targets = [ops.tensor(g) for g in step]

        def closure(targets: list = targets):
            optimizer.zero_grad()
            loss = sum(((p - g) ** 2).sum() for p, g in zip(params, targets))
            loss.backward()
            return loss

        for p, g in zip(params, targets):
            p.grad = g
        optimizer.step(closure) if case["name"] == "LBFGS" else optimizer.step()


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['name']}-{'-'.join(c['options'])}")
def test_steps_agree_with_pytorch(case: dict) -> None:
    params = [ops.tensor(v).requires_grad_() for v in case["start"]]
    optimizer = getattr(optim, case["name"])(params, **options(case))
    steps(case, optimizer, params, case["grads"])
    for p, end in zip(params, case["end"]):
        assert float((p.detach() - ops.tensor(end)).abs().max()) < 2e-5
    have = [sorted(optimizer.state[p]) if p in optimizer.state else [] for p in params]
    assert have == case["state"]


@pytest.mark.parametrize("case", [c for c in CASES if c["name"] != "LBFGS"], ids=lambda c: f"{c['name']}-{'-'.join(c['options'])}")
def test_state_dict_resumes_to_the_same_bits(case: dict) -> None:
    straight = [ops.tensor(v).requires_grad_() for v in case["start"]]
    steps(case, getattr(optim, case["name"])(straight, **options(case)), straight, case["grads"])
    params = [ops.tensor(v).requires_grad_() for v in case["start"]]
    first = getattr(optim, case["name"])(params, **options(case))
    steps(case, first, params, case["grads"][:3])
    second = getattr(optim, case["name"])(params, lr=0.777)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(case, second, params, case["grads"][3:])
    assert all(ops.equal(a, b) for a, b in zip(straight, params))


def test_groups_take_defaults_and_keep_their_own() -> None:
    a, b = weights(2), weights(3)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5]
    assert optimizer.state_dict()["param_groups"][1]["params"] == [1]
    optimizer.add_param_group({"params": [weights(1)], "momentum": 0.9})
    assert optimizer.param_groups[2]["lr"] == 0.1 and len(optimizer.param_groups) == 3


def test_names_of_parameters_are_kept() -> None:
    optimizer = optim.Adam([("w", weights(2)), ("b", weights(1))])
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]


def test_parameters_without_gradient_rest() -> None:
    a, b = weights(2), weights(2)
    optimizer = optim.Adam([a, b])
    a.grad = ops.ones(2)
    optimizer.step()
    assert b not in optimizer.state and float(b.detach().sum()) == 2.0


def test_zero_grad() -> None:
    a = weights(2)
    optimizer = optim.SGD([a])
    a.grad = ops.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert float(a.grad.abs().sum()) == 0.0
    optimizer.zero_grad()
    assert a.grad is None


def test_closure_runs_with_gradients_and_its_loss_is_returned() -> None:
    a = weights(2)
    optimizer = optim.SGD([a], lr=0.5)

    def closure():
        loss = (a * a).sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) == 2.0
    assert float(a.detach().abs().sum()) == 0.0


def test_hooks_run_around_a_step_and_leave() -> None:
    seen: list[str] = []
    a = weights(2)
    optimizer = optim.SGD([a])
    before = optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append("pre"))
    optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append("post"))
    everywhere = register_optimizer_step_post_hook(lambda opt, args, kwargs: seen.append("global"))
    a.grad = ops.ones(2)
    optimizer.step()
    before.remove()
    everywhere.remove()
    optimizer.step()
    assert seen == ["pre", "post", "global", "post"]


def test_hooks_see_the_optimizer_among_the_arguments() -> None:
    a, seen = weights(2), []
    optimizer = optim.SGD([a])
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append((opt, args, kwargs)))
    optimizer.step(closure=None)
    assert seen == [(optimizer, (optimizer,), {"closure": None})]


def test_state_dict_hooks_may_replace_the_dictionary() -> None:
    optimizer = optim.SGD([weights(2)])
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "note": 1})
    assert optimizer.state_dict()["note"] == 1


def test_deepcopy_is_independent() -> None:
    a = weights(2)
    optimizer = optim.Adam([a])
    a.grad = ops.ones(2)
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    assert twin.param_groups[0]["params"][0] is not a and len(twin.state) == 1


def test_repr_is_sorted() -> None:
    assert repr(optim.SGD([weights(1)], lr=0.5)).startswith("SGD (\nParameter Group 0\n    dampening: 0\n")


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda p: optim.SGD([]), ValueError, "empty parameter list"),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
        (lambda p: optim.SGD(p), TypeError, "should be an iterable of Tensors or dicts"),
        (lambda p: optim.SGD([p, 3]), TypeError, "one of the params is int"),
        (lambda p: optim.SGD([p * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), ValueError, "more than one parameter group"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda p: optim.AdamW([p], weight_decay=-0.1), ValueError, "Invalid weight_decay value: -0.1"),
        (lambda p: optim.Adam([p], fused=True, foreach=True), RuntimeError, "cannot be `True` together"),
        (lambda p: optim.Rprop([p], etas=(1, 2)), ValueError, "Invalid eta values"),
        (lambda p: optim.Muon([p]), ValueError, "only supports 2D parameters"),
        (lambda p: optim.LBFGS([p]).step(), TypeError, "closure"),
        (
            lambda p: optim.SGD([p]).load_state_dict(optim.SGD([{"params": p}, {"params": weights(1)}]).state_dict()),
            ValueError,
            "number of",
        ),
    ],
)
def test_refusals(make, kind, match) -> None:
    with pytest.raises(kind, match=match):
        make(weights(2))
