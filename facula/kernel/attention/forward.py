"""Scaled dot-product attention, forward, with the online softmax of Milakov & Gimelshein 2018 and the blocking of Dao et al. 2022.

    attention(q, k, v, out, mask, causal)   numbers: scale (compute type)
        Out: out, lse     In: q, k, v, [mask]
q: (B, H, L, E); k: (B, Hk, S, E); v: (B, Hk, S, Ev), H a multiple of Hk (grouped queries); out: (B, H, L, Ev); all with any strides but 1 in
the last dimension. mask: (B, H, L, S), bool (True takes part) or floating (added), strides 0 where it is broadcast, 1 in the last dimension.
lse: (B, H, L) contiguous, compute type: log of the sum of exponentials, which backward reads. A query that sees no key gives 0 and -inf.
"""

from __future__ import annotations

from ...runtime import host
from ...runtime.ir import Function, Module, Value
from ...runtime.pool import reserve
from ...runtime.pool_code import scratch
from .. import elementary, lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work
from .blocks import BLOCK, FAR, LARGER, Shape, masked_scores, pack_rows, pack_turned, padded, product


def emit_pack(m: Module, name: str, shape: Shape) -> None:
    """Blocks of keys: K transposed, then V, padded with zeros. A work item is a block of a head."""
    _, one, _ = shape.kind(m.target)
    turn, copy = pack_turned(m, shape, shape.head), pack_rows(m, shape, shape.value)
    each = shape.block * (shape.head + shape.value)
    types = ["ptr"] * 3 + ["i64"] * 11
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        k, v, out, heads, keys, head, value, kb, kh, ks, vb, vh, vs, blocks = f.words(words, *types)
        llvm = shape.d.llvm
        with f.range(lo, hi) as item:
            at, to = item.urem(blocks) * shape.block, f.at(out, item * each, one)
            h = item.udiv(blocks)
            b, h = h.udiv(heads), h.urem(heads)
            f.call("void", turn, f.at(k, b * kb + h * kh + at * ks, llvm), ks, keys - at, head, to)
            f.call("void", copy, f.at(v, b * vb + h * vh + at * vs, llvm), vs, keys - at, value, f.at(to, shape.block * shape.head, one))


def emit_forward(m: Module, name: str, shape: Shape) -> None:
    """A work item is a block of queries of a head. Scratch: products S, output O, queries Q, row maxima, row sums by lanes."""
    width, one, kind = shape.kind(m.target)
    product(m, "scores", shape, shape.head, 1, shape.block, "cols")
    product(m, "weighted", shape, shape.block, 1, shape.value, "to")
    pack = pack_rows(m, shape, shape.head)
    d, each = shape.d, shape.block * (shape.head + shape.value)
    types = ["ptr"] * 5 + ["i64"] * 17
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        (
            *pointers, heads, ratio, L, S, head, value, qb, qh, ql, ob, oh, ol, mb, mh, ml, causal, blocks,
        ) = f.words(words, *types)  # fmt: skip
        q_all, packed, mask_all, out_all, lse_all = pointers
        scale = f.load(one, f.at(words, 22, "i64"))
        s_at = scratch(f, worker)
        o_at = f.at(s_at, shape.block * shape.block, one)
        q_at = f.at(o_at, shape.block * shape.value, one)
        sums_at = f.at(q_at, shape.block * shape.head, one)
        tops_at = f.at(sums_at, shape.block * width, one)
        key_blocks = (S + (shape.block - 1)).udiv(shape.block)
        with f.range(lo, hi) as item:
            first, both = item.urem(blocks) * shape.block, item.udiv(blocks)
            b, h = both.udiv(heads), both.urem(heads)
            count = f.smin(L - first, shape.block)
            f.call("void", pack, f.at(q_all, b * qb + h * qh + first * ql, d.llvm), ql, count, head, q_at)
            with f.range(0, shape.block) as r:
                f.store(f.const(one, float("-inf")), f.at(tops_at, r, one))
                f.store(f.const(kind, 0.0), f.at(sums_at, r * width, one))
            rows = (count + 7) & -8
            stop = f.select(causal.ne(0), f.smin(S, first + count), S)
            keys_of = f.at(packed, (b * heads.udiv(ratio) + h.udiv(ratio)) * key_blocks * each, one)
            with f.range(0, stop, shape.block) as at:
                keys = f.at(keys_of, at.udiv(shape.block) * each, one)
                shift = f.select(causal.ne(0), first - at, FAR)
                count_keys = f.smin(S - at, shape.block)
                f.call("void", "scores", q_at, keys, s_at, rows, count_keys, f.i64(shape.head), shift, f.i64(0))
                with f.range(0, count) as r:
                    row = f.at(s_at, r * shape.block, one)
                    mask = f.bytes(mask_all, (b * mb + h * mh + (first + r) * ml + at) * mask_size(shape)) if shape.mask else mask_all
                    valid = f.smin(S - at, f.select(causal.ne(0), shift + r + 1, shape.block))
                    s, _ = masked_scores(f, shape, row, mask, scale, valid, S - at)
                    _online(f, shape, s, row, f.at(o_at, r * shape.value, one), f.at(tops_at, r, one), f.at(sums_at, r * width, one), at)
                values = f.at(keys, shape.block * shape.head, one)
                again = f.cast("zext", at.ne(0), "i64")
                f.call("void", "weighted", s_at, values, o_at, rows, f.i64(shape.value), (count_keys + 3) & -4, shift, again)
            _finish(
                f,
                shape,
                count,
                value,
                f.at(out_all, b * ob + h * oh + first * ol, d.llvm),
                ol,
                f.at(lse_all, both * L + first, one),
                o_at,
                tops_at,
                sums_at,
            )


