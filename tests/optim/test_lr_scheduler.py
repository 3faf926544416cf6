"""Schedules against recorded rates of PyTorch, resuming, and warnings."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from facula import ops, optim
from facula.optim import lr_scheduler
from facula.optim.swa_utils import SWALR

CASES = json.loads(Path(__file__).with_name("recorded.json").read_text())["schedules"]


def sgd() -> optim.Optimizer:
    return optim.SGD([ops.zeros(2).requires_grad_()], lr=0.1, momentum=0.9)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['name']}-{len(c['options'])}")
def test_rates_agree_with_pytorch_also_after_resuming(case: dict) -> None:
    optimizer = sgd()
    schedule = getattr(lr_scheduler, case["name"])(optimizer, **case["options"])
    for number, (lr, momentum) in enumerate(case["rates"]):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-12, abs=1e-15)
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(momentum, rel=1e-12)
        if number == 7:
            saved, old = schedule.state_dict(), optimizer.state_dict()
            optimizer = sgd()
            schedule = getattr(lr_scheduler, case["name"])(optimizer, **case["options"])
            optimizer.load_state_dict(old)
            schedule.load_state_dict(saved)
        optimizer.step()
        schedule.step()


def test_sequential_and_chained() -> None:
    optimizer = sgd()
    parts = [lr_scheduler.LinearLR(optimizer, total_iters=4), lr_scheduler.ExponentialLR(optimizer, 0.8)]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [4])
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1 / 3, 0.05, 0.2 / 3, 0.25 / 3, 0.1, 0.08, 0.064])
    optimizer = sgd()
    chained = lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(optimizer, 0.1, 2), lr_scheduler.ExponentialLR(optimizer, 0.9)])
    optimizer.step()
    chained.step()
    assert chained.get_last_lr() == pytest.approx([0.009])


def test_plateau_waits_reduces_and_cools_down() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, cooldown=1)
    for loss in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]:
        schedule.step(loss)
    assert optimizer.param_groups[0]["lr"] == 0.025


def test_swalr_reaches_its_rate() -> None:
    optimizer = sgd()
    schedule = SWALR(optimizer, 0.02, anneal_epochs=3)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)


def test_tensor_rates_are_changed_in_place() -> None:
    rate = ops.tensor(0.1)
    optimizer = optim.SGD([ops.zeros(2).requires_grad_()], lr=rate)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] is rate and float(rate) == pytest.approx(0.05)


def test_wrong_order_warns_and_right_order_does_not() -> None:
    schedule = lr_scheduler.StepLR(sgd(), 1)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        schedule.step()
    optimizer = sgd()
    schedule = lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda o: lr_scheduler.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1), ValueError, "You must define either"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1, total_steps=-1), ValueError, "Expected positive integer total_steps"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=2), ValueError, "between 0 and 1"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.2, mode="saw"), ValueError, "mode is invalid"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [3]), ValueError, "one more than the number of milestone"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(sgd(), 1)], []), ValueError, "belong to the same optimizer"),
        (lambda o: lr_scheduler.StepLR(o, 1, last_epoch=3), KeyError, "initial_lr"),
    ],
)
def test_refusals(make, kind, match) -> None:
    with pytest.raises(kind, match=match):
        make(sgd())
