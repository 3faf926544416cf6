"""Normalisation over batches, channels, groups and rows, and division by a norm."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...base.errors import refuse
from ...core import Tensor


def verify_batch_size(size: Any) -> None:
    """Refuse training on one value per channel: its variance is 0."""
    count = size[0]
    for extent in size[2:]:
        count *= extent
    if count == 1:
        raise refuse(ValueError, f"Expected more than 1 value per channel when training, got input size {size}", received=f"{tuple(size)}",
                     expected="batch * spatial sizes > 1", hint="a larger batch, or module.eval()")  # fmt: skip


def verify_spatial_size(size: Any) -> None:
    """Refuse instance statistics of one element."""
    count = 1
    for extent in size[2:]:
        count *= extent
    if count == 1:
        raise refuse(ValueError, f"Expected more than 1 spatial element when training, got input size {size}", received=f"{tuple(size)}",
                     expected="spatial sizes with a product > 1")  # fmt: skip


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None, bias: Tensor | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalise each channel of (N, C, ...) over batch and space. Ioffe & Szegedy 2015, arXiv 1502.03167."""
    if training:
        size = input.size()
        if not size:
            raise IndexError("tuple index out of range")
        verify_batch_size(size)
    return ops.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, True)


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalise each channel of each sample of (N, C, ...) over space. Ulyanov et al. 2016, arXiv 1607.08022."""
    if use_input_stats:
        verify_spatial_size(input.size())
    return ops.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, True)


def layer_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalise over the last dims, those of `normalized_shape`. Ba et al. 2016, arXiv 1607.06450."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """Divide by the root mean square over the last dims. Zhang & Sennrich 2019, arXiv 1910.07467."""
    return ops.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalise each of `num_groups` groups of channels of each sample. Wu & He 2018, arXiv 1803.08494."""
    if input.dim() < 2:
        raise refuse(
            RuntimeError,
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}",
            received=f"{tuple(input.shape)}",
            expected="(N, C, ...)",
        )
    verify_batch_size([input.size(0) * input.size(1) // num_groups, num_groups, *input.size()[2:]])
    return ops.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta. Krizhevsky et al. 2012, section 3.3."""
    ndim = input.dim()
    if ndim < 3:
        raise refuse(ValueError, f"Expected 3D or higher dimensionality                          input (got {ndim} dimensions)",
                     received=f"{tuple(input.shape)}", expected="(N, C, ...)")  # fmt: skip
    if input.numel() == 0:
        return input
    shape = input.size()
    squares = input.mul(input)
    before, after = size // 2, (size - 1) // 2
    if ndim == 3:
        padded = ops.pad(squares.unsqueeze(1), (0, 0, before, after))  # (N, 1, C + size - 1, L)
        mean = ops.avg_pool2d(padded, (size, 1), 1).squeeze(1)
    else:
        padded = ops.pad(squares.view(shape[0], 1, shape[1], shape[2], -1), (0, 0, 0, 0, before, after))
        mean = ops.avg_pool3d(padded, (size, 1, 1), 1).squeeze(1).view(shape)
    return input / mean.mul(alpha).add(k).pow(beta)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(||x||_p, eps) along `dim`."""
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / length if out is None else ops.div(input, length, out=out)
