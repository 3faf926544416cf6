"""torch.cuda where there is no such device: programs ask and are told; what they do to every device is done to none."""

from __future__ import annotations

from typing import Any

from .base.errors import NotCompiledError, refuse


def is_available() -> bool:
    """No CUDA device can be used."""
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


def empty_cache() -> None:
    """Accepted: nothing is cached."""


def memory_allocated(device: Any = None) -> int:
    """Bytes."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """Bytes."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Accepted: there is nothing to reset."""


def _absent(device: Any = None) -> Any:
    raise refuse(
        NotCompiledError,
        "Torch not compiled with CUDA enabled",
        received="a call that needs a CUDA device",
        expected="is_available() first",
    )


synchronize = current_device = get_device_name = get_device_capability = get_device_properties = set_device = init = _absent
