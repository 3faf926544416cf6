"""Ready parametrizations: weight normalisation, spectral normalisation, orthogonal matrices."""

from __future__ import annotations

from typing import Any

import facula.nn.functional as F

from ... import ops
from ...base.errors import refuse
from ...core import Tensor, no_grad
from ...core.guards import guard
from ..modules.module import Module
from .parametrize import register_parametrization
from .weight_norm import norm_except_dim


def _tensor(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise refuse(ValueError, f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


class _WeightNorm(Module):
    """g * v / ||v||, from a length and a direction."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Length and direction of a weight."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split `module.name` into length (`original0`) and direction (`original1`). Salimans & Kingma 2016, arXiv 1602.07868."""
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def old_names(state_dict: Any, prefix: str, *rest: Any) -> None:
        for place, suffix in enumerate(("_g", "_v")):
            if f"{prefix}{name}{suffix}" in state_dict:
                state_dict[f"{prefix}parametrizations.{name}.original{place}"] = state_dict.pop(f"{prefix}{name}{suffix}")

    module._register_load_state_dict_pre_hook(old_names)
    return module


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which the power method follows in training."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        n = weight.dim()
        if not -n <= dim < n:
            raise refuse(IndexError, f"Dimension out of range (expected to be in range of [-{n}, {n - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise refuse(ValueError, f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.dim = dim % n
        self.eps = eps
        if n > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight)
            rows, columns = matrix.size()
            u, v = matrix.new_empty(rows).normal_(0, 1), matrix.new_empty(columns).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u.detach(), dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v.detach(), dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.permute(self.dim, *[d for d in range(weight.dim()) if d != self.dim])
        return weight.flatten(1)

    def _power_method(self, matrix: Tensor, steps: int) -> None:
        with no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(ops.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(ops.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the buffers change before backward
        return weight / ops.dot(u, ops.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """Any weight may be assigned; it is normalised when it is read."""
        return value


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None) -> Module:
    """Divide `module.name` by its largest singular value. Miyato et al. 2018, arXiv 1802.05957."""
    weight = _tensor(module, name)
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


def _orthonormal(matrix: Tensor) -> Tensor:
    """Q of a QR factorisation whose R has a positive diagonal."""
    q, r = ops.linalg_qr(matrix)
    return q * r.diagonal(0, -2, -1).sign().unsqueeze(-2)


class _Orthogonal(Module):
    """An orthogonal matrix from a free one: base @ exp(A), base @ cayley(A), A skew; or a product of Householder reflections."""

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise refuse(ValueError, "The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        turned = X.size(-2) < X.size(-1)
        X = X.mT if turned else X
        n, k = X.size(-2), X.size(-1)
        if self.orthogonal_map == "householder":
            A = X.tril(-1)
            tau = 2.0 / (1.0 + (A * A).sum(-2))
            Q = ops.linalg_householder_product(A, tau) * X.diagonal(0, -2, -1).int().unsqueeze(-2)
        else:
            X = X.tril()
            if n != k:
                X = ops.cat([X, X.new_zeros((n, n - k)).expand(*X.shape[:-2], n, n - k)], dim=-1)
            A = X - X.mH
            if self.orthogonal_map == "matrix_exp":
                Q = ops.matrix_exp(A)
            else:
                one = ops.eye(n, dtype=A.dtype, device=A.device)
                Q = ops.linalg_solve(one - 0.5 * A, one + 0.5 * A)
            Q = Q[..., :k]
        if getattr(self, "base", None) is not None:
            Q = self.base @ Q
        return Q.mT if turned else Q

    def right_inverse(self, Q: Tensor) -> Tensor:
        """The free matrix of an orthogonal one; with a base it is minus the identity, and the base takes the value."""
        if Q.shape != self.shape:
            raise refuse(ValueError, f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}.")
        with no_grad():
            turned = Q.size(-2) < Q.size(-1)
            tall = Q.mT if turned else Q
            n, k = tall.size(-2), tall.size(-1)
            if not hasattr(self, "base"):
                return self._reflections(tall, turned)
            if n != k:
                tall = ops.cat([tall, ops.randn((*tall.shape[:-2], n, n - k), dtype=Q.dtype, device=Q.device)], dim=-1)
            self.base = _orthonormal(tall)
            free = ops.zeros_like(Q)
            free.diagonal(0, -2, -1).fill_(-1.0)
            return free

    def _reflections(self, tall: Tensor, turned: bool) -> Tensor:
        if self.orthogonal_map != "householder":
            raise refuse(NotImplementedError, "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                         "use_trivialization=False.")  # fmt: skip
        A, tau = ops.geqrf(tall)
        A.diagonal(0, -2, -1).sign_()
        A.diagonal(0, -2, -1)[tau == 0.0] *= -1
        return A.mT if turned else A


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True) -> Module:
    """Keep `module.name` orthogonal, or its columns or rows where it is not square."""
    weight = _tensor(module, name)
    if weight.dim() < 2:
        raise refuse(ValueError, f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise refuse(ValueError, f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}')
    register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization), unsafe=True)
    return module


__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

guard(globals(), __all__)
