"""Between memory and arithmetic: halves are widened on the way in and rounded once on the way out; bool is a byte in memory, a bit here."""

from __future__ import annotations

from ...base.dtypes import bfloat16, bool_, complex32, dtype, float16
from ...runtime.ir import Function, Value, count, element, like

QUIET = 0x7FC0  # bits of the bfloat16 that stands for every NaN


def from_memory(f: Function, value: Value, dtype: dtype) -> Value:
    """A loaded value (its LLVM element is `dtype.llvm`) in the type that arithmetic is done in. A complex element comes as two parts, each
    converted by itself."""
    if dtype is bool_:
        return value.ne(0)
    if dtype is float16 or dtype is complex32:
        return _widen_half(f, value)
    return widen_bfloat16(f, value) if dtype is bfloat16 else value


def _widen_half(f: Function, value: Value) -> Value:
    kind = like(value.type, "float")
    if not count(value.type) or not f.module.target.name.startswith("wasm"):
        return f.cast("fpext", value, kind)
    wide = f.const(
        kind, 0
    )  # lane by lane, as the machine does it: LLVM 22 does not come to an end over a vector that is then compared with NaN
    for lane in range(count(value.type)):
        wide = f.insert(wide, f.cast("fpext", f.extract(value, lane), "float"), lane)
    return wide


def to_memory(f: Function, value: Value, dtype: dtype) -> Value:
    """A computed value (in `dtype.compute`, or already in the half type itself) as it is stored: rounded to nearest even, NaN kept."""
    if dtype is bool_:
        return f.cast("zext", value, like(value.type, "i8"))
    if dtype is float16 or dtype is complex32:
        return f.cast("fptrunc", value, like(value.type, "half"))
    if dtype is bfloat16 and element(value.type) == "float":
        return round_to_bfloat16(f, value)
    return value


def cut_to_bfloat16(f: Function, x: Value) -> Value:
    """A float32 that is a bfloat16, as its 16 bits."""
    return f.cast("trunc", f.cast("bitcast", x, like(x.type, "i32")) >> 16, like(x.type, "i16"))


def widen_bfloat16(f: Function, x: Value) -> Value:
    """The 16 bits of a bfloat16, one or a vector of them, as the float32 that it is."""
    return f.cast("bitcast", f.cast("zext", x, like(x.type, "i32")) << 16, like(x.type, "float"))


def round_to_bfloat16(f: Function, x: Value) -> Value:
    """float32 to the 16 bits of the nearest bfloat16, ties to even. Every NaN becomes the same one, as PyTorch's conversion has it."""
    bits = f.cast("bitcast", x, like(x.type, "i32"))
    rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
    return f.cast("trunc", f.select(x.isnan(), f.const(bits.type, QUIET), rounded), like(x.type, "i16"))
