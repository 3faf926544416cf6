"""Running sums, products and extremes along a dim. One read and one write of each element."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..base.limits import finfo
from ..core.batching import bare
from ..core.expression import wants
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.placing import known
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.launch import Array
from ..kernel.reduction import logsumexp_of, product_of, sum_of
from ..kernel.scan import complex_logcumsumexp_of, cummax_of, cummin_of, scan
from ..spec.block import SCALAR_TYPE, Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, grid, normal, positive, sample


def result_type(x: Layout, dtype: DType | None) -> DType:
    return dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else d.int64)


def scanned(x: Layout, dim: int, reducer: Any, *kinds: DType, ordered: bool = False) -> Result:
    k = wrap_dim(dim, x.ndim)
    outs = tuple(layout(x.shape, kind) for kind in kinds)
    source = x if x.ndim else Array(x.dtype, (1,), (1,))
    flat = [o if x.ndim else Array(o.dtype, (1,), (1,)) for o in outs]
    return Result(outs, scan(flat, [source], k, reducer, ordered=ordered))


class Cumsum(Fused):
    """Sums of the elements up to each place along `dim`."""

    schema = "cumsum(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor"
    batching = "front dim"
    in_place = True

    @staticmethod
    def kernel(x: Layout, dim: int, dtype: DType | None) -> Result:
        kind = result_type(x, dtype)
        kept = kind.compute if kind.is_floating_point or kind.is_complex else d.int64
        return scanned(x, dim, sum_of(x.dtype.compute, kept), kind)

    @staticmethod
    def gradient(g: Tensor, input: Layout, dim: int) -> Tensor:
        return g if not g.ndim else g.flip(dim).cumsum(dim).flip(dim)

    samples = grid(input=[normal(3, 5), normal(2, 3, 4)], dim=[0, -1])


class Cumprod(Fused):
    """Products of the elements up to each place along `dim`."""

    schema = "cumprod(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor"
    out_dtype = "any"
    batching = "front dim"
    in_place = True

    @staticmethod
    def kernel(x: Layout, dim: int, dtype: DType | None) -> Result:
        kind = result_type(x, dtype)
        kept = kind.compute if kind.is_floating_point or kind.is_complex else d.int64
        return scanned(x, dim, product_of(x.dtype.compute, kept), kind)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, dim: int) -> Tensor:
        if not input.ndim:
            return g
        x = input.to(g.dtype) if input.dtype is not g.dtype else input
        if not known(x) or not bool((bare(x.detach()) == 0).any()):
            weighted = (g * (out.conj() if out.dtype.is_complex else out)).flip(dim).cumsum(dim).flip(dim)
            return weighted / (x.conj() if x.dtype.is_complex else x)
        at = wrap_dim(dim, x.ndim)
        return zeros_included(g, x, at) if MODE.grad and (wants(g) or wants(x)) else up_to_zero(g, x, out, at)

    samples = grid(input=[positive(3, 5)], dim=[0, -1])


def up_to_zero(g: Tensor, x: Tensor, out: Tensor, dim: int) -> Tensor:
    """The same gradient where elements are zero, not to be differentiated: none behind the first zero of a row, since every product there
    has it; at the zero what all products from there on would be without it."""
    zero = x == 0
    met = zero.cumsum(dim)
    first, ones = zero & (met == 1), ops.ones_like(x)
    without = ops.where(first, ones, x).cumprod(dim)
    divisor, products = ops.where(zero, ones, x), out
    if x.dtype.is_complex:
        without, divisor, products = without.conj(), divisor.conj(), out.conj()
    nothing = ops.zeros_like(g)
    before = ops.where(met > 0, nothing, g * products).flip(dim).cumsum(dim).flip(dim) / divisor
    return ops.where(first, ops.where(met > 0, g * without, nothing).sum(dim, True), before)


def zeros_included(g: Tensor, x: Tensor, dim: int) -> Tensor:
    """The same gradient where elements are zero: for each place, what its factor is multiplied by in every later product."""
    parts = []
    n = x.shape[dim]
    for k in range(n):  # over places along one dim: whole slices at once
        if k:
            before = x.narrow(dim, 0, k).prod(dim, True)
        else:
            before = ops.ones_like(x.narrow(dim, 0, 1))
        after = ops.cat([ops.ones_like(x.narrow(dim, 0, 1)), x.narrow(dim, k + 1, n - k - 1)], dim).cumprod(dim)
        factor = before * after
        parts.append((g.narrow(dim, k, n - k) * (factor.conj() if factor.dtype.is_complex else factor)).sum(dim, True))
    return ops.cat(parts, dim)


def _check_extremes(x: Layout, dim: int, name: str) -> None:
    if not x.ndim and dim not in (-1, 0):
        raise refuse(IndexError, f"{name}(): Expected reduction dim -1 or 0 for scalar but got {dim}")
    wrap_dim(dim, x.ndim)
    if x.dtype.is_complex:
        raise refuse(NotImplementedError, f"\"{name}_cpu\" not implemented for '{scalar_type_name(x.dtype)}'")


class Cummax(Fused):
    """(largest so far, its last place) along `dim`."""

    schema = "cummax(Tensor input, int dim) -> (Tensor values, Tensor indices)"
    out_dtype = SCALAR_TYPE
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: int) -> Result:
        _check_extremes(x, dim, "cummax")
        return scanned(x, dim, cummax_of(x.dtype.compute), x.dtype, d.int64)

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor, dim: int) -> Tensor:
        return g0 if not input.ndim else ops.scatter_zeros(g0, wrap_dim(dim, input.ndim), out1.detach(), tuple(input.shape))

    samples = grid(input=[distinct(3, 5)], dim=[0, -1])


class Cummin(Fused):
    """(smallest so far, its last place) along `dim`."""

    schema = "cummin(Tensor input, int dim) -> (Tensor values, Tensor indices)"
    out_dtype = SCALAR_TYPE
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: int) -> Result:
        _check_extremes(x, dim, "cummin")
        return scanned(x, dim, cummin_of(x.dtype.compute), x.dtype, d.int64)

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor, dim: int) -> Tensor:
        return g0 if not input.ndim else ops.scatter_zeros(g0, wrap_dim(dim, input.ndim), out1.detach(), tuple(input.shape))

    samples = grid(input=[distinct(3, 5)], dim=[0, -1])


class Logcumsumexp(Fused):
    """log(sum(exp)) of the elements up to each place along `dim`."""

    schema = "logcumsumexp(Tensor input, int dim) -> Tensor"
    out_dtype = SCALAR_TYPE
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: int) -> Result:
        if not (x.dtype.is_floating_point or x.dtype.is_complex):
            raise refuse(NotImplementedError, f"\"logcumsumexp_out_cpu\" not implemented for '{scalar_type_name(x.dtype)}'")
        kind = x.dtype.compute
        if kind.is_complex:
            return scanned(x, dim, complex_logcumsumexp_of(kind), x.dtype, ordered=True)
        return scanned(x, dim, logsumexp_of(kind), x.dtype)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, dim: int) -> Tensor:
        if not input.ndim:
            return g
        if g.dtype.is_complex:  # conj(sum of conj(g) * exp(x - out) over later places), the factors' logarithms summed
            back = (g.conj().log() - out).flip(dim).logcumsumexp(dim).flip(dim)
            return (back + input).exp().conj()
        low = finfo(g.dtype).min  # finite, so that no difference of infinities arises

        def part(positive: Tensor, size: Tensor) -> Tensor:
            """The log-sum of one sign of g; the inner choice keeps log's slope finite where the outer one leaves it out."""
            log = ops.where(positive, ops.where(positive, size, 1.0).log(), low)
            return ((log - out).flip(dim).logcumsumexp(dim).flip(dim) + input).exp()

        return part(g > 0, g) - part(g < 0, -g)

    samples = grid(input=[normal(3, 5)], dim=[0, -1])


class Diff(Composite):
    """n-th differences along a dim."""

    schema = "diff(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
        if not input.ndim:
            raise refuse(RuntimeError, "diff expects input to be at least one-dimensional")
        if n < 0:
            raise refuse(RuntimeError, f"order must be non-negative but got {n}")
        k = wrap_dim(dim, input.ndim)
        ends = [t for t in (prepend, input, append) if t is not None]
        x = ops.cat(ends, k) if len(ends) > 1 else input
        for _ in range(min(n, x.shape[k])):
            size = x.shape[k]
            after, before = x.narrow(k, 1, size - 1), x.narrow(k, 0, size - 1)
            x = after ^ before if x.dtype is d.bool_ else after - before
        return x if n else input.clone()

    samples = [sample(normal(5)), sample(normal(3, 4), 2, 0)]
