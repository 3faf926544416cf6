"""SparseAdam: Adam for gradients that are zero in most rows."""

from __future__ import annotations

from .. import ops
from ..base.errors import refuse
from ..core import Tensor
from .optimizer import Group, Optimizer, ParamsT, State, number, require, require_betas, require_one_element


class SparseAdam(Optimizer):
    """Adam that touches only the moments and entries which appear in a sparse gradient; dense gradients are refused."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        require_one_element(lr)
        require(lr > 0.0, f"Invalid learning rate: {lr}", "lr > 0")
        require(eps > 0.0, f"Invalid epsilon value: {eps}", "eps > 0")
        require_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [(i, k, p) for i, group in enumerate(self.param_groups) for k, p in enumerate(group["params"])]
        if sparse := [[i, k] for i, k, p in places if p.is_sparse]:
            raise refuse(ValueError, f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")
        if complex_ := [[i, k] for i, k, p in places if p.is_complex()]:
            raise refuse(ValueError, f"Complex params at indices {complex_}: SparseAdam does not support complex parameters")

    def _gather(self, group: Group) -> tuple[list[Tensor], list[Tensor], list[State]]:
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            if not p.grad.is_sparse:
                raise refuse(
                    RuntimeError,
                    "SparseAdam does not support dense gradients, please consider Adam instead",
                    received=f"a dense gradient of shape {tuple(p.grad.shape)}",
                    expected="gradients of Embedding(..., sparse=True)",
                    hint="optim.Adam",
                )
            if not self.state.get(p):
                self.state[p] = self._initial(p, group)
        return params, [p.grad for p in params], [self.state[p] for p in params]

    def _initial(self, p: Tensor, group: Group) -> State:
        return {"step": 0, "exp_avg": ops.zeros_like(p), "exp_avg_sq": ops.zeros_like(p)}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        lr, (beta1, beta2) = number(group["lr"]), group["betas"]
        for p, grad, state in zip(params, grads, states):
            state["step"] += 1
            grad = (-grad if group["maximize"] else grad).coalesce()
            index, values = grad.indices(), grad.values()  # (sparse dims, nnz), (nnz, *dense)
            if values.numel() == 0:
                continue
            rows = tuple(index)
            mean, square = state["exp_avg"], state["exp_avg_sq"]
            fresh = mean[rows].lerp(values, 1 - beta1)
            fresh_square = square[rows].lerp(values * values, 1 - beta2)
            mean[rows], square[rows] = fresh, fresh_square
            rate = lr * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
            p[rows] = p[rows] - rate * fresh / fresh_square.sqrt().add_(group["eps"])


__all__ = ["SparseAdam"]
