"""The worker pool as Python sees it: how many threads there are, starting them when work first needs them, and fork.

Workers are Python daemon threads that sit in one native call for their whole life, without the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time

from ..base.narrow import is_a
from . import host, state
from .pool_code import (
    ASLEEP,
    GATE,
    GENERATION,
    LEADER,
    LOCK,
    OUTSIDE,
    RUNNING,
    SCRATCH,
    SCRATCH_PLACE,
    SCRATCH_SLOTS,
    SPIN,
    STARTER,
    WAITING,
    WANTED,
)

SPIN_NS = 50_000  # a worker looks for new work for so long before it sleeps: waking it takes about as long

_start_lock = threading.RLock()
_starting = threading.local()
_threads = [0]  # wanted; 0 until somebody asks


def _word(offset: int) -> ctypes.c_int64:
    return state.word("facula_pool", offset)


def _default_threads() -> int:
    for name in ("FACULA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").partition(",")[0].strip()
        if value.isdigit() and int(value):
            return int(value)
    return host.cores()


def get_num_threads() -> int:
    """Threads that share a kernel's work, the caller among them."""
    if not _threads[0]:
        _threads[0] = _default_threads()
    return _threads[0]


def set_num_threads(n: int) -> None:
    """Change the number of threads. Results do not depend on it. RuntimeError unless n is positive."""
    if isinstance(n, bool) or not is_a(n, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    _threads[0] = n
    if not _word(STARTER).value:
        return  # the pool was not used yet
    with _start_lock:
        ctypes.CFUNCTYPE(None, ctypes.c_int64)(state.exports()["facula_halt"])(_usable(n))
        _word(SPIN).value = _patience(n)


def _usable(n: int) -> int:
    """Threads that have a scratch slot."""
    return max(1, min(n, state.word("facula_scratch", SCRATCH_SLOTS).value - LEADER))


def _patience(n: int) -> int:
    """Spinning with more threads than cores takes time from those that work."""
    return SPIN_NS if n <= host.cores() else 0


MOST = 1 << 46  # bytes of address space: half of what a process has


def reserve(nbytes: int) -> None:
    """Have that much scratch memory a slot from now on, for a kernel that works on more at once than SCRATCH bytes. Only address space is taken;
    memory comes when it is touched. A kernel that runs meanwhile keeps the slot it has: nothing is given back."""
    place, slots = (state.word("facula_scratch", at) for at in (SCRATCH_PLACE, SCRATCH_SLOTS))
    with _start_lock:
        if slots.value and nbytes <= 1 << (place.value & 63):
            return
        size = max(SCRATCH, 1 << (nbytes - 1).bit_length())
        threads = get_num_threads()
        for count in [slots.value] if slots.value else [LEADER + n for n in (max(32, 2 * (os.cpu_count() or 1), threads), threads, 1)]:
            base = state.pages(count * size, align=host.HUGE_PAGE, huge=True) if count * size < MOST else 0
            if base:
                place.value, slots.value = base | size.bit_length() - 1, count
                return
    raise MemoryError(f"no address space for {nbytes} bytes of scratch memory a thread")


def setup() -> None:
    """Fill the state that the native side reads."""
    if _word(STARTER).value:
        return
    reserve(SCRATCH)
    n = get_num_threads()
    _word(WANTED).value = _usable(n)
    _word(SPIN).value = _patience(n)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_start))  # native code keeps it for the life of the process
    _word(STARTER).value = id(_start)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _start() -> None:
    """Bring the number of running workers to what is wanted; where threads cannot be had, want fewer."""
    if getattr(_starting, "now", False):
        return  # a signal handler that computes, in the middle of starting
    _starting.now = True
    try:
        with _start_lock:
            worker = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(state.exports()["facula_worker"])
            generation, missing = _word(GENERATION).value, _word(WANTED).value - 1 - _word(RUNNING).value
            for i in range(missing):
                try:
                    place = (LEADER + 1 + i, generation)
                    threading.Thread(target=worker, args=place, daemon=True, name=f"facula worker {i + 1}").start()
                except RuntimeError:  # the system's limit, or the interpreter is going down
                    _word(WANTED).value = 1 + i
                    break
            deadline = time.monotonic() + 10
            while _word(RUNNING).value + 1 < _word(WANTED).value and time.monotonic() < deadline:
                time.sleep(0)
    finally:
        _starting.now = False


def _after_fork() -> None:
    """The child has no workers: forget them, start new ones when work comes."""
    global _start_lock
    _start_lock = threading.RLock()
    _starting.now = False
    for offset in (GATE, RUNNING, OUTSIDE):
        _word(offset).value = 0
    for offset in (ASLEEP, LOCK, WAITING):
        ctypes.c_int32.from_address(state.block("facula_pool") + offset).value = 0
    _word(WANTED).value = _usable(get_num_threads())


state.before_use(setup)
