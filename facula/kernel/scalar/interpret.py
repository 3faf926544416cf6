"""What an expression means, in NumPy: the definition that compiled code is tested against. Special functions come from SciPy in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...base.dtypes import bool_, dtype, int64
from .node import Scalar, order

Unary = Callable[[Any, Any], Any]
Binary = Callable[[Any, Any, Any], Any]
Ternary = Callable[[Any, Any, Any, Any], Any]


def interpret(outputs: Sequence[Scalar], arrays: Sequence[Any], numbers: Sequence[Any] = (), index: Any = None) -> list[Any]:
    """Values of the outputs, as NumPy arrays in each node's type. `arrays` are the tensor inputs (halves are widened), broadcast freely."""
    import numpy as np

    values: dict[Scalar, Any] = {}
    with np.errstate(all="ignore"):
        for n in order(outputs):
            args = [values[a] for a in n.args]
            values[n] = _stored(_value(n, args, arrays, numbers, index), n.dtype)
    return [values[o] for o in outputs]


def _stored(x: Any, d: dtype) -> Any:
    import numpy as np

    return np.asarray(x).astype(d.numpy, copy=False)


def _value(n: Scalar, args: list[Any], arrays: Sequence[Any], numbers: Sequence[Any], index: Any) -> Any:
    import numpy as np

    if n.op == "const":
        return np.array(n.attr, n.dtype.numpy)
    if n.op == "input":
        return np.asarray(arrays[n.place])
    if n.op == "number":
        return np.asarray(numbers[n.place])
    if n.op == "index":
        return np.asarray(np.arange(np.size(arrays[0])) if index is None else index, int64.numpy)
    if n.op == "cast":
        return _cast(args[0], n.args[0].dtype, n.dtype)
    if n.op == "bitcast":
        x = np.asarray(args[0], order="C")
        return x.view(n.dtype.numpy).reshape(x.shape)
    if n.op in _EXACT:
        return _EXACT[n.op](np, *args)
    d = n.args[0].dtype
    if d.is_integral or d is bool_:
        return _INTEGER[n.op](np, *args)
    wide = np.complex128 if d.is_complex else np.float64
    return _SPECIAL[n.op](np, *[a.astype(wide) for a in args])


def _cast(x: Any, source: dtype, target: dtype) -> Any:
    import numpy as np

    if target is bool_:
        return x != 0
    if source.is_complex and not target.is_complex:
        x = x.real
    if target.is_integral and not (source.is_integral or source is bool_):
        wide = np.where(np.abs(x) < 2.0**63, x, 0).astype(np.int64)
        top = np.iinfo(np.int64).min if target.itemsize == 8 else 0
        wide = np.where(np.abs(x) < 2.0**63, wide, top)
        if target.name == "uint64":
            return np.where((x >= 2.0**63) & (x < 2.0**64), np.where(x >= 2.0**63, x, 0).astype(np.uint64), wide.astype(np.uint64))
        if target.itemsize < 8 and target.name != "uint32":  # x86 converts to int32 and keeps the low bits
            wide = np.where((np.trunc(x) >= -(2.0**31)) & (np.trunc(x) < 2.0**31), wide, np.iinfo(np.int32).min)
        return wide.astype(target.numpy)
    return x.astype(target.numpy)


def _shift(np: Any, x: Any, s: Any, left: bool) -> Any:
    bits = 8 * x.dtype.itemsize
    inside = (s >= 0) & (s < bits)
    safe = np.where(inside, s, 0).astype(x.dtype)
    beyond = np.zeros_like(x) if left or x.dtype.kind == "u" else x >> x.dtype.type(bits - 1)
    return np.where(inside, x << safe if left else x >> safe, beyond)


def _integer_pow(np: Any, x: Any, e: Any) -> Any:
    x, e = np.broadcast_arrays(x, e)
    result, base, left = np.ones_like(x), x.copy(), np.where(e < 0, 0, e).astype(np.uint64)
    while left.any():
        result = np.where(left & np.uint64(1) == 1, result * base, result)
        base, left = base * base, left >> np.uint64(1)
    odd = np.where(e & e.dtype.type(1) == 1, x, np.ones_like(x))
    negative = np.where(x == 1, x, np.where(x == -1, odd, np.zeros_like(x))) if x.dtype.kind == "i" else result
    return np.where(e < 0, negative, result)


def _erfinv(np: Any, x: Any) -> Any:
    from scipy import special

    return np.where(np.abs(x) > 1, np.nan, special.erfinv(x))


def _lookup(np: Any, index: Any, *table: Any) -> Any:
    return np.stack(table)[index & 15]


