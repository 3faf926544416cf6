"""Sorting rows, choosing from them and searching them, with indices: stable, NaN last."""

from .passes import part, sort
from .rank import kthvalue, median
from .rows import begins, sort_rows
from .search import search
from .select import topk

__all__ = ["begins", "kthvalue", "median", "part", "search", "sort", "sort_rows", "topk"]
