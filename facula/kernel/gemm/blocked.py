"""Blocked products: shared packing of b, tiles of c, and the sum of the parts of a split k."""

from __future__ import annotations

from ...runtime.ir import Function, Module, Value
from ...runtime.pool_code import scratch
from .finish import emit_finish
from .frame import DIRECT, PARTIAL, Frame
from .kinds import Kind, kind_named
from .micro import emit_table, height_slot, widths
from .pack import UNROLL, emit_pack, panel_stride

KERNEL = "ptr words, i64 lo, i64 hi, i64 worker"
CHUNK = 1024  # columns of a row that `combine` sums at a time


def padded_words(kind: Kind, k: Value) -> Value:
    """Words of a panel for k elements, a multiple of UNROLL."""
    return ((k + (kind.pack - 1)).udiv(kind.pack) + (UNROLL - 1)) & -UNROLL


def emit_pack_b(m: Module, name: str, dtype: str) -> None:
    """Items (batch, block of k, group of panels): the panels of b that all row blocks share."""
    kind = kind_named(dtype, m.target)
    width = kind.columns
    pack = emit_pack(m, kind, width)
    with m.function(name, KERNEL) as (f, words, lo, hi, _):
        w = Frame(f, words)
        K, N, kc, panels, group = w.K, w.N, w.kc, w.panels, w.group
        groups, blocks = (panels + group - 1).udiv(group), f.smax((K + kc - 1).udiv(kc), 1)
        with f.range(lo, hi) as item:
            first, rest = item.urem(groups) * group, item.udiv(groups)
            q, batch = rest.urem(blocks), rest.udiv(blocks)
            k = f.smin(K - q * kc, kc)
            padded = padded_words(kind, k)
            source = f.at(w.b, (w.batch_offsets(batch)[1] + q * kc * w.bk + first * width * w.bn) * kind.units, kind.source)
            to = packed_at(f, kind, w, batch, q, first, padded)
            minor = f.smin(N - first * width, group * width)
            f.call("void", pack, to, source, w.bn, w.bk, minor, f.i64(width), k, padded)


def packed_at(f: Function, kind: Kind, w: Frame, batch: Value, q: Value, panel: Value, padded: Value) -> Value:
    """Address of a shared panel: [batch][block of k][panel]."""
    block = w.panels * panel_stride(kind, kind.columns, w.kc.udiv(kind.pack))
    return f.at(w.packed, batch * w.pack_batch + q * block + panel * panel_stride(kind, kind.columns, padded), kind.word)


def emit_tiles(m: Module, name: str, dtype: str, epilogue: str = "") -> None:
    """Items (batch, part of k, row block, column block): a block of c, from a packed here and b packed here or before."""
    kind = kind_named(dtype, m.target)
    pack_a, pack_b = emit_pack(m, kind, kind.rows), emit_pack(m, kind, kind.columns)
    emit_table(m, kind)
    emit_finish(m, kind, epilogue)
    emit_macro(m, kind)
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        w, room = Frame(f, words), scratch(f, worker)
        shared = f.cast("ptrtoint", w.packed, "i64").ne(0)
        with f.range(lo, hi) as item:
            jb, rest = item.urem(w.col_blocks), item.udiv(w.col_blocks)
            ib, rest = rest.urem(w.row_blocks), rest.udiv(w.row_blocks)
            part, batch = rest.urem(w.parts), rest.udiv(w.parts)
            i0, j0 = ib * w.mc, jb * w.nc
            rows, cols = f.smin(w.M - i0, w.mc), f.smin(w.N - j0, w.nc)
            oa, ob, oc, ou = w.batch_offsets(batch)
            k0 = part * w.depth
            k1 = f.smin(w.K, k0 + w.depth)
            C = f.at(w.c, (oc + i0 * w.cm + j0 * w.cn) * kind.units, kind.out)
            U = f.at(w.bias, (ou + i0 * w.um + j0 * w.un) * kind.units, kind.out)
            mode = w.mode
            # Sums of a block: in the result, in scratch memory, or in this part's place in the workspace.
            place = f.at(w.partial, ((batch * w.parts + part) * w.pm * w.pn + i0 * w.pn + j0) * kind.units, kind.acc)
            D = f.select(mode.eq(DIRECT), C, f.select(mode.eq(PARTIAL), place, f.bytes(room, w.room_d)))
            with f.range(k0, f.smax(k1, k0 + 1), w.kc) as pc:  # k = 0 passes once: zeros
                k = f.smin(k1 - pc, w.kc)
                padded = padded_words(kind, k)
                from_a = f.at(w.a, (oa + i0 * w.am + pc * w.ak) * kind.units, kind.source)
                from_b = f.at(w.b, (ob + pc * w.bk + j0 * w.bn) * kind.units, kind.source)
                panel_a, panel_b = f.var("ptr", from_a), f.var("ptr", from_b)
                with f.when(w.free_a.eq(0)):
                    f.call("void", pack_a, room, from_a, w.am, w.ak, rows, w.mr, k, padded)
                    panel_a.v = room
                with f.when(shared):
                    panel_b.v = packed_at(f, kind, w, batch, pc.udiv(w.kc), j0.udiv(kind.columns), padded)
                with f.otherwise(shared | w.free_b.ne(0)):
                    panel_b.v = f.bytes(room, w.room_b)
                    f.call("void", pack_b, panel_b.v, from_b, w.bn, w.bk, cols, f.i64(kind.columns), k, padded)
                first, last = f.cast("zext", pc.eq(k0), "i64"), f.cast("zext", (pc + w.kc) >= k1, "i64")
                f.call("void", "macro", words, room, panel_a.v, panel_b.v, D, C, U, rows, cols, padded, first, last)


