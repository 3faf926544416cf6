"""Named tuples of results, with PyTorch's repr."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, cast

from ..base.narrow import is_sequence


def named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    """`torch.return_types.NAME`: a tuple whose items are also attributes, made from its items."""
    base: Any = namedtuple(name, fields)  # pyright: ignore[reportUntypedNamedTuple]  # the fields are known at run time

    def show(self: Any) -> str:
        return f"torch.return_types.{name}(\n" + ",\n".join(f"{f}={v!r}" for f, v in zip(fields, self)) + ")"

    def make(cls: Any, *items: Any) -> Any:
        return cast(Any, tuple).__new__(cls, items[0] if len(items) == 1 and is_sequence(items[0]) else items)

    def reduce(self: Any) -> Any:
        return tuple, (tuple(self),)

    return type(
        name,
        (base,),
        {
            "__slots__": (),
            "__repr__": show,
            "__new__": make,
            "__module__": "torch.return_types",
            "__reduce__": reduce,
        },
    )
