"""Expressions to LLVM, for any number of lanes: complex values become pairs, mathematical functions their expansions, and each distinct
node one instruction or a few. Nothing here asks the host what it is; the target comes with the module that is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ...base.dtypes import bfloat16, bool_, dtype, float16, float32
from ...runtime.ir import Function, Value, count, float_text, like, vector
from .. import vector_math
from .complex import split
from .memory import from_memory, to_memory
from .node import Scalar
from .simplify import simplify

Result = Value | tuple[Value, Value]

_LLVM = {"bool": "i1", "float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double"}


def llvm_type(d: dtype) -> str:
    """LLVM's element type of a value while it is computed with (bool is i1; a complex value is two of its parts)."""
    return _LLVM.get(d.real.name) or f"i{8 * d.itemsize}"


def emit(
    exprs: Sequence[Scalar], f: Function, inputs: Sequence[Result], numbers: Sequence[Result] = (), index: Value | None = None
) -> list[Result]:
    """The values of the expressions. `inputs` are vectors (or all scalars) of the compute types, `numbers` scalars or vectors, `index` the
    int64 index of each lane's element; complex ones are (real, imaginary). A result that depends on no lane comes out as a scalar."""
    parts = split(exprs)
    flat = [p for o in parts for p in (o if isinstance(o, tuple) else (o,))]
    flat = vector_math.expand(simplify(flat), f.module.target)
    values = iter(_Writer(f, inputs, numbers, index).write(flat))
    return [(next(values), next(values)) if isinstance(o, tuple) else next(values) for o in parts]


class _Writer:
    """One emission: what each node became. Blocks of `rare` work on a copy, since what they compute is not known outside."""

    def __init__(self, f: Function, inputs: Sequence[Result], numbers: Sequence[Result], index: Value | None) -> None:
        self.f, self.inputs, self.numbers, self.index = f, inputs, numbers, index
        every = [v for x in (*inputs, *numbers, *(() if index is None else (index,))) for v in (x if isinstance(x, tuple) else (x,))]
        self.lanes = max((count(v.type) for v in every), default=0)
        self.known: dict[Scalar, Value] = {}
        self.wide: dict[Scalar, Value] = {}

    def write(self, outputs: Sequence[Scalar]) -> list[Value]:
        self.extend(outputs)
        return [self.known[o] for o in outputs]

    def extend(self, outputs: Sequence[Scalar]) -> None:
        """Every node below the outputs, in order; what only the slow side of a `rare` needs waits for its block."""
        stack = list(reversed(outputs))
        while stack:
            n = stack[-1]
            if n in self.known:
                stack.pop()
                continue
            needed = (n.args[0], n.args[2]) if n.op == "rare" else () if n.op in ("real", "imag") else n.args
            missing = [a for a in needed if a not in self.known]
            if missing:
                stack += reversed(missing)
                continue
            stack.pop()
            self.known[n] = self.rare(n) if n.op == "rare" else self.node(n)

    def get(self, n: Scalar, lanes: int) -> Value:
        """A node's value with that many lanes."""
        v = self.known[n]
        if not lanes or count(v.type):
            return v
        if n.op == "const":
            return self.f.const(vector(lanes, v.type), n.value)
        if n not in self.wide:
            self.wide[n] = self.f.splat(v, lanes)
        return self.wide[n]

    def node(self, n: Scalar) -> Value:
        f = self.f
        if n.op == "const":
            return f.const(llvm_type(n.dtype), n.value)
        if n.op in ("input", "number"):
            x = (self.inputs if n.op == "input" else self.numbers)[n.place]
            assert isinstance(x, Value), "a complex leaf is read through real and imag"
            return x
        if n.op in ("real", "imag"):
            leaf = n.args[0]
            z = (self.inputs if leaf.op == "input" else self.numbers)[leaf.place]
            assert isinstance(z, tuple), "a complex leaf comes as two parts"
            return z[n.op == "imag"]
        if n.op == "index":
            if self.index is None:
                raise ValueError("this expression reads index(): emit wants the index of each lane")
            return self.index
        lanes = max(count(self.known[a].type) for a in n.args)
        return _WRITE[n.op](f, n, *[self.get(a, lanes) for a in n.args])

    def rare(self, n: Scalar) -> Value:
        """The fast value; where the condition holds for any lane, a block computes the slow one for all lanes and selects."""
        f = self.f
        condition, slow, fast = n.args
        lanes = max(self.lanes, *(count(self.known[a].type) for a in (condition, fast)))
        c, quick = self.get(condition, lanes), self.get(fast, lanes)
        result = f.var(quick.type, quick)
        outside, self.known = self.known, dict(self.known)
        outside_wide, self.wide = self.wide, dict(self.wide)
        with f.when(anywhere(f, c), rare=True):
            self.extend([slow])
            result.v = f.select(c, self.get(slow, lanes), quick)
        self.known, self.wide = outside, outside_wide
        return result.v


