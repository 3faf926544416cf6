"""softmax, log_softmax and cross entropy. A row is read from memory once; the bandwidth of a copy."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel import rows as kernels
from ..kernel.launch import Schedule
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import grid, normal, refused, sample
from .gathering import check_classes


def _checked(x: Layout, dim: int, name: str) -> int:
    k = wrap_dim(dim, x.ndim)
    if not x.dtype.is_floating_point:
        kernel = f"{name}_lastdim_kernel_impl" if k + 1 >= x.ndim else f"{name}_kernel_impl"
        raise refuse(NotImplementedError, f"\"{kernel}\" not implemented for '{scalar_type_name(x.dtype)}'", expected="a floating dtype")
    return k


def _schedule(x: Layout, dim: int, log: bool) -> Result:
    out = layout(x.shape, x.dtype)
    if not x.numel:
        return Result((out,), Schedule(()))
    if not x.ndim:
        row = layout((1,), x.dtype)
        return Result((out,), kernels.softmax(row, 0, log))
    return Result((out,), kernels.softmax(x, dim, log))


class SoftmaxForward(Fused):
    """exp(x) / sum(exp(x)) over `dim`, shifted by the maximum."""

    schema = "softmax_forward(Tensor input, int dim) -> Tensor"
    batching = "front dim"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, dim: int) -> Result:
        return _schedule(x, _checked(x, dim, "softmax"), False)

    @staticmethod
    def gradient(g: Tensor, out: Tensor, dim: int) -> Tensor:
        return ops.softmax_backward_data(g, out, dim)


class SoftmaxBackwardData(Fused):
    """y (g - sum(g y))."""

    schema = "softmax_backward_data(Tensor grad, Tensor output, int dim) -> Tensor"
    batching = "front dim"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, y: Layout, dim: int) -> Result:
        out = layout(y.shape, y.dtype)
        if not y.numel:
            return Result((out,), Schedule(()))
        if not y.ndim:
            g = y = layout((1,), y.dtype)
        return Result((out,), kernels.softmax_backward(g, y, wrap_dim(dim, y.ndim), False))

    @staticmethod
    def gradient(g: Tensor, grad: Tensor, output: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        inner = (grad * output).sum(dim, True)
        outer = (g * output).sum(dim, True)
        return output * (g - outer), g * grad - g * inner - grad * outer


class LogSoftmaxForward(Fused):
    """x - log(sum(exp(x))) over `dim`."""

    schema = "log_softmax_forward(Tensor input, int dim) -> Tensor"
    batching = "front dim"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, dim: int) -> Result:
        return _schedule(x, _checked(x, dim, "log_softmax"), True)

    @staticmethod
    def gradient(g: Tensor, out: Tensor, dim: int) -> Tensor:
        return ops.log_softmax_backward_data(g, out, dim)


class LogSoftmaxBackwardData(Fused):
    """g - exp(y) sum(g)."""

    schema = "log_softmax_backward_data(Tensor grad, Tensor output, int dim) -> Tensor"
    batching = "front dim"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, y: Layout, dim: int) -> Result:
        out = layout(y.shape, y.dtype)
        if not y.numel:
            return Result((out,), Schedule(()))
        if not y.ndim:
            g = y = layout((1,), y.dtype)
        return Result((out,), kernels.softmax_backward(g, y, wrap_dim(dim, y.ndim), True))

    @staticmethod
    def gradient(g: Tensor, grad: Tensor, output: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        p = output.exp()
        return g - (g * p).sum(dim, True), -(grad.sum(dim, True) * p * g)


def _converted(input: Tensor, dtype: DType | None) -> Tensor:
    return input if dtype is None or dtype is input.dtype else input.to(dtype)


class Softmax(Composite):
    """Rows of `dim` scaled to sum to one; `dtype` converts first."""

    schema = "softmax(Tensor input, int dim, ScalarType? dtype=None) -> Tensor"
    paths = "torch Tensor special"

    @staticmethod
    def compose(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
        return ops.softmax_forward(_converted(input, dtype), dim)

    samples = grid(input=[normal(3, 5), normal(2, 3, 4), normal()], dim=[0, -1])
    refusals = [refused(normal(2, 3), 2, raises=IndexError, match="Dimension out of range")]


class LogSoftmax(Composite):
    """The logarithm of softmax, without its loss of digits."""

    schema = "log_softmax(Tensor input, int dim, ScalarType? dtype=None) -> Tensor"
    paths = "torch Tensor special"

    @staticmethod
    def compose(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
        return ops.log_softmax_forward(_converted(input, dtype), dim)

    samples = grid(input=[normal(3, 5), normal(2, 3, 4), normal()], dim=[0, -1])


REDUCTIONS = ("none", "mean", "sum")


class CrossEntropyRows(Fused):
    """Loss of logits (N, C) or (N, C, S) against class indices (N,) or (N, S): (loss, lse, scale, status); status is -1 or the first row with a
    bad target."""

    schema = "cross_entropy_rows(Tensor input, Tensor target, Tensor? weight, int ignore_index, float smoothing, int reduction, bool smooth) -> (Tensor loss, Tensor lse, Tensor scale, Tensor status)"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        x: Layout, target: Layout, weight: Layout | None, ignore_index: int, smoothing: float, reduction: int, smooth: bool
    ) -> Result:
        rows, kind = target.numel, x.dtype.compute
        outs = (
            layout(target.shape if reduction == 0 else (), x.dtype),
            layout((rows,), kind),
            layout((rows + 2,), kind),
            layout((1,), d.int64),
        )
        return Result(outs, with_ignore(kernels.cross_entropy(x, weight, smooth, REDUCTIONS[reduction]), ignore_index))

    @staticmethod
    def gradient(
        g0: Tensor,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None,
        out1: Tensor,
        out2: Tensor,
        ignore_index: int,
        smoothing: float,
        reduction: int,
        smooth: bool,
    ) -> tuple[Any, ...]:
        gx = ops.cross_entropy_rows_backward(
            g0, input, target, out1.detach(), out2.detach(), weight, ignore_index, smoothing, reduction, smooth
        )
        return gx, None, None


class CrossEntropyRowsBackward(Fused):
    """The gradient of CrossEntropyRows by its logits."""

    schema = "cross_entropy_rows_backward(Tensor grad, Tensor input, Tensor target, Tensor lse, Tensor scale, Tensor? weight, int ignore_index, float smoothing, int reduction, bool smooth) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        g: Layout,
        x: Layout,
        target: Layout,
        lse: Layout,
        scale: Layout,
        weight: Layout | None,
        ignore_index: int,
        smoothing: float,
        reduction: int,
        smooth: bool,
    ) -> Result:
        return Result(
            (layout(x.shape, x.dtype),), with_ignore(kernels.cross_entropy_backward(x, weight, smooth, REDUCTIONS[reduction]), ignore_index)
        )

    @staticmethod
    def gradient(
        g: Tensor,
        grad: Tensor,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int,
        smoothing: float,
        reduction: int,
        smooth: bool,
    ) -> tuple[Any, ...]:
        # d loss / d input = scale * (softmax - wanted) * grad: linear in grad, a softmax in input
        p = ops.softmax_forward(input, 1)
        share, wanted = shares(input, target, weight, ignore_index, smoothing, reduction)
        each = (grad if reduction == 0 else grad.expand(target.shape)).unsqueeze(1)
        inner = (g * share * p).sum(1, True)
        by_input = each * (share * g * p - p * inner)
        by_grad = (g * (share * p - wanted)).sum(1)
        return (by_grad if reduction == 0 else by_grad.sum()), by_input, None, None, None, None


def shares(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, smoothing: float, reduction: int
) -> tuple[Tensor, Tensor]:
    """The loss is sum(share * log(sum(exp(x))) - wanted * x) by rows: how much of each class is wanted, and their sum by row."""
    n = input.shape[1]
    valid = (target != ignore_index).to(input.dtype)  # (N,) or (N, S)
    at = ops.where(target == ignore_index, ops.zeros_like(target), target)
    if weight is not None:
        weight = weight.view((n, *(1,) * (input.ndim - 2)))
    hot = ops.zeros(input.shape, dtype=input.dtype).scatter_(1, at.unsqueeze(1), 1.0)
    scale = hot if weight is None else hot * weight
    wanted = scale * (1 - smoothing)
    if smoothing:
        spread = (ops.ones((n, *(1,) * (input.ndim - 2)), dtype=input.dtype) if weight is None else weight) * (smoothing / n)
        wanted = wanted + spread
    wanted = wanted * valid.unsqueeze(1)
    if reduction == 1:
        total = (scale.sum(1) * valid).sum()
        wanted = wanted / total
    return wanted.sum(1, True), wanted


def with_ignore(schedule: Any, ignore_index: int) -> Any:
    """Number 0 (ignore_index) as a constant: it is part of the plan; smoothing is then the first number."""
    from dataclasses import replace

    from ..kernel.launch import Number

    def fixed(w: Any) -> Any:
        return w if not isinstance(w, Number) else ignore_index if w.index == 0 else Number(0, w.type)

    return replace(schedule, launches=tuple(replace(x, words=tuple(fixed(w) for w in x.words)) for x in schedule.launches))


def by_log_softmax(input: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, smoothing: float) -> Tensor:
    """The same loss from ordinary operators, for examples whose rows the kernel cannot tell apart."""
    logs = ops.log_softmax(input, 1)
    loss = ops.nll_loss_nd(logs, target, weight, reduction, ignore_index)
    if not smoothing:
        return loss
    n, ignored = input.shape[1], target == ignore_index
    by_class = ops.ones((n,), dtype=input.dtype) if weight is None else weight
    spread = -(logs * by_class.view(n, *(1,) * (input.ndim - 2))).sum(1).masked_fill(ignored, 0)
    if reduction:
        spread = spread.sum()
    if reduction == 1:
        at = target.masked_fill(ignored, 0)
        spread = spread / by_class.index_select(0, at.reshape(-1)).view(at.shape).masked_fill(ignored, 0).sum()
    return loss * (1 - smoothing) + spread * (smoothing / n)


class CrossEntropyIndices(Composite):
    """Cross entropy of logits (N, C) or (N, C, S) with class indices (N,) or (N, S); IndexError for a target that is no class."""

    schema = "cross_entropy_indices(Tensor input, Tensor target, Tensor? weight, int reduction, int ignore_index, float label_smoothing) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, label_smoothing: float) -> Tensor:
        if any(t is not None and t._layout.batch for t in (input, target, weight)):
            return by_log_softmax(input, target, weight, reduction, ignore_index, label_smoothing)
        check_classes(target, input.shape[1], ignore_index)
        return ops.cross_entropy_rows(input, target, weight, ignore_index, float(label_smoothing), reduction, label_smoothing > 0)[0]

    samples = [sample(normal(3, 4), [0, 1, 2], None, 1, -100, 0.0)]
