"""Vectors of a dtype's compute type, whole or with only their first lanes inside; half precision is widened on the way in and out.

`load` and `store` never touch an element outside the first `left`. Lanes outside read as `other`. Accumulators therefore need no
special case for the end of a row: the lanes outside are given the neutral element.
"""

from __future__ import annotations

from ..base.dtypes import dtype
from ..base.target import Target
from ..runtime.ir import SIZE, Function, Term, Value, count, element, vector
from .access import CARRIER
from .scalar.memory import from_memory, to_memory


def memory(d: dtype) -> str:
    """LLVM type of an element as it lies in memory."""
    return d.llvm


def compute(d: dtype) -> str:
    """LLVM type that arithmetic on the dtype is done in: float for half precision."""
    return d.compute.llvm


def width(f: Function, d: dtype) -> int:
    """Lanes of the compute type that fill a vector register."""
    return f.module.target.lanes * 4 // SIZE[compute(d)]


def widen(f: Function, d: dtype, x: Value, to: str | None = None) -> Value:
    """Memory type to compute type, lane by lane or one element; integers keep their type unless `to` names a wider one."""
    if d.is_floating_point:
        return from_memory(f, x, d)
    return x if to in (None, element(x.type)) else f.cast("sext" if d.is_signed else "zext", x, vector(count(x.type), to))


def narrow(f: Function, d: dtype, x: Value) -> Value:
    """Compute type to memory type: rounded to nearest even, or the low bits of an integer."""
    if d.is_floating_point:
        return to_memory(f, x, d)
    return x if element(x.type) == d.llvm else f.cast("trunc", x, vector(count(x.type), d.llvm))


def load(f: Function, d: dtype, n: int, pointer: Value, index: Term = 0, left: Value | None = None, other: float = 0.0) -> Value:
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


def store(f: Function, d: dtype, value: Value, pointer: Value, index: Term = 0, left: Value | None = None, stream: bool = False) -> None:
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


def load_one(f: Function, d: dtype, pointer: Value, index: Term = 0) -> Value:
    """One element, as the compute type."""
    return widen(f, d, f.load(memory(d), pointer, index))


def store_one(f: Function, d: dtype, value: Value, pointer: Value, index: Term = 0) -> None:
    f.store(narrow(f, d, value), pointer, index)


def total(f: Function, x: Value) -> Value:
    """Sum of the lanes, in a tree."""
    return f.fold(x, lambda a, b: a + b)


def elements(x: Value) -> str:
    return element(x.type)


def masks(target: Target, type_: str) -> bool:
    """Whether the target loads and stores elements of the type under a mask."""
    return target.masked or (SIZE[type_] >= 4 and target.name.startswith("x86"))


def fill_row(f: Function, d: dtype, lanes: int, to: Value, width: Value, row: Value, left: Value, size: Value, other: Value) -> None:
    """to[j] = row[j - left] for 0 <= j < width, `other` outside of 0 <= j - left < size. Writes up to a vector past `width`."""
    one = other.type
    if masks(f.module.target, d.llvm):
        carrier = CARRIER.get(d.llvm, d.llvm)
        ids = f.lanes(f"<{lanes} x i32>", list(range(lanes)))
        edge = f.splat(f.cast("trunc", size, "i32"), lanes)
        memory_other = f.splat(f.cast("bitcast", f.extract(narrow(f, d, f.splat(other, 2)), 0), carrier), lanes)
        with f.range(0, width, lanes) as j:
            column = ids + f.splat(f.cast("trunc", j - left, "i32"), lanes)
            x = f.load(vector(lanes, carrier), row, j - left, column.ult(edge), memory_other)
            f.store(widen(f, d, f.cast("bitcast", x, vector(lanes, d.llvm)), one), to, j)
        return
    fill = f.splat(other, lanes)
    with f.range(0, width, lanes) as j:
        f.store(fill, to, j)
    begin, end = f.smax(f.i64(0), left), f.smin(width, left + size)
    whole = begin + (f.smax(f.i64(0), end - begin) & -lanes)
    with f.range(begin, whole, lanes) as j:
        f.store(widen(f, d, f.load(vector(lanes, d.llvm), row, j - left), one), to, j)
    with f.range(whole, end) as j:
        f.store(f.extract(widen(f, d, f.splat(f.load(d.llvm, row, j - left), 2), one), 0), to, j)


def store_first(f: Function, x: Value, to: Value, left: Value) -> None:
    """Store the first `left` lanes (all when there are as many) of memory elements."""
    n, e = count(x.type), element(x.type)
    if masks(f.module.target, e):
        f.store(f.cast("bitcast", x, vector(n, CARRIER.get(e, e))), to, 0, f.mask(n, left))
        return
    with f.when(left >= n):
        f.store(x, to)
    with f.when(left < n):
        line = f.array(e, n)
        f.store(x, line)
        with f.range(0, left) as j:
            f.store(f.load(e, line, j), to, j)


def gather(f: Function, type_: str, base: Value, index: Value, mask: Value | None = None) -> Value:
    """base[index] for each lane of an i32 vector, zeros in lanes outside the mask."""
    n = count(index.type)
    vec, places = vector(n, type_), f.op(f"<{n} x ptr>", f"getelementptr {type_}, {base}, {index}")
    name = f"llvm.masked.gather.v{n}{ {'float': 'f32', 'double': 'f64'}.get(type_, type_) }.v{n}p0"
    every = f.const(f"<{n} x i1>", 1) if mask is None else mask
    return f.call(vec, name, places, Value(f, "i32", str(SIZE[type_])), every, f.const(vec, 0))


def load_first(f: Function, type_: str, lanes: int, at: Value, left: Value) -> Value:
    """The first `left` elements as a vector; the other lanes hold anything."""
    if masks(f.module.target, type_):
        carrier = CARRIER.get(type_, type_)
        return f.cast("bitcast", f.load(vector(lanes, carrier), at, 0, f.mask(lanes, left)), vector(lanes, type_))
    line = f.array(type_, lanes)
    with f.when(left >= lanes):
        f.store(f.load(vector(lanes, type_), at), line)
    with f.when(left < lanes), f.range(0, left) as j:
        f.store(f.load(type_, at, j), line, j)
    return f.load(vector(lanes, type_), line)
