"""Sorting rows and choosing from them, with indices: stable, NaN last."""

from .radix import part, sort
from .select import kthvalue, median, topk

__all__ = ["kthvalue", "median", "part", "sort", "topk"]
