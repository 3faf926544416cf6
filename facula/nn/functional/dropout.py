"""Dropout: elements, whole channels, and the forms that keep the statistics of selu."""

from __future__ import annotations

from ... import ops
from ...base.errors import refuse, warn
from ...core import Tensor


def _checked(p: float, training: bool = True) -> None:
    if training is not True and training is not False:
        raise refuse(TypeError, f"dropout(): argument 'train' (position 3) must be bool, not {type(training).__name__}",
                     received=f"training={training!r:.60}", expected="True or False")  # fmt: skip
    if p < 0.0 or p > 1.0:
        raise refuse(ValueError, f"dropout probability has to be between 0 and 1, but got {p}", received=f"p={p}", expected="0 <= p <= 1")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p)."""
    _checked(p, training)
    return ops.dropout_(input, p, training) if inplace else ops.dropout(input, p, training)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance of selu's outputs. Klambauer et al. 2017, arXiv 1706.02515."""
    _checked(p, training)
    return ops.alpha_dropout_(input, p, training) if inplace else ops.alpha_dropout(input, p, training)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels."""
    _checked(p, training)
    return ops.feature_alpha_dropout_(input, p, training) if inplace else ops.feature_alpha_dropout(input, p, training)


def _channels(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    """Drop channels, dim 1 of a batch; a single sample becomes a batch of one for the time."""
    if not batched:
        input = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    result = ops.feature_dropout_(input, p, training) if inplace else ops.feature_dropout(input, p, training)
    if not batched:
        result = result.squeeze_(0) if inplace else result.squeeze(0)
    return result


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L)."""
    _checked(p, training)
    ndim = input.dim()
    if ndim not in (2, 3):
        raise refuse(
            RuntimeError,
            f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input. Note that dropout1d exists to provide "
            "channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D "
            "or 3D inputs).",
            received=f"{tuple(input.shape)}",
            expected="(N, C, L) or (C, L)",
        )
    return _channels(input, p, training, inplace, ndim == 3)


def _deprecated(name: str, ndim: int, spatial: int) -> None:
    warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error in a future release. To retain "
        f"the behavior and silence this warning, please use dropout instead. Note that {name} exists to provide channel-wise dropout "
        f"on inputs with {spatial} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. {spatial + 1}D or "
        f"{spatial + 2}D inputs).",
    )


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, H, W); three dims are read as (N, C, L)."""
    _checked(p, training)
    ndim = input.dim()
    if ndim not in (3, 4):
        _deprecated("dropout2d", ndim, 2)
    if ndim == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired - input is "
            "interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a future release to interpret "
            "the input as one without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout behavior, "
            "please switch to using dropout1d instead.",
        )
    return _channels(input, p, training, inplace, True)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    _checked(p, training)
    ndim = input.dim()
    if ndim not in (4, 5):
        _deprecated("dropout3d", ndim, 3)
    return _channels(input, p, training, inplace, ndim == 5)
