"""Vectors of elements between memory and the type pooling computes in, with tails that touch nothing outside."""

from __future__ import annotations

from ...base.dtypes import DTYPES, dtype
from ...base.target import Target
from ...runtime.ir import SIZE, Function, Value, count, is_float, vector

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
    to = vector(count(x.type), compute(d))
    if d.name == "bfloat16":
        return f.cast("bitcast", f.cast("zext", x, vector(count(x.type), "i32")) << 16, to)
    if is_float(x.type):
        return f.cast("fpext", x, to)
    return f.cast("sext" if d.is_signed else "zext", x, to)


def narrow(f: Function, d: dtype, x: Value) -> Value:
    """Lanes -> memory elements: to nearest, ties to even, or the low bits of an integer."""
    n = count(x.type)
    if d.name == "bfloat16":
        bits = f.cast("bitcast", x, vector(n, "i32"))
        even = bits + ((bits >> 16) & 1) + 0x7FFF
        return f.cast("trunc", f.select(x.isnan(), f.const(bits.type, 0x7FC00000), even) >> 16, vector(n, "i16"))
    return f.cast("fptrunc" if is_float(x.type) else "trunc", x, vector(n, d.llvm))


def masks(target: Target, type_: str) -> bool:
    """Whether the target loads and stores elements of the type under a mask."""
    return target.masked or (SIZE[type_] >= 4 and target.name.startswith("x86"))


def fill_row(f: Function, d: dtype, lanes: int, to: Value, width: Value, row: Value, left: Value, size: Value, other: Value) -> None:
    """to[j] = row[j - left] for 0 <= j < width, `other` outside of 0 <= j - left < size. Writes up to a vector past `width`."""
    if masks(f.module.target, d.llvm):
        carrier = "i16" if d.llvm == "half" else d.llvm  # masked loads of halves go as integers: not every target has them
        ids = f.lanes(f"<{lanes} x i32>", list(range(lanes)))
        edge = f.splat(f.cast("trunc", size, "i32"), lanes)
        memory_other = f.splat(f.cast("bitcast", f.extract(narrow(f, d, f.splat(other, 2)), 0), carrier), lanes)
        with f.range(0, width, lanes) as j:
            column = ids + f.splat(f.cast("trunc", j - left, "i32"), lanes)
            x = f.load(vector(lanes, carrier), row, j - left, column.ult(edge), memory_other)
            f.store(widen(f, d, f.cast("bitcast", x, vector(lanes, d.llvm))), to, j)
        return
    fill = f.splat(other, lanes)
    with f.range(0, width, lanes) as j:
        f.store(fill, to, j)
    begin, end = f.smax(f.i64(0), left), f.smin(width, left + size)
    whole = begin + (f.smax(f.i64(0), end - begin) & -lanes)
    with f.range(begin, whole, lanes) as j:
        f.store(widen(f, d, f.load(vector(lanes, d.llvm), row, j - left)), to, j)
    with f.range(whole, end) as j:
        f.store(f.extract(widen(f, d, f.splat(f.load(d.llvm, row, j - left), 2)), 0), to, j)


def store_first(f: Function, x: Value, to: Value, left: Value) -> None:
    """Store the first `left` lanes (all when there are as many) of memory elements."""
    n, e = count(x.type), x.type[x.type.index("x ") + 2 : -1]
    if masks(f.module.target, e):
        if e == "half":
            x, e = f.cast("bitcast", x, vector(n, "i16")), "i16"
        f.store(x, to, 0, f.mask(n, left))
        return
    with f.when(left >= n):
        f.store(x, to)
    with f.when(left < n):
        line = f.array(e, n)
        f.store(x, line)
        with f.range(0, left) as j:
            f.store(f.load(e, line, j), to, j)


def load_first(f: Function, type_: str, lanes: int, at: Value, left: Value) -> Value:
    """The first `left` elements as a vector; the other lanes hold anything."""
    if masks(f.module.target, type_):
        carrier = "i16" if type_ == "half" else type_
        return f.cast("bitcast", f.load(vector(lanes, carrier), at, 0, f.mask(lanes, left)), vector(lanes, type_))
    line = f.array(type_, lanes)
    with f.when(left >= lanes):
        f.store(f.load(vector(lanes, type_), at), line)
    with f.when(left < lanes), f.range(0, left) as j:
        f.store(f.load(type_, at, j), line, j)
    return f.load(vector(lanes, type_), line)


def named(name: str) -> dtype:
    return DTYPES[name]
