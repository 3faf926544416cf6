"""torch.cpu: the device that is always there, in the form of the others."""

from __future__ import annotations

import contextlib
import platform
from typing import Any

from .core.streams import Stream


def is_available() -> bool:
    return True


is_initialized = is_available


def device_count() -> int:
    return 1


def current_device() -> str:
    return "cpu"


def set_device(device: Any) -> None:
    """Accepted: there is one."""


def synchronize(device: Any = None) -> None:
    """Everything has been done already."""


def current_stream(device: Any = None) -> Stream:
    return Stream()


def stream(stream: Any) -> Any:
    """A block on a stream, of which there is one."""
    return contextlib.nullcontext()


def get_capabilities() -> dict[str, Any]:
    """What the processor is."""
    return {"architecture": platform.machine()}
