"""Process-wide settings that users change through PyTorch's functions."""

from __future__ import annotations

import os

from .dtypes import dtype, float32


class Settings:
    """The one table of settings; everything else that is mutable at module level is a named table of its own."""

    def __init__(self) -> None:
        self.default_dtype: dtype = float32
        self.deterministic = False
        self.deterministic_warn_only = False
        self.matmul_precision = "highest"
        self.full_traceback = os.environ.get("FACULA_TRACEBACK", "") == "full"  # also the frames that `fold` leaves out
        # Every kernel compares every access with what its launch may touch; read once, for plans hold the code they were made with.
        self.check_bounds = os.environ.get("FACULA_CHECK_BOUNDS", "0") != "0"


SETTINGS = Settings()
