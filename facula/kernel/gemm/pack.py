"""Packing: a block of an operand becomes panels [k][width], so that the micro-kernel reads both operands in order.

An operand is seen as [minor][k] (minor = rows of a, columns of b) with two strides. Minor contiguous: whole vectors are copied. k contiguous:
lanes x lanes blocks are transposed in registers, so a transposed operand costs the same. Anything else goes element by element. Conversion
to the panel's word happens on the way. Panels are padded with zeros to a multiple of `UNROLL` words along k, and unused lanes of a
panel hold anything (they only reach results that nobody stores).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.ir import Function, Module, Value, vector
from .kinds import Kind, read, widen

UNROLL = 4  # words along k in one turn of the micro-kernel
RUN = 8  # words along k copied from one panel before the next, so that a row of the source is read in long runs


def transpose(f: Function, rows: Sequence[Value], units: int) -> list[Value]:
    """n vectors of n elements of `units` lanes each, transposed in registers (butterfly network)."""
    out, n, s = list(rows), len(rows), 1

    def wide(index: list[int]) -> list[int]:
        return [i * units + u for i in index for u in range(units)]

    while s < n:
        for i in range(n):
            if not i & s:
                a, b = out[i], out[i + s]
                out[i] = f.shuffle(a, b, wide([j if not j & s else n + j - s for j in range(n)]))
                out[i + s] = f.shuffle(a, b, wide([j + s if not j & s else n + j for j in range(n)]))
        s *= 2
    return out


def panel_stride(kind: Kind, width: int, padded: Any) -> Any:
    """Words from one panel to the next; a panel whose rows are not whole vectors leaves a gap for the last row's store."""
    size = width * kind.units
    return padded * size + (kind.lanes if size % kind.lanes else 0)


def emit_pack(m: Module, kind: Kind, width: int) -> str:
    """`pack_WIDTH(to, from, minor stride, k stride, minor, step, k, padded)`: all panels of a block, `step` <= width minors in each.

    Strides and k count elements, `padded` words; panels lie `panel_stride` apart.
    """
    name = f"pack_{width}"
    if name in m.defined:
        return name
    emit_scalar(m, kind, width)
    with m.function(name, "ptr D, ptr S, i64 sm, i64 sk, i64 minor, i64 step, i64 k, i64 padded", internal=True) as (
        f, D, S, sm, sk, minor, step, k, padded,
    ):  # fmt: skip
        size = width * kind.units
        words = (k + (kind.pack - 1)).udiv(kind.pack)
        stride = panel_stride(kind, width, padded)
        whole = k.udiv(kind.pack)  # an odd last element of a pair goes by itself
        rows_in, columns_in = sm.eq(1), sk.eq(1) & sm.ne(1) & (whole >= kind.across)
        with f.when(rows_in):
            copy_rows(f, kind, width, D, S, sk, minor, step, whole, stride)
        with f.when(columns_in):
            turn_columns(f, kind, width, D, S, sm, minor, step, whole, stride)
        begin = f.select(rows_in | columns_in, whole, f.i64(0))
        panel = f.var("ptr", D)
        with f.range(0, minor, step) as j:
            with f.when(begin < words):
                source = f.at(S, j * sm * kind.units, kind.source)
                f.call("void", f"scalar_{width}", panel.v, source, sm, sk, f.smin(minor - j, step), begin, k)
            with f.range(words, padded) as p, f.range(0, size) as i:
                f.store(f.const(kind.word, 0), f.at(panel.v, p * size + i, kind.word))
            panel.v = f.at(panel.v, stride, kind.word)
    return name


def emit_scalar(m: Module, kind: Kind, width: int) -> None:
    """`scalar_WIDTH(to, from, minor stride, k stride, minors, first word, k)`: one panel, element by element."""
    with m.function(f"scalar_{width}", "ptr D, ptr S, i64 sm, i64 sk, i64 n, i64 begin, i64 k", internal=True, attributes="nounwind noinline") as (
        f, D, S, sm, sk, n, begin, k,
    ):  # fmt: skip
        words = (k + (kind.pack - 1)).udiv(kind.pack)
        with f.range(begin, words) as p, f.range(0, n) as i:
            source = f.at(S, (i * sm + p * kind.pack * sk) * kind.units, kind.source)
            for u in range(kind.units):
                x = f.load(kind.source, source, u)
                if kind.pack == 2:
                    word = f.var("i32", f.cast("zext", x, "i32"))
                    with f.when(p * 2 + 1 < k):
                        word.v = word.v | (f.cast("zext", f.load(kind.source, f.at(source, sk, kind.source)), "i32") << 16)
                    x = word.v
                f.store(widen(f, kind, x, kind.word), f.at(D, (p * width + i) * kind.units + u, kind.word))


