"""Typed LLVM text: functions are written with Python values that know their type; nothing here imports LLVM.

    m = Module(X86_64_V4)
    with m.function("double", "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        x, y = f.words(words, "ptr", "ptr")
        with f.range(lo, hi) as i:
            f.store(f.load("float", x, i) * 2.0, y, i)
    text = m.text()

A `Value` is an SSA name, a `Var` a mutable stack slot (LLVM turns it into a register). Arithmetic on Values emits instructions;
Python numbers become constants of the other operand's type. Vectors are spelled out (`"<16 x float>"`), so that few passes suffice.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from ..base.target import Target

if TYPE_CHECKING:
    from typing_extensions import Unpack

Term: TypeAlias = "Value | Var | float"  # what instructions take: a number becomes a constant of the other operand's type

SIZE = {"float": 4, "double": 8, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "i1": 1, "bfloat": 2, "half": 2, "ptr": 8}  # bytes
WRITERS = ("runtime/ir.py", "contextlib.py", "kernel/lanes.py", "kernel/access.py")  # who calls them is what a trace wants to know
SUFFIX = {"float": "f32", "double": "f64", "bfloat": "bf16", "half": "f16", "ptr": "p0"}


def element(type_: str) -> str:
    """Element type of a vector type; a scalar type is its own element."""
    return type_[type_.index("x ") + 2 : -1] if type_[0] == "<" else type_


def count(type_: str) -> int:
    """Lanes of a vector type, 0 for a scalar type."""
    return int(type_[1 : type_.index(" ")]) if type_[0] == "<" else 0


def like(type_: str, elem: str) -> str:
    """The type with another element and the same lanes."""
    return f"<{count(type_)} x {elem}>" if type_[0] == "<" else elem


def vector(n: int, elem: str) -> str:
    return f"<{n} x {elem}>" if n else elem


def is_float(type_: str) -> bool:
    return element(type_) in ("float", "double", "bfloat", "half")


def suffix(type_: str) -> str:
    """The mangling of a type in an intrinsic's name: <16 x float> -> v16f32."""
    e, n = element(type_), count(type_)
    return (f"v{n}" if n else "") + SUFFIX.get(e, e)


def float_text(elem: str, x: float) -> str:
    """A floating constant as LLVM's hexadecimal text, rounded to the element type first."""
    if elem == "half":
        return "0xH" + struct.pack(">e", x).hex().upper()
    if elem == "bfloat":
        bits = struct.unpack(">I", struct.pack(">f", x))[0]
        return f"0xR{(bits + 0x7FFF + ((bits >> 16) & 1)) >> 16:04X}" if x == x else "0xR7FC0"
    if elem == "float":
        x = (
            struct.unpack("f", struct.pack("f", x))[0]
            if abs(x) < 3.4028235677973366e38 or x != x or x in (float("inf"), float("-inf"))
            else x
        )
    return "0x" + struct.pack(">d", x).hex().upper()


