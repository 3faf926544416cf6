"""How vectors of elements come from memory and go back: contiguous, reversed, broadcast or with a stride, whole or only their first lanes.

A memory value is a Value of `n` lanes of the dtype's memory type, or a pair (real parts, imaginary parts) of them for a complex dtype;
`widened` and `narrowed` convert between it and the type that arithmetic is done in. Lanes that lie outside repeat a lane
that lies inside, so arithmetic on them can neither trap nor be slow. Nothing outside the given elements is touched.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base.dtypes import dtype
from ..runtime.ir import SIZE, Function, Term, Value, count, vector
from .scalar.memory import from_memory, to_memory

Memory = Value | tuple[Value, Value]

CONTIGUOUS, BROADCAST, STRIDED, TURNED, INDEX = "contiguous", "broadcast", "strided", "turned", "index"
REVERSED = "reversed"  # a stride of -1, of inputs only
CARRIER = {"half": "i16"}  # masked loads of halves go as integers: not every target has them as floats


def kind_of(stride: int, size: int = 2) -> str:
    """The class of a loop's stride; a loop of one step is contiguous."""
    return CONTIGUOUS if stride == 1 or size == 1 else BROADCAST if stride == 0 else STRIDED


def element_at(f: Function, d: dtype, pointer: Value, index: Term) -> Value:
    """Address of element `index`."""
    return f.bytes(pointer, f.i64(index) * d.itemsize)


def _map(value: Memory, change: Callable[[Value], Value]) -> Memory:
    return (change(value[0]), change(value[1])) if isinstance(value, tuple) else change(value)


def widened(f: Function, value: Memory, d: dtype) -> Memory:
    """A memory value in the type that arithmetic is done in."""
    return _map(value, lambda v: from_memory(f, v, d))


def narrowed(f: Function, value: Memory, d: dtype) -> Memory:
    """A computed value as it lies in memory."""
    return _map(value, lambda v: to_memory(f, v, d))


def load_one(f: Function, d: dtype, pointer: Value) -> Memory:
    """One element."""
    if d.is_complex:
        return f.load(d.llvm, pointer), f.load(d.llvm, pointer, 1)
    return f.load(d.llvm, pointer)


def store_one(f: Function, d: dtype, value: Memory, pointer: Value) -> None:
    if isinstance(value, tuple):
        f.store(value[0], pointer)
        f.store(value[1], pointer, 1)
    else:
        f.store(value, pointer)


def lane_of(f: Function, value: Memory, lane: int) -> Memory:
    return _map(value, lambda v: f.extract(v, lane))


def load(f: Function, d: dtype, n: int, pointer: Value, kind: str, stride: Value | None = None) -> Memory:
    """`n` elements from `pointer` on."""
    if kind == BROADCAST:
        return _map(load_one(f, d, pointer), lambda v: f.splat(v, n))
    if kind == STRIDED:
        assert stride is not None
        step, at = stride * d.itemsize, pointer
        parts: list[Value] = [f.const(vector(n, d.llvm), 0)] * (2 if d.is_complex else 1)
        for lane in range(n):
            for k in range(len(parts)):
                parts[k] = f.insert(parts[k], f.load(d.llvm, at, k), lane)
            if lane < n - 1:
                at = f.bytes(at, step)
        return (parts[0], parts[1]) if d.is_complex else parts[0]
    if kind == REVERSED:
        return _map(load(f, d, n, f.bytes(pointer, (1 - n) * d.itemsize), CONTIGUOUS), lambda v: _turned_round(f, v))
    if d.is_complex:
        return _split(f, f.load(vector(2 * n, d.llvm), pointer))
    return f.load(vector(n, d.llvm), pointer)


def _turned_round(f: Function, value: Value) -> Value:
    return f.shuffle(value, None, range(count(value.type) - 1, -1, -1))


def _split(f: Function, both: Value) -> tuple[Value, Value]:
    n = count(both.type)
    return f.shuffle(both, None, range(0, n, 2)), f.shuffle(both, None, range(1, n, 2))


