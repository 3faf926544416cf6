"""What wasm32 lacks, emitted beside the kernels that need it: fused multiply-add, half precision, blocks of memory, wide products.

The names are those that LLVM calls. `fmaf` is exact. `fma` is exact while no exponent comes near the ends of double's range (see `SAFE`)
and rounds twice outside. Methods: round to odd, and the error-free sums and products of Boldo and Melquiond, "Emulation of FMA and
correctly rounded sums" (2008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..runtime.ir import Function, Module, Value

SAFE = (1023 - 400, 1023 + 400)  # biased exponents of factors; sums may go up to twice as far


def emit(m: Module, names: Iterable[str]) -> list[str]:
    """Write the functions that are known here into the module -> names of the others."""
    left: list[str] = []
    for name in names:
        body = BODIES.get(name)
        if body is None:
            left.append(name)
        elif name not in m.defined:
            body(m)
    return left


def _two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b rounded, and what rounding took away."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _to_odd(f: Function, s: Value, error: Value) -> Value:
    """A rounded sum and its error -> the sum rounded to odd: the exact value's neighbour with an odd last bit."""
    bits = f.cast("bitcast", s, "i64")
    away = (error > 0.0).eq(s > 0.0)
    moved = f.select(away, bits + 1, bits - 1)
    inexact = ((error > 0.0) | (error < 0.0)) & (bits & 1).eq(0)
    return f.cast("bitcast", f.select(inexact, moved, bits), "double")


def _fmaf(m: Module) -> None:
    with m.function("fmaf", "float a, float b, float c", "float") as (f, a, b, c):
        x, y, z = (f.cast("fpext", v, "double") for v in (a, b, c))
        f.ret(f.cast("fptrunc", _to_odd(f, *_two_sum(x * y, z)), "float"))


def _two_product(a: Value, b: Value) -> tuple[Value, Value]:
    """a * b rounded, and what rounding took away (Veltkamp's splitting, Dekker's product)."""

    def split(x: Value) -> tuple[Value, Value]:
        t = x * 134217729.0
        high = t - (t - x)
        return high, x - high

    p, (ah, al), (bh, bl) = a * b, split(a), split(b)
    return p, al * bl - (((p - ah * bh) - al * bh) - ah * bl)


def _fma(m: Module) -> None:
    with m.function("fma", "double a, double b, double c", "double") as (f, a, b, c):

        def inside(x: Value, low: int, high: int) -> Value:
            e = (f.cast("bitcast", x, "i64") >> 52) & 2047
            return (e > low) & (e < high)

        low, high = SAFE
        safe = inside(a, low, high) & inside(b, low, high) & (inside(c, 2 * low - 1023, 2 * high - 1023) | c.eq(0.0))
        with f.when(~safe):
            f.ret(a * b + c)
        product, rest = _two_product(a, b)
        t, t_rest = _two_sum(c, rest)
        v, v_rest = _two_sum(product, t)
        # where all cancels, v carries the sign of zero
        z = _to_odd(f, *_two_sum(t_rest, v_rest))
        f.ret(f.select(z.eq(0.0), v, v + z))


def _widen_half(m: Module) -> None:
    """Half to float: the exponent is moved by a multiplication, which is right for subnormals too."""
    with m.function("__extendhfsf2", "i32 h", "float") as (f, h):
        body = f.cast("bitcast", (h & 0x7FFF) << 13, "float") * 2.0**112
        bits = f.cast("bitcast", body, "i32")
        bits = f.select((h & 0x7C00).eq(0x7C00), ((h & 0x7FFF) << 13) | 0x7F800000, bits)
        f.ret(f.cast("bitcast", bits | ((h & 0x8000) << 16), "float"))


def _narrow_half(m: Module, name: str, wide: bool) -> None:
    """Float or double to half, to nearest even: integers do the rounding, so that it happens once."""
    kind, of, digits = ("i64", "double", 52) if wide else ("i32", "float", 23)
    drop, top = digits - 10, (63 if wide else 31)
    bias = (1023 if wide else 127) - 15
    with m.function(name, f"{of} x", "i32") as (f, x):
        bits = f.cast("bitcast", x, kind)
        sign = (bits >> (top - 15)) & 0x8000
        size = bits & ((1 << top) - 1)
        exponent = size >> digits

        def rounded(v: Value, by: Value) -> Value:
            """v / 2**by to nearest even."""
            one = f.const(kind, 1)
            down = f.op(kind, f"lshr {v}, {by.text}")
            half = f.op(kind, f"shl {one}, {(by - 1).text}")
            return f.op(kind, f"lshr {v + (half - 1 + (down & 1))}, {by.text}")

        normal = rounded(size - (bias << digits), f.const(kind, drop))
        # below 2**-14: digits with their leading one, moved down as far as the exponent says; beyond 2**-25 nothing is left
        away = f.smin(f.const(kind, drop + 1 + bias) - exponent, digits + 2)
        small = rounded((size & ((1 << digits) - 1)) | (1 << digits), f.select(exponent > bias, f.const(kind, 1), away))
        out = f.select(exponent > bias, f.smin(normal, 0x7C00), small)
        infinity = ((1 << (top - digits)) - 1) << digits
        nan = ((size >> drop) & 0x1FF) | 0x7E00
        out = f.select(size > infinity, nan, f.select(size.eq(infinity), f.const(kind, 0x7C00), out)) | sign
        f.ret(f.cast("trunc", out, "i32"))


def _memset(m: Module) -> None:
    with m.function("memset", "ptr to, i32 value, i32 n", "ptr") as (f, to, value, n):
        byte = f.cast("trunc", value, "i8")
        with f.range(0, f.cast("zext", n, "i64")) as i:
            f.store(byte, to, i)
        f.ret(to)


def _memcpy(m: Module) -> None:
    with m.function("memcpy", "ptr to, ptr from, i32 n", "ptr") as (f, to, source, n):
        with f.range(0, f.cast("zext", n, "i64")) as i:
            f.store(f.load("i8", source, i), to, i)
        f.ret(to)


def _memmove(m: Module) -> None:
    with m.function("memmove", "ptr to, ptr from, i32 n", "ptr") as (f, to, source, n):
        size = f.cast("zext", n, "i64")
        back = f.cast("ptrtoint", to, "i32").ugt(f.cast("ptrtoint", source, "i32"))
        with f.range(0, size) as i:
            at = f.select(back, size - 1 - i, i)
            f.store(f.load("i8", source, at), to, at)
        f.ret(to)


def _multi3(m: Module) -> None:
    """128-bit product of two 128-bit numbers, given in halves; the result goes where the first argument points."""
    with m.function("__multi3", "ptr to, i64 al, i64 ah, i64 bl, i64 bh") as (f, to, al, ah, bl, bh):
        low = 0xFFFFFFFF
        a0, a1, b0, b1 = al & low, al >> 32, bl & low, bl >> 32
        middle = a1 * b0 + ((a0 * b0) >> 32)
        cross = (middle & low) + a0 * b1
        f.store(al * bl, to)
        f.store(a1 * b1 + (middle >> 32) + (cross >> 32) + al * bh + ah * bl, to, 1)


BODIES: dict[str, Callable[[Module], None]] = {
    "fmaf": _fmaf,
    "fma": _fma,
    "__extendhfsf2": _widen_half,
    "__truncsfhf2": lambda m: _narrow_half(m, "__truncsfhf2", False),
    "__truncdfhf2": lambda m: _narrow_half(m, "__truncdfhf2", True),
    "memset": _memset,
    "memcpy": _memcpy,
    "memmove": _memmove,
    "__multi3": _multi3,
}
