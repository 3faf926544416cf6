"""Distances and similarities of vectors, and the bilinear form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.expression import broadcast, wants
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.coalesce import broadcast as spread_over
from ..kernel.coalesce import contiguous as dense
from ..kernel.indexing import symmetric
from ..kernel.launch import Array, In, Launch, Number, Schedule, Word, Work, bits, rebased
from ..kernel.pointwise import copy
from ..kernel.reduction import Reducer, norm_of, reduce, reduce_pairs, sum_of
from ..kernel.reduction.nest import FEW
from ..kernel.scalar import Scalar, abs, cast, const, input, isnan, number, pow, sign, substitute, where
from ..spec.block import Composite, Fused, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, grid, normal, refused, sample


def is_tensor(value: Any, name: str, place: int, function: str) -> None:
    if not isinstance(value, Tensor):
        raise refuse(TypeError, f"{function}(): argument '{name}' (position {place}) must be Tensor, not {type(value).__name__}")


def difference_reducer(kind: DType, ord: float) -> Reducer:
    """|a - b|_ord of two inputs."""
    a, b = input(0, kind), input(1, kind)
    plain = norm_of(kind.compute, float(ord) if ord in (0, 1, 2, math.inf) else None)
    difference = cast(cast(a - b, kind), kind.compute)  # rounded as if it were written
    lift = substitute(list(plain.lift), {a: difference})
    if ord == 0:  # among numbers that differ, NaN is not counted but passed on
        lift = [where(isnan(difference), cast(difference, lift[0].dtype), lift[0])]
    return replace(plain, lift=tuple(lift))


def numbered(schedule: Schedule, ord: float) -> Schedule:
    """`ord` in the place of the number that its bodies take."""

    def fixed(w: Word) -> Word:
        return bits(float(ord), w.type) if isinstance(w, Number) else w

    return replace(schedule, launches=tuple(replace(y, words=tuple(map(fixed, y.words))) for y in schedule.launches))


def of_its_own(ord: float) -> bool:
    """Whether the slope of the norm has a body for the order; the others have one in common, of a number."""
    return ord <= 1 or ord in (2, math.inf)


def slope(g: Scalar, norm: Scalar, x: Scalar, ord: Any) -> Scalar:
    """g times the derivative of norm = |(..., x, ...)|_ord by x: 0 where the norm is, though differences of infinities, left out of it, are NaN;
    each of several largest takes all of g."""
    none, up = norm.__eq__(0.0), g * sign(x)
    share = x / where(none, 1.0, norm)
    if isinstance(ord, Scalar):
        return where(none, 0.0, up * pow(abs(share), ord - 1))
    if ord < 1:
        return where(none | x.__eq__(0.0), 0.0, sign(x) * pow(abs(x), ord - 1) * (g * pow(norm, 1 - ord)))
    if ord == 1:
        return where(x > 0, g, where(x < 0, -g, g * where(none, 0.0, x)))
    if ord == 2:
        return where(none, 0.0, g * share)
    short = norm - abs(x)
    return where(none, 0.0, where(isnan(short), short, where(short.__eq__(0.0), up, 0.0 * up)))


class DifferenceSlope(Pointwise):
    """`slope`, by itself: what the fused gradients are, to be differentiated."""

    schema = "difference_slope(Tensor grad, Tensor norm, Tensor input, Scalar ord) -> Tensor"
    paths = ""
    special: ClassVar[dict[str, Any]] = {"ord": of_its_own}

    @staticmethod
    def scalar(grad: Scalar, norm: Scalar, input: Scalar, ord: Any) -> Scalar:
        return slope(grad, norm, input, ord)


def scale(norm: Scalar) -> Scalar:
    """A power of two that keeps norm * scale, and its inverse, away from both ends of the exponents."""
    low, one, high = (const(2.0**e, norm.dtype) for e in (-64, 0, 64))
    return where(norm > 2.0**32, low, where(norm < 2.0**-32, high, one))


class DifferenceScale(Pointwise):
    """What differences are scaled by before they are multiplied by their share."""

    schema = "difference_scale(Tensor norm) -> Tensor"
    paths = ""
    gradient = None

    @staticmethod
    def scalar(norm: Scalar) -> Scalar:
        return scale(norm)


class DifferenceShare(Pointwise):
    """grad / (norm scale), 0 where the norm is: one division for a pair of rows in place of one for each difference."""

    schema = "difference_share(Tensor grad, Tensor norm) -> Tensor"
    paths = ""
    gradient = None

    @staticmethod
    def scalar(grad: Scalar, norm: Scalar) -> Scalar:
        none = norm.__eq__(0.0)
        return where(none, 0.0, grad / where(none, 1.0, norm * scale(norm)))


def divided(kind: DType, ord: Any) -> bool:
    """Whether pairs of rows have a share and a scale; half precision has no room for them."""
    return ord == 2 and kind.compute is kind


def of_pairs(g: Tensor, norm: Tensor, ord: Any) -> tuple[Tensor, Tensor]:
    """What the gradient multiplies differences by, and what else it wants to know of a pair of rows."""
    return (ops.difference_share(g, norm), ops.difference_scale(norm)) if divided(g.dtype, ord) else (g, norm)


class DifferenceNorm(Fused):
    """|x1 - x2|_ord over the last dim, after broadcasting: the differences are not written."""

    schema = "difference_norm(Tensor x1, Tensor x2, Scalar ord) -> Tensor"
    paths = ""
    static = ("ord",)

    @staticmethod
    def batch(examples: Examples, x1: Tensor, x2: Tensor, ord: Any) -> Tensor:
        return ops.difference_norm(*aligned(examples, (x1, "x1", 0), (x2, "x2", 0)), ord)

    @staticmethod
    def kernel(x1: Layout, x2: Layout, ord: Any) -> Result:
        shape, kind = broadcast([x1.shape, x2.shape]), x1.dtype
        out = layout(shape[:-1], kind)
        operands, depth = [spread_over(x, shape) for x in (x1, x2)], len(shape) - 1
        # lanes run along the rows' elements, but of short rows along the rows
        first, operands, words = turned(operands, depth - 1 if depth and shape[depth] <= FEW else None)
        last = rebased(numbered(reduce([out], operands, (depth,), difference_reducer(kind, ord)), ord), (), words, first.workspace)
        return Result((out,), Schedule((*first.launches, *last.launches), last.workspace, (*first.notes, *last.notes)))

    @staticmethod
    def gradient(g: Tensor, x1: Tensor, x2: Tensor, ord: Any, out: Tensor, needs: Sequence[bool]) -> tuple[Any, ...]:
        if ord == 0:
            return tuple(ops.zeros_like(x) for x in (x1, x2))
        if MODE.grad and any(map(wants, (g, x1, x2))):
            by = ops.difference_slope(g.unsqueeze(-1), out.unsqueeze(-1), x1 - x2, ord)
            return ops.sum_to_size(by, x1.shape), ops.sum_to_size(-by, x2.shape)
        back, pairs = ops.difference_norm_backward, of_pairs(g, out, ord)
        return back(x1, x2, *pairs, ord) if needs[0] else None, back(x2, x1, *pairs, ord) if needs[1] else None

    samples = grid(x1=[distinct(4, 1, 3)], x2=[distinct(5, 3)], ord=[2.0, 1.0, 3.0])


def aligned(examples: Examples, *operands: tuple[Tensor, str, int]) -> list[Tensor]:
    """Operands (tensor, its name, dims that it lacks at the end) with the examples in front of as many dims, to be broadcast."""
    full = [(examples.all(t, name), lacks) for t, name, lacks in operands]
    rank = max(t.ndim + lacks for t, lacks in full)
    return [t.reshape(examples.n, *(1,) * (rank - t.ndim - lacks), *t.shape[1:]) for t, lacks in full]


class DifferenceNormBackward(Fused):
    """The gradient of |input - other|_ord by `input`, summed over dims along which that was broadcast; `grad` and `norm` are `of_pairs`."""

    schema = "difference_norm_backward(Tensor input, Tensor other, Tensor grad, Tensor norm, Scalar ord) -> Tensor"
    paths = ""
    static = ("ord",)

    @staticmethod
    def batch(examples: Examples, input: Tensor, other: Tensor, grad: Tensor, norm: Tensor, ord: Any) -> Tensor:
        operands = aligned(examples, (input, "input", 0), (other, "other", 0), (grad, "grad", 1), (norm, "norm", 1))
        got = ops.difference_norm_backward(*operands, ord)
        return got.reshape(examples.n, *input.shape[-input.ndim + 1 :])

    @staticmethod
    def kernel(own: Layout, other: Layout, grad: Layout, norm: Layout, ord: Any) -> Result:
        shape, kind = broadcast([own.shape, other.shape]), own.dtype
        lead = len(shape) - own.ndim
        gone = [d for d, n in enumerate(shape) if d < lead or n != own.shape[d - lead]]
        out = layout(own.shape, kind)
        result = Array(kind, *zip(*((n, out.strides[d - lead]) for d, n in enumerate(shape) if d not in gone)))
        pairs = [Array(kind, (*t.shape, 1), (*t.strides, 0)) for t in (grad, norm)]
        operands = [spread_over(t, shape) for t in (own, other, *pairs)]
        a, b, g, n = (input(k, kind) for k in range(4))
        wide = kind.compute
        g, n, x = cast(g, wide), cast(n, wide), cast(cast(a - b, kind), wide)
        body = x * n * g if divided(kind, ord) else slope(g, n, x, ord if of_its_own(ord) else number(0, wide))
        total = replace(sum_of(wide), lift=(body,))
        first, operands, words = turned(operands, max(gone, key=lambda d: shape[d], default=None))
        last = rebased(numbered(reduce([result], operands, gone, total), ord), (), words, first.workspace)
        return Result((out,), Schedule((*first.launches, *last.launches), last.workspace, (*first.notes, *last.notes)))


SHORT = 32  # elements along a dim that are not worth turning


def turned(operands: Sequence[Array], dim: int | None) -> tuple[Schedule, list[Array], list[Word]]:
    """(what copies them, the operands with neighbours along `dim` beside each other in memory, where they lie), for lanes to run along it."""
    launches, notes, size = list[Launch](), list[str](), 0
    found, words = list[Array](), list[Word]()
    for k, t in enumerate(operands):
        word: Word = In(k)
        if dim is not None and t.shape[dim] >= SHORT and t.strides[dim] not in (0, 1):
            kept = [d for d, step in enumerate(t.strides) if step and d != dim]
            steps = dict(zip((*kept, dim), dense([t.shape[d] for d in (*kept, dim)])))
            few = tuple(n if d in steps else 1 for d, n in enumerate(t.shape))
            to = Array(t.dtype, few, tuple(steps.get(d, 0) for d in range(len(few))))
            step = rebased(copy(to, Array(t.dtype, few, t.strides)), [Work(size)], [word])
            launches += step.launches
            notes += step.notes
            word, t = Work(size), Array(t.dtype, t.shape, to.strides)
            size += -(-prod(few) * t.dtype.itemsize // 64) * 64
        found.append(t)
        words.append(word)
    return Schedule(tuple(launches), size, tuple(notes)), found, words


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


class PairNorm(Fused):
    """|a - b|_ord of all pairs of rows of (N, D), those above the diagonal in row order: (N (N - 1) / 2,)."""

    schema = "pair_norm(Tensor input, Scalar ord) -> Tensor"
    paths = ""
    static = ("ord",)
    contiguous = True

    @staticmethod
    def kernel(x: Layout, ord: Any) -> Result:
        n = x.shape[0]
        out = layout((n * (n - 1) // 2,), x.dtype)
        return Result((out,), numbered(reduce_pairs(out, x, difference_reducer(x.dtype, ord)), ord))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, ord: Any, out: Tensor) -> Tensor:
        if ord == 0:
            return ops.zeros_like(input)
        n = input.shape[0]
        if MODE.grad and (wants(g) or wants(input)):
            first, second = ops.triu_indices(n, n, 1)
            difference = input.index_select(0, first) - input.index_select(0, second)
            by = ops.difference_slope(g.unsqueeze(-1), out.unsqueeze(-1), difference, ord)
            return ops.zeros_like(input).index_add(0, first, by).index_add(0, second, -by)
        # every pair from both sides; the diagonal, of norm 0, counts for nothing
        pairs = (ops.symmetric(t, n) for t in of_pairs(g, out, ord))
        return ops.difference_norm_backward(input.unsqueeze(1), input, *pairs, ord).squeeze(1)

    samples = [sample(distinct(4, 3), 2.0), sample(distinct(3, 2), 1.0)]


class Symmetric(Fused):
    """The symmetric matrix (n, n) with these elements above its diagonal, row by row, and zeros on it."""

    schema = "symmetric(Tensor input, int n) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, n: int) -> Result:
        out = layout((n, n), x.dtype)
        return Result((out,), symmetric(out, x))


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
        return ops.pair_norm(input, p) if input.shape[0] > 1 else input.reshape(-1)[:0]

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
    for place, t, size in ((1, x1, w.shape[1]), (2, x2, w.shape[2])):
        if t.shape[-1] != size:
            raise refuse(RuntimeError, f"bilinear(): input{place} size does not match weight size: got {t.shape[-1]} but expected {size}")
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != w.shape[0]):
        raise refuse(RuntimeError, f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {w.shape[0]}")


def c_name(kind: DType) -> str:
    """The dtype as C++ names it, which PyTorch shows in some sentences."""
    names = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long int", "int32": "int",
             "int16": "short int", "int8": "signed char", "uint8": "unsigned char", "bool": "bool", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip
    return names.get(kind.name, kind.name)
