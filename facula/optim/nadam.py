"""NAdam."""

from __future__ import annotations

from .. import ops
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, as_real, counter, number, require_at_least_zero, require_betas, require_rate


class NAdam(Optimizer):
    """Adam with Nesterov's momentum on a schedule. Dozat 2016, "Incorporating Nesterov Momentum into Adam"; 0.96 is the paper's base."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        require_at_least_zero("momentum_decay", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"step": counter(), "mu_product": counter(1.0), "exp_avg": ops.zeros_like(p), "exp_avg_sq": ops.zeros_like(p)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, (beta1, beta2), decay = number(group["lr"]), group["betas"], group["weight_decay"]
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
            mu, mu_next = (beta1 * (1.0 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
            state["mu_product"] *= mu
            product = state["mu_product"].item()
            mean.lerp_(grad, 1 - beta1)
            square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            root = square.div(1 - beta2**step).sqrt()
            root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
            p.addcdiv_(grad, root, value=-lr * (1.0 - mu) / (1.0 - product))
            p.addcdiv_(mean, root, value=-lr * mu_next / (1.0 - product * mu_next))


__all__ = ["NAdam"]
