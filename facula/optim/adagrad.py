"""Adagrad."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import (
    Group,
    Optimizer,
    ParamsT,
    State,
    as_real,
    counter,
    number,
    require_at_least_zero,
    require_one_road,
    require_rate,
)


class Adagrad(Optimizer):
    """Gradient over the root of the sum of its squares. Duchi, Hazan & Singer 2011, JMLR 12."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require_rate(lr)
        require_at_least_zero("lr_decay", lr_decay)
        require_at_least_zero("weight_decay", weight_decay)
        require_at_least_zero("initial_accumulator_value", initial_accumulator_value)
        require_at_least_zero("epsilon", eps)
        require_one_road(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:  # PyTorch makes this state at once; share_memory relies on it
            for p in group["params"]:
                self.state[p] = self._initial(p, group)

    def share_memory(self) -> None:
        """Move the sums to shared memory, so that several processes may train one model."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def _initial(self, p: Tensor, group: Group) -> State:
        start = group["initial_accumulator_value"]
        return {"step": counter(), "sum": ops.full_like(p, complex(start, start) if p.is_complex() else start)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, decay = number(group["lr"]), group["weight_decay"]
        for p, grad, state in zip(params, grads, states):
            state["step"] += 1
            rate = lr / (1 + (state["step"].item() - 1) * group["lr_decay"])
            if group["maximize"]:
                grad = -grad
            if decay != 0:
                grad = grad.add(p, alpha=decay)
            p, grad, total = as_real(p, grad, state["sum"])
            total.addcmul_(grad, grad, value=1)
            root = total.sqrt()
            root = root + group["eps"] if group["differentiable"] else root.add_(group["eps"])
            p.addcdiv_(grad, root, value=-rate)


__all__ = ["Adagrad"]
