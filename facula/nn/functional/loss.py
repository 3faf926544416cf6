"""Losses. Each takes `reduction` "mean", "sum" or "none"; `size_average` and `reduce` are its deprecated forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ... import ops
from ...base.dtypes import int64
from ...base.errors import refuse, warn
from ...core import Tensor, no_grad
from ...ops.pair_losses import same_dims
from .arguments import legacy_reduction, need_tensors, reduced, reduction_code

if TYPE_CHECKING:
    from collections.abc import Callable


# ---------------------------------------------------------------- classification
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-log p of the target class; `input` (N, C, ...) holds log-probabilities, `target` (N, ...) class numbers."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.nll_loss_nd(input, target, weight, reduction_code(reduction), ignore_index)


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
    reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """`nll_loss` of the log-softmax of `input` (N, C, ...); `target` holds class numbers (N, ...) or probabilities (N, C, ...)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.cross_entropy_loss(input, target, weight, reduction_code(reduction), ignore_index, label_smoothing)


def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None, weight: Tensor | None = None,
    reduction: str = "mean", ignore_index: int | None = None, label_smoothing: float = 0.0, options: Any = None,
) -> Tensor:  # fmt: skip
    """`cross_entropy(linear(input, linear_weight, linear_bias), target)`; `linear_weight` is (C, ..., in_features)."""
    if not 1 <= input.dim() <= 2:
        raise refuse(RuntimeError, f"expected input with dimensionality 1 or 2, got {input.dim()}", received=f"{tuple(input.shape)}")
    if linear_weight.dim() < 2:
        raise refuse(RuntimeError, f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    batch, features = input.shape[:-1], input.shape[-1]
    if features != linear_weight.shape[-1]:
        raise refuse(
            RuntimeError,
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{features} and {linear_weight.shape[-1]}, respectively",
            received=f"{tuple(input.shape)}, {tuple(linear_weight.shape)}",
        )
    rows = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != rows:
        raise refuse(RuntimeError, f"expected linear_bias shape {rows}, got {tuple(linear_bias.shape)}")
    if len(rows) > 1 and not batch:
        raise refuse(
            RuntimeError,
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {features}), got unbatched input with shape {tuple(input.shape)}",
        )
    logits_shape = (*batch, *rows)
    if tuple(target.shape) == logits_shape and ignore_index is not None:
        raise refuse(RuntimeError, "ignore_index cannot be specified when target contains probabilities")
    if len(rows) > 1:
        linear_weight = linear_weight.reshape(-1, features)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = ops.linear(input, linear_weight, linear_bias).reshape(logits_shape)
    return cross_entropy(logits, target, weight=weight, reduction=reduction, ignore_index=-100 if ignore_index is None else ignore_index,
                         label_smoothing=label_smoothing)  # fmt: skip


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-(y log p + (1 - y) log(1 - p)) for probabilities `input`; logarithms are cut at -100."""
    code = reduction_code(legacy_reduction(size_average, reduce, reduction))
    need_tensors("binary_cross_entropy", input=input, target=target)
    if target.size() != input.size():
        raise refuse(
            ValueError,
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is deprecated. "
            "Please ensure they have the same size.",
            received=f"target {tuple(target.shape)}",
            expected=f"{tuple(input.shape)}",
        )
    if weight is not None:
        weight = weight.expand(ops.broadcast_shapes(target.size(), weight.size()))
    return ops.binary_cross_entropy(input, target, weight, code)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy(sigmoid(input), target)` without overflow; `pos_weight` multiplies the positive term."""
    code = reduction_code(legacy_reduction(size_average, reduce, reduction))
    need_tensors("binary_cross_entropy_with_logits", input=input, target=target)
    if target.size() != input.size():
        raise refuse(ValueError, f"Target size ({target.size()}) must be the same as input size ({input.size()})",
                     received=f"target {tuple(target.shape)}", expected=f"{tuple(input.shape)}")  # fmt: skip
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, code)


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """-log probability of the label sequences over all alignments; `log_probs` (T, N, C). Graves et al. 2006."""
    return ops.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction_code(reduction), zero_infinity)


