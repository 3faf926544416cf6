"""The register tile: `rows` x `vectors` accumulators stay in registers while k runs over packed panels. README.md draws it."""

from __future__ import annotations

from ...runtime.ir import SIZE, Function, Module, Value, Var
from .kinds import Kind, multiply_add
from .pack import UNROLL

ARGUMENTS = "ptr A, ptr B, ptr D, i64 ldd, i64 sr, i64 sa, i64 sb, i64 k, i64 add"


def widths(kind: Kind) -> range:
    """Vectors across a tile for which a micro-kernel exists."""
    return range(1, kind.vectors + 1)


def emit_micro(m: Module, kind: Kind, rows: int, vectors: int) -> str:
    """One tile: D (rows of `vectors` vectors, `ldd` reals apart) = or += a's panel times b's panel over k words, a multiple of UNROLL.

    `sr` words from one row of a to the next, `sa` and `sb` from one k to the next: constants for packed panels, and an operand can be read
    in place.
    """
    name = f"micro_{rows}_{vectors}"
    with m.function(name, ARGUMENTS, internal=True) as (f, A, B, D, ldd, sr, sa, sb, k, add):
        # To L2, not L1: rows a power of two apart would evict each other in L1 (4 % at n = 2048).
        for r in range(rows):
            for v in range(0, vectors * kind.lanes, 64 // SIZE[kind.acc]):
                f.prefetch(D, ldd * r + v, write=1, level=2, elem=kind.acc)
        sums = emit_products(f, kind, rows, vectors, (A, B), (sr, sa, sb), k)
        for old in (0, 1):
            with f.when(add.eq(old)):
                for r in range(rows):
                    row = f.at(D, ldd * r, kind.acc)
                    for v in range(vectors):
                        x = sums[r][v].v
                        f.store(x + f.load(kind.vec, row, v * kind.lanes) if old else x, row, v * kind.lanes)
    return name


def emit_products(
    f: Function, kind: Kind, rows: int, vectors: int, panels: tuple[Value, Value], strides: tuple[Value, Value, Value], k: Value
) -> list[list[Var]]:
    """The loop over k. A complex row keeps re(a) * b and im(a) * b apart, and joins them at the end: i * (x, y) is (-y, x)."""
    L = kind.lanes
    sr, sa, sb = strides
    # Three rows from one pointer, at 0, 1 and 2 strides: addresses that need few registers.
    a_now = [f.var("ptr", f.at(panels[0], sr * r, kind.word)) for r in range(0, rows, 3)]
    b_now = f.var("ptr", panels[1])
    acc = [[[f.var(kind.vec, 0) for _ in range(vectors)] for _ in range(kind.units)] for _ in range(rows)]
    with f.range(0, k, UNROLL):
        for _ in range(UNROLL):
            at_a, at_b = [a.v for a in a_now], b_now.v
            b = [f.load(f"<{L} x {kind.word}>", at_b, v * L) for v in range(vectors)]
            for r in range(rows):
                row = f.at(at_a[r // 3], sr * (r % 3), kind.word) if r % 3 else at_a[r // 3]
                for part in range(kind.units):
                    a = f.splat(f.load(kind.word, row, part), L)
                    for v in range(vectors):
                        acc[r][part][v].v = multiply_add(f, kind, a, b[v], acc[r][part][v].v)
            for a, at in zip(a_now, at_a):
                a.v = f.at(at, sa, kind.word)
            b_now.v = f.at(at_b, sb, kind.word)
    if kind.units == 2:
        turned = [i ^ 1 for i in range(L)]
        sign = f.lanes(kind.vec, [-1.0 if i % 2 == 0 else 1.0 for i in range(L)])
        for row in acc:
            for v in range(vectors):
                row[0][v].v = f.fma(f.shuffle(row[1][v].v, None, turned), sign, row[0][v].v)
    return [row[0] for row in acc]


def emit_table(m: Module, kind: Kind) -> str:
    """`tile(slot, ...)` jumps to a micro-kernel: slot = index of the height x number of widths + width - 1.

    Calls under compares instead of a table of addresses: the image then needs no relocations of data.
    """
    heights = kind.heights
    names = [emit_micro(m, kind, r, v) for r in heights for v in widths(kind)]
    with m.function("tile", "i64 slot, " + ARGUMENTS, internal=True) as (f, slot, *args):

        def choose(lo: int, hi: int) -> None:
            if hi - lo == 1:
                f.call("void", names[lo], *args)
                return
            middle = (lo + hi) // 2
            upper = slot >= middle
            with f.otherwise(upper):
                choose(lo, middle)
            with f.when(upper):
                choose(middle, hi)

        choose(0, len(names))
    return "tile"


def height_slot(f: Function, kind: Kind, rows: Value) -> tuple[Value, Value]:
    """(index of the smallest height >= rows, whether it is exactly rows)."""
    index, exact = f.i64(0), rows.eq(kind.heights[0])
    for h in kind.heights[:-1]:
        index = index + f.cast("zext", rows > h, "i64")
    for h in kind.heights[1:]:
        exact = exact | rows.eq(h)
    return index, exact
