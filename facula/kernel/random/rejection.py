"""Distributions by rejection: Poisson, gamma and binomial numbers, one at a time, since how much each draws depends on what it draws.

Sources: Hoermann 1993, "The transformed rejection method for generating Poisson random variables" (PTRS) and "The generation of binomial
random variates" (BTRS); Knuth, TAOCP 2, 3.4.1 (small Poisson rates); Marsaglia & Tsang 2000 (gamma); Devroye 1986, X.4 (small binomials).
The order of draws is PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod

import facula.kernel.random.stream as stream

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value
from .. import elementary, lanes
from ..launch import In, Kernel, Launch, Operand, Out, Schedule
from .normal import normals
from .uniform import STATE

PIECE = 1 << 19  # elements of a launch, some 0.1 s

THIRD = 0.3333333432674408  # PyTorch subtracts a float32 third
TAIL = [math.lgamma(k + 1) - (0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1) - (k + 1)) for k in range(10)]


class Draw:
    """Single numbers from the stream, and functions of doubles."""

    def __init__(self, f: Function, state: Value) -> None:
        self.f, self.state = f, state
        self.words, self.pair = stream.buffer_of(f, 16), f.array("double", 80)

    def uniform(self) -> Value:
        """53 bits in [0, 1)."""
        stream.draw(self.f, self.state, self.words, 2)
        return self.f.extract(stream.unit_double(self.f, self.words, 2), 0)

    def normal(self) -> Value:
        normals(self.f, self.state, self.pair, 1)
        return self.f.load("double", self.pair)

    def log(self, x: Value) -> Value:
        """-inf at 0."""
        return self.f.select(x > 0.0, elementary.log(self.f, x), float("-inf"))

    def tail(self, k: Value) -> Value:
        """log k! less Stirling's formula around k + 1."""
        f = self.f
        self.f.module.constant("stirling_tail", "double", TAIL)
        small = f.load("double", Value(f, "ptr", "@stirling_tail"), f.cast("fptosi", f.select(k < 9.0, k, 9.0), "i64"))
        k1 = k + 1.0
        square = k1 * k1
        series = (1 / 12 - (1 / 360 - (1 / 1260) / square) / square) / k1
        return f.select(k <= 9.0, small, series)

    def log_factorial(self, k: Value) -> Value:
        k1 = k + 1.0
        return self.log(k1) * (k + 0.5) - k1 + 0.5 * math.log(2 * math.pi) + self.tail(k)


def _both(f: Function, *conditions: Value) -> Value:
    out = f.cast("zext", conditions[0], "i8")
    for c in conditions[1:]:
        out = out & f.cast("zext", c, "i8")
    return out.ne(0)


def _poisson(draw: Draw, given: Sequence[Value], out: Value) -> None:
    f, rate = draw.f, given[0]
    f.store(f.const("double", 0.0), out)
    with f.when(_both(f, rate > 0.0, rate < 10.0)):
        floor, product, k = elementary.exp(f, 0.0 - rate), f.var("double", 1.0), f.var("double", 0.0)
        with f.loop() as end:
            product.v = product.v * draw.uniform()
            f.leave(end, ~(product.v > floor))
            k.v = k.v + 1.0
        f.store(k.v, out)
    with f.when(rate >= 10.0):
        b = f.math("sqrt", rate) * 2.53 + 0.931
        a = b * 0.02483 - 0.059
        log_inverse = draw.log(1.1328 / (b - 3.4) + 1.1239)
        accept = 0.9277 - 3.6224 / (b - 2.0)
        log_rate = draw.log(rate)
        with f.loop() as end:
            u = draw.uniform() - 0.5
            v = draw.uniform()
            us = 0.5 - f.math("fabs", u)
            k = f.math("floor", (a * 2.0 / us + b) * u + rate + 0.43)
            f.store(k, out)
            f.leave(end, _both(f, us >= 0.07, v <= accept))
            outside = f.cast("zext", k < 0.0, "i8") | (f.cast("zext", us < 0.013, "i8") & f.cast("zext", v > us, "i8"))
            with f.when(outside.eq(0)):
                left = draw.log(v) + log_inverse - draw.log(a / (us * us) + b)
                f.leave(end, left <= (k * log_rate - rate - draw.log_factorial(k)))


def _gamma(draw: Draw, given: Sequence[Value], out: Value) -> None:
    f = draw.f
    alpha, scale = f.var("double", given[0]), f.var("double", 1.0)
    f.store(f.const("double", 0.0), out)
    with f.when(alpha.v > 0.0):
        with f.when(alpha.v < 1.0):
            scale.v = elementary.exp(f, draw.log(1.0 - draw.uniform()) / alpha.v)
            alpha.v = alpha.v + 1.0
        d = alpha.v - THIRD
        c = 1.0 / f.math("sqrt", d * 9.0)
        with f.loop() as end:
            x = draw.normal()
            y = x * c + 1.0
            with f.when(y > 0.0):
                v = y * y * y
                u = 1.0 - draw.uniform()
                xx = x * x
                f.store(scale.v * d * v, out)
                f.leave(end, u < (1.0 - xx * xx * 0.0331))
                f.leave(end, draw.log(u) < (xx * 0.5 + d * (1.0 - v + draw.log(v))))


