"""The stream of 32-bit words, and the loop over it that every distribution shares.

`draw(state, buffer, n)` continues the Mersenne Twister: whole vectors of the recurrence (its distances 227 and 397 are longer than any
vector), tempered on the way out. One thread draws, so the stream never depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Term, Value, count, element, vector
from .. import lanes
from .mt19937 import LEFT, NEXT, TABLE, WORDS

CHUNK = 2048  # words drawn at once; they stay in the first-level cache
SLACK = 64  # words a vector may reach past the end of a buffer
MIDDLE = 397  # the recurrence's second distance

Body = Callable[[Function, Value, Sequence[Value]], Value]


def _twist(f: Function, table: Value, start: int, stop: int, delta: int, n: int) -> None:
    """table[i] for start <= i < stop from table[i], table[i + 1] and table[i + delta]; the last vector keeps what lies behind `stop`."""
    kind = vector(n, "i32")
    for whole in (True, False):
        edge = start + (stop - start) // n * n
        with f.range(start if whole else edge, edge if whole else stop, n) as i:
            old = f.load(kind, table, i)
            y = (old & 0x80000000) | (f.load(kind, table, i + 1) & 0x7FFFFFFF)
            new = f.load(kind, table, i + delta) ^ (y >> 1) ^ ((0 - (y & 1)) & 0x9908B0DF)
            f.store(new if whole else f.select(f.mask(n, f.i64(stop) - i), new, old), table, i)


def draw(f: Function, state: Value, buffer: Value, words: Term) -> None:
    """Call: the next `words` words into `buffer`, which has room for SLACK more."""
    _define(f.module)
    f.call("void", "draw", state, buffer, f.i64(words))


def _define(m: Module) -> None:
    if "draw" in m.defined:
        return
    n = m.target.lanes
    kind = vector(n, "i32")
    with m.function("draw", "ptr state, ptr buffer, i64 words", internal=True) as (f, state, buffer, words):
        table, left_at, next_at = (f.bytes(state, at) for at in (TABLE, LEFT, NEXT))
        done = f.var("i64", 0)
        with f.loop() as end:
            f.leave(end, done.v >= words)
            with f.when(f.load("i32", left_at).eq(1)):
                _twist(f, table, 0, WORDS - MIDDLE, MIDDLE, n)
                f.store(f.load("i32", table), table, WORDS)  # the recurrence is a ring
                _twist(f, table, WORDS - MIDDLE, WORDS, MIDDLE - WORDS, n)
                f.store(f.const("i32", WORDS + 1), left_at)
                f.store(f.const("i32", 0), next_at)
            left, at = f.load("i32", left_at), f.load("i32", next_at)
            take = f.smin(words - done.v, f.cast("zext", left, "i64") - 1)
            source, target = f.at(table, f.cast("zext", at, "i64"), "i32"), f.at(buffer, done.v, "i32")
            with f.range(0, take, n) as i:  # reaches past the end of both: they have room
                y = f.load(kind, source, i)
                y = y ^ (y >> 11)
                y = y ^ ((y << 7) & 0x9D2C5680)
                y = y ^ ((y << 15) & 0xEFC60000)
                f.store(y ^ (y >> 18), target, i)
            taken = f.cast("trunc", take, "i32")
            f.store(left - taken, left_at)
            f.store(at + taken, next_at)
            done.v = done.v + take


def buffer_of(f: Function, words: int = CHUNK) -> Value:
    return f.array("i32", words + SLACK)


def unit_float(f: Function, words: Value, n: int) -> Value:
    """n floats in [0, 1) from n words: the low 24 bits."""
    w = f.load(vector(n, "i32"), words)
    return f.cast("sitofp", w & 0xFFFFFF, vector(n, "float")) * 2.0**-24


def unsigned_to_double(f: Function, w: Value) -> Value:
    """Unsigned words as doubles."""
    n = count(w.type)
    return f.cast("sitofp", w ^ 0x80000000, vector(n, "double")) + 2.0**31


def pair_to_unit(f: Function, high: Value, low: Value) -> Value:
    """Doubles in [0, 1) from the low 53 bits of high * 2**32 + low; both terms and the sum are exact."""
    n = count(high.type)
    top = f.cast("sitofp", high & 0x1FFFFF, vector(n, "double"))
    return f.fma(top, 2.0**-21, unsigned_to_double(f, low) * 2.0**-53)


def split(f: Function, words: Value, n: int, parts: int) -> list[Value]:
    """n * parts words, every parts-th word together: `parts` vectors of n."""
    both = [f.load(vector(n, "i32"), words, n * i) for i in range(parts)]
    if parts == 4:
        low, high = _halves(f, both[0], both[1]), _halves(f, both[2], both[3])
        (a, c), (b, d) = _halves(f, low[0], high[0]), _halves(f, low[1], high[1])
        return [a, b, c, d]
    return list(_halves(f, both[0], both[1]))


def _halves(f: Function, a: Value, b: Value) -> tuple[Value, Value]:
    n = count(a.type)
    return f.shuffle(a, b, range(0, 2 * n, 2)), f.shuffle(a, b, range(1, 2 * n, 2))


def unit_double(f: Function, words: Value, n: int) -> Value:
    """n doubles in [0, 1) from 2 n words: 53 bits each."""
    high, low = split(f, words, n, 2)
    return pair_to_unit(f, high, low)


def put(f: Function, d: dtype, value: Value, out: Value, index: Term, left: Value | None = None) -> None:
    """A vector of float, double or i64 lanes to memory as dtype `d`, or its first `left` lanes."""
    n, have = count(value.type), element(value.type)
    if d.is_floating_point:
        want = lanes.compute(d)
        if have == "i64":
            value = f.cast("sitofp", value, vector(n, want))
        elif have != want:
            value = f.cast("fptrunc" if want == "float" else "fpext", value, vector(n, want))
        lanes.store(f, d, value, out, index, left)
        return
    if have != "i64":
        value = f.cast("fptosi", value, vector(n, "i64"))
    value = f.cast("trunc", value, vector(n, d.llvm))
    if left is None:
        f.store(value, out, index)
        return
    stage = f.array(d.llvm, n)
    f.store(value, stage)
    with f.range(0, f.smin(left, n)) as k:
        f.store(f.load(d.llvm, stage, k), f.at(out, index, d.llvm), k)


def elementwise(m: Module, name: str, d: dtype, n: int, words_each: int, types: Sequence[str], body: Body) -> None:
    """`name`: out[0 .. count-1] = body(words of n elements, parameters). words: state, out, count, then `types`."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, total, *parameters = f.words(words, "ptr", "ptr", "i64", *types)
        buffer, chunk = buffer_of(f), CHUNK // words_each
        with f.range(0, total, chunk) as base:
            take = f.smin(total - base, chunk)
            draw(f, state, buffer, take * words_each)
            chunk_loop(f, d, n, out, base, take, lambda i: body(f, f.at(buffer, i * words_each, "i32"), parameters))


def chunk_loop(f: Function, d: dtype, n: int, out: Value, base: Value, take: Value, body: Callable[[Value], Value]) -> None:
    """out[base + i ..] = body(i) for i in steps of n below `take`."""
    whole = take - take % n
    with f.range(0, whole, n) as i:
        put(f, d, body(i), out, base + i)
    with f.when(whole < take):
        put(f, d, body(whole), out, base + whole, take - whole)
