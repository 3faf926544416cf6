"""Distributions by the inverse of their distribution function: one 53-bit uniform each, in double precision, as PyTorch draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import facula.kernel.random.stream as stream

from ...base.dtypes import dtype
from ...runtime.ir import Function, Module, Value
from .. import elementary
from ..launch import Kernel, Number, Operand, Schedule
from .uniform import one_thread

Inverse = Callable[[Function, Value, Sequence[Value]], Value]


def _emit(m: Module, name: str, d: dtype, parameters: int, inverse: Inverse) -> None:
    n = m.target.lanes // 2

    def body(f: Function, words: Value, p: Sequence[Value]) -> Value:
        return inverse(f, stream.unit_double(f, words, n), [f.splat(x, n) for x in p])

    stream.elementwise(m, name, d, n, 2, ("double",) * parameters, body)


def emit_exponential(m: Module, name: str, d: dtype) -> None:
    _emit(m, name, d, 1, lambda f, u, p: elementary.log(f, 1.0 - u) * (-1.0 / p[0]))  # 1 - u is exact, so no log1p


def emit_cauchy(m: Module, name: str, d: dtype) -> None:
    def inverse(f: Function, u: Value, p: Sequence[Value]) -> Value:
        sin, cos = elementary.sincos_turns(f, (u - 0.5) * 0.5)
        return f.fma(sin / cos, p[1], p[0])

    _emit(m, name, d, 2, inverse)


def emit_geometric(m: Module, name: str, d: dtype) -> None:
    def inverse(f: Function, u: Value, p: Sequence[Value]) -> Value:
        drawn = elementary.log(f, f.select(u > 0.0, u, 2.0**-1074))
        return f.math("ceil", drawn / elementary.log(f, 1.0 - p[0]))

    _emit(m, name, d, 1, inverse)


def exponential(out: Operand) -> Schedule:
    """exponential_(lambd). numbers: state, lambd (double)."""
    return one_thread(Kernel(emit_exponential, (out.dtype,)), out, (Number(1, "double"),))


def cauchy(out: Operand) -> Schedule:
    """cauchy_(median, sigma). numbers: state, median, sigma (double)."""
    return one_thread(Kernel(emit_cauchy, (out.dtype,)), out, (Number(1, "double"), Number(2, "double")))


def geometric(out: Operand) -> Schedule:
    """geometric_(p), 0 < p < 1: trials up to the first success. numbers: state, p (double)."""
    return one_thread(Kernel(emit_geometric, (out.dtype,)), out, (Number(1, "double"),))
