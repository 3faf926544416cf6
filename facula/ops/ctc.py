"""Connectionist temporal classification. Graves et al. 2006, "Connectionist Temporal Classification"."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import ctc as kernels
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import refused, sample, uniform, values


class CtcForward(Fused):
    """((N,) negative log likelihoods of the label sequences, log probabilities of the paths up to each time and place); log_probs (T, N, C),
    targets from `begins` on, the longest of them `most`."""

    schema = (
        "ctc_forward(Tensor log_probs, Tensor targets, Tensor begins, Tensor input_lengths, Tensor target_lengths, int most, int blank, "
        "bool zero_infinity) -> (Tensor, Tensor)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        x: Layout, targets: Layout, begins: Layout, times: Layout, lengths: Layout, most: int, blank: int, zero_infinity: bool
    ) -> Result:
        T, N, _ = x.shape
        return Result((layout((N,), x.dtype), layout((N, T, kernels.row(most)), x.dtype)), kernels.ctc(x, most, blank))

    @staticmethod
    def gradient(
        g0: Tensor, out0: Tensor, out1: Tensor, log_probs: Tensor, targets: Tensor, begins: Tensor, input_lengths: Tensor,
        target_lengths: Tensor, most: int, blank: int, zero_infinity: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        kept = (out0.detach(), out1.detach())
        g = ops.ctc_backward(g0, log_probs, targets, begins, input_lengths, target_lengths, *kept, most, blank, zero_infinity)
        return g, None, None, None, None


class CtcBackward(Fused):
    """(T, N, C): the gradient by the inputs of a log_softmax, which is that of PyTorch: exp(log_probs) minus each class's share."""

    schema = (
        "ctc_backward(Tensor grad, Tensor log_probs, Tensor targets, Tensor begins, Tensor input_lengths, Tensor target_lengths, "
        "Tensor loss, Tensor alpha, int most, int blank, bool zero_infinity) -> Tensor"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        g: Layout, x: Layout, targets: Layout, begins: Layout, times: Layout, lengths: Layout, loss: Layout, alpha: Layout, most: int,
        blank: int, zero_infinity: bool,
    ) -> Result:  # fmt: skip
        return Result((layout(x.shape, x.dtype),), kernels.ctc_backward(x, most, blank, zero_infinity))


# -- arguments, every one of them checked: labels and lengths become addresses
CHECKING = "(while checking arguments for ctc_loss_allocate_outputs)"


def _lengths(name: str, given: Any, batch: int, most: int | None) -> list[int]:
    """Lengths of the sequences, none above `most`."""
    if isinstance(given, Tensor):
        if given.dtype.is_floating_point or given.dtype.is_complex or given.dtype is d.bool_:
            raise refuse(RuntimeError, f"{name} must be integral", received=str(given.dtype))
        lengths = given.reshape(-1).tolist()
    else:
        lengths = [given] if isinstance(given, int) else list(given)
        if not all(isinstance(v, int) for v in lengths):
            raise refuse(TypeError, f"ctc_loss(): argument '{name}' must be tuple of ints", received=f"{given!r}")
    if len(lengths) != batch:
        raise refuse(RuntimeError, f"{name} must be of size batch_size", received=f"{len(lengths)}", expected=f"{batch}")
    for v in lengths:
        bound = "least 0" if v < 0 else f"most {most}"
        if v < 0 or (most is not None and v > most):
            raise refuse(RuntimeError, f"Expected {name} to have value at {bound}, but got value {v} {CHECKING}", received=f"{lengths}")
    return lengths


