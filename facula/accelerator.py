"""torch.accelerator where there is none: questions are answered, whatever needs a device is refused."""

from __future__ import annotations

from typing import Any

from .base.errors import refuse


def is_available() -> bool:
    return False


def device_count() -> int:
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The device that calculates beside the CPU: none."""


def _absent(*args: Any, **kwargs: Any) -> Any:
    raise refuse(
        RuntimeError,
        "Cannot access accelerator device when none is available.",
        received="a call that needs an accelerator",
        hint="torch.accelerator.is_available() tells",
    )


class device_index:
    """A block on the device with this index; None is no device."""

    def __init__(self, device: int | None) -> None:
        self.device = device

    def __enter__(self) -> None:
        if self.device is not None:
            _absent()

    def __exit__(self, *exc: object) -> None:
        pass


current_device_index = current_device_idx = set_device_index = set_device_idx = current_stream = set_stream = synchronize = _absent
empty_cache = memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = memory_stats = get_memory_info = _absent
reset_peak_memory_stats = reset_accumulated_memory_stats = get_device_capability = _absent
