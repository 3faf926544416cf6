"""Reading and writing through index tensors and masks. Indices are checked by the caller first (`check_indices`), and wrap if negative."""

from __future__ import annotations

from .bag import bag_backward, bag_maxima, bag_rows
from .check import check_indices
from .mask import chunks, count_true, masked_scatter, masked_select, nonzero
from .put import embedding_backward, index_put, interpret_index_put, interpret_scatter, scatter
from .take import gather, index_get, index_select, interpret_gather, interpret_index_get, take_rows
from .triangle import symmetric, triangle_places, triangle_size

__all__ = [
    "bag_backward",
    "bag_maxima",
    "bag_rows",
    "check_indices",
    "chunks",
    "count_true",
    "embedding_backward",
    "gather",
    "index_get",
    "index_put",
    "index_select",
    "interpret_gather",
    "interpret_index_get",
    "interpret_index_put",
    "interpret_scatter",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "scatter",
    "symmetric",
    "take_rows",
    "triangle_places",
    "triangle_size",
]
