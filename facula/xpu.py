"""torch.xpu where there is no such device: programs ask and are told; what they do to every device is done to none."""

from __future__ import annotations

from typing import Any

from .base.device import absent, device


def is_available() -> bool:
    """No XPU can be used."""
    return False


def device_count() -> int:
    return 0


def is_initialized() -> bool:
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    return False


def manual_seed(seed: int) -> None:
    """Accepted: there is no generator to seed."""


def manual_seed_all(seed: int) -> None:
    """Accepted: there is no generator to seed."""


def seed() -> None:
    """Accepted: there is no generator to seed."""


def empty_cache() -> None:
    """Accepted: nothing is cached."""


def memory_allocated(device: Any = None) -> int:
    """Bytes."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def _absent(*args: Any, **kwargs: Any) -> Any:
    raise absent(device("xpu"))


synchronize = current_device = set_device = get_device_name = get_device_properties = get_device_capability = init = current_stream = (
    _absent
)
