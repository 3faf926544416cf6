"""Bisection of ranges for several values side by side: each waits for its own loads, and all need as many steps."""

from __future__ import annotations

from collections.abc import Callable

from ..runtime.ir import Function, Value, vector

TOGETHER = 16  # values


def bisect(f: Function, n: Value, behind: Callable[[Value], Value]) -> Value:
    """How many of n elements lie before each of TOGETHER values, an i64 vector. behind(places): whether the elements there do, which holds up
    to some place and not from there on. Vectors: the branches that LLVM makes of single choices are mispredicted."""
    found, left = f.var(vector(TOGETHER, "i64"), 0), f.var("i64", n)
    with f.loop() as end:
        f.leave(end, left.v <= 1)
        half = left.v >> 1
        step = f.splat(half, TOGETHER)
        found.v = f.select(behind(found.v + (step - 1)), found.v + step, found.v)
        left.v = left.v - half
    with f.when(left.v > 0):
        found.v = f.select(behind(found.v), found.v + 1, found.v)
    return found.v


def gathered(f: Function, type_: str, base: Value, places: Value) -> Value:
    """One element for each place."""
    got = Value(f, vector(TOGETHER, type_), "poison")
    for lane in range(TOGETHER):
        got = f.insert(got, f.load(type_, base, f.extract(places, lane)), lane)
    return got
