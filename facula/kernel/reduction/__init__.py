"""Reductions over any dims of any strides: a reducer is a state with `lift`, `combine` and `finish`, all scalar expressions."""

from __future__ import annotations

from .nest import interpret_reduce, reduce
from .pairs import interpret_pairs, reduce_pairs
from .reducer import (
    Reducer,
    accumulator,
    all_of,
    any_of,
    argmax_of,
    argmin_of,
    count_nonzero_of,
    inner_of,
    logsumexp_of,
    max_of,
    mean_of,
    min_max_of,
    min_of,
    moments_of,
    norm_of,
    product_of,
    reducer,
    shifted_moments_of,
    sum_of,
)

__all__ = [
    "Reducer",
    "accumulator",
    "all_of",
    "any_of",
    "argmax_of",
    "argmin_of",
    "count_nonzero_of",
    "inner_of",
    "interpret_pairs",
    "interpret_reduce",
    "logsumexp_of",
    "max_of",
    "mean_of",
    "min_max_of",
    "min_of",
    "moments_of",
    "norm_of",
    "product_of",
    "reduce",
    "reduce_pairs",
    "reducer",
    "shifted_moments_of",
    "sum_of",
]
