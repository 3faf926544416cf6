"""Adadelta."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require, require_at_least_zero, require_rate


class Adadelta(Optimizer):
    """Step sizes from the ratio of two running mean squares. Zeiler 2012, arXiv 1212.5701, algorithm 1."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_rate(lr)
        require(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}", "0 <= rho <= 1")
        require_at_least_zero("epsilon", eps)
        require_at_least_zero("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"step": counter(), "square_avg": ops.zeros_like(p), "acc_delta": ops.zeros_like(p)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, rho, eps = number(group["lr"]), group["rho"], group["eps"]
        for p, grad, state in zip(params, grads, states):
            state["step"] += 1
            if group["maximize"]:
                grad = -grad
            if group["weight_decay"] != 0:
                grad = grad.add(p, alpha=group["weight_decay"])
            p, grad, square, moved = as_real(p, grad, state["square_avg"], state["acc_delta"])
            square.mul_(rho).addcmul_(grad, grad, value=1 - rho)
            root = square.add(eps).sqrt_()
            delta = moved.add(eps).sqrt_()
            if group["differentiable"]:
                delta = delta.clone()
            delta.div_(root).mul_(grad)
            moved.mul_(rho).addcmul_(delta, delta, value=1 - rho)
            p.add_(delta, alpha=-lr)


__all__ = ["Adadelta"]
