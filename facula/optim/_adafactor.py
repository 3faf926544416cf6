"""Adafactor."""

from __future__ import annotations

from .. import ops
from ..base.dtypes import bfloat16
from ..base.errors import refuse
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, counter, number, require, require_one_element

# distance from 1 to the next number, by (bytes, is bfloat16): float16, bfloat16, float32, float64
EPSILON = {(2, False): 2.0**-10, (2, True): 2.0**-7, (4, False): 2.0**-23, (8, False): 2.0**-52}


class Adafactor(Optimizer):
    """Second moments as an outer product of row and column means: n + m numbers, not n m. Shazeer & Stern 2018, arXiv 1804.04235."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}", "lr >= 0")
        require(beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}", "beta2_decay <= 0")
        require(eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}", "eps[0] >= 0")
        require(eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}", "eps[1] >= 0")
        require(d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}", "d >= 1")
        require(weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}", "weight_decay >= 0")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _initial(self, p: Tensor, group: Group) -> State:
        if p.is_complex():
            raise refuse(RuntimeError, "Adafactor does not support complex parameters")
        grad = p.grad
        if grad.dim() < 2:
            return {"step": counter(), "variance": ops.zeros_like(grad)}
        *batch, rows, columns = grad.shape
        row_var, col_var = (ops.zeros(shape, dtype=grad.dtype, device=grad.device) for shape in ([*batch, rows, 1], [*batch, 1, columns]))
        return {"step": counter(), "row_var": row_var, "col_var": col_var}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, (eps1, eps2) = number(group["lr"]), group["eps"]
        for p, grad, state in zip(params, grads, states):
            if group["maximize"]:
                grad = -grad
            floor = EPSILON[p.element_size(), p.dtype == bfloat16] if eps1 is None else eps1
            state["step"] += 1
            step = state["step"].item()
            forget = step ** group["beta2_decay"]  # 1 - beta2 of this step
            scale = max(eps2, p.norm(2).item() / p.numel() ** 0.5) * min(lr, 1 / step**0.5)
            if group["weight_decay"] != 0:
                p.mul_(1 - lr * group["weight_decay"])
            estimate = _second_moment(grad, state, forget, floor)
            update = estimate.clamp_(min=floor * floor).rsqrt_().mul_(grad)
            clip = max(1.0, update.norm(2).item() / (update.numel() ** 0.5 * group["d"]))
            p.add_(update, alpha=-scale / clip)


def _second_moment(grad: Tensor, state: State, forget: float, floor: float) -> Tensor:
    """Estimate of E[grad^2], grad's shape; updates the means in `state`."""
    if grad.dim() < 2:
        state["variance"].lerp_(grad * grad, forget)
        return state["variance"].clone()
    rows, columns = state["row_var"], state["col_var"]  # (*b, n, 1), (*b, 1, m)
    rows.lerp_(grad.norm(dim=-1, keepdim=True).square_().div_(grad.size(-1)), forget)
    columns.lerp_(grad.norm(dim=-2, keepdim=True).square_().div_(grad.size(-2)), forget)
    return (rows @ columns).div_(rows.mean(dim=-2, keepdim=True).clamp_(min=floor))


__all__ = ["Adafactor"]