def _binomial(draw: Draw, given: Sequence[Value], out: Value) -> None:
    f, (count, chance) = draw.f, given
    f.store(f.select(chance >= 1.0, f.select(count > 0.0, count, 0.0), f.const("double", 0.0)), out)
    with f.when(_both(f, count > 0.0, chance > 0.0, chance < 1.0)):
        turned = chance > 0.5
        p = f.select(turned, 1.0 - chance, chance)
        few = (count * p) < 10.0
        with f.when(few):
            _waiting(draw, count, p, out)
        with f.otherwise(few):
            _btrs(draw, count, p, out)
        with f.when(turned):
            f.store(count - f.load("double", out), out)


def _waiting(draw: Draw, count: Value, p: Value, out: Value) -> None:
    """Successes counted by the trials between them."""
    f = draw.f
    log_rest, trials, hits = draw.log(1.0 - p), f.var("double", 0.0), f.var("double", 0.0)
    with f.loop() as end:
        trials.v = trials.v + f.math("ceil", draw.log(draw.uniform()) / log_rest)
        f.leave(end, trials.v > count)
        hits.v = hits.v + 1.0
    f.store(hits.v, out)


def _btrs(draw: Draw, count: Value, p: Value, out: Value) -> None:
    f = draw.f
    spread = f.math("sqrt", count * p * (1.0 - p))
    b = spread * 2.53 + 1.15
    a = b * 0.0248 - 0.0873 + p * 0.01
    c, accept, r = count * p + 0.5, 0.92 - 4.2 / b, p / (1.0 - p)
    alpha = (5.1 / b + 2.83) * spread
    m = f.math("floor", (count + 1.0) * p)
    with f.loop() as end:
        u = draw.uniform() - 0.5
        v = draw.uniform()
        us = 0.5 - f.math("fabs", u)
        k = f.math("floor", (a * 2.0 / us + b) * u + c)
        f.store(k, out)
        f.leave(end, _both(f, us >= 0.07, v <= accept))
        with f.when(_both(f, k >= 0.0, k <= count)):
            left = draw.log(v * alpha / (a / (us * us) + b))
            right = (m + 0.5) * draw.log((m + 1.0) / (r * (count - m + 1.0)))
            right = right + (count + 1.0) * draw.log((count - m + 1.0) / (count - k + 1.0))
            right = right + (k + 0.5) * draw.log(r * (count - k + 1.0) / (k + 1.0))
            right = right + draw.tail(m) + draw.tail(count - m) - draw.tail(k) - draw.tail(count - k)
            f.leave(end, left <= right)


RULES: dict[str, tuple[int, Callable[[Draw, Sequence[Value], Value], None]]] = {
    "poisson": (1, _poisson),
    "gamma": (1, _gamma),
    "binomial": (2, _binomial),
}
TINY = {"float64": 2.2250738585072014e-308, "float16": 6.103515625e-05}  # smallest normal numbers; others have float32's exponent


def emit_rejection(m: Module, name: str, rule: str, d: dtype) -> None:
    """words: state, out, count, inputs. All in double precision, rounded at the end."""
    inputs, body = RULES[rule]
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _worker):
        state, out, n, *given = f.words(words, "ptr", "ptr", "i64", *["ptr"] * inputs)
        draw, slot = Draw(f, state), f.array("double", 1)
        with f.range(0, n) as i:
            values = [lanes.load_one(f, d, p, i) for p in given]
            body(draw, [f.cast("fpext", v, "double") for v in values], slot)
            x = f.load("double", slot)
            if rule == "gamma":  # never 0, whose logarithm would be infinite
                tiny = TINY.get(d.name, 1.1754943508222875e-38)
                x = f.select(x < tiny, tiny, x)
            lanes.store_one(f, d, f.cast("fptrunc", x, "float") if lanes.compute(d) == "float" else x, out, i)


def _schedule(rule: str, x: Operand) -> Schedule:
    n = prod(x.shape)
    if not n:
        return Schedule(())
    kernel, size = Kernel(emit_rejection, (rule, x.dtype)), x.dtype.itemsize
    launches: list[Launch] = []
    for start in range(0, n, PIECE):  # signals are looked at between launches
        count = min(PIECE, n - start)
        ins = [In(i, start * size) for i in range(RULES[rule][0])]
        launches.append(Launch(kernel, (STATE, Out(0, start * size), count, *ins), 1, 1, count * size, count * 200))
    return Schedule(tuple(launches))


def poisson(rate: Operand) -> Schedule:
    """poisson(rate). Out(0) like In(0): rates, contiguous, floating. numbers: state."""
    return _schedule("poisson", rate)


def gamma(alpha: Operand) -> Schedule:
    """_standard_gamma(alpha). Out(0) like In(0): shapes, contiguous, floating. numbers: state."""
    return _schedule("gamma", alpha)


def binomial(count: Operand) -> Schedule:
    """binomial(count, prob). Out(0) like In(0): counts and In(1): chances, contiguous, floating. numbers: state."""
    return _schedule("binomial", count)