def mask_size(shape: Shape) -> int:
    return {"bool": 1, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}[shape.mask]


def _online(f: Function, shape: Shape, s: list[Value], row: Value, out: Value, top: Value, sums: Value, at: Value) -> None:
    """One row of scores becomes probabilities relative to the running maximum; what was summed before is scaled down to it."""
    width, one, kind = shape.kind(f.module.target)
    peak = s[0]
    for x in s[1:]:
        peak = f.select(peak > x, peak, x)
    old, here = f.load(one, top), f.fold(peak, lambda a, b: f.select(a > b, a, b))
    new = f.select(old > here, old, here)
    f.store(new, top)
    base = f.splat(f.select(new > float("-inf"), new, 0.0), width)
    p = [elementary.exp(f, x - base) for x in s]
    for h, x in enumerate(p):
        f.store(x, row, h * width)
    total = p[0]
    for x in p[1:]:
        total = total + x
    before = f.load(kind, sums)
    with f.when(new.ne(old)):
        keep = elementary.exp(f, f.splat(old, width) - base)
        f.store(f.fma(before, keep, total), sums)
        with f.when(at.ne(0)):
            for c in range(0, shape.value, width):
                f.store(f.load(kind, out, c) * keep, out, c)
    with f.when(new.eq(old)):
        f.store(before + total, sums)
    with f.when(new.ne(new)):  # NaN scores
        f.store(total, sums)


def _finish(
    f: Function, shape: Shape, count: Value, value: Value, out: Value, stride: Value, lse: Value, o_at: Value, tops: Value, sums: Value
) -> None:
    """Divide by the sums, write the block's rows and their log of sums."""
    width, one, kind = shape.kind(f.module.target)
    with f.range(0, count) as r:
        total = f.fold(f.load(kind, f.at(sums, r * width, one)), lambda a, b: a + b)
        top = f.load(one, tops, r)
        none = total.eq(0.0)
        scale = f.splat(f.select(none, f.const(one, 0.0), 1.0 / f.select(none, f.const(one, 1.0), total)), width)
        source, to = f.at(o_at, r * shape.value, one), f.at(out, r * stride, shape.d.llvm)
        whole = value & -width
        with f.range(0, whole, width) as c:
            lanes.store(f, shape.d, f.load(kind, source, c) * scale, to, c)
        with f.when(whole < value):
            lanes.store(f, shape.d, f.load(kind, source, whole) * scale, to, whole, value - whole)
        log = f.extract(elementary.log_sum(f, f.splat(total, width)), 0)
        f.store(f.select(none, f.const(one, float("-inf")), top + log), lse, r)


def shape_of(q: Operand, v: Operand, mask: Operand | None) -> Shape:
    target = host.target()
    block = LARGER if BLOCK < max(q.shape[2], v.shape[2]) <= LARGER else BLOCK
    head, value = (padded(x.shape[3], target, q.dtype) for x in (q, v))
    room = (2 * LARGER * LARGER + LARGER * (3 * head + 2 * value + target.lanes + 1)) * q.dtype.compute.itemsize
    reserve(room)
    return Shape(q.dtype, head, value, mask.dtype.name if mask is not None else "", block)


def check(*operands: Operand | None) -> None:
    for x in operands:
        if x is not None and x.shape[-1] > 1 and x.strides[-1] != 1:
            raise ValueError(f"attention wants stride 1 in the last dimension, not strides {x.strides}")


def attention(q: Operand, k: Operand, v: Operand, out: Operand, mask: Operand | None = None, causal: bool = False) -> Schedule:
    check(q, k, v, out, mask)
    (B, H, L, E), (_, Hk, S, Ev) = q.shape, v.shape
    if not B * H * L:
        return Schedule(())
    shape = shape_of(q, v, mask)
    key_blocks, query_blocks = -(-S // shape.block), -(-L // shape.block)
    one = q.dtype.compute.itemsize
    each = shape.block * (shape.head + shape.value)
    launches: list[Launch] = []
    if key_blocks:
        words: tuple[Word, ...] = (In(1), In(2), Work(0), Hk, S, E, Ev, *k.strides[:3], *v.strides[:3], key_blocks)
        launches.append(Launch(Kernel(emit_pack, (shape,)), words, B * Hk * key_blocks, 1, B * Hk * S * (E + Ev) * one * 2))
    masks: tuple[Word, ...] = mask.strides[:3] if mask is not None else (0, 0, 0)
    pointers: tuple[Word, ...] = (In(0), Work(0), In(3) if mask is not None else 0, Out(0), Out(1))
    words = (
        *pointers, H, H // Hk, L, S, E, Ev, *q.strides[:3], *out.strides[:3], *masks, int(causal), query_blocks,
        Number(0, lanes.compute(q.dtype)),
    )  # fmt: skip
    flops = B * H * L * S * (E + Ev) * 2 // (2 if causal else 1)
    launches.append(Launch(Kernel(emit_forward, (shape,)), words, B * H * query_blocks, 1, B * H * L * (E + Ev) * one, flops))
    return Schedule(tuple(launches), B * Hk * key_blocks * each * one)
