"""Distances and similarities of vectors, and the bilinear form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.expression import broadcast, expanded
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.launch import Number, Word, bits
from ..kernel.reduction import norm_of, reduce
from ..kernel.scalar import cast, input, isnan, substitute, where
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, grid, normal, refused, sample
from .statistics import VectorNorm


def is_tensor(value: Any, name: str, place: int, function: str) -> None:
    if not isinstance(value, Tensor):
        raise refuse(TypeError, f"{function}(): argument '{name}' (position {place}) must be Tensor, not {type(value).__name__}")


class DifferenceNorm(Fused):
    """|x1 - x2|_ord over the last dim, after broadcasting: the differences are not written."""

    schema = "difference_norm(Tensor x1, Tensor x2, Scalar ord) -> Tensor"
    paths = ""
    static = ("ord",)

    @staticmethod
    def batch(examples: Examples, x1: Tensor, x2: Tensor, ord: Any) -> Tensor:
        a, b = examples.all(x1, "x1"), examples.all(x2, "x2")
        rank = max(a.ndim, b.ndim)
        a, b = (t.reshape(examples.n, *(1,) * (rank - t.ndim), *t.shape[1:]) for t in (a, b))
        return ops.difference_norm(a, b, ord)

    @staticmethod
    def kernel(x1: Layout, x2: Layout, ord: Any) -> Result:
        shape, kind = broadcast([x1.shape, x2.shape]), x1.dtype
        a, b = input(0, kind), input(1, kind)
        plain = norm_of(kind.compute, float(ord) if ord in (0, 1, 2, math.inf) else None)
        difference = cast(cast(a - b, kind), kind.compute)  # rounded as if it were written
        lift = substitute(list(plain.lift), {a: difference})
        if ord == 0:  # among numbers that differ, NaN is not counted but passed on
            lift = [where(isnan(difference), cast(difference, lift[0].dtype), lift[0])]
        reducer = replace(plain, lift=tuple(lift))
        out = layout(shape[:-1], kind)
        schedule = reduce([out], [expanded(x1, shape), expanded(x2, shape)], (len(shape) - 1,), reducer)

        def fixed(w: Word) -> Word:
            return bits(float(ord), w.type) if isinstance(w, Number) else w

        launches = tuple(replace(y, words=tuple(map(fixed, y.words))) for y in schedule.launches)
        return Result((out,), replace(schedule, launches=launches))

    @staticmethod
    def gradient(g: Tensor, x1: Tensor, x2: Tensor, ord: Any, out: Tensor) -> tuple[Any, ...]:
        difference = x1 - x2
        slope = VectorNorm.gradient(g, difference, out, ord, -1, False)
        if ord in (1, math.inf):
            unknown = difference if ord == 1 else out.unsqueeze(-1)
            slope = ops.where(unknown != unknown, math.nan, slope)
        return ops.sum_to_size(slope, x1.shape), ops.sum_to_size(-slope, x2.shape)

    samples = grid(x1=[distinct(4, 1, 3)], x2=[distinct(5, 3)], ord=[2.0, 1.0, 3.0])


class PairwiseDistance(Composite):
    """|x1 - x2 + eps|_p over the last dim: (*, D), (*, D) -> (*)."""

    schema = "pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-06, bool keepdim=False) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
        is_tensor(x1, "x1", 1, "pairwise_distance")
        is_tensor(x2, "x2", 2, "pairwise_distance")
        longer = x1 if x1.ndim > x2.ndim else x2
        return ops.linalg_vector_norm(x1 - x2 + eps, p, longer.ndim - 1 if longer.ndim else -1, keepdim)

    samples = [sample(normal(3, 4), normal(3, 4)), sample(normal(3, 4), normal(4), 1.0, 1e-6, True), sample(normal(4), normal(4))]


class CosineSimilarity(Composite):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) over `dim`, after broadcasting."""

    schema = "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
        is_tensor(x1, "x1", 1, "cosine_similarity")
        is_tensor(x2, "x2", 2, "cosine_similarity")
        kind = ops.result_type(x1, x2)
        if not (kind.is_floating_point or kind.is_complex):
            raise refuse(
                RuntimeError,
                f"expected common dtype to be floating point, yet common dtype is {scalar_type_name(kind)}",
                received=f"{x1.dtype} and {x2.dtype}",
            )
        first, second = ops.broadcast_tensors(x1.to(kind), x2.to(kind))
        n1, n2 = (ops.linalg_vector_norm(t, 2.0, dim, True) for t in (first, second))
        # the norms are constants where eps replaces them, so that the slope there is that of a scaled product
        n1, n2 = (n.clamp(min=eps) for n in (n1, n2))
        return ((first / n1) * (second / n2)).sum(dim)

    samples = [sample(normal(3, 4), normal(3, 4)), sample(normal(3, 4, 2), normal(3, 4, 2), -1), sample(normal(3, 4), normal(4), 1)]
    refusals = [refused(normal(3, 4), normal(3, 4), 5, raises=IndexError, match="Dimension out of range")]


