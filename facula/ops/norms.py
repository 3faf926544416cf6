"""Norms of vectors and matrices under their older name, and the QR decomposition."""

from __future__ import annotations

import math
from typing import Any

from ..base.errors import refuse
from ..core.tensor import Tensor
from ..spec.block import Composite, Library
from ..spec.registry import ops
from ..spec.samples import normal, refused, sample


class Norm(Composite):
    """The p-norm over `dim` (all dims by default); "fro" is the 2-norm, "nuc" the sum of a matrix's singular values."""

    schema = "norm(Tensor input, any p='fro', any dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor"
    public = "norm"

    @staticmethod
    def compose(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None) -> Tensor:
        if p == "nuc":
            y = _nuclear(input if dtype is None else input.to(dtype), dim, keepdim)
        elif isinstance(p, str) and p != "fro":
            raise refuse(RuntimeError, f"norm(): the norm should be one of 'fro', 'nuc' or a number, got {p!r}")
        else:
            order = 2.0 if p is None or p == "fro" else float(p)
            y = ops.linalg_vector_norm(input, order, dim, keepdim, dtype=dtype)
        return y if out is None else out.copy_(y)

    samples = [sample(normal(3, 4)), sample(normal(3, 4), 1.0, 1), sample(normal(3, 4), math.inf, (0, 1), True), sample(normal(2, 3, 4), 3.0, -1)]
    refusals = [refused(normal(3, 4), 2.0, 5, raises=IndexError, match="Dimension out of range")]


def _nuclear(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    dims = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) != 2:
        raise refuse(RuntimeError, f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dims))}", received=f"{dims}")
    last = x.movedim(dims, (-2, -1))
    y = ops.linalg_svdvals(last).sum(-1)
    return y.unsqueeze(-1).unsqueeze(-1).movedim((-2, -1), dims) if keepdim else y


class LinalgQr(Library):
    """Q, R with input = Q R; mode "reduced", "complete" or "r"."""

    schema = "linalg_qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)"
    paths = "linalg"
    samples = [sample(normal(4, 3)), sample(normal(2, 3, 3))]

    @staticmethod
    def library(a: Any, mode: str) -> Any:
        import numpy as np

        if mode == "r":
            r = np.linalg.qr(a, "r")
            return np.zeros((0,), a.dtype), np.ascontiguousarray(r)
        q, r = np.linalg.qr(a, mode)
        return np.ascontiguousarray(q), np.ascontiguousarray(r)

    @staticmethod
    def gradient(g0: Tensor, g1: Tensor, out0: Tensor, out1: Tensor, mode: str) -> Tensor:
        # Walter & Lehmann 2011, arXiv 1011.1084: with M = R gR^H - gQ^H Q, gA = (gQ + Q sym(M)) R^-H for tall matrices
        if mode != "reduced" or out0.shape[-2] < out1.shape[-1]:
            raise refuse(RuntimeError, "linalg_qr: the derivative is defined for mode='reduced' and matrices with at least as many rows as columns")
        m = out1 @ g1.mH - g0.mH @ out0
        lower = m.tril(-1)
        both = lower + lower.mH + m * ops.eye(m.shape[-1], dtype=m.dtype)
        return ops.right_solved(g0 + out0 @ both, out1)


class RightSolved(Library):
    """X with X R^H = B."""

    schema = "right_solved(Tensor b, Tensor r) -> Tensor"
    paths = ""

    @staticmethod
    def library(b: Any, r: Any) -> Any:
        import numpy as np

        return np.ascontiguousarray(np.conj(np.swapaxes(np.linalg.solve(r, np.conj(np.swapaxes(b, -2, -1))), -2, -1)))
