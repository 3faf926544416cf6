"""RAdam."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require_at_least_zero, require_betas, require_rate


class RAdam(Optimizer):
    """Adam whose adaptive rate waits until its variance is tractable. Liu et al. 2019, arXiv 1908.03265, algorithm 2."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"step": counter(), "exp_avg": ops.zeros_like(p), "exp_avg_sq": ops.zeros_like(p)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, (beta1, beta2), decay = number(group["lr"]), group["betas"], group["weight_decay"]
        longest = 2 / (1 - beta2) - 1  # rho_inf of the paper: length of the moving average after infinitely many steps
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            p, grad, mean, square = as_real(p, grad, state["exp_avg"], state["exp_avg_sq"])
            state["step"] += 1
            step = state["step"].item()
            if decay != 0 and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay != 0:
                grad = grad.add(p, alpha=decay)
            mean.lerp_(grad, 1 - beta1)
            square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            unbiased = mean / (1 - beta1**step)
            correction = 1 - beta2**step
            length = longest - 2 * step * beta2**step / correction  # rho_t
            if length > 5.0:
                root = square.sqrt()
                root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
                rect = ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
                p.add_(unbiased * lr * (correction**0.5 / root) * rect, alpha=-1.0)
            else:
                p.add_(unbiased * lr, alpha=-1.0)


__all__ = ["RAdam"]
