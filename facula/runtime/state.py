"""Memory that native code shares with Python, under the names it has in emitted code, and the runtime's own native functions.

Images carry no writable data: what changes lives here, in pages that are never given back.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable

from . import images
from .allocator_code import MEMORY_BYTES, emit_allocator
from .ir import Module
from .pool_code import POOL_BYTES, emit_pool

SIZES = {"facula_pool": POOL_BYTES, "facula_scratch": 4096, "facula_memory": MEMORY_BYTES}  # bytes; whole pages, zero at first

Build = Callable[[Callable[[Module, str], None]], dict[str, int]]

_blocks: dict[str, int] = {}
_setups: list[Callable[[], None]] = []
_build: list[Build] = []
_exports: dict[str, int] = {}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype, _libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.madvise.restype, _libc.madvise.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def pages(nbytes: int, align: int = 4096, huge: bool = False) -> int:
    """Address of zeroed, lazily backed memory for the life of the process, 0 when the system refuses."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    base = _libc.mmap(None, nbytes + align, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if base in (None, ctypes.c_void_p(-1).value):
        return 0
    start = -(-base // align) * align
    if huge:
        _libc.madvise(start, nbytes, 14)  # MADV_HUGEPAGE; a refusal costs only speed
    return start


def writable(address: int) -> bool:
    """Whether a byte lies in a page that may be written: the system refuses to put it back where it is, instead of ending the process."""
    source, drain = os.pipe()
    try:
        _libc.write(drain, ctypes.c_void_p(address), ctypes.c_size_t(1))
        return _libc.read(source, ctypes.c_void_p(address), ctypes.c_size_t(1)) == 1
    finally:
        os.close(source)
        os.close(drain)


def block(name: str) -> int:
    """Address of a state block."""
    found = _blocks.get(name)
    if found is None:
        with images.lock:
            found = _blocks.get(name)
            if found is None:
                found = pages(SIZES[name])
                if not found:
                    raise MemoryError(f"no memory for {name}")
                _blocks[name] = found
    return found


def word(name: str, offset: int) -> ctypes.c_int64:
    """A word of a state block, to read and assign as `.value`."""
    return ctypes.c_int64.from_address(block(name) + offset)


def compile_with(build: Build) -> None:
    """Receive the compiler, which lives a floor above."""
    _build[:] = [build]


def before_use(setup: Callable[[], None]) -> None:
    """Have `setup` called once before the first native function of the runtime is handed out."""
    _setups.append(setup)


def emit_runtime(module: Module, name: str) -> None:
    """Every native function of the runtime in one module."""
    emit_pool(module)
    emit_allocator(module)


def exports() -> dict[str, int]:
    """Addresses of the runtime's native functions. RuntimeError when no compiler was handed in (import facula.kernel.compiler)."""
    if not _exports:
        with images.lock:
            if not _exports:
                if not _build:
                    raise RuntimeError("the runtime has no compiler yet: import facula.kernel.compiler first")
                found = _build[0](emit_runtime)
                for setup in _setups:
                    setup()
                _exports.update(found)
    return _exports