class Value:
    """An SSA value. Integer arithmetic is signed unless a method says otherwise; comparisons with NaN are false."""

    __slots__ = ("fn", "text", "type")
    __hash__ = object.__hash__

    def __init__(self, fn: Function, type_: str, text: str) -> None:
        self.fn, self.type, self.text = fn, type_, text

    def __str__(self) -> str:
        return f"{self.type} {self.text}"

    def _two(self, integer: str, floating: str, other: Term, swap: bool = False) -> Value:
        a, b = self, self.fn.const(self.type, other)
        if swap:
            a, b = b, a
        name = floating if is_float(self.type) else integer
        if not name:
            raise TypeError(f"no such instruction for {self.type}")
        return self.fn.op(self.type, f"{name} {self.type} {a.text}, {b.text}")

    def __add__(self, o: Term) -> Value:
        return self._two("add", "fadd", o)

    def __sub__(self, o: Term) -> Value:
        return self._two("sub", "fsub", o)

    def __mul__(self, o: Term) -> Value:
        return self._two("mul", "fmul", o)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, o: Term) -> Value:
        return self._two("sub", "fsub", o, True)

    def __truediv__(self, o: Term) -> Value:
        return self._two("", "fdiv", o)

    def __rtruediv__(self, o: Term) -> Value:
        return self._two("", "fdiv", o, True)

    def __floordiv__(self, o: Term) -> Value:
        """Signed division that truncates (LLVM's sdiv, not Python's floor)."""
        return self._two("sdiv", "", o)

    def __mod__(self, o: Term) -> Value:
        return self._two("srem", "frem", o)

    def udiv(self, o: Term) -> Value:
        return self._two("udiv", "", o)

    def urem(self, o: Term) -> Value:
        return self._two("urem", "", o)

    def __and__(self, o: Term) -> Value:
        return self._two("and", "", o)

    def __or__(self, o: Term) -> Value:
        return self._two("or", "", o)

    def __xor__(self, o: Term) -> Value:
        return self._two("xor", "", o)

    def __lshift__(self, o: Term) -> Value:
        return self._two("shl", "", o)

    def __rshift__(self, o: Term) -> Value:
        """Logical shift (zeros come in); `ashr` keeps the sign."""
        return self._two("lshr", "", o)

    def ashr(self, o: Term) -> Value:
        return self._two("ashr", "", o)

    def __invert__(self) -> Value:
        return self ^ (1 if element(self.type) == "i1" else -1)

    def __neg__(self) -> Value:
        return self.fn.op(self.type, f"fneg {self}") if is_float(self.type) else 0 - self

    def _compare(self, integer: str, floating: str, o: Term) -> Value:
        b = self.fn.const(self.type, o)
        head = f"fcmp {floating}" if is_float(self.type) else f"icmp {integer}"
        return self.fn.op(like(self.type, "i1"), f"{head} {self}, {b.text}")

    def __lt__(self, o: Term) -> Value:
        return self._compare("slt", "olt", o)

    def __le__(self, o: Term) -> Value:
        return self._compare("sle", "ole", o)

    def __gt__(self, o: Term) -> Value:
        return self._compare("sgt", "ogt", o)

    def __ge__(self, o: Term) -> Value:
        return self._compare("sge", "oge", o)

    def eq(self, o: Term) -> Value:
        return self._compare("eq", "oeq", o)

    def ne(self, o: Term) -> Value:
        return self._compare("ne", "une", o)

    def ult(self, o: Term) -> Value:
        return self._compare("ult", "ult", o)

    def ugt(self, o: Term) -> Value:
        return self._compare("ugt", "ugt", o)

    def isnan(self) -> Value:
        return self._compare("", "uno", self)


class Var:
    """A mutable variable: read and assign `.v`."""

    __slots__ = ("fn", "slot", "type")

    def __init__(self, fn: Function, value: Value) -> None:
        self.fn, self.type = fn, value.type
        self.slot = fn.alloca(value.type)
        self.v = value

    @property
    def v(self) -> Value:
        return self.fn.op(self.type, f"load {self.type}, ptr {self.slot}")

    @v.setter
    def v(self, value: Term) -> None:
        self.fn.do(f"store {self.fn.const(self.type, value)}, ptr {self.slot}")


