"""Muon."""

from __future__ import annotations

import math

from .. import ops
from ..base.dtypes import bfloat16
from ..base.errors import refuse
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, number, require, require_one_element


class Muon(Optimizer):
    """Momentum, replaced by its nearest orthogonal matrix; for hidden 2-D weights. Jordan et al. 2024, kellerjordan.github.io."""

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),  # the post's: steepest at 0 that still converges
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}", "lr >= 0")
        require(momentum >= 0.0, f"momentum should be >= 0 but is: {momentum}", "momentum >= 0")
        require(weight_decay >= 0.0, f"weight decay should be >= 0 but is: {weight_decay}", "weight_decay >= 0")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise refuse(
                ValueError,
                f"Adjust learning rate function {adjust_lr_fn} is not supported",
                expected="None, 'original' or 'match_rms_adamw'",
            )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise refuse(
                        ValueError,
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}",
                        hint="AdamW for biases, norms and embeddings",
                    )

    def _initial(self, p: Tensor, group: Group) -> State:
        if p.is_complex():
            raise refuse(RuntimeError, "Muon does not support complex parameters")
        return {"momentum_buffer": ops.zeros_like(p.grad)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, momentum = number(group["lr"]), group["momentum"]
        for p, grad, state in zip(params, grads, states):
            buffer = state["momentum_buffer"]
            buffer.lerp_(grad, 1 - momentum)
            update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
            update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
            rows, columns = p.shape
            ratio = 0.2 * math.sqrt(max(rows, columns)) if group["adjust_lr_fn"] == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
            p.mul_(1 - lr * group["weight_decay"])
            p.add_(update, alpha=-lr * ratio)


def _orthogonal(grad: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """About U V^T of the SVD of `grad` (n, m), by a quintic Newton-Schulz iteration in bfloat16; singular values end in 0.7 to 1.2."""
    if steps >= 100:
        raise refuse(ValueError, "Number of steps must be less than 100 for computational efficiency", received=f"ns_steps={steps}")
    if len(coefficients) != 3:
        raise refuse(ValueError, "Coefficients must be a tuple of exactly 3 values", received=f"ns_coefficients={coefficients}")
    a, b, c = coefficients
    tall = grad.size(0) > grad.size(1)
    x = grad.to(bfloat16)
    x = x.T if tall else x
    x = x.div(x.norm().clamp(min=eps))  # the spectral norm is at most the Frobenius norm: now at most 1
    for _ in range(steps):
        gram = x @ x.T
        x = ops.addmm(x, ops.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


__all__ = ["Muon"]