def _joined(f: Function, value: Memory) -> Value:
    """Parts of complex elements interleaved as they lie in memory."""
    if not isinstance(value, tuple):
        return value
    n = count(value[0].type)
    return f.shuffle(value[0], value[1], [lane // 2 + n * (lane % 2) for lane in range(2 * n)])


def load_part(f: Function, d: dtype, n: int, pointer: Value, kind: str, left: Value, stride: Value | None = None) -> Memory:
    """The first `left` (1 .. n) of `n` elements; the lanes behind them repeat an element."""
    if kind == BROADCAST:
        return load(f, d, n, pointer, kind)
    if kind in (CONTIGUOUS, REVERSED) and f.module.target.masked and not d.is_complex:
        carrier = CARRIER.get(d.llvm, d.llvm)
        back = kind == REVERSED  # the lanes inside are then the last ones of the vector that ends here
        start, mask = (f.bytes(pointer, (1 - n) * d.itemsize), _turned_round(f, f.mask(n, left))) if back else (pointer, f.mask(n, left))
        out = f.load(vector(n, carrier), start, 0, mask, f.splat(f.load(carrier, pointer), n))
        out = f.cast("bitcast", out, vector(n, d.llvm))
        return _turned_round(f, out) if back else out
    parts = 2 if d.is_complex else 1
    stage = f.array(d.llvm, n * parts)
    step = f.i64(-1 if kind == REVERSED else 1) if kind in (CONTIGUOUS, REVERSED) else stride
    assert step is not None
    last = left - 1
    with f.range(0, n) as k:
        at = element_at(f, d, pointer, f.smin(k, last) * step)
        for part in range(parts):
            f.store(f.load(d.llvm, at, part), stage, k * parts + part)
    return load(f, d, n, stage, CONTIGUOUS)


def store(f: Function, d: dtype, value: Memory, pointer: Value, kind: str, stride: Value | None = None, stream: bool = False) -> None:
    """All lanes to memory. `stream` passes the caches by: the address is then a multiple of the vector's size."""
    if kind == STRIDED:
        assert stride is not None
        step, at = stride * d.itemsize, pointer
        first = value[0] if isinstance(value, tuple) else value
        n = count(first.type)
        for lane in range(n):
            store_one(f, d, lane_of(f, value, lane), at)
            if lane < n - 1:
                at = f.bytes(at, step)
        return
    whole = _joined(f, value)
    if stream:
        whole = f.cast("bitcast", whole, vector(count(whole.type), CARRIER.get(d.llvm, d.llvm)))
    f.store(whole, pointer, 0, None, stream)


def store_part(f: Function, d: dtype, value: Memory, n: int, pointer: Value, kind: str, left: Value, stride: Value | None = None) -> None:
    """The first `left` (1 .. n) lanes to memory."""
    if kind == CONTIGUOUS and f.module.target.masked and not isinstance(value, tuple):
        carrier = CARRIER.get(d.llvm, d.llvm)
        f.store(f.cast("bitcast", value, vector(n, carrier)), pointer, 0, f.mask(n, left))
        return
    parts = 2 if isinstance(value, tuple) else 1
    stage = f.array(d.llvm, n * parts)
    f.store(_joined(f, value), stage)
    step = f.i64(1) if kind == CONTIGUOUS else stride
    assert step is not None
    with f.range(0, f.smin(left, n)) as k:
        at = element_at(f, d, pointer, k * step)
        for part in range(parts):
            f.store(f.load(d.llvm, stage, k * parts + part), at, part)


def bits_type(d: dtype) -> str:
    """Integer type that carries an element's bits, for copies and transposes; elements of 16 bytes have none."""
    return {1: "i8", 2: "i16", 4: "i32", 8: "i64"}.get(d.itemsize, "")


def vector_bytes(f: Function) -> int:
    """Bytes of a vector register."""
    return f.module.target.lanes * SIZE["float"]
