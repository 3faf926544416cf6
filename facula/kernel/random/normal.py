"""Normal numbers as PyTorch's CPU generator gives them.

From 16 contiguous elements on: n uniforms are drawn, then each block of 16 is turned by Box-Muller, the first 8 with the last 8; when n is
no multiple of 16, 16 more words make the last 16 elements anew (half precision draws block by block instead, and so skips n % 16 words).
Below 16, and for strided tensors: pairs in double precision, the second of which the state keeps for the next call.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import facula.kernel.random.stream as stream

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Term, Value, vector
from .. import elementary, lanes
from ..launch import Kernel, Number, Operand, Schedule
from .mt19937 import HAS_NORMAL, NORMAL
from .uniform import one_thread

BLOCK = 16


def _box_muller(f: Function, u1: Value, u2: Value) -> tuple[Value, Value]:
    """(cos part, sin part) of two uniforms in [0, 1)."""
    radius = f.math("sqrt", elementary.log(f, 1.0 - u1) * -2.0)
    sin, cos = elementary.sincos_turns(f, u2)
    return cos * radius, sin * radius


def _turn(f: Function, d: dtype, words: Value, out: Value, index: Term, mean: Value, std: Value, pair: bool) -> None:
    """One block of 16 words (two where a vector holds them) to normal numbers out[index ..]."""
    n = 16 if pair else 8
    if d.name == "float64":
        u1, u2 = (stream.unit_double(f, f.at(words, h, "i32"), 8) for h in (0, 16))
    else:
        a, b = (stream.unit_float(f, f.at(words, h, "i32"), n) for h in (0, n))
        u1, u2 = a, b
        if pair:
            u1, u2 = f.shuffle(a, b, [*range(8), *range(16, 24)]), f.shuffle(a, b, [*range(8, 16), *range(24, 32)])
    cos, sin = (f.fma(x, f.splat(std, n), f.splat(mean, n)) for x in _box_muller(f, u1, u2))
    if pair:
        cos, sin = f.shuffle(cos, sin, [*range(8), *range(16, 24)]), f.shuffle(cos, sin, [*range(8, 16), *range(24, 32)])
    at = f.i64(index)
    lanes.store(f, d, cos, out, at)
    lanes.store(f, d, sin, out, at + n)


def emit_blocks(m: Module, name: str, d: dtype) -> None:
    kind = lanes.compute(d)
    each = 2 if d.name == "float64" else 1
    pair = m.target.lanes == 16 and each == 1
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, total, mean, std = f.words(words, "ptr", "ptr", "i64", kind, kind)
        buffer, chunk = stream.buffer_of(f), stream.CHUNK // each
        whole = total - total % BLOCK
        with f.range(0, whole, chunk) as base:
            take = f.smin(whole - base, chunk)
            stream.draw(f, state, buffer, take * each)
            even = take - take % (2 * BLOCK) if pair else f.i64(0)
            if pair:
                with f.range(0, even, 2 * BLOCK) as i:
                    _turn(f, d, f.at(buffer, i, "i32"), out, base + i, mean, std, True)
            with f.range(even, take, BLOCK) as i:
                _turn(f, d, f.at(buffer, i * each, "i32"), out, base + i, mean, std, False)
        with f.when(whole < total):
            if d.itemsize > 2:
                stream.draw(f, state, buffer, (total - whole) * each)
            stream.draw(f, state, buffer, BLOCK * each)
            _turn(f, d, buffer, out, total - BLOCK, mean, std, False)


def normals(f: Function, state: Value, out: Value, n: Term) -> None:
    """Call: n (at most CHUNK / 2) standard normal doubles into `out` (room for 64 more); a second one left over stays in the state."""
    m = f.module
    if "normals" not in m.defined:
        _define_normals(m)
    f.call("void", "normals", state, out, f.i64(n))


def _define_normals(m: Module) -> None:
    lanes_each = m.target.lanes // 2
    with m.function("normals", "ptr state, ptr out, i64 n", internal=True) as (f, state, out, n):
        buffer, done = stream.buffer_of(f), f.var("i64", 0)
        kept, has = f.bytes(state, NORMAL), f.bytes(state, HAS_NORMAL)
        with f.when((f.cast("zext", n > 0, "i64") & f.load("i64", has)).ne(0)):
            f.store(f.load("double", kept), out)
            f.store(f.i64(0), has)
            f.store(f.const("double", 0.0), kept)
            done.v = 1
        pairs = (n - done.v + 1) >> 1
        start = f.at(out, done.v, "double")
        stream.draw(f, state, buffer, pairs * 4)
        with f.range(0, pairs, lanes_each) as i:
            a, b, c, d = stream.split(f, f.at(buffer, i * 4, "i32"), lanes_each, 4)
            cos, sin = _box_muller(f, stream.pair_to_unit(f, c, d), stream.pair_to_unit(f, a, b))
            for half in (0, 1):
                order = [half * lanes_each // 2 + k // 2 + lanes_each * (k % 2) for k in range(lanes_each)]
                f.store(f.shuffle(cos, sin, order), start, i * 2 + half * lanes_each)
        with f.when((done.v + pairs * 2) > n):
            f.store(f.load("double", out, n), kept)
            f.store(f.i64(1), has)


def emit_pairs(m: Module, name: str, d: dtype, change: Callable[[Function, Value], Value] | None = None) -> None:
    """out = mean + std * normal, in double precision, then `change`, then rounded to `d`."""
    n = m.target.lanes // 2
    chunk = stream.CHUNK // 4
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, total, mean, std = f.words(words, "ptr", "ptr", "i64", "double", "double")
        buffer = f.array("double", chunk + stream.SLACK)

        def body(i: Value) -> Value:
            x = f.load(vector(n, "double"), buffer, i)
            x = x * f.splat(std, n) + f.splat(mean, n)
            return change(f, x) if change else x

        with f.range(0, total, chunk) as base:
            take = f.smin(total - base, chunk)
            normals(f, state, buffer, take)
            stream.chunk_loop(f, d, n, out, base, take, body)


def emit_log_normal(m: Module, name: str, d: dtype) -> None:
    emit_pairs(m, name, d, elementary.exp)


def normal(out: Operand, blocks: bool | None = None) -> Schedule:
    """normal_(mean, std), randn. numbers: state, mean, std (`normal_number_type(out, blocks)`).
    `blocks`: n >= 16 and the tensor that is filled is contiguous; by default judged by n alone."""
    if _blocks(out, blocks):
        kind = lanes.compute(out.dtype)
        return one_thread(Kernel(emit_blocks, (out.dtype,)), out, (Number(1, kind), Number(2, kind)))
    return one_thread(Kernel(emit_pairs, (out.dtype,)), out, (Number(1, "double"), Number(2, "double")))


def _blocks(out: Operand, blocks: bool | None) -> bool:
    return math.prod(out.shape) >= BLOCK and blocks is not False


def normal_number_type(out: Operand, blocks: bool | None = None) -> str:
    """LLVM type that `normal` reads mean and std as."""
    return lanes.compute(out.dtype) if _blocks(out, blocks) else "double"


def log_normal(out: Operand) -> Schedule:
    """log_normal_(mean, std). numbers: state, mean, std (double)."""
    return one_thread(Kernel(emit_log_normal, (out.dtype,)), out, (Number(1, "double"), Number(2, "double")))
