"""Schedules that cycle rate and momentum against each other, step by step."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from ...base.errors import refuse
from ..optimizer import Group, Optimizer, require
from .base import LRScheduler, Rate, assign, per_group, require_optimizer


class CyclicLR(LRScheduler):
    """A saw between `base_lr` and `max_lr`, step by step. Smith 2015, arXiv 1506.01186, section 3."""

    use_beta1: bool

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups, strict=True):
                assign(group, "lr", rate)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise refuse(
                ValueError, "mode is invalid and scale_fn is None", received=f"{mode=}", expected="triangular, triangular2 or exp_range"
            )
        self.mode, self.gamma, self.scale_mode = mode, gamma, scale_mode
        self._scale_fn_custom = scale_fn
        self._choose_scale()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = _start_momentum(self, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _choose_scale(self) -> None:
        if self._scale_fn_custom is None:
            self._scale_fn_ref = {
                "triangular": _one,
                "triangular2": _halving,
                "exp_range": partial(pow, self.gamma),
            }[self.mode]
            self.scale_mode = "iterations" if self.mode == "exp_range" else "cycle"

    def scale_fn(self, x: float) -> float:
        """Height of the saw in cycle (or at iteration) `x`."""
        return self._scale_fn_ref(x) if self._scale_fn_custom is None else self._scale_fn_custom(x)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momenta = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in momenta:
                _set_momentum(group, self.use_beta1, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state.pop("_scale_fn_ref", None)
        function = state["_scale_fn_custom"]
        plain = function is None or isinstance(function, types.FunctionType)
        state["_scale_fn_custom"] = None if plain else function.__dict__.copy()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_scale_fn_custom"})
        if state_dict.get("_scale_fn_custom") is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(state_dict["_scale_fn_custom"])
        self._choose_scale()


def _one(cycle: float) -> float:
    return 1.0


def _halving(cycle: float) -> float:
    return 1 / 2.0 ** (cycle - 1)


class OneCycleLR(LRScheduler):
    """Up to `max_lr`, then far below the start, once over all steps. Smith & Topin 2017, arXiv 1708.07120. Call `step` after each batch."""

    use_beta1: bool

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        require(
            isinstance(pct_start, float) and 0 <= pct_start <= 1,
            f"Expected float between 0 and 1 pct_start, but got {pct_start}",
            "a float between 0 and 1",
            f"{pct_start=}",
        )
        require(
            anneal_strategy in ("cos", "linear"),
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}",
            "'cos' or 'linear'",
            f"{anneal_strategy=}",
        )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        max_lrs = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"], group["max_lr"] = highest / div_factor, highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _start_momentum(self, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: Rate, end: Rate, share: float) -> Rate:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise refuse(
                ValueError,
                f"Tried to step {step} times. The specified number of total steps is {self.total_steps}",
                expected="total_steps = epochs * len(loader)",
            )
        start = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        share = (step - start) / (end - start)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for g in groups:
                _set_momentum(g, self.use_beta1, self._anneal(g[phase["start_momentum"]], g[phase["end_momentum"]], share))
        return [self._anneal(g[phase["start_lr"]], g[phase["end_lr"]], share) for g in groups]


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    def positive(name: str, value: Any) -> int:
        require(
            isinstance(value, int) and value > 0,
            f"Expected positive integer {name}, but got {value}",
            "an int above 0",
            f"{name}={value!r}",
        )
        return value

    if total_steps is not None:
        return positive("total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise refuse(ValueError, "You must define either total_steps OR (epochs AND steps_per_epoch)")
    return positive("epochs", epochs) * positive("steps_per_epoch", steps_per_epoch)


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """Where each phase ends (in steps) and between which values of a group it runs."""

    def phase(end: float, *names: str) -> dict[str, Any]:
        return {"end_step": end, **dict(zip(("start_lr", "end_lr", "start_momentum", "end_momentum"), names, strict=True))}

    top = float(pct_start * total_steps)
    up = phase(top - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    if not three_phase:
        return [up, phase(total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    down = phase(2 * top - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
    return [up, down, phase(total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]


def _start_momentum(schedule: Any, base_momentum: Any, max_momentum: Any, last_epoch: int) -> tuple[list[Any], list[Any]]:
    """Momenta (or first betas) of each group at the start of a cycle, written into the groups unless training resumes."""
    optimizer = schedule.optimizer
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise refuse(
            ValueError, "optimizer must support momentum or beta1 with `cycle_momentum` option enabled", hint="cycle_momentum=False"
        )
    schedule.use_beta1 = "betas" in optimizer.defaults
    lowest = per_group("base_momentum", optimizer, base_momentum)
    highest = per_group("max_momentum", optimizer, max_momentum)
    if last_epoch == -1:
        for high, low, group in zip(highest, lowest, optimizer.param_groups, strict=True):
            _set_momentum(group, schedule.use_beta1, high)
            group["max_momentum"], group["base_momentum"] = high, low
    return lowest, highest


def _set_momentum(group: Group, use_beta1: bool, momentum: float) -> None:
    if use_beta1:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
