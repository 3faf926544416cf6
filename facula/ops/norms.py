"""Norms of vectors and matrices under their older name, and the QR decomposition."""

from __future__ import annotations

import math
from typing import Any

from ..base.errors import LinAlgError, refuse
from ..core import writing
from ..core.layout import Layout
from ..core.result import outputs
from ..core.tensor import Tensor, wrap_dim
from ..spec.block import Composite, Library
from ..spec.promotion import scalar_type_name
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
        return y if out is None else writing.delivered(Norm, [input], lambda: y, out, "norm")

    samples = [
        sample(normal(3, 4)),
        sample(normal(3, 4), 1.0, 1),
        sample(normal(3, 4), math.inf, (0, 1), True),
        sample(normal(2, 3, 4), 3.0, -1),
    ]
    refusals = [refused(normal(3, 4), 2.0, 5, raises=IndexError, match="Dimension out of range")]


def floating(x: Any, title: str) -> None:
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise refuse(
            RuntimeError,
            f"{title}: Expected a floating point or complex tensor as input. Got {scalar_type_name(x.dtype)}",
            received=str(x.dtype),
        )


def _nuclear(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    if dim is None and x.ndim != 2:
        dims: tuple[int, ...] = tuple(range(x.ndim))
        if x.ndim < 2:
            raise refuse(
                RuntimeError, "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.", received=f"{tuple(x.shape)}"
            )
    else:
        dims = (0, 1) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    return ops.linalg_matrix_norm(x, "nuc", dims, keepdim)


def no_halves(a: Any, name: str) -> None:
    if a.dtype.name in ("float16", "bfloat16"):
        raise refuse(NotImplementedError, f"\"{name}\" not implemented for '{'Half' if a.dtype.name == 'float16' else 'BFloat16'}'")


def finite_matrices(a: Any, name: str) -> None:
    """Refuses NaN and infinity: LAPACK's iterations may never end with them."""
    import numpy as np

    finite = np.isfinite(a).all((-2, -1))
    if not finite.all():
        which = f"(Batch element {int(np.argmin(finite.reshape(-1)))}): " if finite.ndim else ""
        raise refuse(LinAlgError, f"{name}: {which}The algorithm failed to converge because the input matrix contained non-finite values.")


class SingularValues(Library):
    """(U, S, Vh) of the thin singular value decomposition."""

    schema = "singular_values(Tensor input) -> (Tensor U, Tensor S, Tensor Vh)"
    paths = ""

    @staticmethod
    def shapes(a: Layout) -> tuple[Layout, ...]:
        *batch, m, n = a.shape
        k = min(m, n)
        return outputs(((*batch, m, k), a.dtype), ((*batch, k), a.dtype.real), ((*batch, k, n), a.dtype))

    @staticmethod
    def library(a: Any) -> Any:
        import numpy as np

        no_halves(a, "linalg_svd_cpu")
        finite_matrices(a, "linalg.svd")
        return tuple(np.ascontiguousarray(x) for x in np.linalg.svd(a, full_matrices=False))

    @staticmethod
    def gradient(g0: Tensor, g1: Tensor, g2: Tensor, out0: Tensor, out1: Tensor, out2: Tensor) -> Tensor:
        # Townsend 2016, "Differentiating the singular value decomposition": gaps are s_j^2 - s_i^2, 1 on the diagonal
        u, s, v = out0, out1, out2.mH
        row, column = s.unsqueeze(-2), s.unsqueeze(-1)
        gaps = row * row - column * column + ops.eye(s.shape[-1], dtype=s.dtype)
        left, right = u.mH @ g0, v.mH @ g2.mH
        inner = ((left - left.mH) / gaps) * row + column * ((right - right.mH) / gaps)
        core = inner + ops.diag_embed(g1).to(inner.dtype)
        whole = u @ core @ v.mH
        if u.shape[-2] > s.shape[-1]:
            whole = whole + ((g0 - u @ left) / row) @ v.mH
        if v.shape[-2] > s.shape[-1]:
            whole = whole + u @ ((g2.mH - v @ right) / row).mH
        return whole


def _pair(x: Tensor, dim: Any) -> tuple[int, int]:
    dims = tuple(dim)
    if len(dims) != 2:
        raise refuse(RuntimeError, f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dims))}", received=f"{dims}")
    a, b = (wrap_dim(v, x.ndim) for v in dims)
    if a == b:
        raise refuse(RuntimeError, f"linalg.matrix_norm: dims must be different. Got ({dims[0]}, {dims[1]})")
    return a, b


