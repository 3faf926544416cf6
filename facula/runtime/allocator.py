"""The caching allocator as Python sees it. Addresses are plain ints; whoever takes a block owns one reference and must release it.

All calls are made with the interpreter's lock held. What an operator allocates goes through the emitted functions, not through here.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import NamedTuple

from ..base.errors import OutOfMemoryError, refuse
from . import host, state
from .allocator_code import (
    ALLOCATED,
    BUDGET,
    CACHED,
    DATA,
    FOREIGN,
    GREATEST,
    LIMIT,
    LIVE,
    MAPPINGS,
    PEAK,
    RESERVED,
    TOTAL_ALLOCS,
)


def _word(offset: int) -> ctypes.c_int64:
    return state.word("facula_memory", offset)


class _Native(NamedTuple):
    """The emitted functions; an address that is None was refused."""

    allocate: Callable[[int], int | None]
    free: Callable[[int], None]
    external: Callable[[int, int, object], int | None]
    trim: Callable[[int], None]


@functools.cache
def _native() -> _Native:
    word, pointer, symbols = ctypes.c_int64, ctypes.c_void_p, state.exports()
    return _Native(
        ctypes.PYFUNCTYPE(pointer, word)(symbols["facula_allocate"]),
        ctypes.PYFUNCTYPE(None, pointer)(symbols["facula_free"]),
        ctypes.PYFUNCTYPE(pointer, pointer, word, ctypes.py_object)(symbols["facula_external"]),
        ctypes.PYFUNCTYPE(None, word)(symbols["facula_trim"]),
    )


def out_of_memory(nbytes: int) -> OutOfMemoryError:
    """The error for a request that the system refused."""
    return refuse(
        OutOfMemoryError,
        f"[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate {nbytes} bytes. "
        "Error code 12 (Cannot allocate memory)",
        received=f"{nbytes} bytes; {_word(ALLOCATED).value} are in use",
        expected=f"memory of this machine or container: {host.memory()} bytes",
    )


def allocate(nbytes: int) -> int:
    """Address of a new block with one reference; its contents are undefined. OutOfMemoryError when the system refuses."""
    if nbytes < 0:
        raise refuse(RuntimeError, f"a block cannot have {nbytes} bytes", expected="0 or more")
    block = _native().allocate(nbytes) if nbytes <= GREATEST else None
    if not block:
        raise out_of_memory(nbytes)
    return block


def external(address: int, nbytes: int, owner: object) -> int:
    """Address of a block for memory that `owner` keeps alive; the owner is let go when the last reference is released."""
    if nbytes < 0 or nbytes > GREATEST:
        raise refuse(RuntimeError, f"a block cannot have {nbytes} bytes", expected=f"0 to {GREATEST}")
    block = _native().external(address, nbytes, owner)
    if not block:
        raise out_of_memory(64)
    return block


def release(block: int) -> None:
    """Give up one reference; with the last one the block waits for its next use."""
    _native().free(block)


def data(block: int) -> int:
    """Address of the block's first byte."""
    return ctypes.c_int64.from_address(block + DATA).value


def empty_cache() -> None:
    """Give all memory that waits for reuse back to the system."""
    _native().trim(0)


def set_cache_limit(nbytes: int) -> None:
    """How many bytes of large blocks may wait for reuse (at the start a quarter of the memory)."""
    if nbytes < 0:
        raise refuse(ValueError, f"a cache cannot hold {nbytes} bytes", expected="0 or more")
    setup()
    _word(LIMIT).value = nbytes
    _native().trim(nbytes)


def memory_stats() -> dict[str, int]:
    """Bytes and counts. allocated: in live blocks (rounded up to size classes); peak: the most of it so far; reserved: mapped from the
    system; cached: reserved, not in use; cached_large: what empty_cache unmaps; external: of other owners; live: blocks."""
    setup()
    get = {"allocated": ALLOCATED, "peak": PEAK, "reserved": RESERVED, "cached_large": CACHED, "external": FOREIGN, "live": LIVE}
    stats = {name: _word(at).value for name, at in get.items()}
    counts = {"allocations": TOTAL_ALLOCS, "mappings": MAPPINGS, "limit": LIMIT}
    stats.update({name: _word(at).value for name, at in counts.items()})
    stats["cached"] = stats["reserved"] - stats["allocated"]
    return stats


def reset_peak() -> None:
    """Let the peak begin again at what is allocated now."""
    _word(PEAK).value = _word(ALLOCATED).value


def setup() -> None:
    """Fill the state that the native side reads."""
    if not _word(BUDGET).value:
        _word(BUDGET).value = host.memory() // 10 * 9  # beyond this, waiting blocks go before new ones are mapped
        _word(LIMIT).value = max(host.memory() // 4, 64 << 20)


state.before_use(setup)
