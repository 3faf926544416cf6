"""`Size`: the tuple of a tensor's extents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

ITEM: Any = getattr(tuple, "__getitem__")


class Size(tuple[int, ...]):
    """Extents, one per dim. A tuple that keeps its type under slicing and addition."""

    __slots__ = ()

    def __new__(cls, extents: Iterable[SupportsIndex] = ()) -> Size:
        return super().__new__(cls, [x if type(x) is int else _extent(x, i) for i, x in enumerate(extents)])

    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> Size: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> int | Size:
        got = ITEM(self, index)
        return got if type(got) is int else Size(got)

    def __add__(self, other: tuple[Any, ...], /) -> Size:
        return Size(super().__add__(other))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, other: Any) -> Size:
        return Size(super().__mul__(other))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


def _extent(x: Any, i: int) -> int:
    try:
        return x.__index__()
    except (AttributeError, TypeError):
        raise TypeError(f"torch.Size() takes an iterable of 'int' (item {i} is '{type(x).__name__}')") from None
