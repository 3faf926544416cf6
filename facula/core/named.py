"""Named tuples of results, with PyTorch's repr."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    """`torch.return_types.NAME`: a tuple whose items are also attributes, made from its items."""
    base: Any = namedtuple(name, fields)

    def show(self: Any) -> str:
        return f"torch.return_types.{name}(\n" + ",\n".join(f"{f}={v!r}" for f, v in zip(fields, self)) + ")"

    def make(cls: Any, *items: Any) -> Any:
        return tuple.__new__(cls, items[0] if len(items) == 1 and isinstance(items[0], (tuple, list)) else items)

    return type(
        name,
        (base,),
        {
            "__slots__": (),
            "__repr__": show,
            "__new__": make,
            "__module__": "torch.return_types",
            "__reduce__": lambda self: (tuple, (tuple(self),)),
        },
    )