def anywhere(f: Function, c: Value) -> Value:
    """Whether any lane of a condition holds."""
    lanes = count(c.type)
    return f.cast("bitcast", c, f"i{lanes}").ne(0) if lanes else c


# -- instructions
Writer = Callable[..., Value]


def _signed(d: dtype) -> bool:
    return d.is_signed and d is not bool_


def _two(integer: str, floating: str = "") -> Writer:
    def write(f: Function, n: Scalar, a: Value, b: Value) -> Value:
        name = floating if n.args[0].dtype.is_floating_point else integer
        return f.op(a.type, f"{name} {a}, {b.text}")

    return write


def _compare(name: str) -> Writer:
    floating = "une" if name == "ne" else "o" + name

    def write(f: Function, n: Scalar, a: Value, b: Value) -> Value:
        d = n.args[0].dtype
        if d.is_floating_point:
            return f.op(like(a.type, "i1"), f"fcmp {floating} {a}, {b.text}")
        sign = "" if name in ("eq", "ne") else "s" if _signed(d) else "u"
        return f.op(like(a.type, "i1"), f"icmp {sign}{name} {a}, {b.text}")

    return write


def _select(f: Function, condition: str, a: Value, b: Value) -> Value:
    return f.select(f.op(like(a.type, "i1"), f"{condition} {a}, {b.text}"), a, b)


def _extreme(largest: bool, numbers_win: bool) -> Writer:
    """x86's min and max give the second operand when either is NaN; one selection more makes NaN travel, or give way."""

    def write(f: Function, n: Scalar, a: Value, b: Value) -> Value:
        d = n.dtype
        if not d.is_floating_point:
            return _select(f, f"icmp {'s' if _signed(d) else 'u'}{'gt' if largest else 'lt'}", a, b)
        best = _select(f, f"fcmp {'ogt' if largest else 'olt'}", a, b)  # b where either is NaN
        return f.select(b.isnan(), a, best) if numbers_win else f.select(a.isnan(), a, best)

    return write


def _where(f: Function, n: Scalar, condition: Value, a: Value, b: Value) -> Value:
    return f.select(condition, a, b)


def _abs(f: Function, n: Scalar, a: Value) -> Value:
    return f.math("fabs", a) if n.dtype.is_floating_point else f.select(a < 0, -a, a)


def _sign(f: Function, n: Scalar, a: Value) -> Value:
    one, zero = f.const(a.type, 1), f.const(a.type, 0)
    if n.dtype.is_floating_point:
        return f.select(f.op(like(a.type, "i1"), f"fcmp one {a}, {zero.text}"), f.math("copysign", one, a), zero)
    if not n.dtype.is_signed:
        return f.select(a.ne(0), one, zero)
    return f.select(a > 0, one, f.select(a < 0, f.const(a.type, -1), zero))


def _relu(f: Function, n: Scalar, a: Value) -> Value:
    zero = f.const(a.type, 0)
    if not n.dtype.is_floating_point:
        return a if not n.dtype.is_signed else f.select(a < 0, zero, a)
    return f.select(f.op(like(a.type, "i1"), f"fcmp ogt {zero}, {a.text}"), zero, a)  # one maxps: NaN, being second, passes


def _math(name: str) -> Writer:
    def write(f: Function, n: Scalar, *args: Value) -> Value:
        return f.math(name, *args)

    return write


def _shift(left: bool) -> Writer:
    """A shift by a constant inside the word is one instruction; otherwise what lies beyond the word is 0, or the sign."""

    def write(f: Function, n: Scalar, a: Value, b: Value) -> Value:
        bits = 8 * n.dtype.itemsize
        name = "shl" if left else "ashr" if n.dtype.is_signed else "lshr"
        by = n.args[1]
        if by.op == "const" and 0 <= by.value < bits:
            return f.op(a.type, f"{name} {a}, {b.text}")
        inside = f.op(like(a.type, "i1"), f"icmp ult {b}, {f.const(a.type, bits).text}")
        if name == "ashr":
            return f.op(a.type, f"ashr {a}, {f.select(inside, b, bits - 1).text}")
        return f.select(inside, f.op(a.type, f"{name} {a}, {f.select(inside, b, 0).text}"), 0)

    return write


def _quotient(remainder: bool) -> Writer:
    """C's integer division without its traps: x / 0 and x % 0 are 0, the smallest number over -1 wraps."""

    def write(f: Function, n: Scalar, a: Value, b: Value) -> Value:
        zero = b.eq(0)
        if not n.dtype.is_signed:
            safe = f.select(zero, 1, b)
            out = a.urem(safe) if remainder else a.udiv(safe)
            return f.select(zero, 0, out)
        minus = b.eq(-1)
        safe = f.select(f.op(zero.type, f"or {zero}, {minus.text}"), 1, b)
        out = a % safe if remainder else a // safe
        return f.select(zero, 0, f.select(minus, f.const(a.type, 0) if remainder else -a, out))

    return write


