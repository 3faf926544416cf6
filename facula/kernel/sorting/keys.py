"""Sort keys: unsigned integers of 32 or 64 bits whose order is the order of the values, with NaN after everything else.

Both zeros have one key, so that sorting stays stable between them; decoded it is the positive one. NaNs come back as one NaN.
Descending order complements the key: equal keys keep their order either way.
"""

from __future__ import annotations

from ...base.dtypes import dtype
from ...runtime.ir import Function, Value, count, element, vector
from .. import lanes


def key_type(d: dtype) -> str:
    """i32, or i64 where elements have more bits."""
    return "i64" if d.itemsize == 8 else "i32"


def span(d: dtype) -> tuple[int, int]:
    """(first, end) of the bits that tell keys apart; what widened halves have below follows from their sign."""
    if d.is_floating_point:
        return {"float16": 13, "bfloat16": 16}.get(d.name, 0), 64 if d.itemsize == 8 else 32
    return 0, 8 * d.itemsize


def _sign(d: dtype) -> int:
    """The sign bit of a signed integer, as a number its key's type can be given."""
    return {1: 1 << 7, 2: 1 << 15, 4: -1 << 31, 8: -1 << 63}[d.itemsize]


def _all(d: dtype) -> int:
    """All bits below the end of the span, as a number the key's type can be given."""
    return {8: (1 << 8) - 1, 16: (1 << 16) - 1}.get(span(d)[1], -1)


def _flip(f: Function, bits: Value) -> Value:
    """Bits of a float to a key: negative numbers turn round, positive ones go above them."""
    wide = element(bits.type) == "i64"
    return bits ^ (bits.ashr(63 if wide else 31) | (-1 << 63 if wide else -1 << 31))


def encode(f: Function, d: dtype, x: Value, descending: bool = False) -> Value:
    """Elements in memory type to keys, scalar or vector."""
    n, kind = count(x.type), key_type(d)
    if d.is_floating_point:
        x = lanes.widen(f, d, x) + 0.0  # -0 becomes +0
        key = _flip(f, f.cast("bitcast", x, vector(n, kind)))
        key = f.select(x.isnan(), f.const(key.type, -1), key)
    elif d.is_signed:
        key = f.cast("zext", x, vector(n, kind)) ^ _sign(d)
    else:
        key = f.cast("zext", x, vector(n, kind))
    return key ^ _all(d) if descending else key


def zero(d: dtype, descending: bool) -> int:
    """The key of the floating zeros, as a signed number."""
    low = -1 << (63 if key_type(d) == "i64" else 31)
    return ~low if descending else low


def decode(f: Function, d: dtype, key: Value, descending: bool = False) -> Value:
    """Keys back to elements in memory type."""
    n, kind = count(key.type), element(key.type)
    key = key ^ _all(d) if descending else key
    low = -1 << 63 if kind == "i64" else -1 << 31
    if d.is_floating_point:
        wide = kind == "i64"
        bits = key ^ ((~key).ashr(63 if wide else 31) | low)
        quiet = 0x7FF8000000000000 if wide else 0x7FC00000
        bits = f.select(key.eq(-1), f.const(key.type, quiet), bits)
        return lanes.narrow(f, d, f.cast("bitcast", bits, vector(n, lanes.compute(d))))
    if d.is_signed:
        key = key ^ _sign(d)
    return f.cast("trunc", key, vector(n, d.llvm))
