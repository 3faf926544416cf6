"""Elementwise nests: any number of operands of one (broadcast) shape, any strides, one expression for each output."""

from __future__ import annotations

from .nest import copy, fill, flip, interpret_pointwise, pointwise

__all__ = ["copy", "fill", "flip", "interpret_pointwise", "pointwise"]
