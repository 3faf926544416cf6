"""Gradients of scaled dot-product attention: probabilities are computed again from the saved log of sums, five products a pair of blocks.

    attention_backward(q, k, v, out, mask, causal, g, gq, gk, gv)   numbers: scale (compute type)
        Out: gq, gk, gv     In: g, q, k, v, out, lse, [mask]
Shapes and strides as in `attention`; g like out, gq like q, gk like k, gv like v, each with its own strides.
"""

from __future__ import annotations

from ...runtime.ir import Function, Module, Value
from ...runtime.pool_code import scratch
from .. import elementary, lanes
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work
from .blocks import FAR, Shape, masked_scores, pack_rows, pack_turned, product
from .forward import check, mask_size, shape_of


def _each(shape: Shape) -> int:
    """Elements that a block of queries keeps: Q, the gradient of the output, the gradient of Q, and rows' sums of gradient * output."""
    return shape.block * (2 * shape.head + shape.value + 1)


def emit_prepare(m: Module, name: str, shape: Shape) -> None:
    """Per block of queries: Q and g padded, dQ zero, delta = sum of g * out over each row."""
    width, one, kind = shape.kind(m.target)
    d = shape.d
    copy_head, copy_value = pack_rows(m, shape, shape.head), pack_rows(m, shape, shape.value)
    types = ["ptr"] * 4 + ["i64"] * 14
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        q, g, out, kept, heads, L, head, value, qb, qh, ql, gb, gh, gl, ob, oh, ol, blocks = f.words(words, *types)
        with f.range(lo, hi) as item:
            first, both = item.urem(blocks) * shape.block, item.udiv(blocks)
            b, h = both.udiv(heads), both.urem(heads)
            to = f.at(kept, item * _each(shape), one)
            grads = f.at(to, shape.block * shape.head, one)
            dq = f.at(grads, shape.block * shape.value, one)
            delta = f.at(dq, shape.block * shape.head, one)
            count = f.smin(L - first, shape.block)
            f.call("void", copy_head, f.at(q, b * qb + h * qh + first * ql, d.llvm), ql, count, head, to)
            f.call("void", copy_value, f.at(g, b * gb + h * gh + first * gl, d.llvm), gl, count, value, grads)
            with f.range(0, shape.block * shape.head, width) as i:
                f.store(f.const(kind, 0.0), dq, i)
            with f.range(0, count) as r:
                row, total = f.at(out, b * ob + h * oh + (first + r) * ol, d.llvm), f.var(kind, 0.0)
                with f.range(0, value, width) as c:
                    o = lanes.load(f, d, width, row, c, value - c)
                    total.v = f.fma(o, f.load(kind, f.at(grads, r * shape.value + c, one)), total.v)
                f.store(f.fold(total.v, lambda a, b: a + b), delta, r)


