"""Range checks of index tensors, before anything is read or written through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...base.dtypes import int64
from ..launch import Number, Operand, Schedule, Word
from ..reduction import reduce, reducer
from ..scalar import cast, minimum, number, where

NONE = (1 << 63) - 1


def check_indices(out: Operand, index: Operand, size: int, wrap: bool = True) -> Schedule:
    """The row-major position of the first value outside -size..size-1 (0..size-1 without `wrap`), or -1, into the one int64 of `out`."""
    low, high = number(0, int64), number(1, int64)
    first = reducer(
        [NONE],
        [int64],
        lambda x, i, low, high: where((cast(x, int64) < low) | (cast(x, int64) >= high), i, NONE),
        lambda a, b: minimum(a[0], b[0]),
        lambda s, n: where(s[0].__eq__(NONE), -1, s[0]),
        inputs=[index.dtype],
        indexed=True,
        lift_numbers=[low, high],
    )
    return fixed(reduce([out], [index], range(len(index.shape)), first), [-size if wrap else 0, size])


def fixed(schedule: Schedule, values: Sequence[int]) -> Schedule:
    """A schedule whose i64 numbers are known when it is made."""

    def known(word: Word) -> Word:
        return values[word.index] & (1 << 64) - 1 if isinstance(word, Number) else word

    return replace(schedule, launches=tuple(replace(x, words=tuple(known(w) for w in x.words)) for x in schedule.launches))
