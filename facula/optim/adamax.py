"""Adamax."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require_at_least_zero, require_betas, require_rate


class Adamax(Optimizer):
    """Adam with the infinity norm in place of the root mean square. Kingma & Ba 2014, arXiv 1412.6980, algorithm 2."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        require_rate(lr)
        require_at_least_zero("epsilon", eps)
        require_betas(betas)
        require_at_least_zero("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"step": counter(), "exp_avg": ops.zeros_like(p), "exp_inf": ops.zeros_like(p)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, (beta1, beta2) = number(group["lr"]), group["betas"]
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            state["step"] += 1
            if group["weight_decay"] != 0:
                grad = grad.add(p, alpha=group["weight_decay"])
            p, grad, mean, norm = as_real(p, grad, state["exp_avg"], state["exp_inf"])
            mean.lerp_(grad, 1 - beta1)
            # eps inside the maximum, as in PyTorch: a gradient of zero does not divide by zero
            norm.copy_(ops.maximum(norm.mul(beta2), grad.abs().add_(group["eps"])))
            p.addcdiv_(mean, norm, value=-lr / (1 - beta1 ** state["step"].item()))


__all__ = ["Adamax"]
