"""RMSprop."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require_at_least_zero, require_rate


class RMSprop(Optimizer):
    """Gradient over the root of its mean square (Hinton's lecture 6e, 2012); `centered` subtracts the squared mean, Graves 2013."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        require_rate(lr)
        require_at_least_zero("epsilon", eps)
        require_at_least_zero("momentum", momentum)
        require_at_least_zero("weight_decay", weight_decay)
        require_at_least_zero("alpha", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        state = {"step": counter(), "square_avg": ops.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = ops.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = ops.zeros_like(p)
        return state

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, alpha, momentum = number(group["lr"]), group["alpha"], group["momentum"]
        for p, grad, state in zip(params, grads, states):
            state["step"] += 1
            if group["maximize"]:
                grad = -grad
            if group["weight_decay"] != 0:
                grad = grad.add(p, alpha=group["weight_decay"])
            p, grad, square, buffer, mean = as_real(p, grad, state["square_avg"], state.get("momentum_buffer"), state.get("grad_avg"))
            square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
            if group["centered"]:
                mean.lerp_(grad, 1 - alpha)
                root = square.addcmul(mean, mean, value=-1).sqrt_()
            else:
                root = square.sqrt()
            root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
            if momentum > 0:
                buffer.mul_(momentum).addcdiv_(grad, root)
                p.add_(buffer, alpha=-lr)
            else:
                p.addcdiv_(grad, root, value=-lr)


__all__ = ["RMSprop"]
