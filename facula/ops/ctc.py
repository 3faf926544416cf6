"""Connectionist temporal classification. Graves et al. 2006, "Connectionist Temporal Classification"."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.tensor import Tensor
from ..spec.block import Composite, Library
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import sample, uniform, values


def _labels(targets: Any, lengths: Any, blank: int) -> Any:
    """(N, 2 S + 1): each sequence with blanks between and around its labels; S the longest."""
    import numpy as np

    n, longest = len(lengths), int(max(lengths, default=0))
    out = np.full((n, 2 * longest + 1), blank, np.int64)
    at = 0
    for i, length in enumerate(lengths):
        row = targets[i, :length] if targets.ndim == 2 else targets[at : at + length]
        out[i, 1 : 2 * length : 2] = row
        at += length
    return out


def _shifted(a: Any, by: int) -> Any:
    """Column s gets column s - by; what comes from outside has probability 0."""
    import numpy as np

    out = np.full_like(a, -np.inf)
    if by > 0:
        out[:, by:] = a[:, : max(a.shape[1] - by, 0)]
    else:
        out[:, :by] = a[:, -by:]
    return out


def _add(*terms: Any) -> Any:
    """log of the sum of exponentials, with -inf for nothing."""
    import numpy as np

    top = np.maximum.reduce(terms)
    safe = np.where(np.isneginf(top), 0, top)
    with np.errstate(divide="ignore"):
        return np.log(sum(np.exp(t - safe) for t in terms)) + safe


def _emissions(x: Any, labels: Any) -> Any:
    """(T, N, L): the log probability of each place's label at each time."""
    import numpy as np

    return np.take_along_axis(x, np.broadcast_to(labels, (x.shape[0], *labels.shape)), 2)


def _forward(x: Any, labels: Any, skips: Any) -> Any:
    """alpha (T, N, L): log probability of all paths that are at place s at time t."""
    import numpy as np

    seen = _emissions(x, labels)
    alpha = np.full(seen.shape, -np.inf)
    if len(alpha):
        alpha[0, :, :2] = seen[0, :, :2]
    for t in range(1, len(alpha)):
        a = alpha[t - 1]
        alpha[t] = _add(a, _shifted(a, 1), np.where(skips, _shifted(a, 2), -np.inf)) + seen[t]
    return alpha


def _backward(x: Any, labels: Any, skips: Any, times: Any, places: Any) -> Any:
    """beta (T, N, L): log probability of all paths from place s at time t to the end, including time t."""
    import numpy as np

    seen = _emissions(x, labels)
    beta = np.full(seen.shape, -np.inf)
    n = np.arange(seen.shape[1])
    jumps = np.zeros_like(skips)
    jumps[:, :-2] = skips[:, 2:]
    for t in reversed(range(len(beta))):
        if t + 1 < len(beta):
            b = beta[t + 1]
            beta[t] = _add(b, _shifted(b, -1), np.where(jumps, _shifted(b, -2), -np.inf)) + seen[t]
        for i in n[times - 1 == t]:
            beta[t, i] = -np.inf
            for s in {2 * places[i], max(2 * places[i] - 1, 0)}:
                beta[t, i, s] = seen[t, i, s]
    return beta


