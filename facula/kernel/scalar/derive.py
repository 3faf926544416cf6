"""Reverse-mode derivatives of expressions, in the same language.

Each rule says, from a node and the cotangent of its value, what reaches each argument; it speaks of the node's own value where it can
(exp, tanh, sqrt, ...), so that a caller may save the output instead of the input. A cotangent that comes through `where` is a selection,
and factors are multiplied inside it: what the branch not taken would give (an infinity, a NaN) never shows. Complex values follow
PyTorch's convention: the cotangent of a holomorphic f(z) is multiplied by conj(f'(z)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import facula.kernel.scalar.functions as fn

from .node import Scalar, const, order
from .simplify import is_const, leaves, simplify, substitute

Cotangents = tuple["Scalar | None", ...]


def derive(outputs: Sequence[Scalar], seeds: Sequence[Scalar | None], wrt: Sequence[Scalar]) -> list[Scalar]:
    """Gradients for the nodes `wrt` when output k has the cotangent seeds[k] (None: none). A zero gradient is a constant."""
    found = cotangents(outputs, seeds, wrt)
    return simplify([const(0, w.dtype) if g is None else g for w, g in zip(wrt, found)])


def cotangents(outputs: Sequence[Scalar], seeds: Sequence[Scalar | None], wrt: Sequence[Scalar]) -> list[Scalar | None]:
    """As `derive`, None where no gradient arrives, not simplified."""
    arrived: dict[Scalar, Scalar | None] = {}
    for o, s in zip(outputs, seeds):
        if _differentiable(o) and s is not None:
            arrived[o] = _sum(arrived.get(o), s)
    nodes = order(outputs)
    useful = set(wrt)
    for n in nodes:
        if any(a in useful for a in n.args):
            useful.add(n)
    ends = set(wrt)
    for n in reversed(nodes):
        g = arrived.get(n)
        if g is None or n not in useful or not n.args or (n in ends and not any(a in useful for a in n.args)):
            continue
        rule = _RULES.get(n.op)
        if rule is None:
            raise NotImplementedError(f"the derivative of {n.op} is not written")
        for a, c in zip(n.args, rule(n, g)):
            if c is not None and a in useful and _differentiable(a):
                arrived[a] = _sum(arrived.get(a), c)
    return [arrived.get(w) for w in wrt]


@dataclass(frozen=True)
class Backward:
    """Gradient expressions over leaves of their own: input(i) of an expression is what `leaves[i]` names, ("grad", k), ("input", k) or
    ("output", k). `exprs` has one entry per wanted input, None where no gradient arrives."""

    exprs: tuple[Scalar | None, ...]
    leaves: tuple[tuple[str, int], ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """Inputs to save."""
        return tuple(i for kind, i in self.leaves if kind == "input")

    @property
    def outputs(self) -> tuple[int, ...]:
        """Outputs to save."""
        return tuple(i for kind, i in self.leaves if kind == "output")


_GRAD, _OUTPUT = 1 << 20, 1 << 21  # leaf numbers while an expression is built


def derive_saving(outputs: Sequence[Scalar], wrt: Sequence[int] | None = None) -> Backward:
    """Gradients for the inputs `wrt` (default: every input that can have one, up to the largest index), each as a function of the outputs'
    cotangents and as few saved tensors as will do. Outputs are saved instead of inputs only where then no input is needed."""
    inputs = {n.place: n for n in leaves(outputs, "input")}
    if wrt is None:
        wrt = range(max(inputs, default=-1) + 1)
    nodes = [inputs.get(i) for i in wrt]
    seeds = [Scalar("input", (), o.dtype, _GRAD + k) if _differentiable(o) else None for k, o in enumerate(outputs)]
    present = [n for n in nodes if n is not None and _differentiable(n)]
    found = dict(zip(present, cotangents(outputs, seeds, present)))
    if len(outputs) == 1 and seeds[0] is not None:
        found = {n: e if e is None else _factored(outputs[0], seeds[0], n, e) for n, e in found.items()}
    exprs = [found.get(n) if n is not None else None for n in nodes]
    live = [e for e in exprs if e is not None]
    plain = simplify(live)
    results = {o: Scalar("input", (), o.dtype, _OUTPUT + k) for k, o in enumerate(outputs) if o.args and _differentiable(o)}
    saving = simplify(substitute(live, results))
    chosen = saving if _reads(plain) and not _reads(saving) else plain
    used = sorted({n.place for n in leaves(chosen, "input")}, key=_place)
    order_of = {attr: i for i, attr in enumerate(used)}
    names = {n: Scalar("input", (), n.dtype, order_of[n.place]) for n in leaves(chosen, "input")}
    rest = iter(substitute(chosen, names))
    kinds = tuple(("output", a - _OUTPUT) if a >= _OUTPUT else ("grad", a - _GRAD) if a >= _GRAD else ("input", a) for a in order_of)
    return Backward(tuple(None if e is None else next(rest) for e in exprs), kinds)


def _factored(output: Scalar, seed: Scalar, wrt: Scalar, gradient: Scalar) -> Scalar:
    """The gradient as slope * seed if the seed comes by several ways: an infinity times terms of either sign would be NaN, 0 lose its sign."""
    meets = {seed}
    ways = 0
    for n in order([gradient]):
        reached = sum(a in meets for a in n.args)
        if reached:
            meets.add(n)
            ways += n.op in ("add", "sub") and reached > 1
    if not ways or seed.dtype is not wrt.dtype or not seed.dtype.is_floating_point:
        return gradient
    slope = cotangents([output], [const(1, seed.dtype)], [wrt])[0]
    return gradient if slope is None else _through(slope, lambda v: v * seed)


def _place(attr: int) -> tuple[int, int]:
    """Cotangents first, then inputs, then outputs."""
    return (2 if attr >= _OUTPUT else 0 if attr >= _GRAD else 1, attr)


def _reads(exprs: Sequence[Scalar]) -> bool:
    return any(n.place < _GRAD for n in leaves(exprs, "input"))


def _differentiable(n: Scalar) -> bool:
    return n.dtype.is_floating_point or n.dtype.is_complex


# -- building cotangents
def _zero(x: Scalar) -> bool:
    return x.op == "const" and x.attr == 0


def _sum(a: Scalar | None, b: Scalar) -> Scalar:
    if a is None or _zero(a):
        return b
    if _zero(b):
        return a
    if a.op == b.op == "where" and a.args[0] is b.args[0]:
        c, x, y = a.args
        _, u, v = b.args
        return fn.where(c, _sum(x, u), _sum(y, v))
    return a + b


def _guarded(g: Scalar) -> bool:
    return g.op == "where" and (_zero(g.args[1]) or _zero(g.args[2]))


def _through(g: Scalar, step: Callable[[Scalar], Scalar]) -> Scalar:
    """A linear step applied to a cotangent, inside the selections that guard it."""
    if g.op == "where":
        c, x, y = g.args
        a, b = (const(0, x.dtype) if _zero(x) else _through(x, step)), (const(0, y.dtype) if _zero(y) else _through(y, step))
        a, b = (const(0, b.dtype) if _zero(x) else a), (const(0, a.dtype) if _zero(y) else b)
        return fn.where(c, a, b)
    if g.op == "add" and (_guarded(g.args[0]) or _guarded(g.args[1])):
        return _sum(_through(g.args[0], step), _through(g.args[1], step))
    return step(g)


def _times(g: Scalar, d: Scalar) -> Scalar:
    """g * conj(d)."""
    if is_const(d, 1):
        return g
    return _through(g, lambda v: v * fn.conj(d))


def _over(g: Scalar, d: Scalar) -> Scalar:
    """g / conj(d)."""
    return _through(g, lambda v: v / fn.conj(d))


def _only(condition: Scalar, g: Scalar) -> Scalar:
    """g where the condition holds, else nothing."""
    return fn.where(condition, g, const(0, g.dtype))


# -- the table
Rule = Callable[[Scalar, Scalar], Cotangents]
_RULES: dict[str, Rule] = {}


def _rule(names: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        for name in names.split():
            _RULES[name] = rule
        return rule

    return enter


def _factor(name: str, derivative: Callable[[Scalar, Scalar], Scalar]) -> None:
    """A function of one argument by its derivative, given (argument, own value)."""
    _RULES[name] = lambda n, g: (_times(g, derivative(n.args[0], n)),)


def _quotient(name: str, denominator: Callable[[Scalar, Scalar], Scalar]) -> None:
    """A function of one argument whose derivative is 1 / denominator."""
    _RULES[name] = lambda n, g: (_over(g, denominator(n.args[0], n)),)


_factor("exp", lambda x, y: y)
_factor("exp2", lambda x, y: y * math.log(2))
_factor("expm1", lambda x, y: y + 1)
_quotient("log", lambda x, y: x)
_quotient("log2", lambda x, y: x * math.log(2))
_quotient("log10", lambda x, y: x * math.log(10))
_quotient("log1p", lambda x, y: x + 1)
_quotient("sqrt", lambda x, y: y * 2)
_factor("rsqrt", lambda x, y: y * y * y * -0.5)
_factor("sin", lambda x, y: fn.cos(x))
_factor("cos", lambda x, y: -fn.sin(x))
_factor("tan", lambda x, y: y * y + 1)
_factor("asin", lambda x, y: fn.rsqrt(1 - x * x))
_factor("acos", lambda x, y: -fn.rsqrt(1 - x * x))
_quotient("atan", lambda x, y: x * x + 1)
_factor("sinh", lambda x, y: fn.cosh(x))
_factor("cosh", lambda x, y: fn.sinh(x))
_factor("tanh", lambda x, y: 1 - y * y)
_factor("asinh", lambda x, y: fn.rsqrt(x * x + 1))
_factor("acosh", lambda x, y: fn.rsqrt(x * x - 1) if not x.dtype.is_complex else fn.rsqrt(x - 1) * fn.rsqrt(x + 1))
_quotient("atanh", lambda x, y: 1 - x * x)
_factor("sigmoid", lambda x, y: (1 - y) * y)
_factor("log_sigmoid", lambda x, y: fn.sigmoid(-x))
_factor("softplus", lambda x, y: fn.sigmoid(x))
_factor("erf", lambda x, y: fn.exp(-(x * x)) * (2 / math.sqrt(math.pi)))
_factor("erfc", lambda x, y: fn.exp(-(x * x)) * (-2 / math.sqrt(math.pi)))
_factor("erfinv", lambda x, y: fn.exp(y * y) * (math.sqrt(math.pi) / 2))
_factor("ndtr", lambda x, y: fn.normal_pdf(x))
_factor("normal_pdf", lambda x, y: -x * y)
_factor("gelu", lambda x, y: fn.ndtr(x) + x * fn.normal_pdf(x))
_factor("lgamma", lambda x, y: fn.digamma(x))
_factor("digamma", lambda x, y: fn.trigamma(x))
_factor("i0", lambda x, y: fn.i1(x))
_factor("i0e", lambda x, y: fn.i1e(x) - fn.sign(x) * y)
_factor("i1", lambda x, y: fn.where(x == 0, 0.5, fn.i0(x) - y / x))
_factor("i1e", lambda x, y: fn.where(x == 0, 0.5, fn.i0e(x) - y * (fn.sign(x) + 1 / x)))


@_rule("floor ceil round trunc floor_divide nextafter eq ne lt le gt ge and or xor not shl shr bitcast gcd trunc_divide")
def _flat(n: Scalar, g: Scalar) -> Cotangents:
    return (None,) * len(n.args)


@_rule("add")
def _add(n: Scalar, g: Scalar) -> Cotangents:
    return g, g


@_rule("sub")
def _sub(n: Scalar, g: Scalar) -> Cotangents:
    return g, _through(g, lambda v: -v)


@_rule("neg")
def _neg(n: Scalar, g: Scalar) -> Cotangents:
    return (_through(g, lambda v: -v),)


@_rule("mul")
def _mul(n: Scalar, g: Scalar) -> Cotangents:
    a, b = n.args
    return _times(g, b), _times(g, a)


@_rule("fma")
def _fma(n: Scalar, g: Scalar) -> Cotangents:
    a, b, _ = n.args
    return _times(g, b), _times(g, a), g


@_rule("div")
def _div(n: Scalar, g: Scalar) -> Cotangents:
    b = n.args[1]
    return _over(g, b), _through(_times(g, n / b), lambda v: -v)


@_rule("pow")
def _pow(n: Scalar, g: Scalar) -> Cotangents:
    x, e = n.args
    base = (
        None if is_const(e, 0) else _times(g, e * fn.pow(x, e - 1)) if e.op == "const" else _only(e != 0, _times(g, e * fn.pow(x, e - 1)))
    )
    nothing = (x == 0) & (fn.real(e) >= 0)
    return base, None if e.op == "const" else _only(~nothing, _times(g, n * fn.log(x)))


@_rule("abs")
def _abs(n: Scalar, g: Scalar) -> Cotangents:
    x = n.args[0]
    return (_through(g, lambda v: fn.cast(v, x.dtype) * fn.sign(x)),)


@_rule("sign")
def _sign(n: Scalar, g: Scalar) -> Cotangents:
    z = n.args[0]
    if not z.dtype.is_complex:
        return (None,)
    along = fn.real(g * fn.conj(n))  # the part along z changes the modulus only
    return (_only(z != 0, (g - n * fn.cast(along, z.dtype)) / fn.cast(fn.abs(z), z.dtype)),)


@_rule("relu")
def _relu(n: Scalar, g: Scalar) -> Cotangents:
    return (fn.where(n <= 0, const(0, g.dtype), g),)


@_rule("copysign")
def _copysign(n: Scalar, g: Scalar) -> Cotangents:
    a = n.args[0]
    return _only(a != 0, _times(g, n / a)), None


@_rule("minimum maximum")
def _extreme(n: Scalar, g: Scalar) -> Cotangents:
    a, b = n.args
    a_loses, b_loses = (a < b, b < a) if n.op == "maximum" else (a > b, b > a)
    shared = fn.where(a == b, _through(g, lambda v: v * 0.5), g)
    return fn.where(a_loses, const(0, g.dtype), shared), fn.where(b_loses, const(0, g.dtype), shared)


@_rule("fmin fmax")
def _number_extreme(n: Scalar, g: Scalar) -> Cotangents:
    a, b = n.args
    first = (a >= b if n.op == "fmax" else a <= b) | fn.isnan(b)
    return _only(first, g), fn.where(first, const(0, g.dtype), g)


@_rule("where rare")
def _where(n: Scalar, g: Scalar) -> Cotangents:
    c = n.args[0]
    return None, _only(c, g), fn.where(c, const(0, g.dtype), g)


@_rule("cast")
def _cast(n: Scalar, g: Scalar) -> Cotangents:
    kind = n.args[0].dtype
    if not (kind.is_floating_point or kind.is_complex):
        return (None,)
    return (_through(g, lambda v: fn.cast(v, kind)),)


@_rule("hypot")
def _hypot(n: Scalar, g: Scalar) -> Cotangents:
    a, b = n.args
    return _times(g, a / n), _times(g, b / n)


@_rule("atan2")
def _atan2(n: Scalar, g: Scalar) -> Cotangents:
    y, x = n.args
    square = x * x + y * y
    inverse = fn.where(square == 0, const(0, x.dtype), 1 / square)
    return _times(g, x * inverse), _times(g, -y * inverse)


@_rule("fmod")
def _fmod(n: Scalar, g: Scalar) -> Cotangents:
    a, b = n.args
    return g, _times(g, -fn.trunc(a / b))


@_rule("remainder")
def _remainder(n: Scalar, g: Scalar) -> Cotangents:
    a, b = n.args
    return g, _times(g, -fn.floor_divide(a, b))


@_rule("real")
def _real(n: Scalar, g: Scalar) -> Cotangents:
    return (_through(g, lambda v: fn.complex_(v, const(0, v.dtype))),)


@_rule("imag")
def _imag(n: Scalar, g: Scalar) -> Cotangents:
    return (_through(g, lambda v: fn.complex_(const(0, v.dtype), v)),)


@_rule("conj")
def _conj(n: Scalar, g: Scalar) -> Cotangents:
    return (_through(g, fn.conj),)


@_rule("complex")
def _complex(n: Scalar, g: Scalar) -> Cotangents:
    return _through(g, fn.real), _through(g, fn.imag)


@_rule("angle")
def _angle(n: Scalar, g: Scalar) -> Cotangents:
    z = n.args[0]
    x, y = fn.real(z), fn.imag(z)
    square = x * x + y * y
    return (_only(z != 0, fn.complex_(g * (-y / square), g * (x / square))),)
