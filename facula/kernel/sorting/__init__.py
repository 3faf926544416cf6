"""Sorting rows, choosing from them and searching them, with indices: stable, NaN last."""

from .merge import median, part, sort
from .rows import begins, sort_rows
from .search import search
from .select import kthvalue, topk

__all__ = ["begins", "kthvalue", "median", "part", "search", "sort", "sort_rows", "topk"]