class Pdist(Composite):
    """Distances of all pairs of rows, those above the diagonal in row order: (N, D) -> (N (N - 1) / 2,)."""

    schema = "pdist(Tensor input, float p=2.0) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(input: Tensor, p: float = 2.0) -> Tensor:
        is_tensor(input, "input", 1, "pdist")
        if input.ndim != 2:
            raise refuse(RuntimeError, f"pdist only supports 2D tensors, got: {input.ndim}D", received=f"{tuple(input.shape)}")
        if not input.dtype.is_floating_point:
            raise refuse(RuntimeError, "pdist only supports floating-point dtypes", received=str(input.dtype))
        if p < 0:
            raise refuse(RuntimeError, "pdist only supports non-negative p values", received=f"p={p}")
        n = input.shape[0]
        if n <= 1:
            return input.reshape(-1)[:0]
        first, second = ops.triu_indices(n, n, 1)
        if MODE.grad and input.requires_grad:  # the differences of every pair are wanted again
            return ops.difference_norm(input.index_select(0, first), input.index_select(0, second), p)
        return ops.difference_norm(input.unsqueeze(1), input, p).reshape(-1).index_select(0, first * n + second)

    samples = [sample(distinct(4, 3)), sample(distinct(3, 2), 1.0)]
    refusals = [refused(normal(3), raises=RuntimeError, match="pdist only supports 2D tensors")]


CDIST_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


class Cdist(Composite):
    """Distances of each row of x1 to each of x2: (*, P, D), (*, R, D) -> (*, P, R)."""

    schema = 'cdist(Tensor x1, Tensor x2, float p=2.0, any compute_mode="use_mm_for_euclid_dist_if_necessary") -> Tensor'
    out = False
    paths = "torch"

    @staticmethod
    def compose(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = CDIST_MODES[0]) -> Tensor:
        for name, t in (("X1", x1), ("X2", x2)):
            if not t.dtype.is_floating_point:
                raise refuse(RuntimeError, f"cdist only supports floating-point dtypes, {name} got: {scalar_type_name(t.dtype)}")
            if t.ndim < 2:
                raise refuse(RuntimeError, f"cdist only supports at least 2D tensors, {name} got: {t.ndim}D")
        if x1.shape[-1] != x2.shape[-1]:
            raise refuse(RuntimeError, f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
        if p < 0:
            raise refuse(RuntimeError, "cdist only supports non-negative p values")
        if compute_mode not in (*CDIST_MODES, 0, 1, 2, None):
            raise refuse(ValueError, f"{compute_mode} is not a valid value for compute_mode", expected=" | ".join(CDIST_MODES))
        mode = CDIST_MODES.index(compute_mode) if isinstance(compute_mode, str) else compute_mode or 0
        direct = mode == 2 or (mode == 0 and max(x1.shape[-2], x2.shape[-2]) <= 25)
        if p != 2 or direct:
            return ops.difference_norm(x1.unsqueeze(-2), x2.unsqueeze(-3), p)
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b: one product in place of P R D differences
        squares = (x1 * x1).sum(-1, True) + (x2 * x2).sum(-1, True).transpose(-2, -1)
        return (squares - 2 * (x1 @ x2.transpose(-2, -1))).clamp(min=0).sqrt()

    samples = [sample(normal(3, 4), normal(2, 4)), sample(normal(2, 3, 4), normal(2, 2, 4), 1.0)]


class Bilinear(Composite):
    """y[*, k] = x1[*] W[k] x2[*] + bias[k]: (*, I), (*, J), (K, I, J), (K,) -> (*, K)."""

    schema = "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        for place, (name, t) in enumerate((("input1", input1), ("input2", input2), ("weight", weight)), 1):
            is_tensor(t, name, place, "bilinear")
        kinds = {t.dtype for t in (input1, input2, weight, bias) if t is not None}
        if len(kinds) > 1:
            shown = ", ".join(
                f"{n}: {c_name(t.dtype) if t is not None else 'N/A'}"
                for n, t in (("input1", input1), ("input2", input2), ("weight", weight), ("bias", bias))
            )
            raise refuse(RuntimeError, f"All tensors must have the same dtype, got {shown}")
        _check_bilinear(input1, input2, weight, bias)
        k, i, j = weight.shape
        lead = input1.shape[:-1]
        # (N, I) (I, K J) -> (N, K, J), then against x2
        a, b = input1.reshape((-1, i)), input2.reshape((-1, j))
        left = (a @ weight.permute((1, 0, 2)).reshape((i, k * j))).view((a.shape[0], k, j))
        y = (left @ b.unsqueeze(-1)).squeeze(-1)
        y = y if bias is None else y + bias
        return y.view((*lead, k))

    samples = [sample(normal(3, 2), normal(3, 4), normal(5, 2, 4), normal(5)), sample(normal(2, 3, 2), normal(2, 3, 4), normal(5, 2, 4))]


def _check_bilinear(x1: Tensor, x2: Tensor, w: Tensor, bias: Tensor | None) -> None:
    if x1.ndim != x2.ndim:
        raise refuse(RuntimeError, f"bilinear(): input dimensions do not match: got {x1.ndim} and {x2.ndim}")
    for i in range(x1.ndim - 1):
        if x1.shape[i] != x2.shape[i]:
            raise refuse(RuntimeError, f"bilinear(): input batch dimensions do not match at dim {i}: got {x1.shape[i]} and {x2.shape[i]}")
    if w.ndim != 3:
        raise refuse(RuntimeError, f"bilinear(): weight must be 3D, got {w.ndim}D", received=f"{tuple(w.shape)}")
    for number, t, size in ((1, x1, w.shape[1]), (2, x2, w.shape[2])):
        if t.shape[-1] != size:
            raise refuse(RuntimeError, f"bilinear(): input{number} size does not match weight size: got {t.shape[-1]} but expected {size}")
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != w.shape[0]):
        raise refuse(RuntimeError, f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {w.shape[0]}")


def c_name(kind: DType) -> str:
    """The dtype as C++ names it, which PyTorch shows in some sentences."""
    names = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long int", "int32": "int",
             "int16": "short int", "int8": "signed char", "uint8": "unsigned char", "bool": "bool", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip
    return names.get(kind.name, kind.name)
