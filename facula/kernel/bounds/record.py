"""What a checked launch may touch, as its kernel reads it, and what it says when it went outside.

A record is 8-byte words: how many accesses were refused and the first of them, the addresses of the sinks, the ranges. Its address lies in
the word before the kernel's words, so launches of several threads do not know of each other.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import refuse
from ...base.narrow import is_sequence
from ...runtime import native, state
from ..launch import In, Launch, Number, Out, Place, Schedule, Work

if TYPE_CHECKING:
    import numpy as np

Storage = Callable[[int], tuple[int, int]]  # of result or input i: the first byte and the number of bytes

COUNT, SITE, ADDRESS, BYTES, WRITE, ROOT, ROOM, READ_SINK, WRITE_SINK, RANGES, FIRST = range(11)  # words of a record
START, END, WRITABLE, ROW = range(4)  # words of a range
SINK = 4096  # bytes; more than any one access has


class Range(NamedTuple):
    """Memory that a launch may read, and write where it is `writable`."""

    what: str
    start: int
    nbytes: int
    writable: bool


def ranges_of(launch: Launch, schedule: Schedule, out: Storage, given: Storage, work: int, numbers: Sequence[Any]) -> list[Range]:
    """What a launch may touch: the storages that its words point into, the workspace, and memory that its numbers or arrays are."""
    ranges = [Range("an array of the schedule", *extent(a), False) for a in arrays(schedule.keep)]
    for word in launch.words:
        if isinstance(word, Out):
            ranges.append(Range(f"the storage of output {word.index}", *out(word.index), True))
        elif isinstance(word, In):
            ranges.append(Range(f"the storage of input {word.index}", *given(word.index), word.written))
        elif isinstance(word, Work):
            ranges.append(Range("the workspace", work, schedule.workspace, True))
        elif isinstance(word, Number) and numbers and isinstance(place := numbers[word.index], Place):
            ranges.append(Range(f"the memory of number {word.index}", place, place.nbytes, True))
    return ranges


def array_ranges(
    launch: Launch, schedule: Schedule, outs: Sequence[np.ndarray], ins: Sequence[np.ndarray], work: int, numbers: Sequence[Any]
) -> list[Range]:
    """The same for NumPy arrays as results and inputs."""
    return ranges_of(launch, schedule, lambda i: extent(owner(outs[i])), lambda i: extent(owner(ins[i])), work, numbers)


def owner(a: np.ndarray) -> np.ndarray:
    """The array that a view was taken of."""
    while isinstance(a.base, type(a)):
        a = a.base
    return a


def arrays(kept: Iterable[Any]) -> Iterator[np.ndarray]:
    """The arrays in what a schedule keeps, which may lie in tuples."""
    for x in kept:
        if is_sequence(x):
            yield from arrays(x)
        elif hasattr(x, "ctypes"):
            yield x


def extent(a: np.ndarray) -> tuple[int, int]:
    """First byte and number of bytes that the array's elements span."""
    if not a.size:
        return a.ctypes.data, 0
    reach = [(n - 1) * s for n, s in zip(a.shape, a.strides)]
    low = a.ctypes.data + sum(r for r in reach if r < 0)
    return low, sum(map(abs, reach)) + a.itemsize


@functools.cache
def _sinks() -> tuple[int, int]:
    """Where accesses that were refused go: zeros to read from, and a place to write to."""
    both = state.pages(2 * SINK)
    if not both:
        raise MemoryError("no memory for checked kernels")
    return both, both + SINK


def parallel(
    entry: int, words: Sequence[int], ranges: Iterable[Range], total: int, grain: int, long: bool, about: Callable[[int], tuple[str, str]]
) -> None:
    """Run a checked kernel like `native.parallel` does; RuntimeError when it left the ranges. `about(site)`: the kernel and the access."""
    packed = (ctypes.c_int64 * (1 + len(words)))(0, *words)
    base = ctypes.addressof(packed)
    allowed = [Range("the kernel's words", base + 8, 8 * len(words), False), *{r: None for r in ranges if r.nbytes}]
    record = (ctypes.c_int64 * (FIRST + ROW * len(allowed)))()
    record[READ_SINK], record[WRITE_SINK] = _sinks()
    record[RANGES] = len(allowed)
    for i, r in enumerate(allowed):
        record[FIRST + ROW * i : FIRST + ROW * (i + 1)] = r.start, r.start + r.nbytes, int(r.writable)
    packed[0] = ctypes.addressof(record)
    native.parallel(entry, base + 8, total, grain, long)
    if record[COUNT]:
        raise _refusal(list(record), allowed, *about(record[SITE]))


def _refusal(record: Sequence[int], allowed: Sequence[Range], kernel: str, access: str) -> RuntimeError:
    count, start, size = record[COUNT], record[ADDRESS], record[BYTES]
    what = f"a {'write' if record[WRITE] else 'read'} of {size} bytes at {start:#x}"
    if record[ROOM]:
        nearest = Range("the array it was made from", record[ROOT], record[ROOM], True)
    else:
        nearest = min(allowed, key=lambda r: max(r.start - start, start + size - r.start - r.nbytes, 0))
    first, end = start - nearest.start, start + size - nearest.start
    return refuse(
        RuntimeError,
        f"kernel {kernel}: {what} leaves the memory of its launch: {access}",
        received=f"bytes {first} to {end - 1} of {nearest.what}" + (f", and {count - 1} more such accesses" if count > 1 else ""),
        expected=f"{nearest.what} has {nearest.nbytes} bytes" + ("" if nearest.writable or not record[WRITE] else ", and is only read"),
        hint="nothing was read or written there; what the launch gave is not to be used. This is a defect of the kernel",
    )