# ---------------------------------------------------------------- regression
def _matched(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both broadcast to one shape; sizes that differ are almost always a mistake, so they are warned of."""
    if target.size() == input.size():
        return input, target
    warn(f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will likely lead to "
                  "incorrect results due to broadcasting. Please ensure they have the same size.")  # fmt: skip
    first, second = ops.broadcast_tensors(input, target)
    return first, second


def _weighted(loss: Tensor, weight: Tensor, input: Tensor, reduction: str, by_weight: bool) -> Tensor:
    if weight.size() != input.size():
        raise refuse(
            ValueError,
            "Weights and input must have the same size.",
            received=f"weight {tuple(weight.shape)}",
            expected=f"{tuple(input.shape)}",
        )
    loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.sum() / weight.sum() if by_weight else loss.mean()
    raise refuse(ValueError, f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.", received=f"{reduction=}")


def mse_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """(x - y)^2; with `weight` the mean is by weight."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    x, y = _matched(input, target)
    if weight is not None:
        return _weighted((x - y).pow(2), weight, input, reduction, True)
    return ops.mse_loss(x, y, reduction_code(reduction))


def l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """|x - y|; with `weight` the mean is by weight."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    x, y = _matched(input, target)
    if weight is not None:
        return _weighted((x - y).abs(), weight, input, reduction, True)
    return ops.l1_loss(x, y, reduction_code(reduction))


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """0.5 d^2 / beta where d = |x - y| < beta, d - 0.5 beta elsewhere. Girshick 2015, arXiv 1504.08083."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    x, y = _matched(input, target)
    if beta == 0.0:
        return ops.l1_loss(x, y, reduction_code(reduction))
    return ops.smooth_l1_loss(x, y, reduction_code(reduction), beta)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """0.5 d^2 where d = |x - y| < delta, delta (d - 0.5 delta) elsewhere. Huber 1964."""
    x, y = _matched(input, target)
    if weight is not None:
        return _weighted(ops.huber_loss(x, y, 0, delta), weight, input, reduction, False)
    return ops.huber_loss(x, y, reduction_code(reduction), delta)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-log of a Poisson probability; `full` adds Stirling's term for log(target!)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.poisson_nll_loss(input, target, log_input, full, eps, reduction_code(reduction))


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Tensor:
    """0.5 (log var + (x - y)^2 / var), var at least `eps`; `full` adds 0.5 log 2 pi."""
    if isinstance(var, float):
        if var < 0:
            raise refuse(ValueError, "var has negative entry/entries", received=f"{var=}", expected="var >= 0")
        var = var * ops.ones_like(input)
    elif (var < 0).any():
        raise refuse(ValueError, "var has negative entry/entries", expected="var >= 0")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif input.dim() != var.dim() or sum(v for x, v in zip(input.size(), var.size(), strict=True) if x != v) != 1:
            raise refuse(
                ValueError, "var is of incorrect size", received=f"{tuple(var.shape)}", expected=f"{tuple(input.shape)}, or 1 in one dim"
            )
    if reduction not in ("none", "mean", "sum"):
        raise refuse(ValueError, f"{reduction} is not valid", received=f"{reduction=}", expected="'none', 'mean' or 'sum'")
    var = var.clone()
    with no_grad():
        var.clamp_(min=eps)  # the gradient passes as if nothing were cut
    loss = 0.5 * (ops.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """y (log y - x) for log-probabilities `input`; `log_target` says that y is given as its logarithm."""
    if size_average is None and reduce is None and reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the batch "
            "size, and aligns with the KL div math definition.'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
        )
    reduction = legacy_reduction(size_average, reduce, reduction)
    total = ops.kl_div(input, target, reduction_code("sum" if reduction == "batchmean" else reduction), log_target=log_target)
    return total / input.size()[0] if reduction == "batchmean" and input.dim() else total


# ---------------------------------------------------------------- margins
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, -y (x1 - x2) + margin); y is 1 or -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.margin_ranking_loss(input1, input2, target, margin, reduction_code(reduction))


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where y is 1, max(0, margin - x) where y is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.hinge_embedding_loss(input, target, margin, reduction_code(reduction))


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-y x)); y is 1 or -1 and has x's shape."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    reduction_code(reduction)
    need_tensors("soft_margin_loss", input=input, target=target)
    return reduced((-input).mul_(target).exp().log1p(), reduction)  # in place: the target must not broadcast the input


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Mean over classes (last dim) of the binary cross-entropy of logits."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = -(target * ops.log_sigmoid(input) + (1 - target) * ops.log_sigmoid(-input))
    if weight is not None:
        loss = loss * weight
    loss = loss.sum(dim=input.dim() - 1) / input.size(-1)
    if reduction not in ("none", "mean", "sum"):
        raise refuse(ValueError, f"{reduction} is not valid", received=f"{reduction=}", expected="'none', 'mean' or 'sum'")
    return reduced(loss, reduction)