class LinalgMatrixNorm(Composite):
    """A matrix's norm over two dims: "fro", "nuc", or 1, -1, inf, -inf (sums of columns or rows), 2, -2 (singular values)."""

    schema = "linalg_matrix_norm(Tensor input, any ord='fro', int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    paths = "linalg"

    @staticmethod
    def compose(input: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"linalg_matrix_norm() received an invalid combination of arguments - got ({type(input).__name__}), but expected one of:"
            )
        floating(input, "linalg.matrix_norm")
        if input.ndim < 2:
            raise refuse(
                RuntimeError, "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.", received=f"{tuple(input.shape)}"
            )
        first, second = _pair(input, dim)
        x = input if dtype is None else input.to(dtype)
        if ord == "fro":
            y = ops.linalg_vector_norm(x, 2.0, (first, second), keepdim)
        elif ord == "nuc" or (not isinstance(ord, str) and abs(ord) == 2):
            values = ops.singular_values(x.movedim((first, second), (-2, -1)))[1]
            y = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord > 0 else values.amin(-1)
            y = y.unsqueeze(-1).unsqueeze(-1).movedim((-2, -1), (first, second)) if keepdim else y
        elif not isinstance(ord, str) and abs(ord) in (1, math.inf):
            along, over = (first, second) if abs(ord) == 1 else (second, first)
            sums = x.abs().sum(along, True)
            y = sums.amax(over, True) if ord > 0 else sums.amin(over, True)
            y = y if keepdim else y.squeeze((first, second))
        else:
            raise refuse(
                RuntimeError,
                f"linalg.matrix_norm: Order {ord} not supported.",
                received=f"ord={ord}",
                expected="'fro', 'nuc', 1, -1, 2, -2, inf, -inf",
            )
        return y

    samples = [sample(normal(3, 4), k) for k in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)] + [
        sample(normal(2, 3, 4), 1, (0, 2), True)
    ]


