"""Products, moments, norms and truth over dims: prod, var, std, norm, logsumexp, any, all, count_nonzero, nansum, nanmean. One read of each element."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.launch import Array, In, Number, bits, rebased
from ..kernel.reduction import (
    accumulator,
    all_of,
    any_of,
    count_nonzero_of,
    logsumexp_of,
    moments_of,
    norm_of,
    product_of,
    reduce,
    shifted_moments_of,
    sum_of,
)
from ..kernel.scalar import Scalar, isnan, where
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import grid, normal, positive, sample
from .reduction import kept_shape, reduced_dims, reduction, spread


class ProdAll(Fused):
    """Product of all elements."""

    schema = "prod(Tensor input, *, ScalarType? dtype=None) -> Tensor"

    @staticmethod
    def batch(examples: Examples, input: Tensor, dtype: DType | None) -> Tensor:
        return ops.prod(input.reshape(examples.n, -1), 1, dtype=dtype)

    @staticmethod
    def kernel(x: Layout, dtype: DType | None) -> Result:
        kind = _sum_type(x, dtype)
        return reduction(x, tuple(range(x.ndim)), False, product_of(x.dtype.compute, kind.compute), kind)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, dtype: DType | None) -> Tensor:
        flat = input.reshape(-1)
        return (g.conj() if g.dtype.is_complex else g) * prod_others(flat, 0).reshape(input.shape)

    samples = [sample(positive(3, 4)), sample(normal(0))]


class ProdDim(Fused):
    """Product along a dim."""

    schema = "prod.dim(Tensor input, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: int, keepdim: bool, dtype: DType | None) -> Result:
        kind = _sum_type(x, dtype)
        return reduction(x, reduced_dims(dim, x.ndim), keepdim, product_of(x.dtype.compute, kind.compute), kind)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, dim: int, keepdim: bool) -> Tensor:
        if not input.ndim:
            return g
        k = wrap_dim(dim, input.ndim)
        return spread(g, input.shape, k, keepdim) * prod_others(input, k)

    samples = grid(input=[positive(3, 4)], dim=[0, -1], keepdim=[False, True])


def _sum_type(x: Layout, dtype: DType | None) -> DType:
    return dtype or (x.dtype if x.dtype.is_floating_point or x.dtype.is_complex else d.int64)


def prod_others(x: Tensor, dim: int) -> Tensor:
    """For every element the product of the others along `dim`: exact also where elements are zero."""
    n = x.shape[dim]
    if not n:
        return ops.ones_like(x)
    one = ops.ones_like(x.narrow(dim, 0, 1))
    before = ops.cat([one, x.narrow(dim, 0, n - 1)], dim).cumprod(dim)
    after = ops.cat([one, x.flip(dim).narrow(dim, 0, n - 1)], dim).cumprod(dim).flip(dim)
    return before * after


# -- moments
def moments(x: Layout, dim: Any, correction: Any, keepdim: bool, root: bool, with_mean: bool, title: str) -> Result:
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise refuse(RuntimeError, "std and var only support floating point and complex dtypes", received=x.dtype.name)
    dims = reduced_dims(dim, x.ndim)
    outs = tuple(layout(kept_shape(x.shape, dims, keepdim), x.dtype) for _ in range(1 + with_mean))
    flat = [Array(o.dtype, s, layout(s, o.dtype).strides) for o in outs for s in [kept_shape(x.shape, dims, False)]]
    kind = x.dtype.compute
    if kind is d.float32 and x.numel:
        first = Array(x.dtype, x.shape, tuple(0 if k in dims else step for k, step in enumerate(x.strides)))
        schedule = reduce(flat, [x, first], dims, shifted_moments_of(kind, root, with_mean))
        schedule = rebased(schedule, (), (In(0), In(0)))
    else:
        schedule = reduce(flat, [x], dims, moments_of(kind, root, with_mean))
    value = 1.0 if correction is None else float(correction)

    def fixed(w: Any) -> Any:
        return bits(value, w.type) if isinstance(w, Number) else w

    launches = tuple(replace(y, words=tuple(fixed(w) for w in y.words)) for y in schedule.launches)
    return Result(outs, replace(schedule, launches=launches))


def variance_gradient(g: Tensor, x: Tensor, dim: Any, correction: Any, keepdim: bool) -> Tensor:
    dims = reduced_dims(dim, x.ndim)
    n = math.prod(x.shape[k] for k in dims)
    free = n - (1 if correction is None else correction)
    centred = x - x.mean(dims, True) if dims else x - x
    return spread(g, x.shape, dim, keepdim) * centred * (2.0 / free if free > 0 else math.nan if free == 0 else math.inf)


class VarForward(Fused):
    """Variance in one pass."""

    schema = "var_forward(Tensor input, int[1]? dim, Scalar? correction, bool keepdim) -> Tensor"
    batching = "front dim"
    paths = ""
    static = ("correction",)

    @staticmethod
    def kernel(x: Layout, dim: Any, correction: Any, keepdim: bool) -> Result:
        return moments(x, dim, correction, keepdim, False, False, "var")

    @staticmethod
    def gradient(g: Tensor, input: Tensor, dim: Any, correction: Any, keepdim: bool) -> Tensor:
        return variance_gradient(g, input, dim, correction, keepdim)


class StdForward(Fused):
    """The root of the variance."""

    schema = "std_forward(Tensor input, int[1]? dim, Scalar? correction, bool keepdim) -> Tensor"
    batching = "front dim"
    paths = ""
    static = ("correction",)

    @staticmethod
    def kernel(x: Layout, dim: Any, correction: Any, keepdim: bool) -> Result:
        return moments(x, dim, correction, keepdim, True, False, "std")

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, dim: Any, correction: Any, keepdim: bool) -> Tensor:
        half = (g / (out * 2)).masked_fill(out == 0, 0)
        return variance_gradient(half, input, dim, correction, keepdim)


class VarMeanForward(Fused):
    """(variance or its root, mean)."""

    schema = "var_mean_forward(Tensor input, int[1]? dim, Scalar? correction, bool keepdim, bool root) -> (Tensor, Tensor)"
    batching = "front dim"
    paths = ""
    static = ("correction",)

    @staticmethod
    def kernel(x: Layout, dim: Any, correction: Any, keepdim: bool, root: bool) -> Result:
        return moments(x, dim, correction, keepdim, root, True, "std_mean" if root else "var_mean")

    @staticmethod
    def gradient(g0: Tensor, g1: Tensor, input: Tensor, out0: Tensor, dim: Any, correction: Any, keepdim: bool, root: bool) -> Tensor:
        n = math.prod(input.shape[k] for k in reduced_dims(dim, input.ndim))
        g = (g0 / (out0 * 2)).masked_fill(out0 == 0, 0) if root else g0
        return variance_gradient(g, input, dim, correction, keepdim) + spread(g1, input.shape, dim, keepdim) / n


def _arguments(input: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any, title: str) -> tuple[Any, Any, bool]:
    """var(x, True), var(x, 0, False), var(x, dim=..., correction=...): (dim, correction, keepdim)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(bool(unbiased))
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise refuse(
            RuntimeError,
            f"{title if title.endswith('mean') else 'std and var'} only support floating point and complex dtypes",
            received=input.dtype.name,
        )
    return (None if dim is None or dim == () or dim == [] else dim), 1 if correction is None else correction, keepdim


