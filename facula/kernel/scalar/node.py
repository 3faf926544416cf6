"""Scalar expressions: what one element of a result is, as an immutable graph. Equal expressions are the same object.

A node is `Scalar(op, args, dtype, attr)`: the operator's name, its arguments, the type of its value, and what a leaf carries (an index or
a number). Python's operators build nodes; a Python number takes the other operand's type. Types never mix silently: promotion is decided
by the caller, who casts. Halves occur as targets of casts only: arithmetic on them is done in float32.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

from ...base.dtypes import bool_, dtype, float32, int64

_NODES: WeakValueDictionary[tuple[object, ...], Scalar] = WeakValueDictionary()

LEAVES = frozenset({"input", "number", "const", "index"})


class Scalar:
    """One node. Compare identities with `is`; `==` builds a comparison."""

    __slots__ = ("__weakref__", "args", "attr", "dtype", "op")
    __hash__ = object.__hash__

    op: str
    args: tuple[Scalar, ...]
    dtype: dtype
    attr: int | float | complex | None

    def __new__(cls, op: str, args: tuple[Scalar, ...], dtype: dtype, attr: int | float | complex | None = None) -> Scalar:
        key = (op, *map(id, args), dtype.name, None if attr is None else spell(attr))
        found = _NODES.get(key)
        if found is not None:
            return found
        node = object.__new__(cls)
        for name, value in (("op", op), ("args", args), ("dtype", dtype), ("attr", attr)):
            object.__setattr__(node, name, value)
        return _NODES.setdefault(key, node)

    @property
    def place(self) -> int:
        """Which input or number a leaf reads."""
        assert isinstance(self.attr, int)
        return self.attr

    @property
    def value(self) -> float:
        """What a constant of a real type holds."""
        assert isinstance(self.attr, (int, float))
        return self.attr

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Scalar is immutable: {name} cannot be set")

    def __reduce__(self) -> tuple[object, ...]:
        return (Scalar, (self.op, self.args, self.dtype, self.attr))

    def __repr__(self) -> str:
        return nested(self)

    def __bool__(self) -> bool:
        raise TypeError("a Scalar has no truth value while it is traced: write where(condition, a, b)")

    def __add__(self, o: object) -> Scalar:
        return arithmetic("add", self, o)

    def __radd__(self, o: object) -> Scalar:
        return arithmetic("add", o, self)

    def __sub__(self, o: object) -> Scalar:
        return arithmetic("sub", self, o)

    def __rsub__(self, o: object) -> Scalar:
        return arithmetic("sub", o, self)

    def __mul__(self, o: object) -> Scalar:
        return arithmetic("mul", self, o)

    def __rmul__(self, o: object) -> Scalar:
        return arithmetic("mul", o, self)

    def __truediv__(self, o: object) -> Scalar:
        return arithmetic("div", self, o)

    def __rtruediv__(self, o: object) -> Scalar:
        return arithmetic("div", o, self)

    def __floordiv__(self, o: object) -> Scalar:
        return arithmetic("floor_divide", self, o)

    def __rfloordiv__(self, o: object) -> Scalar:
        return arithmetic("floor_divide", o, self)

    def __mod__(self, o: object) -> Scalar:
        return arithmetic("remainder", self, o)

    def __rmod__(self, o: object) -> Scalar:
        return arithmetic("remainder", o, self)

    def __pow__(self, o: object) -> Scalar:
        return arithmetic("pow", self, o)

    def __rpow__(self, o: object) -> Scalar:
        return arithmetic("pow", o, self)

    def __and__(self, o: object) -> Scalar:
        return bitwise("and", self, o)

    def __rand__(self, o: object) -> Scalar:
        return bitwise("and", o, self)

    def __or__(self, o: object) -> Scalar:
        return bitwise("or", self, o)

    def __ror__(self, o: object) -> Scalar:
        return bitwise("or", o, self)

    def __xor__(self, o: object) -> Scalar:
        return bitwise("xor", self, o)

    def __rxor__(self, o: object) -> Scalar:
        return bitwise("xor", o, self)

    def __lshift__(self, o: object) -> Scalar:
        return bitwise("shl", self, o)

    def __rlshift__(self, o: object) -> Scalar:
        return bitwise("shl", o, self)

    def __rshift__(self, o: object) -> Scalar:
        return bitwise("shr", self, o)

    def __rrshift__(self, o: object) -> Scalar:
        return bitwise("shr", o, self)

    def __invert__(self) -> Scalar:
        if not (self.dtype is bool_ or self.dtype.is_integral):
            raise TypeError(f"~ wants an integer or bool, not {self.dtype.name}")
        return Scalar("not", (self,), self.dtype)

    def __neg__(self) -> Scalar:
        if self.dtype is bool_:
            raise TypeError("- wants a number, not bool")
        return Scalar("neg", (self,), self.dtype)

    def __pos__(self) -> Scalar:
        return self

    def __abs__(self) -> Scalar:
        if self.dtype is bool_ or (self.dtype.is_integral and not self.dtype.is_signed):
            return self
        return Scalar("abs", (self,), self.dtype.real)

    def __lt__(self, o: object) -> Scalar:
        return compare("lt", self, o)

    def __le__(self, o: object) -> Scalar:
        return compare("le", self, o)

    def __gt__(self, o: object) -> Scalar:
        return compare("gt", self, o)

    def __ge__(self, o: object) -> Scalar:
        return compare("ge", self, o)

    def __eq__(self, o: object) -> Scalar:  # type: ignore[override]
        return compare("eq", self, o)

    def __ne__(self, o: object) -> Scalar:  # type: ignore[override]
        return compare("ne", self, o)


# -- leaves
def input(i: int, dtype: dtype = float32) -> Scalar:
    """Element of tensor input `i`, in the type that arithmetic on it is done in."""
    return Scalar("input", (), dtype.compute, i)


def number(i: int, dtype: dtype = float32) -> Scalar:
    """Run-time number argument `i`: the same for every element."""
    return Scalar("number", (), dtype.compute, i)


def index() -> Scalar:
    """Linear index of the output element (int64)."""
    return Scalar("index", (), int64)


def const(value: Any, dtype: dtype = float32) -> Scalar:
    """A number fixed at compile time, rounded (float32) or wrapped (integers) to the type first."""
    return Scalar("const", (), dtype, fitted(value, dtype))


def fitted(value: Any, dtype: dtype) -> int | float | complex:
    """A Python or NumPy number as the nearest value of the type; bool is 0 or 1."""
    if dtype is bool_:
        return int(bool(value))
    if dtype.is_complex:
        z = complex(value)
        return complex(fitted(z.real, dtype.real), fitted(z.imag, dtype.real))
    if dtype.is_floating_point:
        x = float(value)
        return round32(x) if dtype.itemsize <= 4 else x
    bits = 8 * dtype.itemsize
    i = int(value) & ((1 << bits) - 1)
    return i - (1 << bits) if dtype.is_signed and i >> (bits - 1) else i


def round32(x: float) -> float:
    """The nearest float32; what is too large becomes an infinity."""
    if not math.isfinite(x):
        return x
    try:
        return struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def spell(value: int | float | complex) -> str:
    """A number as text that keeps every bit and the sign of zero (NaN loses its payload)."""
    if isinstance(value, complex):
        return f"{value.real.hex()},{value.imag.hex()}"
    return value.hex() if isinstance(value, float) else str(int(value))


# -- building
def lift(x: Any, kind: dtype) -> Scalar:
    """A Python number as a constant of the type; a Scalar must already have it."""
    if isinstance(x, Scalar):
        if x.dtype is not kind:
            raise TypeError(f"operands have the types {x.dtype.name} and {kind.name}: cast one of them first")
        return x
    if hasattr(x, "item") and not isinstance(x, (int, float, complex)):
        x = x.item()  # a NumPy scalar
    if not isinstance(x, (bool, int, float, complex)):
        raise TypeError(f"a scalar expression takes Scalars and Python numbers, not {type(x).__name__}")
    if isinstance(x, complex) and not kind.is_complex:
        raise TypeError(f"the complex number {x} cannot become {kind.name}: cast the other operand first")
    if isinstance(x, float) and not (kind.is_floating_point or kind.is_complex):
        raise TypeError(f"the float {x} cannot become {kind.name}: cast the other operand first")
    return const(x, kind)


def pair(a: object, b: object) -> tuple[Scalar, Scalar]:
    """Two operands of one type; at least one is a Scalar."""
    if isinstance(a, Scalar):
        return a, lift(b, a.dtype)
    if isinstance(b, Scalar):
        return lift(a, b.dtype), b
    raise TypeError(f"at least one operand must be a Scalar, not {type(a).__name__} and {type(b).__name__}")


_BOOLEAN = {"add": "or", "mul": "and", "minimum": "and", "maximum": "or", "fmin": "and", "fmax": "or"}


def arithmetic(op: str, a: object, b: object) -> Scalar:
    """A node of two numbers of one type. On bool, + is or and * is and, as in PyTorch."""
    x, y = pair(a, b)
    if x.dtype is bool_:
        if op not in _BOOLEAN:
            raise TypeError(f"{op} is not defined for bool: cast to an integer first")
        op = _BOOLEAN[op]
    if x.dtype.is_integral and op in ("div", "atan2", "copysign", "hypot", "nextafter"):
        raise TypeError(f"{op} is not defined for {x.dtype.name}: cast to a floating type first")
    if x.dtype.is_complex and op not in ("add", "sub", "mul", "div", "pow"):
        raise TypeError(f"{op} is not defined for {x.dtype.name}")
    return Scalar(op, (x, y), x.dtype)


def bitwise(op: str, a: object, b: object) -> Scalar:
    x, y = pair(a, b)
    if not (x.dtype.is_integral or (x.dtype is bool_ and op in ("and", "or", "xor"))):
        raise TypeError(f"{op} is not defined for {x.dtype.name}")
    return Scalar(op, (x, y), x.dtype)


def compare(op: str, a: object, b: object) -> Scalar:
    x, y = pair(a, b)
    if x.dtype.is_complex and op not in ("eq", "ne"):
        raise TypeError(f"{op} is not defined for {x.dtype.name}: complex numbers have no order")
    return Scalar(op, (x, y), bool_)


# -- walking
def order(outputs: Sequence[Scalar]) -> list[Scalar]:
    """Every node once, arguments before users, in an order that depends on the graph alone (no recursion: graphs may be deep)."""
    done: set[Scalar] = set()
    out: list[Scalar] = []
    stack: list[tuple[Scalar, Iterator[Scalar]]] = []
    for root in outputs:
        if root not in done:
            done.add(root)
            stack.append((root, iter(root.args)))
        while stack:
            node, rest = stack[-1]
            for arg in rest:
                if arg not in done:
                    done.add(arg)
                    stack.append((arg, iter(arg.args)))
                    break
            else:
                out.append(node)
                stack.pop()
    return out


def nested(root: Scalar, limit: int = 400) -> str:
    """One line for people: mul(mul(input, 0.5), add(erf(input), 1.0)); what is longer than the limit is cut to `...`."""
    short: dict[Scalar, str] = {}
    several = {n.attr for n in order([root]) if n.op == "input"} - {0}
    for n in order([root]):
        if n.op == "const":
            short[n] = f"{n.attr:.6g}" if isinstance(n.attr, float) and not n.attr.is_integer() else str(n.attr)
        elif n.op == "input":
            short[n] = f"input{n.attr}" if several else "input"
        elif n.op == "number":
            short[n] = f"number{n.attr}"
        else:
            inside = ", ".join(short[a] for a in n.args)
            name = f"cast[{n.dtype.name}]" if n.op in ("cast", "bitcast") else n.op
            short[n] = f"{name}({inside if len(inside) < limit else '...'})"
    return short[root]
