"""Averages of weights over training: stochastic weight averaging (Izmailov et al. 2018, arXiv 1803.05407) and exponential ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from .. import ops
from ..base.errors import refuse, warn
from ..core import Tensor, no_grad
from ..core.guards import guard
from ..nn import Module
from .lr_scheduler.base import LRScheduler, Rate, per_group
from .optimizer import Optimizer, number, require

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _require_decay(decay: float) -> None:
    require(
        0.0 <= decay <= 1.0, f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.", "0 <= decay <= 1", f"{decay=}"
    )


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay * average + (1 - decay) * parameter, for one tensor."""
    _require_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """Mean of all parameters so far, for one tensor."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The exponential average in place on lists of tensors."""
    _require_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], _: Any) -> None:
        for average, p in zip(ema_param_list, current_param_list):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(p.to(average.dtype), 1 - decay)
            else:
                average.copy_(average * decay + p * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The plain mean in place on lists of tensors."""

    @no_grad()
    def swa_update(averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Any) -> None:
        for average, p in zip(averaged_param_list, current_param_list):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(p.to(average.dtype), 1 / (number(num_averaged) + 1))
            else:
                average.add_(((p - average) / (num_averaged + 1)).to(average.dtype))

    return swa_update


class AveragedModel(Module):
    """A copy of `model` in `.module` whose parameters are averages; call `update_parameters(model)` after optimizer steps."""

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise refuse(AssertionError, "Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", ops.tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of `model` into the average; buffers too with `use_buffers`, otherwise they are copied."""
        ours, theirs = self._averaged(self.module), self._averaged(model)
        with no_grad():
            fresh = [p.detach().to(a.device) for a, p in zip(ours, theirs)]
            averages = [a.detach() for a in ours]
            if number(self.n_averaged) == 0:
                for average, p in zip(averages, fresh):
                    average.copy_(p)
            elif self.avg_fn is not None:
                for average, p in zip(averages, fresh):
                    average.copy_(self.avg_fn(average, p, self.n_averaged.to(average.device)))
            else:
                (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, fresh, self.n_averaged)
            if not self.use_buffers:
                for mine, other in zip(self.module.buffers(), model.buffers()):
                    mine.detach().copy_(other.detach().to(mine.device))
            self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Tensor]:
        return list(itertools.chain(model.parameters(), model.buffers() if self.use_buffers else []))


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of batch normalisation for averaged weights, in one pass over `loader`."""
    norms = [m for m in model.modules() if hasattr(m, "running_mean") and hasattr(m, "momentum") and hasattr(m, "reset_running_stats")]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean instead of an exponential one
    for batch in loader:
        first = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(first if device is None else first.to(device))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the present rate to the constant `swa_lr` within `anneal_epochs`."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        require(
            anneal_strategy in ("cos", "linear"),
            f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}",
            "'cos' or 'linear'",
            f"{anneal_strategy=}",
        )
        require(
            isinstance(anneal_epochs, int) and anneal_epochs >= 0,
            f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}",
            "an int >= 0",
            f"{anneal_epochs=}",
        )
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, epoch: int) -> float:
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Rate]:
        if not self._get_lr_called_within_step:
            warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.", UserWarning)
        step = self._step_count - 1 if self.anneal_epochs == 0 else max(0, self._step_count - 1)
        before = self._share(max(0, step - 1))
        now = 1.0 if self.anneal_epochs == 0 else self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            # undo the part that the last step mixed in, then mix in this step's: the schedule stays chainable
            start = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

guard(globals(), __all__)