def _moment(name: str, make: Any, doc: str) -> None:
    def compose(input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
        k, c, keep = _arguments(input, dim, unbiased, keepdim, correction, name)
        if input.dtype.is_complex:
            spread_ = sum(ops.var_forward(p, _dims(k), c, keep) for p in (input.real, input.imag))
            first = spread_.sqrt() if name.startswith("std") else spread_  # pyright: ignore[reportAttributeAccessIssue]
            return (first, ops.mean(input, k, keep)) if name.endswith("mean") else first
        return make(input, k, c, keep)

    body = {"__doc__": doc, "__module__": __name__, "out_dtype": "cast", "overloaded": True, "schema": f"{name}(Tensor input, int[1]? dim=None, bool? unbiased=None, bool keepdim=False, *, Scalar? correction=None) -> Tensor",
            "compose": staticmethod(compose), "samples": [sample(normal(3, 4)), sample(normal(3, 4), 1)], "out": not name.endswith("mean")}  # fmt: skip
    type(name.title().replace("_", ""), (Composite,), body)


def _dims(k: Any) -> Any:
    return k if k is None or isinstance(k, (tuple, list)) else (k,)


_moment("var", lambda x, k, c, keep: ops.var_forward(x, _dims(k), c, keep), "Variance, divided by n - correction (1 unless given).")
_moment("std", lambda x, k, c, keep: ops.std_forward(x, _dims(k), c, keep), "The root of the variance.")
_moment("var_mean", lambda x, k, c, keep: tuple(ops.var_mean_forward(x, _dims(k), c, keep, False)), "(variance, mean).")
_moment("std_mean", lambda x, k, c, keep: tuple(ops.var_mean_forward(x, _dims(k), c, keep, True)), "(standard deviation, mean).")


# -- norms
class VectorNorm(Fused):
    """(sum |x|^ord)^(1/ord) over dims; ord 0 counts, the infinities are extremes."""

    schema = "linalg_vector_norm(Tensor input, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    batching = "front dim"
    paths = ""
    static = ("ord",)

    @staticmethod
    def kernel(input: Layout, ord: Any, dim: Any, keepdim: bool, dtype: DType | None) -> Result:
        if not (input.dtype.is_floating_point or input.dtype.is_complex):
            raise refuse(
                RuntimeError,
                f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {scalar_type_name(input.dtype)}",
            )
        from dataclasses import replace

        from ..kernel.launch import Number, bits

        dims = reduced_dims(dim, input.ndim)
        if (ord < 0 or ord == math.inf) and (not input.numel) and any(input.shape[k] == 0 for k in dims):
            if dim is None:
                raise refuse(
                    RuntimeError,
                    f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have an identity",
                )
            empty = next(k for k in ((dim,) if isinstance(dim, int) else dim) if input.shape[k] == 0)
            raise refuse(
                RuntimeError,
                f"linalg.vector_norm cannot compute the {ord} norm on the dimension {empty}because this dimension is empty and the operation does not have an identity",
            )
        kind = (dtype or input.dtype).real
        got = reduction(
            input, dims, keepdim, norm_of(input.dtype.compute, float(ord) if ord in (0, 1, 2, math.inf, -math.inf) else None), kind
        )

        def fixed(w: Any) -> Any:
            return bits(float(ord), w.type) if isinstance(w, Number) else w

        launches = tuple(replace(y, words=tuple(fixed(w) for w in y.words)) for y in got.schedule.launches)
        return Result(got.outputs, replace(got.schedule, launches=launches))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, ord: Any, dim: Any, keepdim: bool) -> Tensor:
        n, big = spread(out, input.shape, dim, keepdim), spread(g, input.shape, dim, keepdim)
        if ord == 0:
            return ops.zeros_like(input)
        if ord == 1:
            return big * input.sgn()
        if ord == 2:
            return (big * (input / n)).masked_fill(n == 0, 0)
        if ord in (math.inf, -math.inf):
            size = input.abs()
            hit = ((size == n) | ((size != size) & (n != n))).to(big.dtype)
            dims = reduced_dims(dim, input.ndim)
            return input.sgn() * (big / hit.sum(dims, True) * hit)
        if ord < 1:
            part = input.sgn() * input.abs().pow(ord - 1).masked_fill(input == 0, 0)
            return part * (big * n.pow(1 - ord)).masked_fill(n == 0, 0)
        part = input.sgn() * (input.abs() / n).pow(ord - 1)
        return (part * big).masked_fill(n == 0, 0)

    samples = grid(input=[normal(3, 4)], ord=[2, 1, math.inf, 3], dim=[None, 1])


