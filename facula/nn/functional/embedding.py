"""Look-up of rows by index, alone or reduced in bags."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...base.dtypes import int64
from ...base.errors import refuse, warn
from ...core import Tensor, no_grad


def _padding_row(padding_idx: int | None, rows: int) -> int:
    """`padding_idx` counted from the front; -1 for none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise refuse(
            AssertionError, "Padding_idx must be within num_embeddings", received=f"{padding_idx=}", expected=f"{-rows} to {rows - 1}"
        )
    return padding_idx % rows


def renormed(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that `input` names to at most `max_norm`, in place and unrecorded."""
    with no_grad():
        ops.embedding_renorm_(weight.detach(), input, max_norm, norm_type)


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (V, E) at integers `input` (*): (*, E). The row `padding_idx` gets no gradient."""
    padding_idx = -1 if padding_idx is None else _padding_row(padding_idx, weight.size(0))
    if max_norm is not None:
        input = input.contiguous()
        renormed(weight, input, max_norm, norm_type)
    return ops.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


BAG_MODES = {"sum": 0, "mean": 1, "max": 2}


def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """Sum, mean or maximum of rows of `weight` per bag: a row of a 2-D `input`, or what `offsets` cut a 1-D one into."""
    if weight.dtype == int64 and input.is_floating_point():
        warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is deprecated, and "
            "should now be `embedding_bag(input, weight, ...)`.",
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise refuse(
            ValueError,
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the same "
            f"shape as the input ({input.shape})",
            received=f"{tuple(per_sample_weights.shape)}",
            expected=f"{tuple(input.shape)}",
        )
    if weight.dim() != 2:
        raise refuse(
            ValueError,
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}",
            received=f"{tuple(weight.shape)}",
            expected="(num_embeddings, embedding_dim)",
        )
    input, offsets, per_sample_weights, include_last_offset = _bags(input, offsets, per_sample_weights, include_last_offset)
    code = _bag_mode(mode, scale_grad_by_freq, sparse)
    if max_norm is not None:
        renormed(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise refuse(
            NotImplementedError,
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub.",
            received=f"{mode=}",
            expected="mode='sum'",
        )
    return ops.embedding_bag(
        weight, input, offsets, scale_grad_by_freq, code, sparse, per_sample_weights, include_last_offset, padding_idx
    )[0]


def _bags(input: Tensor, offsets: Any, weights: Tensor | None, last: bool) -> tuple[Tensor, Any, Tensor | None, bool]:
    if input.dim() == 2:
        if offsets is not None:
            raise refuse(
                ValueError,
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. "
                f"However, found offsets of type {type(offsets)}",
                expected="offsets=None",
            )
        offsets = ops.arange(0, input.numel(), input.size(1), dtype=input.dtype, device=input.device)
        return input.reshape(-1), offsets, None if weights is None else weights.reshape(-1), False
    if input.dim() != 1:
        raise refuse(
            ValueError, f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}", received=f"{tuple(input.shape)}"
        )
    if offsets is None:
        raise refuse(ValueError, "offsets has to be a 1D Tensor but got None", hint="the index in input where each bag starts")
    if offsets.dim() != 1:
        raise refuse(ValueError, "offsets has to be a 1D Tensor", received=f"{tuple(offsets.shape)}")
    return input, offsets, weights, last


def _bag_mode(mode: str, scale_grad_by_freq: bool, sparse: bool) -> int:
    if mode not in BAG_MODES:
        raise refuse(ValueError, "mode has to be one of sum, mean or max", received=f"{mode=}")
    if mode == "max" and scale_grad_by_freq:
        raise refuse(ValueError, "max mode does not support scaling the gradient by the frequency", hint="scale_grad_by_freq=False")
    if mode == "max" and sparse:
        raise refuse(ValueError, "max mode does not support sparse weights", hint="sparse=False")
    return BAG_MODES[mode]
