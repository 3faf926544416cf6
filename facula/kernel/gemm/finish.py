"""The way from sums to the result: out = [out +] body(alpha * sum + beta * bias), rounded once, while the tile is in the cache."""

from __future__ import annotations

from collections.abc import Callable

from ...runtime.ir import Function, Module, Value, Var, count, is_float, vector
from ..scalar import emit, order, parse
from .frame import NUMBERS, Frame
from .kinds import Kind, narrow, read, widen, write


def body_of(epilogue: str) -> tuple[Callable[..., Value] | None, int]:
    """The scalar text's emitter and its number of arguments: 1 for f(alpha * sum + beta * bias), 2 for f(alpha * sum, beta * bias)."""
    if not epilogue:
        return None, 1
    outputs = parse(epilogue)
    arguments = 1 + max((n.place for n in order(outputs) if n.op == "input"), default=0)

    def body(f: Function, inputs: list[Value], numbers: list[Value]) -> Value:
        (value,) = emit(outputs, f, inputs, numbers)
        assert isinstance(value, Value), "complex products take no epilogue"
        return value if count(value.type) else f.splat(value, count(inputs[0].type))

    return body, arguments


def emit_finish(m: Module, kind: Kind, epilogue: str = "") -> str:
    """`finish(words, D, ldd, C, bias, rows, cols, add)`: a tile of sums, rows `ldd` reals apart and padded to whole vectors, to the result."""
    body, arguments = body_of(epilogue)
    with m.function("finish", "ptr words, ptr D, i64 ldd, ptr C, ptr U, i64 rows, i64 cols, i64 add", internal=True) as (
        f, words, D, ldd, C, U, rows, cols, add,
    ):  # fmt: skip
        w = Frame(f, words)
        cm, cn, um, un, biased, plain = w.cm, w.cn, w.um, w.un, w.use_bias.ne(0), w.plain.ne(0)
        alpha, beta = scale(f, kind, w, "alpha"), scale(f, kind, w, "beta")
        nothing = beta[0].eq(0) if kind.units == 1 else beta[0].eq(0) & beta[1].eq(0)
        biased = biased & ~nothing  # beta = 0 ignores NaN and infinity of the bias
        numbers = [w.read(name, kind.acc) for name in NUMBERS] if body else []
        spare = f.array(kind.out, kind.lanes)
        with f.range(0, rows) as r, f.range(0, cols, kind.across) as j:
            left = f.smin(cols - j, kind.across)
            whole = left.eq(kind.across)
            x = f.var(kind.vec, f.load(kind.vec, f.at(D, r * ldd + j * kind.units, kind.acc)))
            with f.otherwise(plain):
                value, extra = times(f, kind, x.v, alpha), f.var(kind.vec, 0)
                with f.when(biased):
                    at = f.at(U, (r * um + j * un) * kind.units, kind.out)
                    extra.v = times(f, kind, gather(f, kind, at, un, left, whole, spare), beta)
                # -0.0 + 0.0 is 0.0: without a bias nothing may be added.
                inputs = [value, extra.v] if arguments == 2 else [f.select(biased, value + extra.v, value)]
                x.v = body(f, inputs, numbers) if body else inputs[0]
            to = f.at(C, (r * cm + j * cn) * kind.units, kind.out)
            with f.when(add.ne(0)):
                x.v = gather(f, kind, to, cn, left, whole, spare) + x.v
            scatter(f, kind, narrow(f, kind, x.v), to, cn, left, whole, spare)
    return "finish"


def scale(f: Function, kind: Kind, w: Frame, name: str) -> list[Value]:
    """alpha or beta as one or two scalars of the accumulator's type."""

    def one(field: str) -> Value:
        if is_float(kind.acc):
            return w.read(field, kind.acc)
        return f.cast("trunc", w.read(field, "i64"), kind.acc)

    return [one(name), one(name + "_imag")][: kind.units]


def times(f: Function, kind: Kind, x: Value, by: list[Value]) -> Value:
    real = x * f.splat(by[0], kind.lanes)
    if kind.units == 1:
        return real
    turned = f.shuffle(x, None, [i ^ 1 for i in range(kind.lanes)])
    sign = f.lanes(kind.vec, [-1.0 if i % 2 == 0 else 1.0 for i in range(kind.lanes)])
    # A real factor must not make 0 * inf out of an imaginary part that is not there.
    return f.select(by[1].eq(0.0), real, f.fma(turned * sign, f.splat(by[1], kind.lanes), real))


def contiguous(f: Function, kind: Kind, stride: Value, left: Value, whole: Value) -> tuple[Value, Value | None]:
    """Whether one instruction moves `left` elements, and its mask: targets without masks move whole vectors only."""
    if f.module.target.masked:
        return stride.eq(1), f.mask(kind.lanes, left * kind.units)
    return stride.eq(1) & whole, None


def gather(f: Function, kind: Kind, at: Value, stride: Value, left: Value, whole: Value, spare: Value) -> Value:
    """`left` elements of memory, `stride` apart, as accumulator lanes; the other lanes hold anything."""
    memory = vector(kind.lanes, kind.out)
    x: Var = f.var(kind.vec, 0)
    near, mask = contiguous(f, kind, stride, left, whole)
    with f.when(near):
        x.v = widen(f, kind, read(f, memory, at, mask), kind.acc)
    with f.otherwise(near):
        with f.range(0, left) as i:
            for u in range(kind.units):
                f.store(f.load(kind.out, at, i * stride * kind.units + u), spare, i * kind.units + u)
        x.v = widen(f, kind, f.load(memory, spare), kind.acc)
    return x.v


def scatter(f: Function, kind: Kind, x: Value, to: Value, stride: Value, left: Value, whole: Value, spare: Value) -> None:
    """The first `left` elements of x to memory, `stride` apart."""
    near, mask = contiguous(f, kind, stride, left, whole)
    with f.when(near):
        write(f, x, to, mask)
    with f.otherwise(near):
        f.store(x, spare)
        with f.range(0, left) as i:
            for u in range(kind.units):
                f.store(f.load(kind.out, spare, i * kind.units + u), to, i * stride * kind.units + u)
