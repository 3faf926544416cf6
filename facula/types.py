"""torch.types: names for annotations."""

from __future__ import annotations

import os
from typing import IO, Any, TypeAlias

from .base.device import device
from .base.symbolic import SymBool, SymFloat, SymInt

__all__ = ["BoolLikeType", "Device", "FileLike", "FloatLikeType", "IntLikeType", "Number", "PySymType"]

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
IntLikeType: TypeAlias = int | SymInt
FloatLikeType: TypeAlias = float | SymFloat
BoolLikeType: TypeAlias = bool | SymBool
PySymType: TypeAlias = SymInt | SymFloat | SymBool


def __getattr__(name: str) -> Any:
    """The names that PyTorch begins with an underscore: `_int`, `_size`, `_dtype` and the like."""
    from .base.dtypes import dtype
    from .base.size import Size

    plain = {"int": int, "float": float, "bool": bool, "complex": complex, "dtype": dtype, "device": device}
    if name == "_size":
        return Size | list[int] | tuple[int, ...]
    if name[1:] in plain and name.startswith("_"):
        return plain[name[1:]]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