def emit_backward(m: Module, name: str, shape: Shape) -> None:
    """A work item is a head of keys: blocks of keys outside, all heads and blocks of queries that see them inside.

    Scratch: products S and P (block x block), K transposed, K, V transposed, dK, dV."""
    _, one, _ = shape.kind(m.target)
    d = shape.d
    product(m, "scores", shape, shape.head, 1, shape.block, "cols")
    product(m, "weights", shape, shape.value, 1, shape.block, "cols")
    product(m, "to_value", shape, 1, shape.block, shape.value, "from")
    product(m, "to_key", shape, 1, shape.block, shape.head, "from")
    product(m, "to_query", shape, shape.block, 1, shape.head, "to")
    turn_key, turn_value, copy = pack_turned(m, shape, shape.head), pack_turned(m, shape, shape.value), pack_rows(m, shape, shape.head)
    types = ["ptr"] * 7 + ["i64"] * 23
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        (
            k_all, v_all, lse_all, mask_all, gk_all, gv_all, kept, heads, ratio, L, S, head, value,
            kb, kh, ks, vb, vh, vs, gkb, gkh, gks, gvb, gvh, gvs, mb, mh, ml, causal, blocks,
        ) = f.words(words, *types)  # fmt: skip
        scale = f.load(one, f.at(words, 30, "i64"))
        s_at = scratch(f, worker)
        p_at = f.at(s_at, shape.block * shape.block, one)
        kt_at = f.at(p_at, shape.block * shape.block, one)
        k_at = f.at(kt_at, shape.block * shape.head, one)
        vt_at = f.at(k_at, shape.block * shape.head, one)
        dk_at = f.at(vt_at, shape.block * shape.value, one)
        dv_at = f.at(dk_at, shape.block * shape.head, one)
        zero, yes = f.i64(0), f.i64(1)
        groups = heads.udiv(ratio)
        with f.range(lo, hi) as item:
            b, hk = item.udiv(groups), item.urem(groups)
            with f.range(0, S, shape.block) as at:
                keys = f.smin(S - at, shape.block)
                source = f.at(k_all, b * kb + hk * kh + at * ks, d.llvm)
                f.call("void", turn_key, source, ks, keys, head, kt_at)
                f.call("void", copy, source, ks, keys, head, k_at)
                f.call("void", turn_value, f.at(v_all, b * vb + hk * vh + at * vs, d.llvm), vs, keys, value, vt_at)
                _zero(f, shape, dk_at, shape.block * (shape.head + shape.value))
                key_rows = (keys + 7) & -8
                with f.range(0, ratio) as inner, f.range(f.select(causal.ne(0), at, 0), L, shape.block) as first:
                    h = hk * ratio + inner
                    both = b * heads + h
                    q_at = f.at(kept, (both * blocks + first.udiv(shape.block)) * _each(shape), one)
                    g_at = f.at(q_at, shape.block * shape.head, one)
                    dq_at = f.at(g_at, shape.block * shape.value, one)
                    delta = f.at(dq_at, shape.block * shape.head, one)
                    count = f.smin(L - first, shape.block)
                    rows = (count + 7) & -8
                    shift = f.select(causal.ne(0), first - at, FAR)
                    f.call("void", "scores", q_at, kt_at, s_at, rows, keys, f.i64(shape.head), shift, zero)
                    f.call("void", "weights", g_at, vt_at, p_at, rows, keys, f.i64(shape.value), shift, zero)
                    with f.range(0, count) as r:
                        mask = f.bytes(mask_all, (b * mb + h * mh + (first + r) * ml + at) * mask_size(shape)) if shape.mask else mask_all
                        valid = f.smin(S - at, f.select(causal.ne(0), shift + r + 1, shape.block))
                        lse = f.load(one, lse_all, both * L + first + r)
                        _row(f, shape, r, s_at, p_at, mask, scale, valid, S - at, lse, f.load(one, delta, r))
                    with f.range(count, rows) as r:
                        for block in (s_at, p_at):
                            _zero(f, shape, f.at(block, r * shape.block, one), shape.block)
                    f.call("void", "to_value", p_at, g_at, dv_at, key_rows, f.i64(shape.value), rows, shift, yes)
                    f.call("void", "to_key", s_at, q_at, dk_at, key_rows, f.i64(shape.head), rows, shift, yes)
                    f.call("void", "to_query", s_at, k_at, dq_at, rows, f.i64(shape.head), (keys + 3) & -4, shift, yes)
                _write(f, shape, dk_at, shape.head, keys, head, f.at(gk_all, b * gkb + hk * gkh + at * gks, d.llvm), gks)
                _write(f, shape, dv_at, shape.value, keys, value, f.at(gv_all, b * gvb + hk * gvh + at * gvs, d.llvm), gvs)


def _zero(f: Function, shape: Shape, at: Value, n: int) -> None:
    width, _, kind = shape.kind(f.module.target)
    with f.range(0, n, width) as i:
        f.store(f.const(kind, 0.0), at, i)


