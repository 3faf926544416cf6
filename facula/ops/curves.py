"""Functions known at points: areas below them and slopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import refuse
from ..core.tensor import Tensor, wrap_dim
from ..spec.block import Composite
from ..spec.registry import ops
from ..spec.samples import normal, sample


def _steps(y: Tensor, x: Tensor, k: int, title: str) -> Tensor:
    """Differences of the points, of a shape that broadcasts with y's pairs."""
    if x.ndim == 1:
        if x.shape[0] != y.shape[k]:
            raise refuse(
                RuntimeError, f"{title}: There must be one `x` value for each sample point", received=f"{x.shape[0]} for {y.shape[k]}"
            )
        return ops.diff(x).view((-1, *(1,) * (y.ndim - 1 - k)))
    wide = x.view((*(1,) * (y.ndim - x.ndim), *x.shape)) if x.ndim < y.ndim else x
    return ops.diff(wide, dim=k)


def _no_bool(y: Tensor, x: Tensor | None, title: str) -> None:
    if y.dtype.name == "bool" or (x is not None and x.dtype.name == "bool"):
        raise refuse(
            RuntimeError, f"{title}: received a bool input for `{'y' if y.dtype.name == 'bool' else 'x'}`, but bool is not supported"
        )


def _strips(y: Tensor, x: Tensor | None, dx: float, dim: int, title: str) -> tuple[Tensor, int]:
    """Twice the area between neighbours, and the dim."""
    _no_bool(y, x, title)
    k = wrap_dim(dim, y.ndim)
    n = y.shape[k]
    pairs = y.narrow(k, 1, n - 1) + y.narrow(k, 0, n - 1)
    return pairs * (dx if x is None else _steps(y, x, k, title)), k


def _area(title: str, y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    if not y.ndim:
        raise refuse(IndexError, f"Dimension specified as {dim} but tensor has no dimensions")
    if not y.shape[wrap_dim(dim, y.ndim)]:
        return y.sum(dim)
    if x is None:  # the ends count half
        _no_bool(y, x, title)
        k = wrap_dim(dim, y.ndim)
        return (y.sum(k) - (y.select(k, 0) + y.select(k, -1)) * 0.5) * dx
    strips, k = _strips(y, x, dx, dim, title)
    return strips.sum(k) / 2.0


class Trapezoid(Composite):
    """The area below straight lines between points."""

    schema = "trapezoid(Tensor y, Tensor? x=None, *, Scalar dx=1, int dim=-1) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
        return _area("trapezoid", y, x, dx, dim)

    samples = [sample(normal(3, 5)), sample(normal(3, 5), normal(5)), sample(normal(3, 5), dx=0.5, dim=0)]


class Trapz(Composite):
    """Another name of `trapezoid`."""

    schema = "trapz(Tensor y, Tensor? x=None, *, Scalar dx=1, int dim=-1) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
        return _area("trapezoid", y, x, dx, dim)

    samples = [sample(normal(3, 5))]


class CumulativeTrapezoid(Composite):
    """The area below straight lines up to each point but the first."""

    schema = "cumulative_trapezoid(Tensor y, Tensor? x=None, *, Scalar dx=1, int dim=-1) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
        if not y.ndim:
            raise refuse(IndexError, "slice() cannot be applied to a 0-dim tensor.")
        if not y.shape[wrap_dim(dim, y.ndim)]:
            return y
        strips, k = _strips(y, x, dx, dim, "cumulative_trapezoid")
        return strips.cumsum(k) / 2.0

    samples = [sample(normal(3, 5)), sample(normal(3, 5), normal(5))]


def _slope(y: Tensor, k: int, step: Any, edge_order: int) -> Tensor:
    """Derivative along dim k; `step` is a number or the points' coordinates."""
    n = y.shape[k]

    def at(first: int, count: int) -> Tensor:
        return y.narrow(k, first, count)

    if isinstance(step, Tensor) and step.ndim == 1:
        h = ops.diff(step).view((-1, *(1,) * (y.ndim - 1 - k)))
        left, right = h.narrow(0, 0, n - 2), h.narrow(0, 1, n - 2)
        both = left + right
        inner = (
            at(0, n - 2) * (-right / (left * both))
            + at(1, n - 2) * ((right - left) / (left * right))
            + at(2, n - 2) * (left / (right * both))
        )
        a, b, c, e = (h.narrow(0, i, 1) for i in (0, min(1, n - 2), n - 2, max(n - 3, 0)))
    else:
        inner = (at(2, n - 2) - at(0, n - 2)) / (2.0 * step)
        a = b = c = e = step
    if edge_order == 1:
        first, final = (at(1, 1) - at(0, 1)) / a, (at(n - 1, 1) - at(n - 2, 1)) / c
    else:
        first = at(0, 1) * (-(2.0 * a + b) / (a * (a + b))) + at(1, 1) * ((a + b) / (a * b)) + at(2, 1) * (-a / (b * (a + b)))
        final = at(n - 3, 1) * (c / (e * (e + c))) + at(n - 2, 1) * (-(c + e) / (e * c)) + at(n - 1, 1) * ((2.0 * c + e) / (c * (c + e)))
    return ops.cat([first, inner, final], k)


class Gradient(Composite):
    """Slopes along dims by second-order differences, one-sided of `edge_order` at the borders."""

    schema = "gradient(Tensor input, *, any spacing=None, any dim=None, int edge_order=1) -> Tensor[]"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
        listed = dim if isinstance(dim, (tuple, list)) else range(input.ndim) if dim is None else (dim,)
        dims = [wrap_dim(k, input.ndim) for k in listed]
        for k in dims:
            if dims.count(k) > 1:
                raise refuse(RuntimeError, f"dim {k} appears multiple times in the list of dims")
        several = isinstance(spacing, Sequence)
        steps = list(spacing) if several else [1.0 if spacing is None else spacing] * len(dims)
        if edge_order not in (1, 2):
            raise refuse(RuntimeError, "torch.gradient only supports edge_order=1 and edge_order=2.")
        if len(steps) != len(dims):
            kind = "tensor list" if steps and isinstance(steps[0], Tensor) else "a list of scalars"
            raise refuse(
                RuntimeError,
                f"torch.gradient expected spacing to be unspecified, a scalar, or {kind} of the same length as the `dim` argument",
                received=f"{len(steps)} for {len(dims)} dims",
            )
        for k in dims:
            if input.shape[k] < edge_order + 1:
                raise refuse(
                    RuntimeError,
                    "torch.gradient expected each dimension size to be at least edge_order+1",
                    received=f"shape {tuple(input.shape)}",
                )
        return tuple(_slope(input, k, step, edge_order) for k, step in zip(dims, steps))

    samples = [sample(normal(5)), sample(normal(4, 5), spacing=0.5, edge_order=2)]