def emit_macro(m: Module, kind: Kind) -> None:
    """`macro(words, scratch memory, a's panels, b's panels, D, C, bias, rows, cols, words of k, first, last)`: all tiles of a block.

    A tile that is not whole goes through a buffer in DIRECT mode, since micro-kernels store whole vectors; blocks of the other modes have
    room for whole tiles. `first` and `last` tell the passes over k apart.
    """
    signature = "ptr words, ptr room, ptr A, ptr B, ptr D, ptr C, ptr U, i64 rows, i64 cols, i64 k, i64 first, i64 last"
    with m.function("macro", signature, internal=True) as (f, words, room, A, B, D, C, U, rows, cols, k, first, last):
        w = Frame(f, words)
        mr, mode, add, plain = w.mr, w.mode, w.add, w.plain
        cm, cn, um, un = w.cm, w.cn, w.um, w.un
        direct = mode.eq(DIRECT)
        spare = f.bytes(room, w.room_d)  # the buffer for one tile
        ldd = f.select(direct, cm, f.select(mode.eq(PARTIAL), w.pn, w.nc)) * kind.units
        later = f.cast("zext", first.eq(0), "i64")
        more = later | (add & f.cast("zext", direct, "i64"))
        free_a, free_b = w.free_a.ne(0), w.free_b.ne(0)  # in place: panels lie side by side, a row of the matrix apart along k
        sr = f.select(free_a, w.am * kind.units, f.i64(kind.units))
        next_a = f.select(free_a, mr * sr, panel_stride(kind, kind.rows, k))
        next_b = f.select(free_b, f.i64(kind.columns * kind.units), panel_stride(kind, kind.columns, k))
        sa = f.select(free_a, w.ak * kind.units, f.i64(kind.rows * kind.units))
        sb = f.select(free_b, w.bk * kind.units, f.i64(kind.columns * kind.units))
        finishing = mode.ne(PARTIAL) & last.ne(0) & (plain.eq(0) | ~direct)
        with f.range(0, cols, kind.columns) as j:
            nj = f.smin(cols - j, kind.columns)
            vectors = (nj + (kind.across - 1)).udiv(kind.across)
            fits = nj.eq(vectors * kind.across)
            panel_b = f.at(B, j.udiv(kind.columns) * next_b, kind.word)
            panel_a = f.var("ptr", A)
            with f.range(0, rows, mr) as i:
                ni = f.smin(rows - i, mr)
                index, exact = height_slot(f, kind, ni)
                slot = index * len(widths(kind)) + vectors - 1
                at_c, at_u = f.at(C, (i * cm + j * cn) * kind.units, kind.out), f.at(U, (i * um + j * un) * kind.units, kind.out)
                through = direct & ~(fits & exact)  # this tile goes through the buffer
                tile = f.select(through, spare, f.at(D, i * ldd + j * kind.units, kind.acc))
                pitch = f.select(through, f.i64(kind.columns * kind.units), ldd)
                f.call("void", "tile", slot, panel_a.v, panel_b, tile, pitch, sr, sa, sb, k, f.select(through, f.i64(0), more))
                with f.when(through | finishing):
                    f.call(
                        "void", "finish", words, tile, pitch, at_c, at_u, ni, nj, f.select(through, more, f.select(direct, f.i64(0), add))
                    )
                panel_a.v = f.at(panel_a.v, next_a, kind.word)


def emit_combine(m: Module, name: str, dtype: str, epilogue: str = "") -> None:
    """Items (batch, row, chunk of columns): the parts of a split k added in order, then the same way out as a tile."""
    kind = kind_named(dtype, m.target)
    emit_finish(m, kind, epilogue)
    with m.function(name, KERNEL) as (f, words, lo, hi, worker):
        w, room = Frame(f, words), scratch(f, worker)
        M, N, chunks, size = w.M, w.N, (w.N + (CHUNK - 1)).udiv(CHUNK), w.pm * w.pn
        with f.range(lo, hi) as item:
            j0, rest = item.urem(chunks) * CHUNK, item.udiv(chunks)
            i, batch = rest.urem(M), rest.udiv(M)
            _, _, oc, ou = w.batch_offsets(batch)
            cols = f.smin(N - j0, CHUNK)
            source = f.at(w.partial, (batch * w.parts * size + i * w.pn + j0) * kind.units, kind.acc)
            with f.range(0, cols * kind.units, kind.lanes) as j:
                total = f.var(kind.vec, f.load(kind.vec, source, j))
                with f.range(1, w.parts) as part:
                    total.v = total.v + f.load(kind.vec, f.at(source, part * size * kind.units, kind.acc), j)
                f.store(total.v, f.at(room, j, kind.acc))
            C = f.at(w.c, (oc + i * w.cm + j0 * w.cn) * kind.units, kind.out)
            U = f.at(w.bias, (ou + i * w.um + j0 * w.un) * kind.units, kind.out)
            f.call("void", "finish", words, room, cols, C, U, f.i64(1), cols, w.add)
