"""facula: PyTorch's public API, in Python all the way down."""

from __future__ import annotations

import math
from typing import Any

from . import core, ops
from .autograd import gradients as _gradients
from .base.device import channels_last, channels_last_3d, contiguous_format, device, layout, memory_format, preserve_format, sparse_coo, sparse_csr, strided
from .base.dtypes import ALIASES, DTYPES, dtype
from .base.size import Size
from .core import Tensor, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .core.function import PUBLIC
from .graph import compile, explain
from .ops import random as _random

__version__ = "2.13.0"
globals().update(DTYPES)
globals().update(ALIASES)
globals().update({name: function for (place, name), function in PUBLIC.items() if place == "torch"})
globals().update({name: getattr(_random, name) for name in _random.FUNCTIONS})
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
LATER = {"save": "io", "load": "io"}  # functions of rooms that load when they are first used


def __getattr__(name: str) -> Any:
    """Rooms load when they are first used."""
    import importlib

    if name in LATER:
        return getattr(importlib.import_module(f".{LATER[name]}", __name__), name)
    if not name.startswith("_"):
        try:
            return importlib.import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_ = _gradients