def load_row(f: Function, kind: Kind, at: Value, mask: Value | None = None) -> Value:
    """A vector of real numbers from memory, as words."""
    return widen(f, kind, read(f, vector(kind.lanes, kind.source), at, mask), kind.word)


def copy_rows(
    f: Function, kind: Kind, width: int, D: Value, S: Value, sk: Value, minor: Value, step: Value, whole: Value, stride: Value
) -> None:
    """Minor is contiguous: words 0..whole-1 of every panel by vectors."""
    size, n = width * kind.units, -(-width // kind.across)
    with f.range(0, whole, RUN) as p0:
        end = f.smin(p0 + RUN, whole)
        panel = f.var("ptr", D)
        with f.range(0, minor, step) as j:
            left = minor - j
            full = left >= n * kind.across

            def vectors(masked: bool, j: Value = j, left: Value = left, panel_now: Value = panel.v) -> None:
                masks = [f.mask(kind.lanes, (left - v * kind.across) * kind.units) if masked else None for v in range(n)]
                with f.range(p0, end) as p:
                    for v, mask in enumerate(masks):
                        source = f.at(S, ((p * kind.pack) * sk + j + v * kind.across) * kind.units, kind.source)
                        x = load_pair(f, kind, source, sk, mask) if kind.pack == 2 else load_row(f, kind, source, mask)
                        f.store(x, f.at(panel_now, p * size + v * kind.lanes, kind.word))

            with f.when(full):
                vectors(False)
            with f.otherwise(full):
                if f.module.target.masked:
                    vectors(True)
                else:
                    source = f.at(S, j * kind.units, kind.source)
                    f.call("void", f"scalar_{width}", panel.v, source, f.i64(1), sk, f.smin(left, step), p0, end * kind.pack)
            panel.v = f.at(panel.v, stride, kind.word)


def load_pair(f: Function, kind: Kind, source: Value, sk: Value, mask: Value | None) -> Value:
    """Two rows of 16-bit elements, interleaved into words."""
    n = kind.lanes
    low = f.load(vector(n, "i16"), source, 0, mask)
    high = f.load(vector(n, "i16"), f.at(source, sk, "i16"), 0, mask)
    return f.cast("bitcast", f.shuffle(low, high, [i // 2 + n * (i % 2) for i in range(2 * n)]), vector(n, "i32"))


def turn_columns(
    f: Function, kind: Kind, width: int, D: Value, S: Value, sm: Value, minor: Value, step: Value, whole: Value, stride: Value
) -> None:
    """k is contiguous: blocks of `across` x `across` elements transposed; the last block overlaps the one before it."""
    size, n = width * kind.units, kind.across
    panel = f.var("ptr", D)
    with f.range(0, minor, step) as j:
        last = ((f.smin(minor - j, step) - 1).udiv(n)) * n
        with f.range(0, last + 1, n) as back:  # from the right: a store that runs past a row's end is overwritten by the next vector
            v = last - back
            rows = [f.at(S, f.smin(j + v + i, minor - 1) * sm * kind.units, kind.source) for i in range(n)]
            with f.range(0, whole, n) as start:
                p = f.smin(start, whole - n)
                vectors = [load_words(f, kind, row, p) for row in rows]
                to = f.at(panel.v, p * size + v * kind.units, kind.word)
                for i, x in enumerate(transpose(f, vectors, kind.units)):
                    f.store(x, to, i * size)
        panel.v = f.at(panel.v, stride, kind.word)


def load_words(f: Function, kind: Kind, row: Value, p: Value) -> Value:
    """Words p .. p + across - 1 of a row whose k is contiguous."""
    at = f.at(row, p * kind.pack * kind.units, kind.source)
    if kind.pack == 2:
        return f.cast("bitcast", f.load(vector(2 * kind.lanes, "i16"), at), vector(kind.lanes, "i32"))
    return load_row(f, kind, at)