class Logsumexp(Fused):
    """log(sum(exp(x))) over dims, shifted by the maximum."""

    schema = "logsumexp(Tensor input, int[1] dim, bool keepdim=False) -> Tensor"
    out_dtype = "cast"
    batching = "front dim"
    paths = "torch Tensor special"

    @staticmethod
    def kernel(x: Layout, dim: Any, keepdim: bool) -> Result:
        from ..base.settings import SETTINGS

        whole = not (x.dtype.is_floating_point or x.dtype.is_complex)
        kind = SETTINGS.default_dtype if whole else x.dtype
        return reduction(x, reduced_dims(dim, x.ndim), keepdim, logsumexp_of(kind if whole else x.dtype.compute), kind)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, out: Tensor, dim: Any, keepdim: bool) -> Tensor:
        share = (input - spread(out.masked_fill(out == -math.inf, 0), input.shape, dim, keepdim)).exp()
        return spread(g, input.shape, dim, keepdim) * (share.conj() if share.dtype.is_complex else share)

    samples = grid(input=[normal(3, 4)], dim=[0, (0, 1)], keepdim=[False, True])


# -- truth
def _truth(x: Layout, dims: tuple[int, ...], keepdim: bool, of: Any) -> Result:
    return reduction(x, dims, keepdim, of(x.dtype.compute), d.uint8 if x.dtype is d.uint8 else d.bool_)


