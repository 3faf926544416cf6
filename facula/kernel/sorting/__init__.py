"""Sorting rows, choosing from them and searching them, with indices: stable, NaN last."""

from .radix import part, sort
from .search import search
from .select import kthvalue, median, topk

__all__ = ["kthvalue", "median", "part", "search", "sort", "topk"]