def _class_scores(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (N, C) and targets (N, ...) of the two losses that compare classes with each other."""
    if not ((input.dim() == 2 and input.size(1)) or (input.dim() == 1 and input.size(0)) or input.dim() == 0):
        raise refuse(RuntimeError, f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}",
                     received=f"{tuple(input.shape)}", expected="(N, C) or (C,)")  # fmt: skip
    scores = input if input.dim() == 2 else input.reshape(1, -1)
    if name == "multi_margin_loss":
        if target.dim() > 1 or target.numel() != scores.size(0):
            raise refuse(
                RuntimeError,
                "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
                f"Expected target size [{scores.size(0)}], but got {list(target.shape)}. Input has shape {list(input.shape)}.",
            )
    elif (list(target.shape) != list(input.shape)) and not (input.dim() <= 1 and target.dim() <= 1 and target.numel() == scores.size(1)):
        raise refuse(
            RuntimeError,
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}",
            received=f"{tuple(target.shape)}",
            expected=f"{tuple(input.shape)}",
        )
    if target.dtype != int64:
        kind = target.type().split(".")[-1].removesuffix("Tensor")
        raise refuse(RuntimeError, f"expected scalar type Long but found {kind}", received=str(target.dtype), expected="int64")
    if not input.is_floating_point():
        kernel = "multi_margin_loss_cpu_kernel" if name == "multi_margin_loss" else "multilabel_margin_loss_forward_out_frame"
        kind = input.type().split(".")[-1].removesuffix("Tensor")
        raise refuse(
            NotImplementedError, f"\"{kernel}\" not implemented for '{kind}'", received=str(input.dtype), expected="a floating dtype"
        )
    return scores, target.reshape(scores.size(0), -1)


def _above_zero(z: Tensor) -> Tensor:
    """What is above zero; NaN and ties count as nothing, as in PyTorch."""
    return ops.where(z > 0, z, 0.0)


def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Sum over wrong classes j of max(0, margin - x[y] + x[j])^p, divided by the number of classes."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    reduction_code(reduction)
    if p not in (1, 2):
        raise refuse(ValueError, "only p == 1 and p == 2 supported", received=f"{p=}")
    if weight is not None and weight.dim() != 1:
        raise refuse(ValueError, "weight must be one-dimensional", received=f"{tuple(weight.shape)}")
    need_tensors("multi_margin_loss", input=input, target=target)
    scores, labels = _class_scores("multi_margin_loss", input, target)
    hinge = _above_zero(margin - scores.gather(1, labels) + scores)  # (N, C)
    hinge = hinge if p == 1 else hinge * hinge
    if weight is not None:
        hinge = hinge * weight[labels]
    loss = hinge.scatter(1, labels, 0.0).sum(1) / scores.size(1)  # the right class itself does not count
    return reduced(loss if input.dim() == 2 else loss.reshape(target.shape if reduction == "none" else ()), reduction)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """Sum over label y and wrong class j of max(0, 1 - x[y] + x[j]) over C; labels of a row end at the first -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    reduction_code(reduction)
    need_tensors("multilabel_margin_loss", input=input, target=target)
    scores, labels = _class_scores("multilabel_margin_loss", input, target)
    valid = (labels >= 0).long().cumprod(1)  # (N, C), 0 from the first -1 on
    index = labels * valid
    wrong = ops.zeros_like(labels).scatter_add_(1, index, valid) == 0  # (N, C)
    hinge = _above_zero(1 - scores.gather(1, index).unsqueeze(2) + scores.unsqueeze(1))  # (N, labels, C)
    counted = valid.unsqueeze(2).bool() & wrong.unsqueeze(1)
    loss = ops.where(counted, hinge, 0.0).sum((1, 2)) / scores.size(1)
    return reduced(loss if input.dim() == 2 else loss.reshape(()), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 - cos(x1, x2) where y is 1, max(0, cos(x1, x2) - margin) where y is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return ops.cosine_embedding_loss(input1, input2, target, margin, reduction_code(reduction))


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6, swap: bool = False,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(a, p) - d(a, n) + margin) with the p-norm of the difference as d; `swap` takes the nearer of d(a, n), d(p, n)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    code = reduction_code(reduction)
    if margin <= 0:
        raise refuse(ValueError, f"margin must be greater than 0, got {margin}", received=f"{margin=}", expected="margin > 0")
    return ops.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, code)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance."""
    reduction_code(reduction)
    if margin <= 0:
        raise refuse(ValueError, f"margin must be greater than 0, got {margin}", received=f"{margin=}", expected="margin > 0")
    same_dims(anchor, positive, negative)
    distance = ops.pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)
