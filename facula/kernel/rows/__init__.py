"""Kernels over rows: softmax, normalisation, cross entropy. Each reads its input from memory once where a row fits the caches."""

from .cross_entropy import cross_entropy, cross_entropy_backward
from .layer_norm import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward
from .softmax import softmax, softmax_backward

__all__ = ["cross_entropy", "cross_entropy_backward", "layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward", "softmax", "softmax_backward"]
