"""What differs between element types in a matrix product: how elements lie in panels and how two of them are multiplied.

A *word* is what one lane of a panel holds: one element, or two bfloat16 that `dpbf16` multiplies at once. A *unit* is a real number of an
element: complex elements have two, and stay interleaved from memory through the panels to the result.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...base.dtypes import DTYPES, dtype
from ...base.target import Target
from ...runtime.ir import SIZE, Function, Value, count, element, is_float, vector
from ..scalar.memory import round_to_bfloat16, widen_bfloat16


@dataclass(frozen=True)
class Kind:
    """Element types are LLVM's. `rows` x `vectors` vectors is the register tile of the target for this kind."""

    source: str  # a real number of a and b, as in memory
    word: str  # a lane of a panel
    acc: str  # a lane of an accumulator
    out: str  # a real number of the result, as in memory
    pack: int  # elements along k in a word
    units: int  # real numbers in an element
    lanes: int  # accumulator lanes in a vector
    rows: int
    vectors: int
    brain: bool  # 16-bit integers in memory are bfloat16

    @property
    def heights(self) -> tuple[int, ...]:
        """Rows for which a micro-kernel exists; a panel of another height computes up to one row more than it stores.

        Every second height: all of them would double the compile time (0.9 s) to save at most one row in a panel.
        """
        if is_float(self.acc):
            return tuple(sorted({1, self.rows, *range(2, self.rows, 2)}))
        return tuple(sorted({2, self.rows // 2, self.rows}))

    @property
    def across(self) -> int:
        """Elements of a vector."""
        return self.lanes // self.units

    @property
    def columns(self) -> int:
        """Elements across the register tile, the width of a panel of b."""
        return self.vectors * self.across

    @property
    def converts(self) -> bool:
        """Whether accumulators have another type than the result."""
        return self.acc != self.out

    @property
    def vec(self) -> str:
        return vector(self.lanes, self.acc)


def kind_of(d: dtype, target: Target) -> Kind:
    """The kind for a dtype: half precision accumulates in float32 and is rounded once, small integers wrap around in int32."""
    real = d.real
    units = 2 if d.is_complex else 1
    dots = real.name == "bfloat16" and target.bfloat16
    acc = real.compute.llvm if not real.is_integral else "i64" if real.itemsize == 8 else "i32"
    lanes = target.lanes * 4 // SIZE[acc]
    # Complex: each vector of b meets two broadcasts, so a row takes twice the accumulators and half the rows fit.
    return Kind(
        source=real.llvm, word="i32" if dots else acc, acc=acc, out=real.llvm, pack=2 if dots else 1, units=units, lanes=lanes,
        rows=target.tile_rows // units, vectors=target.tile_vectors, brain=real.name == "bfloat16",
    )  # fmt: skip


def kind_named(name: str, target: Target) -> Kind:
    return kind_of(DTYPES[name], target)


def read(f: Function, type_: str, at: Value, mask: Value | None = None) -> Value:
    """A vector from memory; masked halves go as integers, since not every target has masked loads of them."""
    if mask is None or element(type_) != "half":
        return f.load(type_, at, 0, mask)
    return f.cast("bitcast", f.load(vector(count(type_), "i16"), at, 0, mask), type_)


def write(f: Function, x: Value, to: Value, mask: Value | None = None) -> None:
    """A vector to memory, as in `read`."""
    f.store(x if mask is None or element(x.type) != "half" else f.cast("bitcast", x, vector(count(x.type), "i16")), to, 0, mask)


def widen(f: Function, kind: Kind, x: Value, to: str) -> Value:
    """Memory elements as lanes of type `to` (scalar or vector)."""
    e = element(x.type)
    if e == to:
        return x
    if kind.brain:
        return widen_bfloat16(f, x)
    return f.cast("fpext" if is_float(x.type) else "sext", x, vector(count(x.type), to))


def narrow(f: Function, kind: Kind, x: Value) -> Value:
    """Accumulator lanes rounded (to nearest, ties to even) or wrapped to memory elements."""
    if not kind.converts:
        return x
    if kind.brain:
        return round_to_bfloat16(f, x)
    return f.cast("fptrunc" if is_float(x.type) else "trunc", x, vector(count(x.type), kind.out))


def multiply_add(f: Function, kind: Kind, a: Value, b: Value, acc: Value) -> Value:
    """acc + a * b for words a, b; wraps around for integers."""
    if kind.pack == 2:
        pairs = f"<{2 * kind.lanes} x bfloat>"
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * kind.lanes}"
        return f.call(acc.type, name, acc, f.cast("bitcast", a, pairs), f.cast("bitcast", b, pairs))
    return f.fma(a, b, acc) if is_float(acc.type) else acc + a * b