def _skips(labels: Any, blank: int) -> Any:
    """Where a path may come from two places before: over a blank between two labels that differ."""
    import numpy as np

    out = np.zeros(labels.shape, bool)
    out[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return out


class CtcForward(Library):
    """(N,) negative log likelihoods of the label sequences; log_probs (T, N, C)."""

    schema = "ctc_forward(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank) -> Tensor"
    paths = ""

    @staticmethod
    def library(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int) -> Any:
        import numpy as np

        labels = _labels(targets, target_lengths, blank)
        alpha = _forward(log_probs, labels, _skips(labels, blank))
        n = np.arange(len(target_lengths))
        last = alpha[np.maximum(input_lengths - 1, 0), n]
        ends = 2 * target_lengths
        total = _add(last[n, ends], np.where(target_lengths > 0, last[n, np.maximum(ends - 1, 0)], -np.inf))
        empty = np.where(target_lengths > 0, np.inf, 0.0)  # no time at all emits the empty sequence and nothing else
        return np.where(input_lengths > 0, -total, empty).astype(log_probs.dtype)

    @staticmethod
    def gradient(
        g: Tensor, out: Tensor, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor, blank: int
    ) -> tuple[Any, ...]:
        return ops.ctc_backward(g, log_probs, targets, input_lengths, target_lengths, out.detach(), blank), None, None, None


class CtcBackward(Library):
    """(T, N, C): the gradient by the inputs of a log_softmax, which is that of PyTorch: exp(log_probs) minus each class's share."""

    schema = "ctc_backward(Tensor grad, Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, Tensor loss, int blank) -> Tensor"
    paths = ""

    @staticmethod
    def library(grad: Any, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, loss: Any, blank: int) -> Any:
        import numpy as np

        x = log_probs.astype(np.float64)
        labels = _labels(targets, target_lengths, blank)
        skips = _skips(labels, blank)
        paths = _forward(x, labels, skips) + _backward(x, labels, skips, input_lengths, target_lengths)
        inside = np.arange(labels.shape[1]) <= 2 * target_lengths[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            share = np.where(inside, np.exp(paths + loss[:, None] - _emissions(x, labels)), 0)  # of each place among all paths
        shares = np.zeros_like(x)
        times, n = np.ogrid[: x.shape[0], : x.shape[1]]
        for s in range(labels.shape[1]):
            np.add.at(shares, (times, n, labels[None, :, s]), share[:, :, s])
        with np.errstate(invalid="ignore"):
            out = (np.exp(x) - shares) * grad[:, None]
        out[np.arange(x.shape[0])[:, None] >= input_lengths] = 0
        return out.astype(log_probs.dtype)


def _lengths(given: Any) -> Tensor:
    return given.to(d.int64) if isinstance(given, Tensor) else ops.tensor(list(given), dtype=d.int64)


def _check(x: Tensor, targets: Tensor, times: Tensor, places: Tensor, blank: int) -> None:
    if not x.dtype.is_floating_point or x.dtype.itemsize < 4:
        raise refuse(NotImplementedError, f"\"ctc_loss_cpu\" not implemented for '{scalar_type_name(x.dtype)}'")
    if targets.dtype not in (d.int64, d.int32):
        raise refuse(RuntimeError, "targets must be integers", received=str(targets.dtype))
    steps, batch, classes = x.shape
    if not 0 <= blank < classes:
        raise refuse(RuntimeError, "blank must be in label range", received=f"blank={blank}", expected=f"0 to {classes - 1}")
    for name, lengths in (("input_lengths", times), ("target_lengths", places)):
        if lengths.numel() != batch:
            raise refuse(RuntimeError, f"{name} must be of size batch_size", received=f"{lengths.numel()}", expected=f"{batch}")
    if any(v < 0 for v in places.tolist()):
        raise refuse(
            RuntimeError,
            f"Expected target_lengths to have value at least 0, but got value {min(places.tolist())} (while checking arguments for ctc_loss_cpu)",
        )
    if any(v < 0 for v in times.tolist()):
        raise refuse(
            RuntimeError,
            f"Expected input_lengths to have value at least 0, but got value {min(times.tolist())} (while checking arguments for ctc_loss_cpu)",
        )
    if any(v > steps for v in times.tolist()):
        raise refuse(
            RuntimeError,
            f"Expected input_lengths to have value at most {steps}, but got value {max(times.tolist())} (while checking arguments for ctc_loss_cpu)",
        )
    longest, total = max(places.tolist(), default=0), sum(places.tolist())
    if targets.ndim == 1 and targets.numel() != total:
        raise refuse(
            RuntimeError,
            f"Expected tensor to have size {total} at dimension 0, but got size {targets.numel()} for argument #2 'targets' (while checking arguments for ctc_loss_cpu)",
        )
    if targets.ndim == 2 and (targets.shape[0] != batch or targets.shape[1] < longest):
        raise refuse(
            RuntimeError,
            f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets.shape[1]} for argument #2 'targets' (while checking arguments for ctc_loss_cpu)",
        )
    if targets.ndim not in (1, 2):
        raise refuse(
            RuntimeError,
            f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor for argument #2 'targets' (while checking arguments for ctc_loss_cpu)",
        )
    if targets.numel() and not bool(((targets >= 0) & (targets < classes)).all()):
        raise refuse(RuntimeError, f"Expected targets to have values from 0 to {classes - 1}", received="a label outside the classes")


class CtcLoss(Composite):
    """-log of the summed probability of all alignments; log_probs (T, N, C) or (T, C), targets (N, S) or one after the other."""

    needs_values = True
    schema = "ctc_loss(Tensor log_probs, Tensor targets, any input_lengths, any target_lengths, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor"
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
            raise refuse(RuntimeError, f"log_probs must be of shape (T, N, C) or (T, C), got {log_probs.ndim} dims")
        x = log_probs if batched else log_probs.unsqueeze(1)
        times, places = (_lengths(v).reshape(-1) for v in (input_lengths, target_lengths))
        _check(x, targets, times, places, blank)
        loss = ops.ctc_forward(x, targets, times, places, blank)
        if zero_infinity:
            loss = ops.where(loss == float("inf"), ops.zeros((), dtype=loss.dtype), loss)
        if reduction == 1:
            return (loss / places.clamp(min=1).to(loss.dtype)).mean()
        if reduction == 2:
            return loss.sum()
        return loss if batched else loss.squeeze(0)

    # long enough to go without finite differences: those of a row that is no log_softmax differ
    samples = [sample(uniform(12, 2, 3, low=-2.0, high=-0.5), values([[1, 2], [2, 1]]), values([12, 9]), values([2, 1]))]
