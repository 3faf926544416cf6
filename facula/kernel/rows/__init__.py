"""Kernels over rows: softmax, normalisation, cross entropy. Each reads its input from memory once where a row fits the caches."""

from .softmax import softmax, softmax_backward

__all__ = ["softmax", "softmax_backward"]
