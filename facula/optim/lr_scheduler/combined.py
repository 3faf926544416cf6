"""Schedules of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ...base.errors import refuse
from ..optimizer import Optimizer
from .base import LRScheduler, assign, values
from .plateau import ReduceLROnPlateau


class _Combined(LRScheduler):
    """Shared by the schedules of schedules: checks at the start, nested state."""

    def _require_schedulers(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None, purpose: str) -> Optimizer:
        name = type(self).__name__
        if len(schedulers) < 1:
            raise refuse(ValueError, f"{name} expects at least one scheduler{purpose}, but got no scheduler.")
        for index, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise refuse(TypeError, f"{name} at index {index} should have `optimizer` as its attribute.")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise refuse(
                    ValueError,
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be specified when "
                    f"calling `step`, but got one at index {index} in the given schedulers sequence.",
                )
            optimizer = optimizer or scheduler.optimizer
            if optimizer is not scheduler.optimizer:
                raise refuse(
                    ValueError,
                    f"{name} expects all schedulers to belong to the same optimizer, but got scheduler {type(scheduler).__name__} at "
                    f"index {index} has {scheduler.optimizer}, which is different from {type(optimizer).__name__}.",
                )
        assert optimizer is not None
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state["_schedulers"] = [s.state_dict() for s in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__dict__.update({key: value for key, value in state_dict.items() if key != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"]):
            scheduler.load_state_dict(state)

    _schedulers: Sequence[LRScheduler]


class SequentialLR(_Combined):
    """One schedule after the other; the next begins at its milestone."""

    def __init__(self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1) -> None:
        self.optimizer = self._require_schedulers(schedulers, optimizer, "")
        if len(milestones) != len(schedulers) - 1:
            raise refuse(
                ValueError,
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone points, "
                f"but got number of schedulers {len(schedulers)} and the number of milestones to be equal to {len(milestones)}",
            )
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            assign(group, "lr", group["initial_lr"])
        _undo_first_step(self)  # every schedule made its first step when it was built; only the first one's counts
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo_first_step(scheduler: Any) -> None:
    if hasattr(scheduler, "_schedulers"):
        for inner in scheduler._schedulers:
            _undo_first_step(inner)
    elif hasattr(scheduler, "last_epoch"):
        scheduler.last_epoch -= 1


class ChainedScheduler(_Combined):
    """All schedules at once, each on the rate that the one before it left."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.optimizer = self._require_schedulers(schedulers, optimizer, " to be chained")
        self._schedulers = schedulers
        self._last_lr = values(self.optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = values(self.optimizer, "lr")
