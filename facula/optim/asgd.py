"""ASGD."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require_at_least_zero, require_rate


class ASGD(Optimizer):
    """Gradient descent with a running average of the iterates in `state["ax"]`. Polyak & Juditsky 1992, SIAM J. Control Optim. 30."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require_rate(lr)
        require_at_least_zero("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"step": counter(), "eta": counter(number(group["lr"])), "mu": counter(1.0), "ax": ops.zeros_like(p)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, lambd = number(group["lr"]), group["lambd"]
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            p, grad, average = as_real(p, grad, state["ax"])
            state["step"] += 1
            step, eta, mu = state["step"].item(), state["eta"].item(), state["mu"].item()
            if group["weight_decay"] != 0:
                grad = grad.add(p, alpha=group["weight_decay"])
            p.mul_(1 - lambd * eta)
            p.add_(grad, alpha=-eta)
            if mu == 1:
                average.copy_(p)
            else:
                average.add_(p.sub(average).mul_(mu))
            state["eta"].fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
            state["mu"].fill_(1 / max(1, step - group["t0"]))


__all__ = ["ASGD"]