def _truth_ops(name: str, of: Any, doc: str) -> None:
    def whole(x: Layout) -> Result:
        return _truth(x, tuple(range(x.ndim)), False, of)

    def along(x: Layout, dim: Any, keepdim: bool) -> Result:
        return _truth(x, reduced_dims(dim, x.ndim), keepdim, of)

    forms: list[tuple[str, str, Callable[..., Result], str, list[Any]]] = [
        ("", "Tensor input", whole, f"rows {name}", [sample(normal(3, 4))]),
        (".dims", "Tensor input, int[1]? dim, bool keepdim=False", along, "front dim", [sample(normal(3, 4), 1)]),
    ]
    for overload, arguments, kernel, batching, samples in forms:
        body = {
            "__doc__": doc,
            "out_dtype": f"{name} only supports bool tensor for result, got: {{Got}}",
            "__module__": __name__,
            "schema": f"{name}{overload}({arguments}) -> Tensor",
            "kernel": staticmethod(kernel),
            "batching": batching,
            "samples": samples,
        }
        type(name.title() + overload[1:].title(), (Fused,), body)


_truth_ops("any", any_of, "Whether any element is true (not zero).")
_truth_ops("all", all_of, "Whether all elements are true (not zero).")


class CountNonzero(Fused):
    """How many elements are not zero."""

    schema = "count_nonzero(Tensor input, int[1]? dim=None) -> Tensor"
    out = False
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: Any) -> Result:
        return reduction(x, reduced_dims(dim, x.ndim), False, count_nonzero_of(x.dtype.compute), d.int64)

    samples = [sample(normal(3, 4)), sample(normal(3, 4), 1)]


class Nansum(Fused):
    """Sum with NaN counted as zero."""

    schema = "nansum(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    out_dtype = "cast"
    batching = "front dim"

    @staticmethod
    def kernel(x: Layout, dim: Any, keepdim: bool, dtype: DType | None) -> Result:
        if x.dtype.is_complex:
            raise refuse(RuntimeError, "nansum does not support complex inputs")
        kind = _sum_type(x, dtype)
        present: Callable[[Scalar], Scalar] = lambda x: where(isnan(x), 0.0, x) if x.dtype.is_floating_point else x  # noqa: E731
        return reduction(x, reduced_dims(dim, x.ndim), keepdim, sum_of(x.dtype.compute, accumulator(kind), present), kind)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
        return spread(g, input.shape, dim, keepdim).to(input.dtype).masked_fill(input != input, 0)

    samples = [sample(normal(3, 4)), sample(normal(3, 4), 1)]


class Nanmean(Composite):
    """Mean of what is not NaN."""

    schema = "nanmean(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
        if not (input.dtype.is_floating_point or input.dtype.is_complex):
            raise refuse(
                RuntimeError, f"nanmean(): expected input to have floating point or complex dtype but got {scalar_type_name(input.dtype)}"
            )
        count = (input == input).sum(dim, keepdim) if dim is not None else (input == input).sum()
        return ops.nansum(input, dim, keepdim, dtype=dtype) / count

    samples = [sample(normal(3, 4)), sample(normal(3, 4), 1)]
