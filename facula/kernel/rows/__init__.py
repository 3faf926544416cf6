"""Kernels over rows: softmax, normalisation, cross entropy. Each reads its input from memory once where a row fits the caches."""

from .batch_norm import batch_norm, batch_norm_backward
from .cross_entropy import cross_entropy, cross_entropy_backward
from .group_norm import group_norm, group_norm_backward
from .layer_norm import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward
from .softmax import softmax, softmax_backward

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "group_norm",
    "group_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
    "softmax",
    "softmax_backward",
]
