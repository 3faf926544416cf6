"""The types that pooling computes in."""

from __future__ import annotations

from ...base.dtypes import DTYPES, dtype
from ...base.target import Target
from ...runtime.ir import SIZE, Function, Value
from .. import lanes

LOWEST = {"uint8": 0, "bool": 0, "int8": -(1 << 7), "int16": -(1 << 15), "int32": -(1 << 31), "int64": -(1 << 63)}


def compute(d: dtype) -> str:
    """float32 for half precision, at least 32 bits for integers. NotImplementedError for types that are not pooled."""
    if d.is_floating_point:
        return d.compute.llvm
    if d.name in LOWEST:
        return "i64" if d.itemsize == 8 else "i32"
    raise NotImplementedError(f"pooling of {d}")


def lowest(d: dtype) -> float | int:
    """What a maximum starts from."""
    return float("-inf") if d.is_floating_point else LOWEST[d.name]


def lanes_of(element: str, target: Target) -> int:
    return target.lanes * 4 // SIZE[element]


def widen(f: Function, d: dtype, x: Value) -> Value:
    """Memory elements -> lanes of `compute(d)`, exact."""
    return lanes.widen(f, d, x, compute(d))


def named(name: str) -> dtype:
    return DTYPES[name]