def _begins(targets: Tensor, lengths: list[int]) -> list[int]:
    """Where the labels of each sequence begin among all of them, in rows of a matrix or one after the other."""
    place = f"for argument #2 'targets' {CHECKING}"
    shape, batch = tuple(targets.shape), len(lengths)
    if targets.ndim not in (1, 2):
        raise refuse(RuntimeError, f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor {place}", received=f"{shape}")
    if targets.ndim == 1:
        *begins, total = accumulate(lengths, initial=0)
        if shape[0] != total:
            raise refuse(RuntimeError, f"Expected tensor to have size {total} at dimension 0, but got size {shape[0]} {place}")
        return begins
    if shape[0] != batch:
        raise refuse(RuntimeError, f"Expected tensor to have size {batch} at dimension 0, but got size {shape[0]} {place}")
    if shape[1] < max(lengths):
        raise refuse(RuntimeError, f"Expected tensor to have size at least {max(lengths)} at dimension 1, but got size {shape[1]} {place}")
    return [n * shape[1] for n in range(batch)]


def _labels(targets: Tensor, lengths: Tensor, classes: int) -> Tensor:
    """The labels as int64; those that are used must be classes, the padding may be anything."""
    if targets.dtype.is_complex or targets.dtype is d.bool_:
        raise refuse(RuntimeError, "targets must be integers", received=str(targets.dtype))
    labels = targets.detach().to(d.int64).contiguous()
    if not labels.numel() or (int(labels.min().item()) >= 0 and int(labels.max().item()) < classes):
        return labels
    wrong = (labels < 0) | (labels >= classes)
    if labels.ndim == 2:
        wrong = wrong & (ops.arange(labels.shape[1]) < lengths.unsqueeze(1))
    if bool(wrong.any()):
        raise refuse(RuntimeError, f"Expected targets to have values from 0 to {classes - 1}", received="a label outside the classes")
    return labels


class CtcLoss(Composite):
    """-log of the summed probability of all alignments; log_probs (T, N, C) or (T, C), targets (N, S) or one after the other."""

    needs_values = True
    schema = "ctc_loss(Tensor log_probs, Tensor targets, any input_lengths, any target_lengths, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor"
    out = False
    by_example = True
    paths = "torch"

    @staticmethod
    def compose(
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Any,
        target_lengths: Any,
        blank: int = 0,
        reduction: int = 1,
        zero_infinity: bool = False,
    ) -> Tensor:
        batched = log_probs.ndim == 3
        if log_probs.ndim not in (2, 3):
            raise refuse(
                RuntimeError,
                f"Expected 3-dimensional tensor, but got {log_probs.ndim + (log_probs.ndim != 3)}-dimensional tensor for argument #1 'log_probs' {CHECKING}",
                received=f"{tuple(log_probs.shape)}",
                expected="(T, N, C) or (T, C)",
            )
        x = log_probs if batched else log_probs.unsqueeze(1)
        steps, batch, classes = x.shape
        if not x.numel():
            raise refuse(RuntimeError, "log_probs tensor must not be empty", received=f"{tuple(x.shape)}")
        if x.dtype not in (d.float32, d.float64):
            raise refuse(NotImplementedError, f"\"ctc_loss_cpu\" not implemented for '{scalar_type_name(x.dtype)}'")
        if not 0 <= blank < classes:
            raise refuse(RuntimeError, "blank must be in label range", received=f"blank={blank}", expected=f"0 to {classes - 1}")
        times, lengths = _lengths("input_lengths", input_lengths, batch, steps), _lengths("target_lengths", target_lengths, batch, None)
        begins, places = _begins(targets, lengths), ops.tensor(lengths, dtype=d.int64)
        given = [_labels(targets, places, classes), ops.tensor(begins, dtype=d.int64), ops.tensor(times, dtype=d.int64), places]
        loss = ops.ctc_forward(x, *given, max(lengths), blank, bool(zero_infinity))[0]
        if zero_infinity:
            loss = ops.where(loss == float("inf"), ops.zeros((), dtype=loss.dtype), loss)
        if reduction == 1:
            return (loss / places.clamp(min=1).to(loss.dtype)).mean()
        if reduction == 2:
            return loss.sum()
        return loss if batched else loss.squeeze(0)

    # long enough to go without finite differences: those of a row that is no log_softmax differ
    samples = [sample(uniform(12, 2, 3, low=-2.0, high=-0.5), values([[1, 2], [2, 1]]), values([12, 9]), values([2, 1]))]
    refusals = [
        refused(uniform(3, 1, 3), values([[3]]), (3,), (1,), raises=RuntimeError, match="values from 0 to 2"),
        refused(uniform(3, 1, 3), values([[-1]]), (3,), (1,), raises=RuntimeError, match="values from 0 to 2"),
        refused(uniform(3, 1, 3), values([[1]]), (4,), (1,), raises=RuntimeError, match="input_lengths to have value at most 3"),
        refused(uniform(3, 1, 3), values([[1]]), (-1,), (1,), raises=RuntimeError, match="input_lengths to have value at least 0"),
        refused(uniform(3, 1, 3), values([[1]]), (3,), (-1,), raises=RuntimeError, match="target_lengths to have value at least 0"),
        refused(uniform(3, 1, 3), values([[1]]), (3,), (2,), raises=RuntimeError, match="size at least 2 at dimension 1"),
        refused(uniform(3, 1, 3), values([[1], [1]]), (3,), (1,), raises=RuntimeError, match="size 1 at dimension 0, but got size 2"),
        refused(uniform(3, 1, 3), values([1, 1]), (3,), (1,), raises=RuntimeError, match="size 1 at dimension 0, but got size 2"),
        refused(uniform(3, 1, 3), values([[1]]), (3, 3), (1,), raises=RuntimeError, match="input_lengths must be of size batch_size"),
        refused(uniform(3, 1, 3), values([[1]]), (3,), (1,), 3, raises=RuntimeError, match="blank must be in label range"),
        refused(uniform(0, 1, 3), values([[1]]), (0,), (1,), raises=RuntimeError, match="log_probs tensor must not be empty"),
    ]
