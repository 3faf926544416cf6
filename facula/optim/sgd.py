"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

from ..base.errors import refuse
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, number, require, require_one_road, require_rate


class SGD(Optimizer):
    """v <- momentum v + (1 - dampening) g; p <- p - lr v. Nesterov: Sutskever et al. 2013, section 2, in PyTorch's form of lr outside v."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        require_rate(lr)
        require(momentum >= 0.0, f"Invalid momentum value: {momentum}", "momentum >= 0")
        require(weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}", "weight_decay >= 0")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise refuse(
                ValueError,
                "Nesterov momentum requires a momentum and zero dampening",
                received=f"{momentum=}, {dampening=}",
                expected="momentum > 0 and dampening == 0",
            )
        require_one_road(foreach, fused, differentiable)
        defaults: dict[str, Any] = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"momentum_buffer": None} if group["momentum"] != 0 else {}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, momentum, decay = number(group["lr"]), group["momentum"], number(group["weight_decay"])
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            if decay != 0:
                grad = grad.add(p, alpha=decay)
            if momentum != 0:
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = state["momentum_buffer"] = grad.clone() if group["differentiable"] else grad.clone().detach()
                else:
                    buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
                grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
            p.add_(grad, alpha=-lr)


__all__ = ["SGD"]
