"""Losses of elements and of classes. `reduction` is 0 none, 1 mean, 2 sum."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.batching import bare
from ..core.placing import known
from ..core.tensor import Tensor, wrap_dim
from ..kernel.scalar import Scalar, abs, const, log, log1p, maximum, where
from ..kernel.scalar import exp as scalar_exp
from ..spec.block import Composite, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, sample, uniform
from .gathering import check_classes

FLOATING = "promote no_complex no_bool no_integral kernel="


def reduced(x: Tensor, reduction: int) -> Tensor:
    return x if reduction == 0 else x.mean() if reduction == 1 else x.sum()


class SquaredError(Pointwise):
    """(input - target)^2."""

    schema = "squared_error(Tensor input, Tensor target) -> Tensor"
    paths = ""
    in_place = False
    promotion = FLOATING + "mse_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return (x - y) * (x - y)


class AbsoluteError(Pointwise):
    """|input - target|."""

    schema = "absolute_error(Tensor input, Tensor target) -> Tensor"
    paths = ""
    in_place = False

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        return abs(x - y)


class SmoothError(Pointwise):
    """0.5 z^2 / beta where |z| < beta, else |z| - 0.5 beta."""

    schema = "smooth_error(Tensor input, Tensor target, float beta) -> Tensor"
    paths = ""
    in_place = False
    promotion = FLOATING + "smooth_l1_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar, beta: Scalar) -> Scalar:
        z = x - y
        return where(abs(z) >= beta, abs(z) - 0.5 * beta, 0.5 * z * z / beta)  # NaN is with the squares, so its gradient is NaN


class HuberError(Pointwise):
    """0.5 z^2 where |z| < delta, else delta (|z| - 0.5 delta). Huber 1964."""

    schema = "huber_error(Tensor input, Tensor target, float delta) -> Tensor"
    paths = ""
    in_place = False
    promotion = FLOATING + "huber_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar, delta: Scalar) -> Scalar:
        z = x - y
        return where(abs(z) >= delta, delta * (abs(z) - 0.5 * delta), 0.5 * z * z)


class BinaryError(Pointwise):
    """-(y log(x) + (1 - y) log(1 - x)), logarithms kept above -100."""

    schema = "binary_error(Tensor input, Tensor target) -> Tensor"
    paths = ""
    in_place = False
    promotion = FLOATING + "binary_cross_entropy"

    @staticmethod
    def scalar(x: Scalar, y: Scalar) -> Scalar:
        low = const(-100.0, x.dtype)
        return (y - 1.0) * maximum(log1p(-x), low) - y * maximum(log(x), low)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, target: Tensor, needs: Any) -> tuple[Any, ...]:
        gx = ops.binary_error_backward(g, input, target) if needs[0] else None
        gy = g * -(input.log() - (1 - input).log()) if needs[1] else None
        return gx, gy


class BinaryErrorBackward(Pointwise):
    """g (x - y) / max((1 - x) x, 1e-12)."""

    schema = "binary_error_backward(Tensor grad, Tensor input, Tensor target) -> Tensor"
    paths = ""
    in_place = False

    @staticmethod
    def scalar(g: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return g * (x - y) / maximum((1.0 - x) * x, const(1e-12, x.dtype))


class LogitsError(Pointwise):
    """Binary cross entropy of sigmoid(x): (1 - y) x + w log(1 + exp(-x)), with w = 1 + (pos_weight - 1) y."""

    schema = "logits_error(Tensor input, Tensor target, Tensor? pos_weight) -> Tensor"
    paths = ""
    in_place = False
    promotion = FLOATING + "log_sigmoid_cpu"

    @staticmethod
    def scalar(x: Scalar, y: Scalar, pos_weight: Scalar | None) -> Scalar:
        # log(1 + exp(-x)) = max(-x, 0) + log1p(exp(-|x|))
        tail = maximum(-x, const(0.0, x.dtype)) + log1p(scalar_exp(-abs(x)))  # maximum: at 0 its slope is a half, as the sigmoid's
        w = 1.0 if pos_weight is None else 1.0 + (pos_weight - 1.0) * y
        return (1.0 - y) * x + tail * w


def no_cast(wide: d.dtype, result: d.dtype) -> Exception:
    return refuse(RuntimeError, f"result type {scalar_type_name(wide)} can't be cast to the desired output type {scalar_type_name(result)}")


def _elementwise(name: str, doc: str, op: str, extra: str = "") -> None:
    """mse_loss and its kin: an element's error, weighted by nothing, reduced."""

    def plain(input: Tensor, target: Tensor, reduction: int = 1) -> Tensor:
        if op == "absolute_error" and d.bool_ in (input.dtype, target.dtype):
            return reduced((input - target).abs(), reduction)  # which refuses
        return reduced(getattr(ops, op)(input, target), reduction)

    def with_number(input: Tensor, target: Tensor, reduction: int = 1, value: float = 1.0) -> Tensor:
        if value <= 0:
            raise refuse(RuntimeError, "huber_loss does not support non-positive values for delta.", received=f"delta={value}")
        wide = ops.result_type(input, target)
        if input.dtype is d.bool_ and wide is not input.dtype:
            raise no_cast(wide, input.dtype)
        return reduced(getattr(ops, op)(input, target, float(value)), reduction)

    body = {"__doc__": doc, "__module__": __name__, "schema": f"{name}(Tensor input, Tensor target, int reduction=1{extra}) -> Tensor", "paths": "",
            "compose": staticmethod(with_number if extra else plain), "samples": [sample(normal(3, 4), normal(3, 4))]}  # fmt: skip
    type("".join(w.title() for w in name.split("_")), (Composite,), body)