def _cast(f: Function, n: Scalar, a: Value) -> Value:
    return convert(f, a, n.args[0].dtype, n.dtype)


def convert(f: Function, a: Value, source: dtype, target: dtype) -> Value:
    """A value of one type as another; halves go through float32."""
    kind = like(a.type, llvm_type(target))
    if source in (float16, bfloat16):
        return convert(f, from_memory(f, a, source), float32, target)
    if target in (float16, bfloat16):
        return to_memory(f, convert(f, a, source, float32), target)
    if source is target:
        return a
    if target is bool_:
        return a.ne(0)
    if source.is_floating_point:
        if target.is_floating_point:
            return f.cast("fpext" if target.itemsize > source.itemsize else "fptrunc", a, kind)
        return _to_integer(f, a, target, kind)
    if target.is_floating_point:
        return f.cast("sitofp" if _signed(source) else "uitofp", a, kind)
    if target.itemsize == source.itemsize and source is not bool_:
        return a
    return f.cast("trunc" if target.itemsize < source.itemsize else "sext" if _signed(source) else "zext", a, kind)


def _to_integer(f: Function, a: Value, target: dtype, kind: str) -> Value:
    """Truncation. What does not fit takes the low bits of x86's conversion to 32 or 64 bits, on every width of vector alike."""
    if target.name == "uint64":
        big = f.const(a.type, 2.0**63)
        low, high = f.cast("fptosi", a, kind), f.cast("fptosi", a - big, kind) ^ f.const(kind, -(2**63))
        return f.select(f.op(like(kind, "i1"), f"fcmp oge {a}, {big.text}"), high, low)
    step = like(kind, "i64" if target.name in ("int64", "uint32") else "i32")
    return f.cast("trunc", f.cast("fptosi", a, step), kind)


def _mangled(kind: str) -> str:
    return f"v{count(kind)}{kind.split()[-1][:-1]}" if kind[0] == "<" else kind


def _scale(f: Function, n: Scalar, a: Value, k: Value) -> Value:
    """a * 2**k (k a whole float of the same type), rounded once at either end: one AVX-512 instruction."""
    letter, full = ("s", 16) if n.dtype is float32 else ("d", 8)

    def write(a: Value, k: Value) -> Value:
        mask = Value(f, f"i{full}", "-1")
        return f.call(a.type, f"llvm.x86.avx512.mask.scalef.p{letter}.512", a, k, a, mask, Value(f, "i32", "4"))

    return _in_registers(f, full, write, a, k)


def _exponent(f: Function, n: Scalar, a: Value) -> Value:
    """floor(log2 |x|) of any float32, subnormals too; the logarithm itself of 0, infinity and NaN."""

    def write(a: Value) -> Value:
        return f.call(a.type, "llvm.x86.avx512.mask.getexp.ps.512", a, a, Value(f, "i16", "-1"), Value(f, "i32", "4"))

    return _in_registers(f, 16, write, a)


def _mantissa(f: Function, n: Scalar, a: Value) -> Value:
    """x / 2**k in [3/4, 3/2); 1 for infinity and 0, NaN below 0."""

    def write(a: Value) -> Value:
        how = Value(f, "i32", "11")
        return f.call(a.type, "llvm.x86.avx512.mask.getmant.ps.512", a, how, a, Value(f, "i16", "-1"), Value(f, "i32", "4"))

    return _in_registers(f, 16, write, a)


def _in_registers(f: Function, full: int, write: Callable[..., Value], *args: Value) -> Value:
    """What `write` makes of vectors of `full` lanes, for arguments of any number of lanes."""
    lanes = count(args[0].type)
    if lanes == full:
        return write(*args)
    if lanes > full:
        parts = [write(*(f.shuffle(x, None, range(i, i + full)) for x in args)) for i in range(0, lanes, full)]
        return _joined(f, parts)
    wide = [
        f.op(vector(full, x.type), f"insertelement {vector(full, x.type)} poison, {x}, i32 0")
        if not lanes
        else f.shuffle(x, None, [min(i, lanes - 1) for i in range(full)])
        for x in args
    ]
    out = write(*wide)
    return f.extract(out, 0) if not lanes else f.shuffle(out, None, range(lanes))


def _joined(f: Function, parts: list[Value]) -> Value:
    while len(parts) > 1:
        n = count(parts[0].type)
        parts = [f.shuffle(a, b, range(2 * n)) for a, b in zip(parts[::2], parts[1::2])]
    return parts[0]


