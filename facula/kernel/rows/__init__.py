"""Kernels over rows: softmax, normalisation, cross entropy. Each reads its input from memory once where a row fits the caches."""

from .layer_norm import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward
from .softmax import softmax, softmax_backward

__all__ = ["layer_norm", "layer_norm_backward", "rms_norm", "rms_norm_backward", "softmax", "softmax_backward"]
