"""Vectors of a dtype's compute type, whole or with only their first lanes inside; half precision is widened on the way in and out.

`load` and `store` never touch an element outside the first `left`. Lanes outside read as `other`. Accumulators therefore need no
special case for the end of a row: the lanes outside are given the neutral element.
"""

from __future__ import annotations

from ..base.dtypes import dtype
from ..runtime.ir import SIZE, Function, Value, count, element, vector

CARRIER = {"half": "i16"}  # halves move as integers: not every target has masked moves of them


def memory(d: dtype) -> str:
    """LLVM type of an element as it lies in memory."""
    return d.llvm


def compute(d: dtype) -> str:
    """LLVM type that arithmetic on the dtype is done in: float for half precision."""
    return d.compute.llvm


def width(f: Function, d: dtype) -> int:
    """Lanes of the compute type that fill a vector register."""
    return f.module.target.lanes * 4 // SIZE[compute(d)]


def widen(f: Function, d: dtype, x: Value) -> Value:
    """Memory type to compute type, lane by lane or one element."""
    if d.name == "bfloat16":
        n = count(x.type)
        return f.cast("bitcast", f.cast("zext", x, vector(n, "i32")) << 16, vector(n, "float"))
    if d.name == "float16":
        return f.cast("fpext", x, vector(count(x.type), "float"))
    return x


def narrow(f: Function, d: dtype, x: Value) -> Value:
    """Compute type to memory type, rounded to nearest even; every NaN stays one."""
    n = count(x.type)
    if d.name == "bfloat16":
        bits = f.cast("bitcast", x, vector(n, "i32"))
        rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
        return f.cast("trunc", f.select(x.isnan(), (bits >> 16) | 0x40, rounded), vector(n, "i16"))
    if d.name == "float16":
        return f.cast("fptrunc", x, vector(n, "half"))
    return x


def load(f: Function, d: dtype, n: int, pointer: Value, index: object = 0, left: Value | None = None, other: float = 0.0) -> Value:
    """`n` elements from element `index`, or the first `left` (any i64) of them, as a vector of the compute type."""
    kind = memory(d)
    if left is None:
        return widen(f, d, f.load(vector(n, kind), pointer, index))
    carrier = CARRIER.get(kind, kind)
    mask = f.mask(n, left)
    if f.module.target.masked:
        raw = f.load(vector(n, carrier), pointer, index, mask)
    else:
        stage, at = f.array(carrier, n), f.at(pointer, index, carrier)
        f.store(f.const(vector(n, carrier), 0), stage)
        with f.range(0, f.smin(left, n)) as k:
            f.store(f.load(carrier, at, k), stage, k)
        raw = f.load(vector(n, carrier), stage)
    x = widen(f, d, f.cast("bitcast", raw, vector(n, kind)))
    return f.select(mask, x, f.const(x.type, other)) if other else x


def store(f: Function, d: dtype, value: Value, pointer: Value, index: object = 0, left: Value | None = None, stream: bool = False) -> None:
    """A vector of the compute type to `index` on, or its first `left` lanes. `stream` wants an aligned address and a whole vector."""
    x, n, kind = narrow(f, d, value), count(value.type), memory(d)
    carrier = CARRIER.get(kind, kind)
    x = f.cast("bitcast", x, vector(n, carrier))
    if left is None:
        f.store(x, pointer, index, None, stream)
    elif f.module.target.masked:
        f.store(x, pointer, index, f.mask(n, left))
    else:
        stage, at = f.array(carrier, n), f.at(pointer, index, carrier)
        f.store(x, stage)
        with f.range(0, f.smin(left, n)) as k:
            f.store(f.load(carrier, stage, k), at, k)


def load_one(f: Function, d: dtype, pointer: Value, index: object = 0) -> Value:
    """One element, as the compute type."""
    return widen(f, d, f.load(memory(d), pointer, index))


def store_one(f: Function, d: dtype, value: Value, pointer: Value, index: object = 0) -> None:
    f.store(narrow(f, d, value), pointer, index)


def total(f: Function, x: Value) -> Value:
    """Sum of the lanes, in a tree."""
    return f.fold(x, lambda a, b: a + b)


def elements(x: Value) -> str:
    return element(x.type)
