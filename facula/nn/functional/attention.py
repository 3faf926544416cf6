"""Multi-head attention. B batch, L target length, S source length, H heads, D head size, E = H * D."""

from __future__ import annotations

import math
from typing import Any

from ... import ops
from ...base.dtypes import bool_
from ...base.errors import refuse, warn
from ...core import Tensor
from .dropout import dropout


def canonical_mask(
    mask: Tensor | None, mask_name: str, other_type: Any, other_name: str, target_type: Any, check_other: bool = True
) -> Tensor | None:
    """A boolean mask as 0 and -inf to be added; a floating one as it is."""
    if mask is None:
        return None
    if mask.dtype != bool_ and not mask.is_floating_point():
        raise refuse(AssertionError, f"only bool and floating types of {mask_name} are supported", received=str(mask.dtype))
    if check_other and other_type is not None and mask.dtype != other_type:
        warn(f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.")
    if mask.dtype == bool_:
        return ops.zeros_like(mask, dtype=target_type).masked_fill_(mask, -math.inf)
    return mask


def _checked_shapes(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, mask: Tensor | None, heads: int) -> bool:
    """Whether there is a batch dim; shapes that do not fit together are refused."""
    if query.dim() not in (2, 3):
        raise refuse(AssertionError, f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor",
                     received=f"{tuple(query.shape)}", expected="(L, B, E) or (L, E)")  # fmt: skip
    batched = query.dim() == 3
    word, n, mask_dims = ("batched", 3, "2-D") if batched else ("unbatched", 2, "1-D")
    if key.dim() != n or value.dim() != n:
        raise refuse(
            AssertionError,
            f"For {word} (3-D) `query`, expected `key` and `value` to be 3-D but found {key.dim()}-D and {value.dim()}-D "
            "tensors respectively"
            if batched
            else f"For {word} (2-D) `query`, expected `key` and `value` to be 2-D but found "
            f"{key.dim()}-D and {value.dim()}-D tensors respectively",
        )
    if padding is not None and padding.dim() != n - 1:
        raise refuse(AssertionError, f"For {word} ({n}-D) `query`, expected `key_padding_mask` to be `None` or {mask_dims} but found "
                     f"{padding.dim()}-D tensor instead")  # fmt: skip
    if mask is not None:
        if mask.dim() not in (2, 3):
            raise refuse(
                AssertionError,
                f"For {word} ({n}-D) `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D tensor instead",
            )
        if not batched and mask.dim() == 3 and tuple(mask.shape) != (heads, query.shape[0], key.shape[0]):
            raise refuse(AssertionError, f"Expected `attn_mask` shape to be {(heads, query.shape[0], key.shape[0])} but got {mask.shape}")
    return batched


def packed_projection(q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values from one stacked weight (3E, E): one product for self-attention, two where only k is v, else three."""
    E = q.size(-1)
    if k is v and q is k:
        projected = ops.linear(q, w, b)  # (..., 3E)
        q, k, v = projected.unflatten(-1, (3, E)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous().unbind(0)
        return q, k, v
    if k is v:
        wq, wkv = w.split([E, 2 * E])
        bq, bkv = (None, None) if b is None else b.split([E, 2 * E])
        k, v = ops.linear(k, wkv, bkv).unflatten(-1, (2, E)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous().unbind(0)
        return ops.linear(q, wq, bq), k, v
    wq, wk, wv = w.chunk(3)
    bq, bk, bv = (None, None, None) if b is None else b.chunk(3)
    return ops.linear(q, wq, bq), ops.linear(k, wk, bk), ops.linear(v, wv, bv)


def _demand(holds: bool, sentence: str) -> None:
    if not holds:
        raise refuse(AssertionError, sentence)


def _checked_mask(mask: Tensor, B: int, H: int, L: int, S: int) -> Tensor:
    """(1, L, S) or (B * H, L, S)."""
    if mask.dim() == 2:
        if tuple(mask.shape) != (L, S):
            raise refuse(
                RuntimeError, f"The shape of the 2D attn_mask is {mask.shape}, but should be {(L, S)}.", received=f"{tuple(mask.shape)}"
            )
        return mask.unsqueeze(0)
    if mask.dim() == 3:
        if tuple(mask.shape) != (B * H, L, S):
            raise refuse(RuntimeError, f"The shape of the 3D attn_mask is {mask.shape}, but should be {(B * H, L, S)}.",
                         received=f"{tuple(mask.shape)}")  # fmt: skip
        return mask
    raise refuse(RuntimeError, f"attn_mask's dimension {mask.dim()} is not supported", received=f"{tuple(mask.shape)}")


def _split_heads(x: Tensor, static: Tensor | None, name: str, B: int, H: int, D: int) -> Tensor:
    """(S, B, E) -> (B * H, S, D); a static tensor has that shape already."""
    if static is None:
        return x.view(x.shape[0], B * H, D).transpose(0, 1)
    _demand(static.size(0) == B * H, f"expecting {name}.size(0) of {B * H}, but got {static.size(0)}")
    _demand(static.size(2) == D, f"expecting {name}.size(2) of {D}, but got {static.size(2)}")
    return static


def _merged_masks(mask: Tensor | None, padding: Tensor | None, B: int, H: int, S: int) -> Tensor | None:
    if padding is None:
        return mask
    _demand(padding.shape[0] == B, f"Expected key_padded_mask.shape[0] to be {B}, but got {padding.shape[0]}")
    _demand(padding.shape[1] == S, f"Expected key_padded_mask.shape[1] to be {S}, but got {padding.shape[1]}")
    padding = padding.view(B, 1, 1, S).expand(-1, H, -1, -1).reshape(B * H, 1, S)
    return padding if mask is None else mask + padding


def _attend_with_weights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float, B: int, H: int) -> tuple[Tensor, Tensor]:
    """((L, B, E), (B, H, L, S)): values and the weights that made them."""
    L, D = q.shape[1:]
    scaled = q * math.sqrt(1.0 / float(D))
    scores = ops.bmm(scaled, k.transpose(-2, -1)) if mask is None else ops.baddbmm(mask, scaled, k.transpose(-2, -1))
    weights = scores.softmax(-1)  # (B * H, L, S)
    weights = dropout(weights, p) if p > 0.0 else weights
    out = ops.bmm(weights, v).transpose(0, 1).reshape(L, B, H * D)
    return out, weights.view(B, H, L, k.shape[1])


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float, B: int, H: int, causal: bool) -> Tensor:
    """(L, B, E), by the fused operator."""
    L, D = q.shape[1:]
    S = k.shape[1]
    if mask is not None:
        mask = mask.unsqueeze(0) if mask.size(0) == 1 else mask.view(B, H, -1, S)
    out = ops.scaled_dot_product_attention(q.view(B, H, L, D), k.view(B, H, S, D), v.view(B, H, S, D), mask, p, causal)
    return out.permute(2, 0, 1, 3).reshape(L, B, H * D)


def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float,
    out_proj_weight: Tensor, out_proj_bias: Tensor | None, training: bool = True, key_padding_mask: Tensor | None = None,
    need_weights: bool = True, attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None, static_v: Tensor | None = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Vaswani et al. 2017, arXiv 1706.03762, section 3.2.2. query (L, B, E), key and value (S, B, ...) -> (L, B, E), weights."""
    H = num_heads
    batched = _checked_shapes(query, key, value, key_padding_mask, attn_mask, H)
    if not batched:
        if key is query and value is query:
            query = key = value = query.unsqueeze(1)
        else:
            query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    L, B, E = query.shape
    S = key.shape[0]
    padding = canonical_mask(key_padding_mask, "key_padding_mask", None if attn_mask is None else attn_mask.dtype, "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise refuse(RuntimeError, "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
                     "`generate_square_subsequent_mask` to create this mask.")  # fmt: skip
    if is_causal and padding is None and not need_weights:
        mask = None  # the fused operator makes it itself
    else:
        mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
        is_causal = is_causal and padding is None
    _demand(embed_dim_to_check == E, f"was expecting embedding dimension of {embed_dim_to_check}, but got {E}")
    D = E // H
    _demand(D * H == E, f"embed_dim {E} not divisible by num_heads {H}")
    if use_separate_proj_weight:
        _demand(key.shape[:2] == value.shape[:2], f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        for name, w in zip("qkv", weights, strict=True):
            _demand(w is not None, f"use_separate_proj_weight is True but {name}_proj_weight is None")
        biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = (ops.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    else:
        _demand(key.shape == value.shape, f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise refuse(AssertionError, "use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = packed_projection(query, key, value, in_proj_weight, in_proj_bias)
    if mask is not None:
        mask = _checked_mask(mask, B, H, L, S)
    if bias_k is not None and bias_v is not None:
        _demand(static_k is None, "bias cannot be added to static key.")
        _demand(static_v is None, "bias cannot be added to static value.")
        k, v = ops.cat([k, bias_k.repeat(1, B, 1)]), ops.cat([v, bias_v.repeat(1, B, 1)])
        mask, padding = _wider(mask), _wider(padding)
    q = q.view(L, B * H, D).transpose(0, 1)
    k, v = _split_heads(k, static_k, "static_k", B, H, D), _split_heads(v, static_v, "static_v", B, H, D)
    if add_zero_attn:
        blank = ops.zeros((B * H, 1, D), dtype=k.dtype, device=k.device)
        k, v = ops.cat([k, blank], dim=1), ops.cat([v, blank], dim=1)
        mask, padding = _wider(mask), _wider(padding)
    mask = _merged_masks(mask, padding, B, H, k.size(1))
    p = dropout_p if training else 0.0
    weights_out = None
    if need_weights:
        out, weights_out = _attend_with_weights(q, k, v, mask, p, B, H)
        weights_out = weights_out.mean(dim=1) if average_attn_weights else weights_out
    else:
        out = _attend(q, k, v, mask, p, B, H, is_causal)
    out = ops.linear(out, out_proj_weight, out_proj_bias)
    if not batched:
        out = out.squeeze(1)
        weights_out = None if weights_out is None else weights_out.squeeze(0)
    return out, weights_out


def _wider(mask: Tensor | None) -> Tensor | None:
    """A mask with one more source position, which may be attended to."""
    return None if mask is None else ops.pad(mask, (0, 1))
