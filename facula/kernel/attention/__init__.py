"""Scaled dot-product attention in blocks: nothing of size queries x keys is stored."""

from .forward import attention

__all__ = ["attention"]
