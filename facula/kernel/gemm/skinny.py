"""Few rows: nothing is packed, b is read once and in order, since its bytes and not the products take the time.

`stream`: b is [K][N]. Eight whole rows of b at a time are added into the sums, which stay in L1 or L2; work is cut along k, because
column strips would lose half of the speed to misses in the page tables. `dots`: b is [N][K] (the weight of a linear layer). Vectors run
along k, and lanes are added once at the end. Both leave sums in workspace for `combine`.
"""

from __future__ import annotations

from ...runtime.ir import Function, Module, Value, Var, vector
from .blocked import KERNEL
from .frame import Frame
from .kinds import Kind, kind_named, read, widen

DEPTH = 8  # rows of b that `stream` adds in one visit of the sums
AHEAD = 512  # elements along k that `dots` prefetches ahead


def load(f: Function, kind: Kind, at: Value, mask: Value | None = None) -> Value:
    return widen(f, kind, read(f, vector(kind.lanes, kind.source), at, mask), kind.acc)


def load_first(f: Function, kind: Kind, at: Value, n: Value, spare: Value) -> Value:
    """The first n elements as lanes, zeros behind them."""
    if f.module.target.masked:
        return load(f, kind, at, f.mask(kind.lanes, n))
    f.store(f.const(vector(kind.lanes, kind.source), 0), spare)
    with f.range(0, n) as i:
        f.store(f.load(kind.source, at, i), spare, i)
    return load(f, kind, spare)


def emit_stream(m: Module, name: str, dtype: str) -> None:
    """Items (batch, part of k): partial[part] = a[:, part] @ b[part, :]; n contiguous in b, partial rows padded to vectors."""
    kind = kind_named(dtype, m.target)
    L = kind.lanes
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        w = Frame(f, words)
        M, N, am, ak, bk = w.M, w.N, w.am, w.ak, w.bk
        with f.range(lo, hi) as item:
            part, batch = item.urem(w.parts), item.udiv(w.parts)
            oa, ob, _, _ = w.batch_offsets(batch)
            A, B = f.at(w.a, oa, kind.source), f.at(w.b, ob, kind.source)
            D = f.at(w.partial, item * w.pm * w.pn, kind.acc)
            k0 = part * w.depth
            k1 = f.smin(w.K, k0 + w.depth)

            def add(k: Value, depth: int, k0: Value = k0, A: Value = A, B: Value = B, D: Value = D) -> None:
                def visit(j: Value, whole: bool) -> None:
                    rows = [f.at(B, (k + d) * bk + j, kind.source) for d in range(depth)]
                    if whole:
                        b = [load(f, kind, row) for row in rows]
                        for d in range(depth):
                            f.prefetch(rows[d], bk * depth, level=2, elem=kind.source)  # the same place in the next rows
                    else:
                        b = [load_first(f, kind, row, N - j, spare) for row in rows]
                    with f.range(0, M) as i:
                        a, c = f.at(A, i * am + k * ak, kind.source), f.at(D, i * w.pn, kind.acc)
                        sums = [f.var(kind.vec, 0), f.var(kind.vec, 0)]  # two chains of half the depth
                        for d, x in enumerate(b):
                            one = widen(f, kind, f.load(kind.source, f.at(a, ak * d, kind.source)), kind.acc)
                            sums[d % 2].v = f.fma(f.splat(one, L), x, sums[d % 2].v)
                        old = f.select(k.eq(k0), f.const(kind.vec, 0), f.load(kind.vec, c, j))
                        f.store(old + (sums[0].v + sums[1].v), c, j)

                whole = N & -L
                with f.range(0, whole, L) as j:
                    visit(j, True)
                with f.when(whole < N):
                    visit(whole, False)

            spare = f.array(kind.source, L)
            eights = k0 + ((k1 - k0) & -DEPTH)
            with f.range(k0, eights, DEPTH) as k:
                add(k, DEPTH)
            with f.range(eights, k1) as k:
                add(k, 1)


def emit_dots(m: Module, name: str, dtype: str) -> None:
    """Items (batch, part of k, rows of b): partial[part] = a @ b, both with k contiguous; a block of b's rows stays in L2 for all of a."""
    kind = kind_named(dtype, m.target)
    budget = 24 if m.target.registers == 32 else 10  # accumulators
    for rows in (1, 2, 4):
        emit_dots_of(m, kind, rows, min(8, budget // rows))
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        w = Frame(f, words)
        M, N = w.M, w.N
        with f.range(lo, hi) as item:
            block, rest = item.urem(w.col_blocks), item.udiv(w.col_blocks)
            part, batch = rest.urem(w.parts), rest.udiv(w.parts)
            oa, ob, _, _ = w.batch_offsets(batch)
            k0, j0 = part * w.depth, block * w.nc
            A = f.at(w.a, oa + k0, kind.source)
            B = f.at(w.b, ob + j0 * w.bn + k0, kind.source)
            D = f.at(w.partial, rest * w.pm * w.pn + j0, kind.acc)
            args = [A, w.am, M, B, w.bn, f.smin(N - j0, w.nc), D, w.pn, f.smin(w.K - k0, w.depth)]
            few, two = M.eq(1), M.eq(2)
            for condition, rows in ((few, 1), (two, 2), (~(few | two), 4)):
                with f.when(condition):
                    f.call("void", f"dots_{rows}", *args)


def emit_dots_of(m: Module, kind: Kind, rows: int, across: int) -> None:
    """`rows` rows of a against `across` rows of b; beyond the last row the last one is computed again."""
    L = kind.lanes
    with m.function(f"dots_{rows}", "ptr A, i64 lda, i64 M, ptr B, i64 ldb, i64 N, ptr D, i64 ldd, i64 k", internal=True) as (
        f, A, lda, M, B, ldb, N, D, ldd, k,
    ):  # fmt: skip
        spare = f.array(kind.source, L)
        whole = k & -L
        with f.range(0, N, across) as j, f.range(0, M, rows) as i:
            ii, jj = [f.smin(i + r, M - 1) for r in range(rows)], [f.smin(j + c, N - 1) for c in range(across)]
            pa = [f.at(A, r * lda, kind.source) for r in ii]
            pb = [f.at(B, c * ldb, kind.source) for c in jj]
            acc = [[f.var(kind.vec, 0) for _ in pb] for _ in pa]

            def products(a: list[Value], b: list[Value], acc: list[list[Var]] = acc) -> None:
                for r, x in enumerate(a):
                    for c, y in enumerate(b):
                        acc[r][c].v = f.fma(x, y, acc[r][c].v)

            with f.range(0, whole, L) as p:
                b = [load(f, kind, f.at(q, p, kind.source)) for q in pb]
                for q in pb:
                    f.prefetch(q, p + AHEAD, level=2, elem=kind.source)
                products([load(f, kind, f.at(q, p, kind.source)) for q in pa], b)
            with f.when(whole < k):
                b = [load_first(f, kind, f.at(q, whole, kind.source), k - whole, spare) for q in pb]
                products([load_first(f, kind, f.at(q, whole, kind.source), k - whole, spare) for q in pa], b)
            for r in range(rows):
                for c in range(across):
                    f.store(f.fold(acc[r][c].v, lambda x, y: x + y), f.at(D, ii[r] * ldd + jj[c], kind.acc))
