"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..base.errors import refuse
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
    require_betas,
    require_one_road,
    require_rate,
)


class Adam(Optimizer):
    """Kingma & Ba 2014, arXiv 1412.6980, algorithm 1; `amsgrad`: Reddi et al. 2018; `decoupled_weight_decay` makes it AdamW."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise refuse(ValueError, "lr as a Tensor is not supported for capturable=False and foreach=True", hint="foreach=None")
        require_rate(lr)
        require_at_least_zero("epsilon", eps)
        require_betas(betas)
        require_at_least_zero("weight_decay", weight_decay)
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
            raise refuse(ValueError, "betas must be either both floats or both Tensors")
        beta: Any
        for index, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise refuse(ValueError, f"Tensor betas[{index}] must be 1-element")
        require_one_road(foreach, fused, differentiable)
        defaults: dict[str, Any] = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        state = {"step": counter(), "exp_avg": ops.zeros_like(p), "exp_avg_sq": ops.zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = ops.zeros_like(p)
        return state

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, decay, eps = number(group["lr"]), group["weight_decay"], group["eps"]
        beta1, beta2 = (number(beta) for beta in group["betas"])
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            state["step"] += 1
            step = state["step"].item()
            if decay != 0 and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay != 0:
                grad = grad.add(p, alpha=decay)
            p, grad, mean, square, peak = as_real(p, grad, state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq"))
            if mean.dtype != grad.dtype:
                grad = grad.to(mean.dtype)
            mean.lerp_(grad, 1 - beta1)
            square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            if group["amsgrad"]:
                peak.copy_(ops.maximum(peak, square))
                square = peak
            root = square.sqrt() / (1 - beta2**step) ** 0.5
            p.addcdiv_(mean, root.add(eps) if group["differentiable"] else root.add_(eps), value=-lr / (1 - beta1**step))


class AdamW(Adam):
    """Adam with weight decay apart from the gradient. Loshchilov & Hutter 2017, arXiv 1711.05101, algorithm 2."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # checkpoints from before the option existed do not have it
            group["decoupled_weight_decay"] = True


__all__ = ["Adam", "AdamW"]
