"""What is wrong with nested Python data that is no array of numbers, as PyTorch finds it: the shape comes from the first elements, the type
from all of them, then they are stored in their order."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Number
from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.narrow import is_a, is_sequence

INT64 = range(-(1 << 63), 1 << 63)


def refusal(data: Any, dtype: DType | None) -> Exception | None:
    """The error for lists and tuples of anything; None: there is nothing wrong that is known here."""
    sizes: list[int] = []
    first = data
    while is_sequence(first):
        sizes.append(len(first))
        first = first[0] if first else None
    if is_a(first, str):
        return ValueError("too many dimensions 'str'") if sizes else TypeError("new(): invalid data type 'str'")
    if dtype is None:
        kinds: set[type] = set()
        for x in _elements(data):
            if is_a(x, str):
                return TypeError("new(): invalid data type 'str'")
            if not is_a(x, Number):
                return RuntimeError(f"Could not infer dtype of {type(x).__name__}")
            kinds.add(type(x))
        dtype = d.int64 if all(issubclass(k, int) for k in kinds) else d.float32
    return _unstorable(data, sizes, dtype, 0)


def _elements(data: Any) -> Iterator[Any]:
    if not is_sequence(data):
        yield data
        return
    for x in data:
        yield from _elements(x)


def _unstorable(data: Any, sizes: list[int], kind: DType, dim: int) -> Exception | None:
    """The first error of storing this as `kind`, dim by dim."""
    if dim == len(sizes):
        return _no_number(data, kind)
    if not is_sequence(data):
        return TypeError("not a sequence")
    if len(data) != sizes[dim]:
        return ValueError(f"expected sequence of length {sizes[dim]} at dim {dim} (got {len(data)})")
    errors = (_unstorable(x, sizes, kind, dim + 1) for x in data)
    return next((e for e in errors if e is not None), None)


def _no_number(x: Any, kind: DType) -> Exception | None:
    if not is_a(x, Number):
        name = type(x).__name__
        return TypeError(f"'{name}' object cannot be interpreted as an integer" if kind.is_integral else f"must be real number, not {name}")
    if is_a(x, int) and kind.is_integral and x not in INT64:
        return ValueError("Overflow when unpacking long long")
    if is_a(x, int) and not kind.is_integral:
        try:
            float(x)
        except OverflowError as error:
            return error
    return None