class LinalgNorm(Composite):
    """The norm of a vector or matrix: without `dim` and `ord` the 2-norm of all elements."""

    schema = "linalg_norm(Tensor input, any ord=None, any dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    paths = "linalg"

    @staticmethod
    def compose(input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"linalg_norm() received an invalid combination of arguments - got ({type(input).__name__}, {type(ord).__name__}, keepdim=bool), but expected one of:"
            )
        dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        if ord is not None and dims is None and input.ndim not in (1, 2):
            raise refuse(RuntimeError, f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {input.ndim}D.")
        if ord is not None and (len(dims) == 2 if dims is not None else input.ndim == 2):
            y = ops.linalg_matrix_norm(input, ord, (0, 1) if dims is None else dims, keepdim, dtype=dtype)
        elif isinstance(ord, str):
            raise refuse(RuntimeError, f"linalg.norm: Order {ord} is for matrices", received=f"{input.ndim} dims, dim={dim}")
        else:
            y = ops.linalg_vector_norm(input, 2.0 if ord is None else float(ord), dims, keepdim, dtype=dtype)
        return y

    samples = [sample(normal(3, 4)), sample(normal(3, 4), 1), sample(normal(4), 3.0), sample(normal(2, 3, 4), "fro", (1, 2))]


class Dist(Composite):
    """The p-norm of input - other."""

    schema = "dist(Tensor input, Tensor other, Scalar p=2) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
        if not isinstance(input, Tensor):
            raise refuse(TypeError, f"dist(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return ops.linalg_vector_norm(input - other, float(p))

    samples = [sample(normal(3, 4), normal(3, 4)), sample(normal(3, 4), normal(4), 1)]


class Renorm(Composite):
    """Slices along `dim` whose p-norm is above `maxnorm`, scaled down to it."""

    schema = "renorm(Tensor input, Scalar p, int dim, Scalar maxnorm) -> Tensor"
    in_place = through_binder = True

    @staticmethod
    def compose(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
        if isinstance(p, complex) or p <= 0:
            raise refuse(RuntimeError, "renorm: non-positive-norm not supported", received=f"p={p}")
        if maxnorm < 0:
            raise refuse(RuntimeError, f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
        if input.ndim < 2:
            raise refuse(RuntimeError, f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
        floating(input, "linalg.vector_norm")
        kept = wrap_dim(dim, input.ndim)
        others = tuple(k for k in range(input.ndim) if k != kept)
        long = ops.linalg_vector_norm(input.detach(), float(p), others, True) > maxnorm
        norm = ops.linalg_vector_norm(ops.where(long, input, 0.0), float(p), others, True)  # a NaN that stays has a gradient of 1
        return input * ops.where(long, maxnorm / (norm + 1e-7), ops.ones_like(norm))

    samples = [sample(normal(3, 4), 2, 0, 1.0), sample(normal(3, 4, 2), 1, 1, 2.0)]


class LinalgQr(Library):
    """Q, R with input = Q R; mode "reduced", "complete" or "r"."""

    schema = "linalg_qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)"
    paths = "linalg"
    samples = [sample(normal(4, 3)), sample(normal(2, 3, 3))]

    @staticmethod
    def shapes(a: Layout, mode: str) -> tuple[Layout, ...]:
        *batch, m, n = a.shape
        k = m if mode == "complete" else min(m, n)
        return outputs(((0,) if mode == "r" else (*batch, m, k), a.dtype), ((*batch, k, n), a.dtype))

    @staticmethod
    def library(a: Any, mode: str) -> Any:
        import numpy as np

        no_halves(a, "geqrf_cpu")
        if a.ndim < 2:
            raise refuse(RuntimeError, "linalg.qr: The input tensor A must have at least 2 dimensions.", received=f"{a.shape}")
        if a.dtype.kind not in "fc":
            raise refuse(
                RuntimeError, f"linalg.qr: Expected a floating point or complex tensor as input. Got {_kind_name(a)}", received=str(a.dtype)
            )
        if mode == "r":
            r = np.linalg.qr(a, "r")
            return np.zeros((0,), a.dtype), np.ascontiguousarray(r)
        q, r = np.linalg.qr(a, mode)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return np.ascontiguousarray(q), np.ascontiguousarray(r)

    @staticmethod
    def gradient(g0: Tensor, g1: Tensor, out0: Tensor, out1: Tensor, mode: str) -> Tensor:
        # Walter & Lehmann 2011, arXiv 1011.1084: with M = R gR^H - gQ^H Q, gA = (gQ + Q sym(M)) R^-H for tall matrices
        if mode != "reduced" or out0.shape[-2] < out1.shape[-1]:
            raise refuse(
                RuntimeError, "linalg_qr: the derivative is defined for mode='reduced' and matrices with at least as many rows as columns"
            )
        m = out1 @ g1.mH - g0.mH @ out0
        lower = m.tril(-1)
        both = lower + lower.mH + m * ops.eye(m.shape[-1], dtype=m.dtype)
        return ops.right_solved(g0 + out0 @ both, out1)


class RightSolved(Library):
    """X with X R^H = B."""

    schema = "right_solved(Tensor b, Tensor r) -> Tensor"
    paths = ""

    @staticmethod
    def shapes(b: Layout, r: Layout) -> tuple[Layout, ...]:
        return outputs((b.shape, b.dtype))

    @staticmethod
    def library(b: Any, r: Any) -> Any:
        import numpy as np

        right = np.conj(np.swapaxes(b, -2, -1))
        x = np.linalg.solve(r, right) if np.diagonal(r, 0, -2, -1).all() else back_substituted(r, right)
        return np.ascontiguousarray(np.conj(np.swapaxes(x, -2, -1)))


def back_substituted(r: Any, b: Any) -> Any:
    """x with r x = b for upper triangular r; a zero on the diagonal divides, so there are infinities and NaN."""
    import numpy as np

    x = np.empty_like(b)
    with np.errstate(all="ignore"):
        for k in reversed(range(r.shape[-1])):
            rest = b[..., k, :] - np.matmul(r[..., k, None, k + 1 :], x[..., k + 1 :, :])[..., 0, :]
            x[..., k, :] = rest / r[..., k, k, None]
    return x


def _kind_name(a: Any) -> str:
    from ..base.dtypes import from_numpy

    return scalar_type_name(from_numpy(a.dtype))  # pyright: ignore[reportArgumentType]


class Qr(Composite):
    """linalg_qr under its older name; `some` is mode "reduced"."""

    schema = "qr(Tensor input, bool some=True) -> (Tensor Q, Tensor R)"

    @staticmethod
    def compose(input: Tensor, some: bool = True) -> Any:
        if not isinstance(input, Tensor):
            raise refuse(TypeError, f"qr(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return ops.linalg_qr(input, "reduced" if some else "complete")

    samples = [sample(normal(4, 3))]
