"""torch.cuda where there is no such device: programs ask and are told; what they do to every device is done to none."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .base.device import absent
from .base.device import device as device_
from .base.errors import OutOfMemoryError, refuse

default_generators: tuple[Any, ...] = ()
has_half, has_magma = True, False


def is_available() -> bool:
    """No CUDA device can be used."""
    return False


def device_count() -> int:
    return 0


def is_initialized() -> bool:
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    return False


def is_tf32_supported() -> bool:
    return False


# -- done to every device, of which there is none
def manual_seed(seed: int) -> None:
    """Accepted: there is no generator to seed."""


def manual_seed_all(seed: int) -> None:
    """Accepted: there is no generator to seed."""


def seed() -> None:
    """Accepted: there is no generator to seed."""


seed_all = seed


def get_rng_state_all() -> list[Any]:
    """The states of no generators."""
    return []


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Accepted: there is no generator to set."""


def set_rng_state_all(new_states: Any) -> None:
    """Accepted: there is no generator to set."""


def empty_cache() -> None:
    """Accepted: nothing is cached."""


def set_stream(stream: Any) -> None:
    """Accepted: None is the only stream there can be."""


def memory_allocated(device: Any = None) -> int:
    """Bytes."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = max_memory_cached = memory_allocated


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Nothing was counted."""
    return OrderedDict()


host_memory_stats = memory_stats


def reset_peak_memory_stats(device: Any = None) -> None:
    """Accepted: there is nothing to reset."""


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


def get_arch_list() -> list[str]:
    """Architectures that kernels were compiled for."""
    return []


def get_gencode_flags() -> str:
    return ""


# -- blocks
class device:
    """A block on a device; an index below 0 is no device."""

    def __init__(self, device: Any) -> None:
        self.index = device if isinstance(device, int) else device_(device).index or 0

    def __enter__(self) -> None:
        if self.index >= 0:
            raise refuse(
                RuntimeError, "PyTorch was compiled without CUDA support", received=f"cuda:{self.index}", hint="is_available() tells"
            )

    def __exit__(self, *exc: object) -> None:
        pass


class device_of(device):
    """A block on the device of a tensor; a tensor on the CPU is on none."""

    def __init__(self, obj: Any) -> None:
        super().__init__(-1)


class StreamContext:
    """A block on a stream; None is no stream."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def stream(stream: Any) -> StreamContext:
    """A block on a stream; None is no stream."""
    return StreamContext(stream)


# -- refused
def _absent(*args: Any, **kwargs: Any) -> Any:
    raise absent(device_("cuda"))


synchronize = current_device = get_device_name = get_device_capability = get_device_properties = set_device = init = ipc_collect = _absent
initial_seed = get_rng_state = current_stream = default_stream = mem_get_info = can_device_access_peer = cudart = _absent
get_sync_debug_mode = set_sync_debug_mode = set_per_process_memory_fraction = caching_allocator_alloc = current_blas_handle = _absent
memory_summary = memory_snapshot = utilization = temperature = power_draw = clock_rate = device_memory_used = _absent


class _Missing:
    """A class whose objects need a device."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise refuse(
            RuntimeError,
            f"Tried to instantiate dummy base class {type(self).__name__}",
            received="an object on a CUDA device",
            hint="torch.cuda.is_available() tells",
        )


class Stream(_Missing):
    """A queue of work on a device."""


class ExternalStream(Stream):
    """A queue that another library made."""


class Event(_Missing):
    """A mark in a queue."""


class CUDAGraph(_Missing):
    """Recorded work."""


class CudaError(RuntimeError):
    """An error that the driver reports."""


__all__ = ["OutOfMemoryError"]
