"""Rprop."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require, require_rate


class Rprop(Optimizer):
    """Steps from the sign of the gradient alone; for whole-batch training. Riedmiller & Braun 1993, without weight backtracking."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_rate(lr)
        require(0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}", "0 < etas[0] < 1 < etas[1]")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        lr = number(group["lr"])
        return {
            "step": counter(),
            "prev": ops.zeros_like(p),
            "step_size": ops.full_like(p, complex(lr, lr) if p.is_complex() else lr),
        }

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            state["step"] += 1
            p, grad, previous, size = as_real(p, grad, state["prev"], state["step_size"])
            agreement = grad.mul(previous.clone() if group["differentiable"] else previous)
            turned = agreement.lt(0)
            factor = ops.ones_like(size).masked_fill_(agreement.gt(0), grow).masked_fill_(turned, shrink)
            size.mul_(factor).clamp_(smallest, largest)
            grad = grad.masked_fill(turned, 0)  # a coordinate that turned rests for one step
            p.addcmul_(grad.sign(), size, value=-1)
            previous.copy_(grad)


__all__ = ["Rprop"]