def _lookup(f: Function, n: Scalar, index: Value, *_: Value) -> Value:
    """One of 16 float32 constants a lane: a permutation of registers where the target has one, else loads from a table."""
    table, lanes = [c.value for c in n.args[1:]], count(index.type)
    for prefix, full, write in _PERMUTATIONS if lanes else ():
        if f.module.target.name.startswith(prefix):
            return _in_registers(f, full, partial(write, f, table), index)
    place = f.module.constant("table_" + "_".join(float_text("float", v) for v in table), "float", table)
    source, index = Value(f, "ptr", place), index & 15
    if not lanes:
        return f.load("float", source, f.cast("zext", index, "i64"))
    out = Value(f, vector(lanes, "float"), "poison")
    for lane in range(lanes):
        out = f.insert(out, f.load("float", source, f.cast("zext", f.extract(index, lane), "i64")), lane)
    return out


def _whole(f: Function, table: list[float], index: Value) -> Value:
    kind = vector(16, "float")
    return f.call(kind, "llvm.x86.avx512.permvar.sf.512", f.lanes(kind, table), index)


def _halves(f: Function, table: list[float], index: Value) -> Value:
    """AVX2 permutes 8 floats: both halves of the table, and a selection by the index's fourth bit."""
    kind = vector(8, "float")
    low, high = (f.call(kind, "llvm.x86.avx2.permps", f.lanes(kind, half), index) for half in (table[:8], table[8:]))
    return f.select((index << 28) < 0, high, low)


def _quarters(f: Function, table: list[float], index: Value) -> Value:
    """NEON looks bytes up in four registers."""
    bytes_ = vector(16, "i8")
    parts = [f.cast("bitcast", f.lanes(vector(4, "float"), table[i : i + 4]), bytes_) for i in range(0, 16, 4)]
    places = f.cast("bitcast", (index & 15) * 0x04040404 + 0x03020100, bytes_)
    return f.cast("bitcast", f.call(bytes_, "llvm.aarch64.neon.tbl4.v16i8", *parts, places), vector(4, "float"))


_PERMUTATIONS = (("x86-64-v4", 16, _whole), ("x86", 8, _halves), ("aarch64", 4, _quarters))  # target, lanes of a register


def _two_over_pi(f: Function, n: Scalar, position: Value) -> Value:
    """64 bits of 2/pi from a bit position on (positions before the first bit read zeros), out of a table of words."""
    words, whole = vector_math.two_over_pi_words()
    table = f.module.constant("two_over_pi", "i64", words)
    at = f.smin(f.smax(position + 64, 0), whole - 64)
    first, shift = at >> 6, at & 63
    high, low = (_gather(f, table, i) for i in (first, first + 1))
    return f.call(at.type, f"llvm.fshl.{_mangled(at.type)}", high, low, shift)


def _gather(f: Function, table: str, i: Value) -> Value:
    lanes = count(i.type)
    pointers = f.op(vector(lanes, "ptr"), f"getelementptr i64, ptr {table}, {i}")
    if not lanes:
        return f.load("i64", pointers)
    every = f.const(vector(lanes, "i1"), True)
    return f.call(i.type, f"llvm.masked.gather.v{lanes}i64.v{lanes}p0", pointers, Value(f, "i32", "8"), every, f.const(i.type, 0))


_OF_ONE: dict[str, Callable[[Function, Scalar, Value], Value]] = {
    "neg": lambda f, n, a: -a,
    "not": lambda f, n, a: ~a,
    "abs": _abs,
    "sign": _sign,
    "relu": _relu,
    "cast": _cast,
    "bitcast": lambda f, n, a: f.cast("bitcast", a, like(a.type, llvm_type(n.dtype))),
    "two_over_pi": _two_over_pi,
    "count_leading": lambda f, n, a: f.call(a.type, f"llvm.ctlz.{_mangled(a.type)}", a, f.const("i1", False)),
}
_WRITE: dict[str, Writer] = {
    **_OF_ONE,
    "add": _two("add", "fadd"),
    "sub": _two("sub", "fsub"),
    "mul": _two("mul", "fmul"),
    "div": _two("", "fdiv"),
    "and": _two("and"),
    "or": _two("or"),
    "xor": _two("xor"),
    "fma": _math("fma"),
    "sqrt": _math("sqrt"),
    "floor": _math("floor"),
    "ceil": _math("ceil"),
    "trunc": _math("trunc"),
    "round": _math("roundeven"),
    "copysign": _math("copysign"),
    **{name: _compare(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "minimum": _extreme(False, False),
    "maximum": _extreme(True, False),
    "fmin": _extreme(False, True),
    "fmax": _extreme(True, True),
    "shl": _shift(True),
    "shr": _shift(False),
    "trunc_divide": _quotient(False),
    "fmod": _quotient(True),
    "where": _where,
    "scale": _scale,
    "lookup": _lookup,
    "exponent": _exponent,
    "mantissa": _mantissa,
}
