"""Rewriting: rules that keep every bit of a result (signs of zero and NaN included), and substitution of nodes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...base.dtypes import bool_, float64
from .node import LEAVES, Scalar, const, fitted, order


def simplify(outputs: Sequence[Scalar]) -> list[Scalar]:
    """The outputs after rules and constant folding, arguments first."""
    new: dict[Scalar, Scalar] = {}
    for n in order(outputs):
        args = tuple(new[a] for a in n.args)
        new[n] = _reduced(Scalar(n.op, args, n.dtype, n.attr)) if args else n
    return [new[o] for o in outputs]


def substitute(outputs: Sequence[Scalar], replacement: Mapping[Scalar, Scalar]) -> list[Scalar]:
    """The outputs with every occurrence of a key replaced (a replacement is not searched again)."""
    new: dict[Scalar, Scalar] = dict(replacement)
    stack = [o for o in outputs if o not in new]
    while stack:
        n = stack[-1]
        missing = [a for a in n.args if a not in new]
        if missing:
            stack += missing
            continue
        stack.pop()
        if n not in new:
            args = tuple(new[a] for a in n.args)
            new[n] = Scalar(n.op, args, n.dtype, n.attr) if any(a is not b for a, b in zip(args, n.args)) else n
    return [new[o] for o in outputs]


def is_const(x: Scalar, value: float) -> bool:
    """Whether x is the constant, zeros told apart by sign."""
    if x.op != "const" or x.attr != value:
        return False
    return value != 0 or x.dtype.is_complex or math.copysign(1, x.value) == math.copysign(1, value)


_FOLD_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": lambda a, b: a / b,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
}  # fmt: skip
_FOLD: dict[str, Callable[..., Any]] = {**_FOLD_TWO, "neg": operator.neg, "abs": abs, "sqrt": math.sqrt}


def _folded(n: Scalar) -> Scalar | None:
    """The value of a node of constants. A float32 result of + - * / sqrt taken in float64 and rounded once more is the float32 one."""
    if any(a.dtype.is_complex for a in n.args):
        return None
    values = [a.value for a in n.args]
    if n.op == "cast":
        v = values[0]
        if n.dtype.is_complex or (n.dtype.itemsize < 4 and n.dtype.is_floating_point) or not math.isfinite(v):
            return None
        limit = 8 * n.dtype.itemsize - 1
        return None if n.dtype.is_integral and isinstance(v, float) and abs(v) >= 2.0**limit else const(v, n.dtype)
    if n.op == "not":
        return const(not values[0] if n.dtype is bool_ else ~int(values[0]), n.dtype)
    if n.op not in _FOLD:
        return None
    try:
        return const(_FOLD[n.op](*values), n.dtype)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None


def _reduced(n: Scalar) -> Scalar:
    """One node after the rules; its arguments are reduced already."""
    if all(a.op == "const" for a in n.args):
        folded = _folded(n)
        if folded is not None:
            return folded
    rule = _RULES.get(n.op)
    return rule(n) if rule else n


def _add(n: Scalar) -> Scalar:
    a, b = n.args
    if a.op == "const":
        a, b = b, a
    if is_const(b, -0.0 if n.dtype.is_floating_point else 0) and not n.dtype.is_complex:
        return a
    if b.op == "neg":
        return Scalar("sub", (a, b.args[0]), n.dtype)
    if a.op == "neg":
        return Scalar("sub", (b, a.args[0]), n.dtype)
    return Scalar("add", (a, b), n.dtype)


def _sub(n: Scalar) -> Scalar:
    a, b = n.args
    if is_const(b, 0) and not n.dtype.is_complex:
        return a
    if is_const(a, -0.0) and n.dtype.is_floating_point:
        return _neg(Scalar("neg", (b,), n.dtype))
    return Scalar("add", (a, b.args[0]), n.dtype) if b.op == "neg" else n


def _mul(n: Scalar) -> Scalar:
    a, b = n.args
    if a.op == "const":
        a, b = b, a
    if n.dtype.is_complex:
        return Scalar("mul", (a, b), n.dtype)
    if is_const(b, 1):
        return a
    if is_const(b, -1):
        return _neg(Scalar("neg", (a,), n.dtype))
    if is_const(b, 0) and n.dtype.is_integral:
        return b
    if a.op == "neg" and b.op == "neg":
        return Scalar("mul", (a.args[0], b.args[0]), n.dtype)
    if a.op == "neg" and b.op == "const":
        return Scalar("mul", (a.args[0], const(-b.value, n.dtype)), n.dtype)
    return Scalar("mul", (a, b), n.dtype)


def _div(n: Scalar) -> Scalar:
    a, b = n.args
    if is_const(b, 1) and not n.dtype.is_complex:
        return a
    if b.op == "const" and isinstance(b.attr, float) and b.attr and math.frexp(b.attr)[0] in (0.5, -0.5) and 1e-30 < abs(b.attr) < 1e30:
        return Scalar("mul", (a, const(1 / b.attr, n.dtype)), n.dtype)  # a power of two: the quotient is the product, bit for bit
    return n


def _neg(n: Scalar) -> Scalar:
    a = n.args[0]
    if a.op == "neg":
        return a.args[0]
    if a.op == "mul" and a.args[1].op == "const" and not n.dtype.is_complex:
        return Scalar("mul", (a.args[0], const(fitted(-a.args[1].value, n.dtype), n.dtype)), n.dtype)
    return n


def _not(n: Scalar) -> Scalar:
    return n.args[0].args[0] if n.args[0].op == "not" else n


def _and(n: Scalar) -> Scalar:
    a, b = n.args
    if n.dtype is bool_:
        for x, y in ((a, b), (b, a)):
            if x.op == "const":
                return y if x.attr else x
    return a if a is b else n


def _or(n: Scalar) -> Scalar:
    a, b = n.args
    if n.dtype is bool_:
        for x, y in ((a, b), (b, a)):
            if x.op == "const":
                return x if x.attr else y
    return a if a is b else n


def _where(n: Scalar) -> Scalar:
    c, a, b = n.args
    if c.op == "const":
        return a if c.attr else b
    if a is b:
        return a
    if c.op == "not":
        return Scalar("where", (c.args[0], b, a), n.dtype)
    if a.op == "where" and a.args[0] is c:
        return _where(Scalar("where", (c, a.args[1], b), n.dtype))
    if b.op == "where" and b.args[0] is c:
        return _where(Scalar("where", (c, a, b.args[2]), n.dtype))
    return n


def _cast(n: Scalar) -> Scalar:
    a = n.args[0]
    if a.dtype is n.dtype:
        return a
    if a.op == "cast" and a.dtype is float64 and a.args[0].dtype is n.dtype and n.dtype.is_floating_point:
        return a.args[0]  # float32 -> float64 -> float32
    return n


def _pow(n: Scalar) -> Scalar:
    """PyTorch's short cuts for constant exponents."""
    x, e = n.args
    if e.op != "const" or (isinstance(e.attr, complex) and e.attr.imag):
        return n
    p = e.attr.real if isinstance(e.attr, complex) else e.value
    one, square = const(1, n.dtype), Scalar("mul", (x, x), n.dtype)
    simple: dict[float, Scalar] = {0: one, 1: x, 2: square, 3: Scalar("mul", (square, x), n.dtype)}
    if not n.dtype.is_integral:
        simple |= {-1: Scalar("div", (one, x), n.dtype), -2: Scalar("div", (one, square), n.dtype)}
        simple |= {0.5: Scalar("sqrt", (x,), n.dtype), -0.5: Scalar("rsqrt", (x,), n.dtype)}
    return simple.get(p, n)


def _part(n: Scalar) -> Scalar:
    a = n.args[0]
    if a.op == "complex":
        return a.args[0 if n.op == "real" else 1]
    return n


def _conj(n: Scalar) -> Scalar:
    return n.args[0].args[0] if n.args[0].op == "conj" else n


_RULES: dict[str, Callable[[Scalar], Scalar]] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "not": _not, "and": _and, "or": _or,
    "where": _where, "cast": _cast, "pow": _pow, "real": _part, "imag": _part, "conj": _conj,
}  # fmt: skip


def leaves(outputs: Sequence[Scalar], op: str) -> list[Scalar]:
    """The leaves of one kind that the outputs read."""
    assert op in LEAVES
    return [n for n in order(outputs) if n.op == op]
