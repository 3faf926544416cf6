"""Scaled dot-product attention. Compute-bound: five sixths of the FMA peak for long sequences; nothing of size queries x keys is stored."""

from __future__ import annotations

import math
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.expression import broadcast, expanded
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.attention import attention, attention_backward
from ..spec.block import Composite, Fused
from ..spec.registry import ops
from ..spec.samples import normal, sample


def masked(mask: Layout | None, q: Layout, k: Layout) -> Any:
    return None if mask is None else expanded(mask, (*q.shape[:-1], k.shape[-2]))


def folded_mask(examples: Examples, mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The mask for examples and items in one dim, of which the queries have `query.shape[0]`."""
    if mask is None or ("mask" not in examples and (mask.ndim < 4 or mask.shape[0] == 1)):
        return mask
    m = examples.all(mask, "mask")
    m = m.view(examples.n, *(1,) * (5 - m.ndim), *m.shape[1:])
    return m.expand(-1, query.shape[0] // examples.n, *m.shape[2:]).flatten(0, 1)


class Attention(Fused):
    """(softmax(q k^T scale + mask) v, log-sum-exp of the scores); q (B, H, L, E), k (B, Hk, S, E), v (B, Hk, S, Ev)."""

    schema = "attention(Tensor query, Tensor key, Tensor value, Tensor? mask, bool causal, float scale) -> (Tensor, Tensor)"
    paths = ""

    @staticmethod
    def batch(
        examples: Examples, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
    ) -> tuple[Tensor, ...]:
        q, k, v = (examples.all(t, name).flatten(0, 1) for name, t in (("query", query), ("key", key), ("value", value)))
        got = ops.attention(q, k, v, folded_mask(examples, mask, q), causal, scale)
        return tuple(t.unflatten(0, (examples.n, -1)) for t in got)

    @staticmethod
    def kernel(q: Layout, k: Layout, v: Layout, mask: Layout | None, causal: bool, scale: float) -> Result:
        B, H, L, _ = q.shape
        # heads beside each other, as the projection that follows wants them
        strides = (L * H * v.shape[3], v.shape[3], H * v.shape[3], 1)
        out = layout((B, H, L, v.shape[3]), q.dtype, strides)
        lse = layout((B, H, L), q.dtype.compute)
        return Result((out, lse), attention(q, k, v, out, masked(mask, q, k), causal))

    @staticmethod
    def gradient(
        g0: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        out0: Tensor,
        out1: Tensor,
        causal: bool,
        scale: float,
        needs: Any,
    ) -> tuple[Any, ...]:
        g = g0 if g0.stride(-1) == 1 else g0.contiguous()
        got = ops.attention_gradients(g, query, key, value, out0.detach(), out1.detach(), mask, causal, scale)
        return (*got, None)


class AttentionGradients(Fused):
    """Gradients of queries, keys and values."""

    schema = "attention_gradients(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor output, Tensor lse, Tensor? mask, bool causal, float scale) -> (Tensor, Tensor, Tensor)"
    paths = ""
    contiguous = ("lse",)

    @staticmethod
    def batch(
        examples: Examples,
        grad: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        lse: Tensor,
        mask: Tensor | None,
        causal: bool,
        scale: float,
    ) -> tuple[Tensor, ...]:
        named = {"grad": grad, "query": query, "key": key, "value": value, "output": output, "lse": lse}
        folded = [examples.all(t, name).flatten(0, 1) for name, t in named.items()]
        got = ops.attention_gradients(*folded, folded_mask(examples, mask, folded[1]), causal, scale)
        return tuple(t.unflatten(0, (examples.n, -1)) for t in got)

    @staticmethod
    def kernel(
        g: Layout, q: Layout, k: Layout, v: Layout, out: Layout, lse: Layout, mask: Layout | None, causal: bool, scale: float
    ) -> Result:
        outs = tuple(layout(x.shape, x.dtype, x.strides if x.dense else None) for x in (q, k, v))
        return Result(outs, attention_backward(q, k, v, out, masked(mask, q, k), causal, g, *outs))

    @staticmethod
    def gradient(
        g0: Tensor,
        g1: Tensor,
        g2: Tensor,
        grad: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        causal: bool,
        scale: float,
    ) -> tuple[Any, ...]:
        # p = softmax(s), s = scale q k^T: gv = p^T g, gp = g v^T, gs = p (gp - sum(gp p)), gq = scale gs k, gk = scale gs^T q
        groups = query.shape[1] // key.shape[1]
        k, v = (_repeated(t, groups) for t in (key, value))
        gk, gv = (_repeated(t, groups) for t in (g1, g2))
        p = probabilities(query, k, mask, causal, scale)
        gp = grad @ v.transpose(-2, -1)
        inner = (gp * p).sum(-1, True)
        gs = p * (gp - inner)
        s = scale * (g0 @ k.transpose(-2, -1) + query @ gk.transpose(-2, -1))  # cotangent of gs
        u = s * p
        by_gp = u - p * u.sum(-1, True)
        by_p = s * (gp - inner) - gp * u.sum(-1, True) + grad @ gv.transpose(-2, -1)
        by_s = p * (by_p - (by_p * p).sum(-1, True))
        by_grad = by_gp @ v + p @ gv
        by_q = scale * (by_s @ k + gs @ gk)
        by_k = scale * (by_s.transpose(-2, -1) @ query + gs.transpose(-2, -1) @ g0)
        by_v = by_gp.transpose(-2, -1) @ grad
        return by_grad, by_q, _folded(by_k, groups), _folded(by_v, groups), None, None, None


def _repeated(t: Tensor, groups: int) -> Tensor:
    if groups == 1:
        return t
    b, h, s, e = t.shape
    return t.unsqueeze(2).expand((b, h, groups, s, e)).reshape((b, h * groups, s, e))


def _folded(t: Tensor, groups: int) -> Tensor:
    if groups == 1:
        return t
    b, h, s, e = t.shape
    return t.reshape((b, h // groups, groups, s, e)).sum(2)


def probabilities(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    """softmax of the scores, stored whole."""
    s = (q @ k.transpose(-2, -1)) * scale
    if causal:
        keep = ops.ones(q.shape[-2], k.shape[-2], dtype=d.bool_).tril()
        s = s.masked_fill(keep.logical_not(), -math.inf)
    if mask is not None:
        s = s.masked_fill(mask.logical_not(), -math.inf) if mask.dtype is d.bool_ else s + mask
    p = s.softmax(-1)
    return p.masked_fill(s.isneginf().all(-1, keepdim=True), 0.0) if mask is not None else p


def composed(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float, causal: bool, scale: float) -> Tensor:
    """Attention in ordinary operators: for dropout and for masks that want a gradient."""
    groups = query.shape[-3] // key.shape[-3] if query.ndim > 2 and key.shape[-3] else 1
    if groups > 1:
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    p = probabilities(query, key, mask, causal, scale)
    if dropout_p:
        p = ops.dropout(p, dropout_p, True)
    return p @ value


class ScaledDotProductAttention(Composite):
    """softmax(query key^T * scale + mask) value; query (*, L, E), key (*, S, E), value (*, S, Ev). Vaswani et al. 2017, arXiv 1706.03762."""

    schema = "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor"
    out = False
    paths = "nn.functional"

    @staticmethod
    def compose(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        check(query, key, value, attn_mask, is_causal, enable_gqa)
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None and query.shape[-1] else float(scale or 1.0)
        kind = query.dtype
        if attn_mask is not None and attn_mask.dtype is not d.bool_ and attn_mask.dtype is not kind:
            attn_mask = attn_mask.to(kind)
        plain = (
            kind.is_floating_point
            and all(t._layout.numel for t in (query, key, value))
            and not dropout_p
            and not (attn_mask is not None and attn_mask.requires_grad)
        )
        if not plain or min(query.ndim, key.ndim) < 2:
            return composed(query, key, value, attn_mask, dropout_p, is_causal, factor)
        batch = broadcast([t.shape[:-3] for t in (query, key, value)])
        lead = math.prod(batch)
        q, k, v = (_four(t, batch, lead) for t in (query, key, value))
        heads = q.shape[1]
        if not (enable_gqa and heads != k.shape[1]):
            heads = max(q.shape[1], k.shape[1], v.shape[1])
            q, k, v = (t if t.shape[1] == heads else t.expand((lead, heads, *t.shape[2:])) for t in (q, k, v))
        mask = None
        if attn_mask is not None:
            full = (*batch, heads, q.shape[2], k.shape[2])
            mask = attn_mask.expand(full).reshape((lead, *full[len(batch) :])) if len(batch) != 1 else attn_mask.expand(full)
            if mask.stride(-1) != 1:
                mask = mask.contiguous()
        out = ops.attention(q, k, v, mask, bool(is_causal), factor)[0]
        if query.ndim == 4 and len(batch) == 1:
            return out
        return out.reshape((*batch, heads, *out.shape[2:]) if max(t.ndim for t in (query, key, value)) > 2 else out.shape[2:])

    samples = [
        sample(normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 5)),
        sample(normal(2, 3, 4, 5), normal(2, 3, 4, 5), normal(2, 3, 4, 5), None, 0.0, True),
    ]


def _four(t: Tensor, batch: tuple[int, ...], lead: int) -> Tensor:
    """(B, H, L, E) with unit stride in the last dim."""
    if t.ndim == 2:
        t = t.unsqueeze(0)
    if t.ndim == 3:
        t = t.unsqueeze(0)
    if t.ndim != 4 or tuple(t.shape[:-3]) != tuple(batch or (1,)):
        t = t.expand((*batch, *t.shape[-3:])).reshape((lead, *t.shape[-3:]))
    return t if t.stride(-1) == 1 or t.shape[-1] == 1 and t.is_contiguous() else t.contiguous()


def check(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, gqa: bool) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise refuse(
            RuntimeError,
            f"scaled_dot_product_attention: Expected query, key, and value to all be  at least 2 dimensional, but got query.dim(): {q.ndim}, key.dim(): {k.ndim} and value.dim(): {v.ndim} instead.",
        )
    if not q.dtype is k.dtype is v.dtype:
        raise refuse(
            RuntimeError,
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {_type(q)} key.dtype: {_type(k)} and value.dtype: {_type(v)} instead.",
        )
    if mask is not None and causal:
        raise refuse(RuntimeError, "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if mask is not None and mask.dtype is not d.bool_ and not mask.dtype.is_floating_point:
        raise refuse(
            RuntimeError,
            f"Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: {_type(mask)} and  query.dtype: {_type(q)} instead.",
        )
    if q.shape[-1] != k.shape[-1]:
        raise refuse(
            RuntimeError,
            f"mat1 and mat2 shapes cannot be multiplied: query and key have head sizes {q.shape[-1]} and {k.shape[-1]}",
            received=f"query {tuple(q.shape)}, key {tuple(k.shape)}",
        )
    if k.shape[-2] != v.shape[-2]:
        raise refuse(RuntimeError, f"Expected key and value to have the same sequence length, but got {k.shape[-2]} and {v.shape[-2]}")


def _type(t: Tensor) -> str:
    return {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}.get(
        t.dtype.name, str(t.dtype.name)
    )
