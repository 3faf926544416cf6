"""Covariances and correlations of variables in rows."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse, warn
from ..base.settings import SETTINGS
from ..core.placing import known
from ..core.tensor import Tensor
from ..spec.block import Composite
from ..spec.registry import ops
from ..spec.samples import normal, sample


def _weights(name: str, t: Tensor | None, n: int, whole: bool) -> None:
    if t is None:
        return
    if t.ndim > 1:
        raise refuse(RuntimeError, f"cov(): expected {name} to have one or fewer dimensions but got {name} with {t.ndim} dimensions")
    if whole and (t.dtype.is_floating_point or t.dtype.is_complex or t.dtype is d.bool_):
        raise refuse(RuntimeError, f"cov(): expected {name} to have integral dtype but got {name} with {t.dtype.name} dtype")
    if not whole and not t.dtype.is_floating_point:
        raise refuse(RuntimeError, f"cov(): expected {name} to have floating point dtype but got {name} with {t.dtype.name} dtype")
    if t.numel() != n:
        raise refuse(
            RuntimeError, f"cov(): expected {name} to have the same numel as there are observations in the input but got {t.numel()} != {n}"
        )
    if t.numel() and known(t) and bool((t < 0).any()):
        raise refuse(RuntimeError, f"cov(): {name} cannot be negative")


class Cov(Composite):
    """Covariances of the rows of a matrix, with counts and weights of its columns."""

    schema = "cov(Tensor input, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
        if input.ndim > 2:
            raise refuse(
                RuntimeError, f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
            )
        if input.dtype is d.bool_:
            raise refuse(RuntimeError, "cov(): bool dtype is not supported for input")
        x = input if input.ndim == 2 else input.reshape(1, -1)
        if not (x.dtype.is_floating_point or x.dtype.is_complex):
            x = x.to(SETTINGS.default_dtype)
        n = x.shape[1]
        _weights("fweights", fweights, n, True)
        _weights("aweights", aweights, n, False)
        w = fweights if aweights is None else aweights if fweights is None else fweights * aweights
        total: Any = n if w is None else w.sum()
        if w is not None and not (n and bool(total != 0)):
            raise refuse(RuntimeError, "cov(): weights sum to zero, can't be normalized")
        mean = (x if w is None else x * w).sum(1) / total
        left = total - correction * ((w * aweights).sum() / total if aweights is not None and w is not None else 1)
        if bool(left <= 0):
            warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.")
            left = 0.0
        x = x - mean.unsqueeze(1)
        other = x.t().conj() if x.dtype.is_complex else x.t()
        return ops.true_divide((x if w is None else x * w) @ other, left).squeeze()

    samples = [sample(normal(3, 5)), sample(normal(3, 5), correction=0), sample(normal(5))]


class Corrcoef(Composite):
    """Correlation coefficients of the rows of a matrix."""

    schema = "corrcoef(Tensor input) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if input.ndim > 2:
            raise refuse(
                RuntimeError, f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
            )
        c = ops.cov(input)
        if not c.ndim:
            return c / c
        own = c.diagonal()
        deviation = (own.real if own.dtype.is_complex else own).sqrt()
        c = c / deviation.unsqueeze(1) / deviation.unsqueeze(0)
        return ops.complex(c.real.clamp(-1, 1), c.imag.clamp(-1, 1)) if c.dtype.is_complex else c.clamp(-1, 1)

    samples = [sample(normal(3, 5))]
