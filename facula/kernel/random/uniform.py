"""Uniform numbers, integers and coin flips: PyTorch's CPU stream, bit for bit.

Every function takes the output's operand (n elements in the order they are drawn: contiguous) and returns a Schedule for one thread.
Number 0 is always the address of the generator's state (i64).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import facula.kernel.random.stream as stream

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value, vector
from .. import lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, shifted

STATE = Number(0, "i64")
PIECE = 1 << 24  # elements of a launch: a multiple of the 16 that normal numbers are drawn by, about 0.1 s


def one_thread(kernel: Kernel, out: Operand, words: Sequence[Word], sizes: Sequence[int] = ()) -> Schedule:
    """The words every kernel starts with: state, output, count. One item: the stream has one reader. What takes long is launched piece by piece,
    for signals are looked at between launches. `sizes`: bytes an element at the addresses among the words, in order."""
    n = prod(out.shape)
    if not n:
        return Schedule(())
    starts = range(0, max(1, n // PIECE) * PIECE, PIECE)  # the last piece has the rest: no piece is small
    size = out.dtype.itemsize
    launches: list[Launch] = []
    for a, b in zip(starts, [*starts[1:], n]):
        each = iter(sizes)
        further = [shifted(w, a * next(each)) if isinstance(w, (In, Out)) else w for w in words]
        launches.append(Launch(kernel, (STATE, Out(0, a * size), b - a, *further), 1, 1, (b - a) * size, 20 * (b - a)))
    return Schedule(tuple(launches))


def emit_uniform(m: Module, name: str, d: dtype) -> None:
    """low + u (high - low); what rounds to `high` becomes `low`, so that the interval stays half open."""
    wide = d.name == "float64"
    n = m.target.lanes // 2 if wide else m.target.lanes

    def rounded(f: Function, x: Value) -> Value:
        return lanes.widen(f, d, lanes.narrow(f, d, x))

    def body(f: Function, words: Value, p: Sequence[Value]) -> Value:
        u = stream.unit_double(f, words, n) if wide else stream.unit_float(f, words, n)
        low, high = f.splat(p[0], n), f.splat(p[1], n)
        x = rounded(f, f.fma(u, high - low, low))
        return f.select(x.eq(rounded(f, high)), low, x)

    kind = lanes.compute(d)
    stream.elementwise(m, name, d, n, 2 if wide else 1, (kind, kind), body)


def uniform(out: Operand) -> Schedule:
    """uniform_(low, high), rand. numbers: state, low, high. 24 random bits, 53 for float64; half precision is rounded at the end."""
    kind = "double" if out.dtype.name == "float64" else "float"
    return one_thread(Kernel(emit_uniform, (out.dtype,)), out, (Number(1, kind), Number(2, kind)))


# -- integers
WIDE_FROM = 1 << 28  # a range from here on draws 64 bits for a number


def emit_integers(m: Module, name: str, d: dtype, wide: bool) -> None:
    n = m.target.lanes // 2

    def narrow_body(f: Function, words: Value, p: Sequence[Value]) -> Value:
        """word % range by doubles: a quotient below 2**32 is never rounded up to the next integer."""
        real = stream.unsigned_to_double(f, f.load(vector(n, "i32"), words))
        size = f.splat(f.cast("sitofp", p[0], "double"), n)
        rest = real - f.math("trunc", real / size) * size
        return f.cast("zext", f.cast("fptosi", rest, vector(n, "i32")), vector(n, "i64")) + f.splat(p[1], n)

    def wide_body(f: Function, words: Value, p: Sequence[Value]) -> Value:
        out = f.const(vector(n, "i64"), 0)
        for lane in range(n):
            high, low = (f.cast("zext", f.load("i32", words, 2 * lane + k), "i64") for k in (0, 1))
            x = (high << 32) | low
            out = f.insert(out, f.select(p[0].eq(0), x, x.urem(f.select(p[0].eq(0), 1, p[0]))) + p[1], lane)
        return out

    stream.elementwise(m, name, d, n, 2 if wide else 1, ("i64", "i64"), wide_body if wide else narrow_body)


def integers(out: Operand, wide: bool) -> Schedule:
    """random_, randint: base + draw % range. numbers: state, range (0: all 64 bits, then base is 0), base. `wide` is range >= 2**28 (or 0)."""
    return one_thread(Kernel(emit_integers, (out.dtype, wide)), out, (Number(1, "i64"), Number(2, "i64")))


# -- coin flips
def _ones(f: Function, hit: Value, n: int) -> Value:
    return f.cast("zext", hit, vector(n, "i64"))


def emit_bernoulli(m: Module, name: str, d: dtype) -> None:
    n = m.target.lanes // 2

    def body(f: Function, words: Value, p: Sequence[Value]) -> Value:
        hit = stream.unit_double(f, words, n) < f.splat(p[0], n)
        if d.is_floating_point:
            kind = vector(n, lanes.compute(d))
            return f.select(hit, f.const(kind, 1.0), f.const(kind, 0.0))
        return _ones(f, hit, n)

    stream.elementwise(m, name, d, n, 2, ("double",), body)


def bernoulli(out: Operand) -> Schedule:
    """bernoulli_(p: float): 1 with probability p, by 53 bits. numbers: state, p (double)."""
    return one_thread(Kernel(emit_bernoulli, (out.dtype,)), out, (Number(1, "double"),))


def emit_bernoulli_each(m: Module, name: str, d: dtype, given: dtype) -> None:
    wide = given.name == "float64"
    n, each = m.target.lanes // 2, 2 if wide else 1
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, total, p = f.words(words, "ptr", "ptr", "i64", "ptr")
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // each
        with f.range(0, total, chunk) as base:
            take = f.smin(total - base, chunk)
            stream.draw(f, state, buffer, take * each)
            with f.range(0, take, n) as i:
                at = f.at(buffer, i * each, "i32")
                u = stream.unit_double(f, at, n) if wide else stream.unit_float(f, at, n)
                hit = u < lanes.load(f, given, n, p, base + i, take - i)
                stream.put(f, d, _ones(f, hit, n), out, base + i, take - i)


def bernoulli_each(out: Operand, p: Operand) -> Schedule:
    """bernoulli(p: Tensor), bernoulli_(p: Tensor): 24 random bits, 53 where p is float64. In(0): p, contiguous. numbers: state."""
    return one_thread(Kernel(emit_bernoulli_each, (out.dtype, p.dtype)), out, (In(0),), (p.dtype.itemsize,))


def emit_dropout(m: Module, name: str, d: dtype) -> None:
    n = m.target.lanes // 2
    kind = lanes.compute(d)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, total, keep, mask, x, keep_in_kind = f.words(words, "ptr", "ptr", "i64", "double", "ptr", "ptr", kind)
        # PyTorch rounds 1 / (1 - p) to the tensor's dtype before it multiplies
        scale = lanes.widen(f, d, lanes.narrow(f, d, 1.0 / f.splat(keep_in_kind, n)))
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // 2
        with f.range(0, total, chunk) as base:
            take = f.smin(total - base, chunk)
            stream.draw(f, state, buffer, take * 2)
            whole = take - take % n
            for left in (None, take - whole):
                with f.range(0 if left is None else whole, whole if left is None else take, n) as i:
                    hit = stream.unit_double(f, f.at(buffer, i * 2, "i32"), n) < f.splat(keep, n)
                    value = lanes.load(f, d, n, x, base + i, left) * f.select(hit, scale, f.const(scale.type, 0.0))
                    lanes.store(f, d, value, out, base + i, left)
                    _store_mask(f, hit, mask, base + i, left, n)


def _store_mask(f: Function, hit: Value, mask: Value, index: Value, left: Value | None, n: int) -> None:
    value = f.cast("zext", hit, vector(n, "i8"))
    if left is None:
        f.store(value, mask, index)
        return
    stage = f.array("i8", n)
    f.store(value, stage)
    with f.range(0, f.smin(left, n)) as k:
        f.store(f.load("i8", stage, k), f.bytes(mask, index), k)


def dropout(x: Operand) -> Schedule:
    """F.dropout in one pass, with the flips of bernoulli_(1 - p). Out(0): y; Out(1): mask (bool). In(0): x, contiguous.
    numbers: state, 1 - p (double), 1 - p again (double for float64, else float)."""
    kind = lanes.compute(x.dtype)
    return one_thread(Kernel(emit_dropout, (x.dtype,)), x, (Number(1, "double"), Out(1), In(0), Number(2, kind)), (1, x.dtype.itemsize))
