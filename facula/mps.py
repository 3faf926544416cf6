"""torch.mps where there is no such device: programs ask and are told."""

from __future__ import annotations

from typing import Any

from .base.errors import refuse


def is_available() -> bool:
    """No Metal device can be used."""
    return False


def device_count() -> int:
    return 0


def manual_seed(seed: int) -> None:
    """Accepted: there is no generator to seed."""


def _absent(what: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise refuse(RuntimeError, f"Cannot execute {what}() without MPS backend.", hint="torch.mps.is_available() tells")

    return function


synchronize, empty_cache = _absent("deviceSynchronize"), _absent("emptyCache")
current_allocated_memory, driver_allocated_memory = _absent("getCurrentAllocatedMemory"), _absent("getDriverAllocatedMemory")
recommended_max_memory, set_per_process_memory_fraction = _absent("getRecommendedMaxMemory"), _absent("setMemoryFraction")
get_rng_state = set_rng_state = seed = _absent("getDefaultGenerator")
