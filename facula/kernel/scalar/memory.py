"""Between memory and arithmetic: halves are widened on the way in and rounded once on the way out; bool is a byte in memory, a bit here."""

from __future__ import annotations

from ...base.dtypes import bfloat16, bool_, complex32, dtype, float16
from ...runtime.ir import Function, Value, like


def from_memory(f: Function, value: Value, dtype: dtype) -> Value:
    """A loaded value (its LLVM element is `dtype.llvm`) in the type that arithmetic is done in. A complex element comes as two parts, each
    converted by itself."""
    if dtype is bool_:
        return value.ne(0)
    if dtype is float16 or dtype is complex32:
        return f.cast("fpext", value, like(value.type, "float"))
    if dtype is bfloat16:
        wide = f.cast("zext", value, like(value.type, "i32")) << 16
        return f.cast("bitcast", wide, like(value.type, "float"))
    return value


def to_memory(f: Function, value: Value, dtype: dtype) -> Value:
    """A computed value (in `dtype.compute`, or already in the half type itself) as it is stored: rounded to nearest even, NaN kept."""
    if dtype is bool_:
        return f.cast("zext", value, like(value.type, "i8"))
    if dtype is float16 or dtype is complex32:
        return f.cast("fptrunc", value, like(value.type, "half"))
    if dtype is bfloat16 and value.type.rstrip(">").endswith("float"):
        word = like(value.type, "i32")
        bits = f.cast("bitcast", value, word)
        rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
        quiet = (bits >> 16) | 0x40  # the carry of rounding must not turn a NaN into an infinity
        return f.cast("trunc", f.select(value.isnan(), quiet, rounded), like(value.type, "i16"))
    return value
