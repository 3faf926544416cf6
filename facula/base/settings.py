"""Process-wide settings that users change through PyTorch's functions."""

from __future__ import annotations

from .dtypes import dtype, float32


class Settings:
    """The one table of settings; everything else that is mutable at module level is a named table of its own."""

    def __init__(self) -> None:
        self.default_dtype: dtype = float32
        self.deterministic = False
        self.deterministic_warn_only = False
        self.matmul_precision = "highest"


SETTINGS = Settings()
