"""torch.linalg: linear algebra under the names of that module; `linalg.NAME` is the operator `linalg_NAME`."""

from __future__ import annotations

from typing import Any

from . import ops
from .base.errors import LinAlgError

NAMES = ["matrix_norm", "norm", "qr", "vector_norm"]


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    operator = globals()[name] = getattr(ops, "linalg_" + name)  # later look-ups find it without this function
    return operator


def __dir__() -> list[str]:
    return __all__


__all__ = ["LinAlgError", *NAMES]
