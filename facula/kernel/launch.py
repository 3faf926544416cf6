"""What a nest hands to the plan: kernels to run, in order, and the words each is called with.

Every kernel has one signature, `void name(ptr words, i64 lo, i64 hi, i64 worker)`: it does the work items lo..hi-1. `words` are 8-byte
words that hold addresses, sizes, strides and scalars, so one compiled kernel serves every size. Items are handed out in runs of
`grain`; what an item computes never depends on the number of threads. `worker` (0 .. threads-1) only picks scratch memory.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..base.dtypes import dtype


class Operand(Protocol):
    """What a nest must know of a tensor; strides count elements. A `Layout` is one."""

    @property
    def dtype(self) -> dtype: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Array:
    """An operand by itself: workspace, or a tensor seen another way."""

    dtype: dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Counter(Array):
    """An operand without memory, of int32 or int64: an element is `start` plus its index along each dim times that dim's stride."""

    start: int = 0


@dataclass(frozen=True)
class Out:
    """Address of output `index`, plus `offset` bytes."""

    index: int = 0
    offset: int = 0


@dataclass(frozen=True)
class In:
    """Address of tensor input `index` (absent optional tensors have no index), plus `offset` bytes. `written`: the kernel writes there too."""

    index: int = 0
    offset: int = 0
    written: bool = False


@dataclass(frozen=True)
class Work:
    """Address inside the schedule's workspace, 64-byte aligned base, plus `offset` bytes."""

    offset: int = 0


@dataclass(frozen=True)
class Number:
    """The value of number argument `index` at each call, as an LLVM type: float, double or i64; `part` 1 is the imaginary part."""

    index: int
    type: str = "float"
    part: int = 0


Word = int | Out | In | Work | Number


class Place(int):
    """A number that is an address: of `nbytes` bytes which no tensor owns and a kernel may read and write."""

    nbytes: int

    def __new__(cls, address: int, nbytes: int) -> Place:
        place = super().__new__(cls, address)
        place.nbytes = nbytes
        return place


FLOAT_MAX = (2 - 2**-24) * 2.0**127  # from here on float32 rounds to infinity


def bits(x: float, type_: str = "float") -> int:
    """A constant number as the word a kernel reads; what a float cannot hold is infinite."""
    if type_ == "float" and abs(x) > FLOAT_MAX:
        x = math.copysign(math.inf, x)
    return int.from_bytes(struct.pack("<f" if type_ == "float" else "<d", x).ljust(8, b"\0"), "little")


def unsigned(words: Iterable[Word]) -> tuple[Word, ...]:
    """Words with negative numbers as the 64 bits that a kernel reads."""
    return tuple(word & (1 << 64) - 1 if isinstance(word, int) else word for word in words)


@dataclass(frozen=True)
class Kernel:
    """A kernel to compile: `emit(module, name, *static)` writes the function `name` (and what it needs) into the module.

    `static` are hashable values with a stable repr (names, numbers, tuples, frozen dataclasses): with the emitter's dotted name, the target
    and the digest of the compiler's sources they are the kernel's key in the cache on disk.
    """

    emit: Callable[..., None]
    static: tuple[Any, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.emit.__module__}.{self.emit.__qualname__}{self.static!r}"


@dataclass(frozen=True)
class Launch:
    """One kernel over `total` work items in runs of `grain`. `bytes` moved and `flops` done are estimates (explain, GIL release)."""

    kernel: Kernel
    words: tuple[Word, ...]
    total: int
    grain: int
    bytes: int = 0
    flops: int = 0


@dataclass(frozen=True)
class Schedule:
    """Launches in order; between two of them everything written is visible. `workspace` bytes live as long as the call."""

    launches: tuple[Launch, ...]
    workspace: int = 0
    notes: tuple[str, ...] = field(default=())  # for explain: choices made, fallbacks and why
    keep: tuple[Any, ...] = field(default=(), repr=False, compare=False)  # arrays whose addresses are among the words


def shifted(where: Word, offset: int) -> Word:
    """An address, some bytes further on."""
    assert isinstance(where, (In, Out, Work))
    return replace(where, offset=where.offset + offset)


def rebased(schedule: Schedule, outs: Sequence[Word], ins: Sequence[Word], workspace: int = 0) -> Schedule:
    """A schedule as part of a larger one: its results and inputs lie elsewhere (where given), its workspace begins at `workspace` bytes."""

    def moved(w: Word) -> Word:
        if isinstance(w, Work):
            return Work(w.offset + workspace)
        if isinstance(w, Out) and outs:
            return shifted(outs[w.index], w.offset)
        if isinstance(w, In) and ins:
            return shifted(ins[w.index], w.offset)
        return w

    launches = tuple(replace(x, words=tuple(moved(w) for w in x.words)) for x in schedule.launches)
    return replace(schedule, launches=launches, workspace=schedule.workspace + workspace)
