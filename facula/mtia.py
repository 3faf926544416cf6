"""torch.mtia where there is no such device: programs ask and are told."""

from __future__ import annotations

from typing import Any

from .base.errors import refuse


def is_available() -> bool:
    """No MTIA device can be used."""
    return False


def device_count() -> int:
    return 0


def is_initialized() -> bool:
    return False


def _absent(*args: Any, **kwargs: Any) -> Any:
    raise refuse(RuntimeError, "Cannot execute getCurrentDevice() without MTIA backend.", hint="torch.mtia.is_available() tells")


synchronize = current_device = set_device = current_stream = empty_cache = _absent
