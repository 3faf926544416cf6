"""The names of the front door: everything that `facula.NAME` gives besides rooms."""

from __future__ import annotations

import math
from typing import Any

from . import autograd as autograd_room
from . import ops as ops_room
from .autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled
from .base.device import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    sparse_csr,
    strided,
)
from .base.dtypes import ALIASES, DTYPES, dtype
from .base.errors import OutOfMemoryError
from .base.limits import finfo, iinfo
from .base.size import Size
from .base.symbolic import NAMES as SYMBOLIC
from .core import Tensor, defaults, enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from .core.function import PUBLIC
from .core.interchange import from_dlpack, to_dlpack
from .core.placing import get_default_device, get_device_module, set_default_device
from .core.printing import set_printoptions
from .core.streams import Event, Stream
from .graph import compile, explain
from .ops import random as random_room
from .runtime.allocator import empty_cache, memory_stats

NAMES: dict[str, Any] = {
    **DTYPES,
    **ALIASES,
    **{name: function for (place, name), function in PUBLIC.items() if place == "torch"},
    **{name: getattr(random_room, name) for name in random_room.FUNCTIONS},
    **{name: getattr(defaults, name) for name in defaults.NAMES},
    "finfo": finfo, "iinfo": iinfo, "memory_stats": memory_stats, "empty_cache": empty_cache, "OutOfMemoryError": OutOfMemoryError,
    "inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e, "newaxis": None,
    "autograd": autograd_room, "ops": ops_room,
    **{f.__name__: f for f in (device, layout, memory_format, dtype, Size, Tensor, enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled,
                               no_grad, set_grad_enabled, is_anomaly_enabled, is_anomaly_check_nan_enabled, set_anomaly_enabled, from_dlpack, set_printoptions, compile, explain,
                               get_default_device, get_device_module, set_default_device, Event, Stream)},
    **{f.name: f for f in (channels_last, channels_last_3d, contiguous_format, preserve_format, sparse_coo, sparse_csr, strided)},
    **{f.__name__: f for f in SYMBOLIC}, "legacy_contiguous_format": contiguous_format, "to_dlpack": to_dlpack,
}  # fmt: skip