_elementwise("mse_loss", "Mean squared error.", "squared_error")
_elementwise("l1_loss", "Mean absolute error.", "absolute_error")
_elementwise("huber_loss", "Huber's loss.", "huber_error", ", float delta=1.0")


class SmoothL1Loss(Composite):
    """Squared near zero, absolute beyond `beta`; beta 0 is the absolute error. Girshick 2015, arXiv 1504.08083."""

    schema = "smooth_l1_loss(Tensor input, Tensor target, int reduction=1, float beta=1.0) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, target: Tensor, reduction: int = 1, beta: float = 1.0) -> Tensor:
        if beta < 0:
            raise refuse(RuntimeError, "smooth_l1_loss does not support negative values for beta.")
        return ops.l1_loss(input, target, reduction) if beta == 0 else reduced(ops.smooth_error(input, target, float(beta)), reduction)

    samples = [sample(normal(3, 4), normal(3, 4))]


class BinaryCrossEntropy(Composite):
    """Cross entropy of probabilities with targets in 0..1."""

    schema = "binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
        if input.dtype is not target.dtype:
            raise refuse(
                RuntimeError,
                f"Found dtype {scalar_type_name(target.dtype)} but expected {scalar_type_name(input.dtype)}",
                received=f"target {target.dtype}",
                expected=f"{input.dtype}",
            )
        if input._layout.numel and known(input) and not bool(((bare(input.detach()) >= 0) & (bare(input.detach()) <= 1)).all()):
            raise refuse(
                RuntimeError, "all elements of input should be between 0 and 1", hint="binary_cross_entropy_with_logits takes any values"
            )
        loss = ops.binary_error(input, target)
        return reduced(loss if weight is None else loss * weight, reduction)

    samples = [sample(uniform(3, 4, low=0.1, high=0.9), uniform(3, 4, low=0.0, high=1.0))]


class BinaryCrossEntropyWithLogits(Composite):
    """Binary cross entropy of logits, safe for large ones."""

    schema = "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=0) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 0
    ) -> Tensor:
        wide = ops.result_type(input, target)
        if not target.dtype.is_floating_point and wide is not target.dtype:
            raise no_cast(wide, target.dtype)
        loss = ops.logits_error(input, target, pos_weight)
        return reduced(loss if weight is None else loss * weight, reduction)

    samples = [sample(normal(3, 4), uniform(3, 4, low=0.0, high=1.0)), sample(normal(3), uniform(3, low=0.0, high=1.0), reduction=1)]


