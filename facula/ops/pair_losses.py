"""Losses that compare inputs with each other: divergences and margins. `reduction` is 0 none, 1 mean, 2 sum; y is 1 or -1.

PyTorch's own functions of these names reduce nothing unless told to; `torch.nn.functional` takes the mean.
"""

from __future__ import annotations

import math

from ..base.errors import refuse
from ..core.tensor import Tensor
from ..spec.block import Composite
from ..spec.registry import ops
from ..spec.samples import distinct, each, normal, refused, sample, uniform, values
from .losses import reduced

SIDES = values([1.0, -1.0, 1.0])


class KlDiv(Composite):
    """y (log y - x) for log-probabilities x; `log_target` says that y is given as its logarithm."""

    schema = "kl_div(Tensor input, Tensor target, int reduction=0, *, bool log_target=False) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
        for t in (input, target):
            if not t.dtype.is_floating_point:
                what = "Complex" if t.dtype.is_complex else "Integral"
                raise refuse(
                    RuntimeError, f"kl_div: {what} inputs not supported.", received=f"dtype {t.dtype.name}", expected="a floating dtype"
                )
        loss = ops.exp(target) * (target - input) if log_target else ops.xlogy(target, target) - target * input
        return reduced(loss, reduction)

    samples = [
        sample(normal(3, 4), uniform(3, 4, low=0.1, high=1.0)),
        sample(normal(3, 4), normal(3, 4), 2, log_target=True),
        sample(normal(4), uniform(3, 4, low=0.1, high=1.0), 0),
    ]


class PoissonNllLoss(Composite):
    """-log of a Poisson probability; `full` adds Stirling's term for log(target!)."""

    schema = "poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
        loss = ops.exp(input) - target * input if log_input else input - target * ops.log(input + eps)
        if full:
            stirling = target * ops.log(target) - target + 0.5 * ops.log(2 * math.pi * target)
            loss = loss + stirling.masked_fill(target <= 1, 0)
        return reduced(loss, reduction)

    samples = [
        sample(normal(3, 4), uniform(3, 4, low=0.1, high=0.9), True, False, 1e-8, 1),
        sample(uniform(3, 4, low=0.5, high=2.0), uniform(3, 4, low=1.5, high=3.0), False, True, 1e-8, 0),
    ]


class MarginRankingLoss(Composite):
    """max(0, -y (x1 - x2) + margin)."""

    schema = "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=0) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0) -> Tensor:
        if input1.dim() != input2.dim() or input1.dim() != target.dim():
            raise refuse(RuntimeError, "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
                         f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} ")  # fmt: skip
        return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)

    samples = [sample(distinct(3), distinct(3), SIDES, 0.3), sample(distinct(3), distinct(3), SIDES, 0.4, 1)]
    refusals = each(refused(normal(3), normal(3, 1), normal(3), raises=RuntimeError, match="should have same dimension"))


class HingeEmbeddingLoss(Composite):
    """x where y is 1, max(0, margin - x) where y is -1."""

    schema = "hinge_embedding_loss(Tensor input, Tensor target, float margin=1.0, int reduction=0) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
        zero = ops.zeros_like(input)
        apart = ops.where(target != 1, ops.full_like(input, margin).sub_(input).clamp_min(0), zero)  # integers stay integers
        return reduced(apart + ops.where(target != -1, input, zero), reduction)

    samples = [sample(distinct(3), SIDES), sample(distinct(3), SIDES, 2.0, 0)]


class CosineEmbeddingLoss(Composite):
    """1 - cos(x1, x2) where y is 1, max(0, cos(x1, x2) - margin) where y is -1."""

    schema = "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=0) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0) -> Tensor:
        ndim = target.dim()
        if ndim > 1:
            raise refuse(
                RuntimeError, "0D or 1D target tensor expected, multi-target not supported", received=f"target {tuple(target.shape)}"
            )
        if input1.dim() != ndim + 1 or input2.dim() != ndim + 1:
            raise refuse(RuntimeError, f"{ndim}D target tensor expects {ndim + 1}D input tensors, but found inputs with sizes "
                         f"{list(input1.shape)} and {list(input2.shape)}.")  # fmt: skip
        tiny = 1e-12  # keeps the root of a zero vector differentiable
        cosine = (input1 * input2).sum(ndim) / (((input1 * input1).sum(ndim) + tiny) * ((input2 * input2).sum(ndim) + tiny)).sqrt()
        zero = ops.zeros_like(cosine)
        apart = ops.where(target == -1, (cosine - margin).clamp_min(0), zero)
        return reduced(ops.where(target == 1, 1 - cosine, zero) + apart, reduction)

    samples = [sample(normal(3, 4), normal(3, 4), SIDES), sample(normal(3, 4), normal(3, 4), SIDES, 0.2, 0)]
    refusals = each(refused(normal(3, 4), normal(3, 4), normal(3, 4), raises=RuntimeError, match="multi-target not supported"))


class TripletMarginLoss(Composite):
    """max(0, d(a, p) - d(a, n) + margin) with the p-norm of the difference as d; `swap` takes the nearer of d(a, n), d(p, n)."""

    schema = (
        "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, float eps=1e-6, bool swap=False, "
        "int reduction=0) -> Tensor"
    )
    out = False
    paths = "torch"

    @staticmethod
    def compose(
        anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        reduction: int = 0,
    ) -> Tensor:  # fmt: skip
        same_dims(anchor, positive, negative)
        near = ops.pairwise_distance(anchor, positive, p, eps)
        far = ops.pairwise_distance(anchor, negative, p, eps)
        if swap:
            far = ops.minimum(far, ops.pairwise_distance(positive, negative, p, eps))
        return reduced((margin + near - far).clamp_min(0), reduction)

    samples = [
        sample(normal(3, 4), normal(3, 4), normal(3, 4)),
        sample(normal(3, 4), normal(3, 4), normal(3, 4), 2.0, swap=True, reduction=0),
    ]
    refusals = each(refused(normal(3), normal(3, 1), normal(3), raises=RuntimeError, match="same number of dimensions"))


def same_dims(anchor: Tensor, positive: Tensor, negative: Tensor) -> None:
    """Refuse triplets of different ranks."""
    a, p, n = anchor.dim(), positive.dim(), negative.dim()
    if not a == p == n:
        raise refuse(
            RuntimeError,
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {a}D, positive {p}D, and negative {n}D inputs",
        )