class Function:
    """One function while it is written."""

    def __init__(self, module: Module, name: str, params: str, ret: str) -> None:
        self.module, self.name, self.ret_type = module, name, ret
        self.n = 0
        self.slots: list[str] = []
        self.lines: list[str] = []
        self.spare: dict[str, Value] = {}  # stack memory for the lanes that a mask leaves out, by vector type
        self.types = [p.split()[0] for p in params.split(",") if p.strip()]
        self.noalias = [" noalias" if "noalias" in p.split() else "" for p in params.split(",") if p.strip()]
        self.args = [Value(self, t, f"%a{i}") for i, t in enumerate(self.types)]

    # -- text
    def tick(self) -> int:
        self.n += 1
        return self.n

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}  ; {_origin()}" if self.module.traced else "  " + text)

    def op(self, type_: str, text: str) -> Value:
        out = f"%t{self.tick()}"
        self.do(f"{out} = {text}")
        return Value(self, type_, out)

    def label(self, name: str) -> None:
        self.lines.append(name + ":")

    def alloca(self, type_: str, n: int = 1, align: int = 0) -> str:
        slot = f"%v{self.tick()}"
        kind = type_ if n == 1 else f"[{n} x {type_}]"
        self.slots.append(f"  {slot} = alloca {kind}" + (f", align {align}" if align else ""))
        return slot

    # -- values
    def const(self, type_: str, x: Term) -> Value:
        """`x` as a value of the type: a Value or Var passes (a scalar is broadcast to a vector type), a number becomes a constant."""
        if isinstance(x, Var):
            x = x.v
        if isinstance(x, Value):
            if x.type != type_ and count(type_) and not count(x.type):
                return self.splat(x, count(type_))
            return x
        e = element(type_)
        if e == "ptr":
            text = "null"
        elif e == "i1":
            text = "true" if x else "false"
        elif is_float(type_):
            text = float_text(e, float(x))
        else:
            text = str(int(x))
        return Value(self, type_, f"splat ({e} {text})" if type_[0] == "<" else text)

    def i64(self, x: Term) -> Value:
        return self.const("i64", x)

    def lanes(self, type_: str, xs: Sequence[float]) -> Value:
        """A constant vector."""
        e = element(type_)
        body = ", ".join(f"{e} {float_text(e, float(x)) if is_float(type_) else x}" for x in xs)
        return Value(self, type_, f"<{body}>")

    def var(self, type_: str, x: Term) -> Var:
        return Var(self, self.const(type_, x))

    def array(self, elem: str, n: int, align: int = 64) -> Value:
        """A fixed array on the stack."""
        return Value(self, "ptr", self.alloca(elem, n, align))

    def splat(self, x: Value, n: int) -> Value:
        t = vector(n, x.type)
        one = self.op(t, f"insertelement {t} poison, {x}, i32 0")
        return self.op(t, f"shufflevector {t} {one.text}, {t} poison, <{n} x i32> zeroinitializer")

    def extract(self, x: Value, lane: int) -> Value:
        return self.op(element(x.type), f"extractelement {x}, i32 {lane}")

    def insert(self, x: Value, value: Value, lane: int) -> Value:
        return self.op(x.type, f"insertelement {x}, {value}, i32 {lane}")

    def shuffle(self, a: Value, b: Value | None, index: Sequence[int]) -> Value:
        idx = ", ".join(f"i32 {i}" for i in index)
        return self.op(
            vector(len(index), element(a.type)), f"shufflevector {a}, {a.type} {b.text if b else 'poison'}, <{len(index)} x i32> <{idx}>"
        )

    def cast(self, how: str, x: Value, type_: str) -> Value:
        """One LLVM conversion: trunc zext sext fptrunc fpext fptosi fptoui sitofp uitofp bitcast ptrtoint inttoptr."""
        return x if x.type == type_ else self.op(type_, f"{how} {x} to {type_}")

    def select(self, condition: Value, a: Term, b: Term) -> Value:
        kind = a.type if isinstance(a, (Value, Var)) else b.type if isinstance(b, (Value, Var)) else ""
        if not kind:
            raise TypeError("select of two plain numbers")
        x, y = self.const(kind, a), self.const(kind, b)
        return self.op(kind, f"select {condition}, {x}, {y}")

    def smin(self, a: Value, b: Term) -> Value:
        b = self.const(a.type, b)
        return self.select(a < b, a, b)

    def smax(self, a: Value, b: Term) -> Value:
        b = self.const(a.type, b)
        return self.select(a > b, a, b)

    def mask(self, n: int, left: Value) -> Value:
        """<n x i1>: lanes 0..left-1; `left` is an i64 that may lie outside 0..n."""
        ids = self.lanes(vector(n, "i32"), list(range(n)))
        return ids < self.splat(self.cast("trunc", self.smin(left, n), "i32"), n)

    # -- memory
    def at(self, pointer: Value, index: Term, elem: str = "float") -> Value:
        """Address of element `index`."""
        return self.op("ptr", f"getelementptr {elem}, ptr {pointer.text}, {self.i64(index)}")

    def bytes(self, pointer: Value, offset: Term) -> Value:
        return self.at(pointer, offset, "i8")

    def load(self, type_: str, pointer: Value, index: Term = 0, mask: Value | None = None, other: Term = 0) -> Value:
        """Element (or vector from element) `index`; masked-off lanes give `other` and touch no memory."""
        e = element(type_)
        p = pointer if index == 0 and isinstance(index, int) else self.at(pointer, index, e)
        if mask is None:
            return self.op(type_, f"load {type_}, ptr {p.text}, align {SIZE[e]}")
        if not self.module.target.name.startswith("x86"):
            return self._load_lanes(type_, p, mask, other)
        return self.call(type_, f"llvm.masked.load.{suffix(type_)}.p0", p, Value(self, "i32", str(SIZE[e])), mask, self.const(type_, other))

    def store(self, value: Value | Var, pointer: Value, index: Term = 0, mask: Value | None = None, stream: bool = False) -> None:
        """`stream` goes past the caches; the address must then be a multiple of the vector's size."""
        if isinstance(value, Var):
            value = value.v
        e = element(value.type)
        p = pointer if index == 0 and isinstance(index, int) else self.at(pointer, index, e)
        if mask is not None and not self.module.target.name.startswith("x86"):
            for i, place in enumerate(self._lanes_inside(value.type, p, mask)):
                self.do(f"store {self.extract(value, i)}, ptr {place.text}, align {SIZE[e]}")
        elif mask is not None:
            self.call("void", f"llvm.masked.store.{suffix(value.type)}.p0", value, p, Value(self, "i32", str(SIZE[e])), mask)
        elif stream:
            self.module.metadata["!0"] = "!0 = !{i32 1}"
            self.do(f"store {value}, ptr {p.text}, align {SIZE[e] * max(1, count(value.type))}, !nontemporal !0")
        else:
            self.do(f"store {value}, ptr {p.text}, align {SIZE[e]}")

    def _load_lanes(self, type_: str, pointer: Value, mask: Value, other: Term) -> Value:
        """A load under a mask for targets without one: LLVM would branch for each lane."""
        e, out = element(type_), Value(self, type_, "poison")
        for i, place in enumerate(self._lanes_inside(type_, pointer, mask)):
            out = self.insert(out, self.op(e, f"load {e}, ptr {place.text}, align {SIZE[e]}"), i)
        return self.select(mask, out, self.const(type_, other))

    def _lanes_inside(self, type_: str, pointer: Value, mask: Value) -> list[Value]:
        """Address of each lane; lanes that the mask leaves out have theirs on the stack."""
        if type_ not in self.spare:
            self.spare[type_] = self.array(element(type_), count(type_))
        spare, e = self.spare[type_], element(type_)
        return [self.select(self.extract(mask, i), self.at(pointer, i, e), self.at(spare, i, e)) for i in range(count(type_))]

    def words(self, words: Value, *types: str, start: int = 0) -> list[Value]:
        """The kernel's arguments: 8-byte words from `start`, each read as its type (a float sits in the low bytes)."""
        return [self.load(t, self.at(words, start + i, "i64")) for i, t in enumerate(types)]

    def prefetch(self, pointer: Value, index: Term = 0, write: int = 0, level: int = 3, elem: str = "float") -> None:
        self.call("void", "llvm.prefetch.p0", self.at(pointer, index, elem), *[Value(self, "i32", str(x)) for x in (write, level, 1)])

    # -- calls
    def call(self, ret: str, name: str, *args: Value) -> Value:
        """A call of an intrinsic, of a function of this module, or of an external symbol (declared from the argument types)."""
        if name not in self.module.defined:
            self.module.declare(name, ret, *[a.type for a in args])
        text = f"call {ret} @{name}({', '.join(map(str, args))})"
        if ret == "void":
            self.do(text)
            return Value(self, "void", "")
        return self.op(ret, text)

    def call_pointer(self, ret: str, pointer: Value, *args: Value) -> Value:
        text = f"call {ret} {pointer.text}({', '.join(map(str, args))})"
        if ret == "void":
            self.do(text)
            return Value(self, "void", "")
        return self.op(ret, text)

    def math(self, name: str, *args: Term) -> Value:
        """An intrinsic overloaded on its first argument: fma sqrt fabs rint floor ceil trunc copysign minnum maxnum ctlz ..."""
        first = args[0]
        assert isinstance(first, Value)
        return self.call(first.type, f"llvm.{name}.{suffix(first.type)}", *[self.const(first.type, a) for a in args])

    def fma(self, a: Value, b: Term, c: Term) -> Value:
        return self.math("fma", a, b, c)

    # -- control
    def ret(self, value: Term | None = None) -> None:
        """Return now; what follows in this block is unreachable."""
        self.do("ret void" if value is None else f"ret {self.const(self.ret_type, value)}")
        self.label(f"L{self.tick()}")

    @contextmanager
    def range(self, start: Term, stop: Term, step: Term = 1) -> Generator[Value, None, None]:
        i = self.var("i64", start)
        limit = self.i64(stop)
        top, body, done = (f"L{self.tick()}" for _ in range(3))
        self.do(f"br label %{top}")
        self.label(top)
        now = i.v
        self.do(f"br {now < limit}, label %{body}, label %{done}")
        self.label(body)
        yield now
        i.v = now + step
        self.do(f"br label %{top}")
        self.label(done)

    @contextmanager
    def loop(self) -> Generator[str, None, None]:
        """Endless loop; `f.leave(label)` or `f.leave(label, condition)` with the yielded label ends it."""
        top, done = f"L{self.tick()}", f"L{self.tick()}"
        self.do(f"br label %{top}")
        self.label(top)
        yield done
        self.do(f"br label %{top}")
        self.label(done)

    def leave(self, label: str, condition: Value | None = None) -> None:
        go = f"L{self.tick()}"
        if condition is None:
            self.do(f"br label %{label}")
        else:
            self.do(f"br {condition}, label %{label}, label %{go}")
        self.label(go)

    @contextmanager
    def when(self, condition: Value, rare: bool = False) -> Generator[None, None, None]:
        """`rare`: the block hardly ever runs, so registers are kept for what lies around it."""
        body, done = f"L{self.tick()}", f"L{self.tick()}"
        weights = ""
        if rare:
            self.module.metadata["!1"] = '!1 = !{!"branch_weights", i32 1, i32 2000}'
            weights = ", !prof !1"
        self.do(f"br {condition}, label %{body}, label %{done}{weights}")
        self.label(body)
        yield
        self.do(f"br label %{done}")
        self.label(done)

    @contextmanager
    def otherwise(self, condition: Value) -> Generator[None, None, None]:
        """The block runs when the condition does not hold."""
        with self.when(~condition):
            yield

    # -- lanes
    def transpose(self, rows: Sequence[Value]) -> list[Value]:
        """n vectors of n lanes, transposed in registers (butterfly network)."""
        out, n, s = list(rows), len(rows), 1
        while s < n:
            for i in range(n):
                if not i & s:
                    a, b = out[i], out[i + s]
                    out[i] = self.shuffle(a, b, [j if not j & s else n + j - s for j in range(n)])
                    out[i + s] = self.shuffle(a, b, [j + s if not j & s else n + j for j in range(n)])
            s *= 2
        return out

    def fold(self, x: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """All lanes combined in a tree into a scalar; the order depends on the lane count alone."""
        n = count(x.type)
        while n > 1:
            n //= 2
            x = combine(self.shuffle(x, None, range(n)), self.shuffle(x, None, range(n, 2 * n)))
        return self.extract(x, 0)


def _origin() -> str:
    """File and line of the emitter, a caller of this file's functions."""
    frame = inspect.currentframe()
    assert frame
    while frame.f_back and frame.f_code.co_filename.endswith(WRITERS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Names:
    """A kernel's words by name, each read as the type that `types` gives it."""

    def __init__(self, f: Function, words: Value, types: Mapping[str, str]) -> None:
        for name, value in zip(types, f.words(words, *types.values())):
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Value:
        raise AttributeError(name)


class Module:
    """Functions, constants and declarations for one target."""

    def __init__(self, target: Target, traced: bool = False) -> None:
        self.target = target
        self.traced = traced  # each instruction carries, as a comment, the line of Python that wrote it
        self.declared: dict[str, str] = {}
        self.defined: set[str] = set()
        self.globals: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.bodies: list[str] = []

    def declare(self, name: str, ret: str, *types: str) -> None:
        self.declared.setdefault(name, f"declare {ret} @{name}({', '.join(types)})")

    def external(self, name: str) -> str:
        """A symbol whose address the loader fills in (state that native code shares with Python)."""
        self.globals.setdefault(name, f"@{name} = external global i8")
        return "@" + name

    def constant(self, name: str, elem: str, xs: Sequence[float], align: int = 64) -> str:
        """A read-only table."""
        body = ", ".join(f"{elem} {float_text(elem, float(x)) if is_float(elem) else x}" for x in xs)
        self.globals.setdefault(name, f"@{name} = private unnamed_addr constant [{len(xs)} x {elem}] [{body}], align {align}")
        return "@" + name

    @contextmanager
    def function(
        self, name: str, params: str, ret: str = "void", internal: bool = False, attributes: str = "nounwind"
    ) -> Generator[tuple[Function, Unpack[tuple[Value, ...]]], None, None]:
        """`with m.function("f", "ptr noalias out, i64 n") as (f, out, n):` writes one function."""
        self.defined.add(name)
        f = Function(self, name, params, ret)
        yield (f, *f.args)
        signature = ", ".join(f"{a.type}{n} {a.text}" for a, n in zip(f.args, f.noalias))
        end = "  ret void" if ret == "void" else "  unreachable"
        head = f"define {'internal ' if internal else ''}{ret} @{name}({signature}) {attributes} {{"
        self.bodies += [head, "entry:", *f.slots, *f.lines, end, "}"]

    def text(self) -> str:
        declared = [d for n, d in self.declared.items() if n not in self.defined]
        return "\n".join(
            [f'target triple = "{self.target.triple}"', *self.globals.values(), *declared, *self.bodies, *self.metadata.values(), ""]
        )