def _row(
    f: Function,
    shape: Shape,
    r: Value,
    s_at: Value,
    p_at: Value,
    mask: Value,
    scale: Value,
    valid: Value,
    left: Value,
    lse: Value,
    delta: Value,
) -> None:
    """One row: scores and d(probabilities) become d(scores) * scale and probabilities."""
    width, one, kind = shape.kind(f.module.target)
    row, weights = f.at(s_at, r * shape.block, one), f.at(p_at, r * shape.block, one)
    scores, inside = masked_scores(f, shape, row, mask, scale, valid, left)
    base = f.splat(f.select(lse > float("-inf"), lse, f.select(lse.eq(lse), f.const(one, 0.0), lse)), width)
    for i, (s, here) in enumerate(zip(scores, inside)):
        p = elementary.exp(f, s - base)
        g = (f.load(kind, weights, i * width) - f.splat(delta, width)) * f.splat(scale, width) * p
        f.store(p, weights, i * width)
        f.store(f.select(here, g, f.const(kind, 0.0)), row, i * width)


def _write(f: Function, shape: Shape, source: Value, columns: int, rows: Value, n: Value, out: Value, stride: Value) -> None:
    """The first `rows` x `n` of a block to the output."""
    width, one, kind = shape.kind(f.module.target)
    with f.range(0, rows) as r:
        at, to = f.at(source, r * columns, one), f.at(out, r * stride, shape.d.llvm)
        whole = n & -width
        with f.range(0, whole, width) as c:
            lanes.store(f, shape.d, f.load(kind, at, c), to, c)
        with f.when(whole < n):
            lanes.store(f, shape.d, f.load(kind, at, whole), to, whole, n - whole)


def emit_queries(m: Module, name: str, shape: Shape) -> None:
    """dQ from its blocks to the output."""
    _, one, _ = shape.kind(m.target)
    types = ["ptr"] * 2 + ["i64"] * 7
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gq, kept, heads, L, head, qb, qh, ql, blocks = f.words(words, *types)
        with f.range(lo, hi) as item:
            first, both = item.urem(blocks) * shape.block, item.udiv(blocks)
            out = f.at(gq, both.udiv(heads) * qb + both.urem(heads) * qh + first * ql, shape.d.llvm)
            source = f.at(kept, item * _each(shape) + shape.block * (shape.head + shape.value), one)
            _write(f, shape, source, shape.head, f.smin(L - first, shape.block), head, out, ql)


def attention_backward(
    q: Operand, k: Operand, v: Operand, out: Operand, mask: Operand | None, causal: bool, g: Operand, gq: Operand, gk: Operand, gv: Operand
) -> Schedule:
    check(q, k, v, out, mask, g, gq, gk, gv)
    (B, H, L, E), (_, Hk, S, Ev) = q.shape, v.shape
    shape = shape_of(q, v, mask)
    blocks, one = -(-L // shape.block), q.dtype.compute.itemsize
    words: tuple[Word, ...] = (In(1), In(0), In(4), Work(0), H, L, E, Ev, *q.strides[:3], *g.strides[:3], *out.strides[:3], blocks)
    moved = B * H * L * (E + Ev) * one * 2
    launches = [Launch(Kernel(emit_prepare, (shape,)), words, B * H * blocks, 1, moved, moved)]
    masks: tuple[Word, ...] = mask.strides[:3] if mask is not None else (0, 0, 0)
    pointers: tuple[Word, ...] = (In(2), In(3), In(5), In(6) if mask is not None else 0, Out(1), Out(2), Work(0))
    sizes: tuple[Word, ...] = (H, H // Hk, L, S, E, Ev)
    strides = (*k.strides[:3], *v.strides[:3], *gk.strides[:3], *gv.strides[:3])
    words = (*pointers, *sizes, *strides, *masks, int(causal), blocks, Number(0, lanes.compute(q.dtype)))
    flops = B * H * L * S * (3 * E + 2 * Ev) * 2 // (2 if causal else 1)
    if S:
        launches.append(Launch(Kernel(emit_backward, (shape,)), words, B * Hk, 1, moved * 2, flops))
    words = (Out(0), Work(0), H, L, E, *gq.strides[:3], blocks)
    launches.append(Launch(Kernel(emit_queries, (shape,)), words, B * H * blocks, 1, moved, moved))
    return Schedule(tuple(x for x in launches if x.total), B * H * blocks * _each(shape) * one)
