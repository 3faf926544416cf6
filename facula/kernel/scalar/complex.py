"""Complex expressions as pairs of real ones, before anything is emitted.

Sums and products are the plain formulas; a quotient is scaled by the larger part of the divisor. Functions of complex64 are evaluated in
float64 and rounded once, so that neither overflow nor cancellation of the textbook formulas reaches the result. Inverse functions follow
Kahan, "Branch cuts for complex elementary functions" (1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import facula.kernel.scalar.functions as fn

from ...base.dtypes import bool_, dtype, float64
from .node import Scalar, const, order

Pair = tuple[Scalar, Scalar]


def split(outputs: Sequence[Scalar]) -> list[Scalar | Pair]:
    """The outputs without complex nodes: a complex output as (real, imaginary). Complex leaves stay, under `real` and `imag`."""
    if not any(n.dtype.is_complex for n in order(outputs)):
        return list(outputs)
    new: dict[Scalar, Scalar | Pair] = {}
    for n in order(outputs):
        args = [new[a] for a in n.args]
        if n.dtype.is_complex:
            new[n] = _pair(n, args)
        elif any(isinstance(a, tuple) for a in args):
            new[n] = _real_valued(n, args)
        else:
            new[n] = Scalar(n.op, tuple(_single(a) for a in args), n.dtype, n.attr) if args else n
    return [new[o] for o in outputs]


def _single(x: Scalar | Pair) -> Scalar:
    assert isinstance(x, Scalar)
    return x


def _both(x: Scalar | Pair) -> Pair:
    assert isinstance(x, tuple)
    return x


def _pair(n: Scalar, args: list[Scalar | Pair]) -> Pair:
    if n.op in ("input", "number"):
        return Scalar("real", (n,), n.dtype.real), Scalar("imag", (n,), n.dtype.real)
    if n.op == "const":
        assert isinstance(n.attr, complex)
        return const(n.attr.real, n.dtype.real), const(n.attr.imag, n.dtype.real)
    if n.op == "complex":
        return _single(args[0]), _single(args[1])
    kind = n.dtype.real
    if n.op == "cast":
        re, im = args[0] if isinstance(args[0], tuple) else (args[0], None)
        return fn.cast(re, kind), const(0, kind) if im is None else fn.cast(im, kind)
    if n.op in ("where", "rare"):
        condition, (re, im), (u, v) = _single(args[0]), _both(args[1]), _both(args[2])
        return Scalar(n.op, (condition, re, u), re.dtype), Scalar(n.op, (condition, im, v), im.dtype)
    operands = [_both(a) for a in args]
    if n.op in _PLAIN:
        return _PLAIN[n.op](*operands)
    re, im = _WIDE[n.op](*[(fn.cast(x, float64), fn.cast(y, float64)) for x, y in operands])
    return fn.cast(re, kind), fn.cast(im, kind)


def _real_valued(n: Scalar, args: list[Scalar | Pair]) -> Scalar:
    re, im = _both(args[0])
    if n.op == "real":
        return re
    if n.op == "imag":
        return im
    if n.op == "abs":
        return fn.hypot(re, im)
    if n.op == "angle":
        return fn.atan2(im, re)
    if n.op in ("eq", "ne"):
        u, v = _both(args[1])
        return (re == u) & (im == v) if n.op == "eq" else (re != u) | (im != v)
    if n.op == "cast":
        return (re != 0) | (im != 0) if n.dtype is bool_ else fn.cast(re, n.dtype)
    raise TypeError(f"{n.op} is not defined for complex numbers")


# -- arithmetic on pairs
def _mul(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _div(a: Pair, b: Pair) -> Pair:
    scale = fn.maximum(fn.fabs(b[0]), fn.fabs(b[1]))
    c, d = b[0] / scale, b[1] / scale
    whole = b[0] * c + b[1] * d
    re, im = (a[0] * c + a[1] * d) / whole, (a[1] * c - a[0] * d) / whole
    none, endless = scale == 0, fn.isinf(scale) & fn.isfinite(a[0]) & fn.isfinite(a[1])
    return fn.where(none, a[0] / b[0], fn.where(endless, 0, re)), fn.where(none, a[1] / b[0], fn.where(endless, 0, im))


def _add(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def _sub(a: Pair, b: Pair) -> Pair:
    return a[0] - b[0], a[1] - b[1]


def _neg(z: Pair) -> Pair:
    return -z[0], -z[1]


def _conj(z: Pair) -> Pair:
    return z[0], -z[1]


def _sign(z: Pair) -> Pair:
    r = fn.hypot(*z)
    safe = fn.where(r == 0, 1, r)
    return z[0] / safe, z[1] / safe


_PLAIN: dict[str, Callable[..., Pair]] = {
    "add": _add,
    "sub": _sub,
    "neg": _neg,
    "conj": _conj,
    "mul": _mul,
    "div": _div,
    "sign": _sign,
}


# -- functions, on float64 pairs
def _times_i(z: Pair) -> Pair:
    return -z[1], z[0]


def _over_i(z: Pair) -> Pair:
    return z[1], -z[0]


def _scaled(z: Pair, by: float) -> Pair:
    return z[0] * by, z[1] * by


def _exp(z: Pair) -> Pair:
    x, y = z
    m = fn.exp(x)
    flat = (y == 0) | (m == 0)  # keeps 0 * inf away: e**(x + 0i) and e**-inf
    return fn.where(y == 0, m, fn.where(m == 0, 0, m * fn.cos(y))), fn.where(flat, fn.where(m == 0, 0, y), m * fn.sin(y))


def _log(z: Pair) -> Pair:
    x, y = z
    a, b = fn.fabs(x), fn.fabs(y)
    big, small = fn.maximum(a, b), fn.minimum(a, b)
    near = (big > 0.5) & (big < 2) & (small < 2)
    exact = fn.log1p((big - 1) * (big + 1) + small * small) * 0.5
    return fn.where(near, exact, fn.log(fn.hypot(x, y))), fn.atan2(y, x)


def _sqrt(z: Pair) -> Pair:
    x, y = z
    big = fn.maximum(fn.fabs(x), fn.fabs(y)) > 1e300
    s = fn.where(big, 0.25, const(1, x.dtype))
    u, v = x * s, y * s
    t = fn.sqrt((fn.hypot(u, v) + fn.fabs(u)) * 0.5)
    other = fn.where(t == 0, 0, v / (t * 2))
    undo = fn.where(big, 2, const(1, x.dtype))
    re = fn.where(x >= 0, t, fn.fabs(other)) * undo
    im = fn.where(x >= 0, other, fn.copysign(t, y)) * undo
    endless = fn.isinf(y)
    return fn.where(endless, fn.fabs(y), fn.where(fn.isinf(x) & (x > 0), x, re)), fn.where(endless, y, fn.where(t == 0, y, im))


def _sinh(z: Pair) -> Pair:
    wave = fn.cosh(z[0]) * fn.sin(z[1])
    still = (z[0] == 0) & ~fn.isfinite(z[1])
    return fn.where(still, z[0], fn.sinh(z[0]) * fn.cos(z[1])), fn.where(z[1] == 0, z[1], wave)


def _cosh(z: Pair) -> Pair:
    odd = fn.sinh(z[0]) * fn.sin(z[1])
    return fn.cosh(z[0]) * fn.cos(z[1]), fn.where((z[1] == 0) | (z[0] == 0), z[0] * z[1] * 0, odd)


def _tanh(z: Pair) -> Pair:
    x, y = z
    t, s = fn.tan(y), fn.sinh(x)
    beta, rho = t * t + 1, fn.sqrt(s * s + 1)
    whole = beta * s * s + 1
    far = fn.fabs(x) > 22
    tail = fn.exp(fn.fabs(x) * -2) * 4
    steep = fn.isinf(t)
    re = fn.where(steep, rho / s, beta * rho * s / whole)
    return fn.where(far, fn.copysign(const(1, x.dtype), x), re), fn.where(far, fn.sin(y) * fn.cos(y) * tail, t / whole)


def _one_minus(z: Pair) -> Pair:
    return 1 - z[0], -z[1]


def _one_plus(z: Pair) -> Pair:
    return 1 + z[0], z[1]


def _endless(z: Pair) -> Scalar:
    """Whether a number is infinitely large: there the formulas meet inf - inf, and only the direction counts."""
    return fn.isinf(z[0]) | fn.isinf(z[1])


def _choose(condition: Scalar, a: Pair, b: Pair) -> Pair:
    return fn.where(condition, a[0], b[0]), fn.where(condition, a[1], b[1])


def _asin(z: Pair) -> Pair:
    p, q = _sqrt(_one_minus(z)), _sqrt(_one_plus(z))
    out = fn.atan2(z[0], p[0] * q[0] - p[1] * q[1]), fn.asinh(p[0] * q[1] - p[1] * q[0])
    far = fn.copysign(fn.atan2(fn.fabs(z[0]), fn.fabs(z[1])), z[0]), fn.copysign(const(math.inf, float64), z[1])
    return _choose(_endless(z), far, out)


def _acos(z: Pair) -> Pair:
    p, q = _sqrt(_one_minus(z)), _sqrt(_one_plus(z))
    out = fn.atan2(p[0], q[0]) * 2, fn.asinh(q[0] * p[1] - q[1] * p[0])
    far = fn.atan2(fn.fabs(z[1]), z[0]), -fn.copysign(const(math.inf, float64), z[1])
    return _choose(_endless(z), far, out)


def _acosh(z: Pair) -> Pair:
    p, q = _sqrt((z[0] - 1, z[1])), _sqrt((z[0] + 1, z[1]))
    out = fn.asinh(p[0] * q[0] + p[1] * q[1]), fn.atan2(p[1], q[0]) * 2
    return _choose(_endless(z), (const(math.inf, float64), fn.atan2(z[1], z[0])), out)


def _atanh(z: Pair) -> Pair:
    x, y = z
    re = fn.log1p(x * 4 / ((1 - x) * (1 - x) + y * y)) * 0.25
    out = re, fn.atan2(y * 2, (1 - x) * (1 + x) - y * y) * 0.5
    far = fn.copysign(const(0, float64), x), fn.copysign(const(math.pi / 2, float64), y)
    return _choose(_endless(z), far, out)


def _pow(z: Pair, w: Pair) -> Pair:
    re, im = _exp(_mul(w, _log(z)))
    none = (z[0] == 0) & (z[1] == 0)
    unit = (w[0] == 0) & (w[1] == 0)
    zero = const(0, float64)
    at_zero = fn.where(unit, const(1, float64), fn.where(w[0] > 0, zero, const(math.nan, float64)))
    return fn.where(none, at_zero, re), fn.where(none, fn.where(w[0] >= 0, zero, const(math.nan, float64)), im)


def _expm1(z: Pair) -> Pair:
    half = fn.sin(z[1] * 0.5)
    return fn.expm1(z[0]) * fn.cos(z[1]) - half * half * 2, _exp(z)[1]


def _log1p(z: Pair) -> Pair:
    x, y = z
    near = (fn.fabs(x) < 0.5) & (fn.fabs(y) < 0.5)
    far = _log(_one_plus(z))
    return fn.where(near, fn.log1p(x * (x + 2) + y * y) * 0.5, far[0]), far[1]


def _reciprocal(z: Pair) -> Pair:
    one: dtype = float64
    return _div((const(1, one), const(0, one)), z)


_OF_ONE: dict[str, Callable[[Pair], Pair]] = {
    "exp": _exp,
    "exp2": lambda z: _exp(_scaled(z, math.log(2))),
    "expm1": _expm1,
    "log": _log,
    "log2": lambda z: _scaled(_log(z), 1 / math.log(2)),
    "log10": lambda z: _scaled(_log(z), 1 / math.log(10)),
    "log1p": _log1p,
    "sqrt": _sqrt,
    "rsqrt": lambda z: _reciprocal(_sqrt(z)),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
    "sin": lambda z: _over_i(_sinh(_times_i(z))),
    "cos": lambda z: _cosh(_times_i(z)),
    "tan": lambda z: _over_i(_tanh(_times_i(z))),
    "asin": _asin,
    "acos": _acos,
    "atan": lambda z: _over_i(_atanh(_times_i(z))),
    "asinh": lambda z: _over_i(_asin(_times_i(z))),
    "acosh": _acosh,
    "atanh": _atanh,
    "sigmoid": lambda z: _reciprocal(_one_plus(_exp(_neg(z)))),
}
_WIDE: dict[str, Callable[..., Pair]] = {**_OF_ONE, "pow": _pow}