def _numpy(name: str) -> Callable[..., Any]:
    def call(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    return call


def _scipy(name: str) -> Callable[..., Any]:
    def call(np: Any, *args: Any) -> Any:
        from scipy import special

        return getattr(special, name)(*args)

    return call


def _round_once(np: Any, a: Any, b: Any, c: Any) -> Any:
    wide = np.float64 if a.dtype == np.float32 else np.longdouble
    return a.astype(wide) * b.astype(wide) + c.astype(wide)


def _sign(np: Any, x: Any) -> Any:
    if np.iscomplexobj(x):
        r = np.abs(x)
        return np.where(r == 0, 0, x / np.where(r == 0, 1, r))
    return np.where(np.isnan(x), x.dtype.type(0), np.sign(x)) if x.dtype.kind == "f" else np.sign(x)


# by the number of operands; NumPy comes first, since it is imported only where something is interpreted
_EXACT_ONE: dict[str, Unary] = {
    "neg": lambda np, a: -a if a.dtype.kind != "u" else (~a + a.dtype.type(1)),
    "abs": lambda np, a: np.abs(a),
    "sqrt": lambda np, a: np.sqrt(a),
    "not": lambda np, a: ~a,
    "floor": lambda np, a: np.floor(a),
    "ceil": lambda np, a: np.ceil(a),
    "trunc": lambda np, a: np.trunc(a),
    "round": lambda np, a: np.rint(a),
    "sign": _sign,
    "relu": lambda np, a: np.where(a < 0, a.dtype.type(0), a),
    "real": lambda np, a: a.real,
    "imag": lambda np, a: a.imag,
    "conj": lambda np, a: np.conj(a),
}
_EXACT_TWO: dict[str, Binary] = {
    "add": lambda np, a, b: a + b,
    "sub": lambda np, a, b: a - b,
    "mul": lambda np, a, b: a * b,
    "div": lambda np, a, b: a / b,
    "eq": lambda np, a, b: a == b,
    "ne": lambda np, a, b: a != b,
    "lt": lambda np, a, b: a < b,
    "le": lambda np, a, b: a <= b,
    "gt": lambda np, a, b: a > b,
    "ge": lambda np, a, b: a >= b,
    "and": lambda np, a, b: a & b,
    "or": lambda np, a, b: a | b,
    "xor": lambda np, a, b: a ^ b,
    "shl": lambda np, a, b: _shift(np, a, b, True),
    "shr": lambda np, a, b: _shift(np, a, b, False),
    "copysign": lambda np, a, b: np.copysign(a, b),
    "minimum": lambda np, a, b: np.minimum(a, b),
    "maximum": lambda np, a, b: np.maximum(a, b),
    "fmin": lambda np, a, b: np.fmin(a, b),
    "fmax": lambda np, a, b: np.fmax(a, b),
    "nextafter": lambda np, a, b: np.nextafter(a, b),
    "fmod": lambda np, a, b: np.fmod(a, b),
    "remainder": lambda np, a, b: np.remainder(a, b),
    "floor_divide": lambda np, a, b: np.floor_divide(a, b),
    "complex": lambda np, a, b: a + 1j * b if not (np.isinf(b).any() or np.isnan(b).any()) else _join(np, a, b),
}
_EXACT_THREE: dict[str, Ternary] = {
    "fma": _round_once,
    "where": lambda np, c, a, b: np.where(c, a, b),
    "rare": lambda np, c, a, b: np.where(c, a, b),
}
_EXACT: dict[str, Callable[..., Any]] = {**_EXACT_ONE, **_EXACT_TWO, **_EXACT_THREE, "lookup": _lookup}


def _join(np: Any, a: Any, b: Any) -> Any:
    a, b = np.broadcast_arrays(a, b)
    z = np.empty(a.shape, np.complex64 if a.dtype == np.float32 else np.complex128)
    z.real, z.imag = a, b
    return z


_INTEGER: dict[str, Binary] = {
    "pow": _integer_pow,
    "gcd": lambda np, a, b: np.gcd(a, b),
    "trunc_divide": lambda np, a, b: np.where(b == 0, 0, np.floor_divide(a - np.fmod(a, np.where(b == 0, 1, b)), np.where(b == 0, 1, b))),
}

_SPECIAL_ONE: dict[str, Unary] = {
    "asin": lambda np, x: np.arcsin(x),
    "acos": lambda np, x: np.arccos(x),
    "atan": lambda np, x: np.arctan(x),
    "asinh": lambda np, x: np.arcsinh(x),
    "acosh": lambda np, x: np.arccosh(x),
    "atanh": lambda np, x: np.arctanh(x),
    "angle": lambda np, z: np.angle(z),
    "rsqrt": lambda np, x: 1 / np.sqrt(x),
    "sigmoid": lambda np, x: 1 / (1 + np.exp(-x)),
    "log_sigmoid": lambda np, x: -np.logaddexp(0, -x),
    "softplus": lambda np, x: np.logaddexp(0, x),
    "erfinv": _erfinv,
    "normal_pdf": lambda np, x: np.exp(x * x * -0.5) / np.sqrt(2 * np.pi),
    "gelu": lambda np, x: x * _scipy("ndtr")(np, x),
    "digamma": lambda np, x: np.where(x == 0, np.copysign(np.inf, -x), _scipy("digamma")(np, x)),
    "trigamma": lambda np, x: _scipy("polygamma")(np, 1, x),
}
_SPECIAL_TWO: dict[str, Binary] = {
    "atan2": lambda np, y, x: np.arctan2(y, x),
    "pow": lambda np, a, b: np.power(a, b),
}
_SPECIAL: dict[str, Callable[..., Any]] = {
    **_SPECIAL_ONE,
    **_SPECIAL_TWO,
    **{
        name: _numpy(name)
        for name in ["exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "hypot"]
    },
    **{name: _scipy(name) for name in ["erf", "erfc", "ndtr", "i0", "i0e", "i1", "i1e"]},
    "lgamma": _scipy("gammaln"),
}
