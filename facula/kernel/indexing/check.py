"""Range checks of index tensors, before anything is read or written through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...base.dtypes import int64
from ..launch import Number, Operand, Schedule, Word
from ..reduction import reduce, reducer
from ..scalar import Scalar, cast, minimum, number, where

NONE = (1 << 63) - 1


def check_indices(out: Operand, index: Operand, size: int, wrap: bool = True, ignored: int | None = None) -> Schedule:
    """The row-major position of the first value outside -size..size-1 (0..size-1 without `wrap`) that is not `ignored`, or -1, into the one
    int64 of `out`."""
    bounds = [-size if wrap else 0, size, *([] if ignored is None else [ignored])]

    def outside(x: Scalar, i: Scalar, low: Scalar, high: Scalar, other: Scalar | None = None) -> Scalar:
        value = cast(x, int64)
        out = (value < low) | (value >= high)
        return where(out if other is None else out & (value != other), i, NONE)

    first = reducer(
        [NONE],
        [int64],
        outside,
        lambda a, b: minimum(a[0], b[0]),
        lambda s, n: where(s[0].__eq__(NONE), -1, s[0]),
        inputs=[index.dtype],
        indexed=True,
        lift_numbers=[number(k, int64) for k in range(len(bounds))],
    )
    return fixed(reduce([out], [index], range(len(index.shape)), first), bounds)


def fixed(schedule: Schedule, values: Sequence[int]) -> Schedule:
    """A schedule whose i64 numbers are known when it is made."""

    def known(word: Word) -> Word:
        return values[word.index] & (1 << 64) - 1 if isinstance(word, Number) else word

    return replace(schedule, launches=tuple(replace(x, words=tuple(known(w) for w in x.words)) for x in schedule.launches))
