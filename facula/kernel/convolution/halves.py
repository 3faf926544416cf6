"""Half precision: operands are widened to float32 in workspace, the float32 kernels run, the result is rounded once."""

from __future__ import annotations

from ...base.dtypes import DTYPES, dtype
from ...runtime.ir import Function, Module, Value, count, vector

CHUNK = 1 << 15  # elements of an item
WORDS = {"source": "ptr", "to": "ptr", "count": "i64"}


def widen(f: Function, d: dtype, x: Value) -> Value:
    """Elements in memory -> float32 lanes (exact)."""
    if d.name == "bfloat16":
        return f.cast("bitcast", f.cast("zext", x, vector(count(x.type), "i32")) << 16, vector(count(x.type), "float"))
    return f.cast("fpext", x, vector(count(x.type), "float"))


def narrow(f: Function, d: dtype, x: Value) -> Value:
    """float32 lanes -> elements in memory, to nearest, ties to even. Not the processor's bfloat16 conversion: it flushes subnormals."""
    n = count(x.type)
    if d.name != "bfloat16":
        return f.cast("fptrunc", x, vector(n, "half"))
    bits = f.cast("bitcast", x, vector(n, "i32"))
    even = bits + ((bits >> 16) & 1) + 0x7FFF
    return f.cast("trunc", f.select(x.isnan(), f.const(bits.type, 0x7FC00000), even) >> 16, vector(n, "i16"))


def emit_convert(m: Module, name: str, half: str, up: bool) -> None:
    """`count` contiguous elements from half precision to float32 (`up`) or back. Items: chunks."""
    d, lanes = DTYPES[half], m.target.lanes
    change, small = (widen, d.llvm) if up else (narrow, "float")
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        source, to, total = f.words(words, *WORDS.values())
        start, end = lo * CHUNK, f.smin(hi * CHUNK, total)
        whole = start + ((end - start) & -lanes)
        with f.range(start, whole, lanes) as i:
            f.store(change(f, d, f.load(vector(lanes, small), source, i)), to, i)
        with f.range(whole, end) as i:  # one element by itself rounds like a lane of a vector
            f.store(f.extract(change(f, d, f.splat(f.load(small, source, i), 2)), 0), to, i)
