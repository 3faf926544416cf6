"""Launching a kernel from Python: words from operands, then the worker pool."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import facula.core.objects as objects

from ..base.settings import SETTINGS
from ..kernel import compiler
from ..kernel.bounds.record import Storage, ranges_of
from ..kernel.launch import In, Launch, Number, Out, Schedule, Work, bits
from ..runtime import native

NANOSECONDS_LONG = 20_000  # from here on a launch lets other Python threads run


def cost(launch: Launch) -> float:
    """Nanoseconds that it takes at most, roughly."""
    return launch.bytes / 10 + launch.flops / 8


def is_long(launch: Launch) -> int:
    return int(cost(launch) > NANOSECONDS_LONG)


def filled(launch: Launch, outs: Sequence[Any], tensors: Sequence[Any], numbers: Sequence[Any], work: int) -> ctypes.Array[ctypes.c_int64]:
    """The launch's words in this call."""
    return (ctypes.c_int64 * max(1, len(launch.words)))(*(word(w, outs, tensors, numbers, work) for w in launch.words))


def start(
    launch: Launch, schedule: Schedule, address: int, outs: Sequence[Any], tensors: Sequence[Any], numbers: Sequence[Any], work: int
) -> None:
    """The pool's fork-join; KeyboardInterrupt leaves items undone. Under FACULA_CHECK_BOUNDS the kernel's checked form runs instead."""
    words = filled(launch, outs, tensors, numbers, work)
    if SETTINGS.check_bounds:
        ranges = ranges_of(launch, schedule, _storages(outs), _storages(tensors), work, numbers)
        compiler.start(launch.kernel, list(words), ranges, launch.total, launch.grain, bool(is_long(launch)))
    else:
        native.parallel(address, ctypes.addressof(words), launch.total, launch.grain, bool(is_long(launch)))


def _storages(tensors: Sequence[Any]) -> Storage:
    return lambda i: objects.memory(tensors[i])[1:]


def code(launch: Launch) -> int:
    """Address of the launch's kernel; 0 where only its checked form is run."""
    return 0 if SETTINGS.check_bounds else compiler.address(launch.kernel)


def word(w: Any, outs: Sequence[Any], tensors: Sequence[Any], numbers: Sequence[Any], work: int) -> int:
    """A word's value in this call."""
    if isinstance(w, In):
        return tensors[w.index]._address + w.offset
    if isinstance(w, Out):
        return outs[w.index]._address + w.offset
    if isinstance(w, Work):
        return work + w.offset
    if isinstance(w, Number):
        value = numbers[w.index]
        if w.type == "i64":
            return int(value)
        part = (value.imag if w.part else value.real) if isinstance(value, complex) else float(value)
        return _signed(bits(float(part), w.type))
    return w


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x