# -- classes
def _rows(x: Tensor) -> Tensor:
    """(N, C, *S) -> (N * S, C)."""
    return x if x.ndim == 2 else x.reshape(1, -1) if x.ndim == 1 else x.movedim(1, -1).reshape(-1, x.shape[1])


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Refuse targets (N, *S) that do not belong to scores (N, C, *S)."""
    if input.ndim < 1:
        raise refuse(ValueError, f"Expected 1 or more dimensions (got {input.ndim})")
    classes = input.shape[0] if input.ndim == 1 else input.shape[1]
    want = () if input.ndim == 1 else (input.shape[0], *input.shape[2:])
    given = tuple(target.shape)
    if given != want and not (input.ndim == 1 and given == (1,)):
        details = {"received": f"input {tuple(input.shape)}, target {given}", "expected": f"target {want}"}
        if input.ndim > 1 and (not given or input.shape[0] != given[0]):
            raise refuse(
                ValueError,
                f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({given[0] if given else 1}).",
                **details,
            )
        if input.ndim <= 2:
            raise refuse(RuntimeError, "0D or 1D target tensor expected, multi-target not supported", **details)
        if input.ndim == 4:
            if len(given) != 3:
                raise refuse(
                    RuntimeError,
                    f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {len(given)}",
                    **details,
                )
            raise refuse(RuntimeError, f"size mismatch (got input: {list(input.shape)} , target: {list(given)}", **details)
        raise refuse(RuntimeError, f"Expected target size {list(want)}, got {list(given)}", **details)
    if target.dtype not in (d.int64, d.uint8):
        raise refuse(
            RuntimeError,
            f"expected scalar type Long but found {scalar_type_name(target.dtype)}",
            received=f"target {target.dtype.name}",
            expected="int64 class indices",
        )
    if weight is not None and (weight.ndim != 1 or weight.numel() != classes):
        raise refuse(
            RuntimeError,
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {list(weight.shape)}",
        )


def _floating(x: Tensor, name: str) -> None:
    if not x.dtype.is_floating_point:
        raise refuse(
            NotImplementedError,
            f"\"{name}\" not implemented for '{scalar_type_name(x.dtype)}'",
            received=f"input {x.dtype.name}",
            expected="a floating dtype",
        )


class CrossEntropyLoss(Composite):
    """Cross entropy of logits (N, C, *S) with class indices (N, *S) or probabilities (N, C, *S)."""

    schema = "cross_entropy_loss(Tensor input, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100, float label_smoothing=0.0) -> Tensor"
    paths = ""

    @staticmethod
    def compose(
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: int = 1,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        if not 0 <= label_smoothing <= 1:
            raise refuse(RuntimeError, f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
        if input.ndim == 0:
            wrap_dim(1, 0)
        if tuple(input.shape) == tuple(target.shape):
            if not target.dtype.is_floating_point:
                raise refuse(
                    RuntimeError, f"Expected floating point type for target with class probabilities, got {scalar_type_name(target.dtype)}"
                )
            return _soft(input, target, weight, reduction, ignore_index, label_smoothing)
        _check_classes(input, target, weight)
        _floating(input, "log_softmax_lastdim_kernel_impl" if input.ndim <= 2 else "log_softmax_kernel_impl")
        if input.ndim == 1:
            input, wanted = input.reshape(1, -1), target.reshape(1)
        else:
            input, wanted = (input.flatten(2), target.flatten(1)) if input.ndim > 3 else (input, target)
        flat = ops.cross_entropy_indices(input, wanted, weight, reduction, ignore_index, label_smoothing)
        return flat.view(target.shape) if reduction == 0 else flat

    samples = [sample(normal(3, 4), [0, 1, 2])]


def _soft(input: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, label_smoothing: float) -> Tensor:
    dim = 0 if input.ndim == 1 else 1
    n = input.shape[dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / n
    logs = input.log_softmax(dim)
    product = logs * target
    if weight is not None:
        product = product * weight.view((-1, *(1,) * (input.ndim - 1 - dim)))
    loss = -product.sum(dim)
    return loss if reduction == 0 else loss.sum() if reduction == 2 else loss.sum() / max(1, input._layout.numel // n)


class NllLossNd(Composite):
    """-weight[target] * log_probs[target]; the mean is over the weights of what is not ignored."""

    schema = "nll_loss_nd(Tensor input, Tensor target, Tensor? weight=None, int reduction=1, int ignore_index=-100) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100) -> Tensor:
        _check_classes(input, target, weight)
        _floating(input, "nll_loss_out_frame" if input.ndim <= 2 else "nll_loss2d_forward_out_frame")
        rows, wanted = _rows(input), target.reshape(-1).to(d.int64)
        classes = rows.shape[1]
        ignored = wanted == ignore_index
        check_classes(target, classes, ignore_index)
        at = wanted.masked_fill(ignored, 0)
        picked = -rows.gather(1, at.unsqueeze(1)).squeeze(1)
        scale = (ops.ones((classes,), dtype=rows.dtype) if weight is None else weight).index_select(0, at).masked_fill(ignored, 0)
        loss = (picked * scale).masked_fill(ignored, 0)
        if reduction == 0:
            return loss.view(target.shape)
        return loss.sum() if reduction == 2 else loss.sum() / scale.sum()

    samples = [sample(normal(3, 4), [0, 1, 2])]
