"""Writes recorded.json: what PyTorch's optimizers and schedules answer. Run once, with torch installed: `python tests/optim/record.py`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

STEPS = 6
OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "betas": [0.8, 0.95]}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr_decay": 0.5, "weight_decay": 0.1, "initial_accumulator_value": 0.1}),
    ("Adadelta", {"rho": 0.95, "weight_decay": 0.3}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"betas": [0.9, 0.9], "weight_decay": 0.1}),
    ("ASGD", {"t0": 2, "lambd": 0.1}),
    ("Rprop", {"lr": 0.1, "etas": [0.4, 1.3]}),
    ("Adafactor", {"weight_decay": 0.1, "d": 1.5}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 3}),
]
SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 7}),
    ("ExponentialLR", {"gamma": 0.85}),
    ("PolynomialLR", {"total_iters": 10, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.001}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": 0.3, "epochs": 4, "steps_per_epoch": 5, "anneal_strategy": "linear", "three_phase": True}),
]


def values(tensors: list[torch.Tensor]) -> list:
    return [t.detach().tolist() for t in tensors]


def optimizer_case(name: str, options: dict) -> dict:
    torch.manual_seed(len(name))
    params = [torch.randn(4, 3).requires_grad_(), torch.randn(5).requires_grad_()]
    start, grads = values(params), [values([torch.randn(4, 3), torch.randn(5)]) for _ in range(STEPS)]
    optimizer = getattr(torch.optim, name)(params, **options)
    for step in grads:
        targets = [torch.tensor(g) for g in step]

        def closure(targets: list[torch.Tensor] = targets) -> torch.Tensor:
            optimizer.zero_grad()
            loss = sum(((p - g) ** 2).sum() for p, g in zip(params, targets))
            loss.backward()
            return loss

        for p, g in zip(params, targets):
            p.grad = g
        optimizer.step(closure) if name == "LBFGS" else optimizer.step()
    names = [sorted(optimizer.state[p]) for p in params]
    return {"name": name, "options": options, "start": start, "grads": grads, "end": values(params), "state": names}


def schedule_case(name: str, options: dict) -> dict:
    optimizer = torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.1, momentum=0.9)
    schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    rates = []
    for _ in range(20):
        rates.append([optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]])
        optimizer.step()
        schedule.step()
    return {"name": name, "options": options, "rates": rates}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    recorded = {"optimizers": [optimizer_case(*case) for case in OPTIMIZERS], "schedules": [schedule_case(*case) for case in SCHEDULES]}
    text = json.dumps(recorded, separators=(",", ":"))
    Path(__file__).with_name("recorded.json").write_text(text + "\n")
