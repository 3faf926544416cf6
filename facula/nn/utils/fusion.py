"""Folding a batch normalisation in evaluation into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from ... import ops
from ...base.errors import refuse
from ...core import Tensor
from ..parameter import Parameter


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None, bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of the convolution that does both."""
    scale = ops.rsqrt(bn_rv + bn_eps) * (1 if bn_w is None else bn_w)
    shape = [1, -1] + [1] * (conv_w.dim() - 2) if transpose else [-1, 1] + [1] * (conv_w.dim() - 2)
    bias = ((ops.zeros_like(bn_rm) if conv_b is None else conv_b) - bn_rm) * scale + (0 if bn_b is None else bn_b)
    kept = conv_b.requires_grad if conv_b is not None else conv_w.requires_grad
    return Parameter((conv_w * scale.reshape(shape)).detach(), conv_w.requires_grad), Parameter(bias.detach(), kept)


def _in_eval(first: Any, bn: Any) -> None:
    if first.training or bn.training:
        raise refuse(
            AssertionError, "Fusion only for eval!", received=f"training={first.training} and {bn.training}", hint="call eval() first"
        )


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what `conv` and then `bn` do in evaluation."""
    _in_eval(conv, bn)
    if bn.running_mean is None or bn.running_var is None:
        raise refuse(AssertionError, "bn.running_mean and bn.running_var must not be None", hint="track_running_stats=True")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor, bn_b: Tensor
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the linear layer that does both."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that does what `linear` and then `bn` do in evaluation."""
    _in_eval(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise refuse(
            AssertionError,
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1",
            received=f"linear.out_features={linear.out_features}, bn.num_features={bn.num_features}",
        )
    return fuse_conv_bn_eval(linear, bn)
