"""Scaled dot-product attention in blocks: nothing of size queries x keys is stored."""

from .backward import attention_backward
from .forward import attention

__all__ = ["attention", "attention_backward"]
