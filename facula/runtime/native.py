"""The runtime's front door for native code: addresses of its functions, and of the state that images reach by name.

native.address("facula_parallel")   i32 (ptr kernel, ptr words, i64 total, i64 grain, i64 long)
native.symbol("facula_scratch")     what a loader needs: state blocks at once, functions once the compiler is there
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from . import allocator, pool, state
from .ir import Module

FUNCTIONS = (
    "facula_parallel",
    "facula_worker",
    "facula_halt",
    "facula_alloc_slow",
    "facula_release_slow",
    "facula_trim",
    "facula_allocate",
    "facula_free",
    "facula_external",
)
SYMBOLS = frozenset((*state.SIZES, *FUNCTIONS))

compile_with: Callable[[Callable[[Callable[[Module, str], None]], dict[str, int]]], None] = state.compile_with
get_num_threads, set_num_threads = pool.get_num_threads, pool.set_num_threads
memory_stats, empty_cache = allocator.memory_stats, allocator.empty_cache


def symbol(name: str) -> int:
    """Address of one of SYMBOLS. KeyError for another name."""
    return state.block(name) if name in state.SIZES else state.exports()[name]


def address(name: str) -> int:
    """Address of one of FUNCTIONS."""
    return state.exports()[name]


def parallel(kernel: int, words: int, total: int, grain: int, long: bool = False) -> None:
    """Run a kernel over work items 0..total-1 in runs of `grain`, on the pool. `long` lets other Python threads run and looks at signals
    every 20 ms: KeyboardInterrupt then leaves items undone."""
    _parallel()(kernel, words, total, grain, int(long))


@functools.cache
def _parallel() -> Callable[[int, int, int, int, int], int]:
    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    return kind(state.exports()["facula_parallel"])
