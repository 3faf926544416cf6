"""Launching a kernel from Python: words from operands, then the worker pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..kernel.launch import In, Number, Out, Work, bits
from ..runtime import native


def parallel(kernel: int, words: int, total: int, grain: int, long: int) -> None:
    """The pool's fork-join; KeyboardInterrupt leaves items undone."""
    native.parallel(kernel, words, total, grain, bool(long))


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
