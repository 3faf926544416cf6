"""Multi-head attention and the transformer's layers, against the formula in plain operators."""

from __future__ import annotations

import math

import pytest

import facula
from facula import nn


def close(a, b, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape
    assert (a - b).abs().max().item() <= tolerance


def by_hand(layer: nn.MultiheadAttention, q, k, v, mask=None):
    """(L, N, E) and weights (N, H, L, S), one head after the other."""
    E, H = layer.embed_dim, layer.num_heads
    D = E // H
    w, b = layer.in_proj_weight, layer.in_proj_bias
    q, k, v = (x @ w[i * E : (i + 1) * E].t() + b[i * E : (i + 1) * E] for i, x in enumerate((q, k, v)))
    heads, weights = [], []
    for h in range(H):
        part = slice(h * D, (h + 1) * D)
        scores = q[..., part].transpose(0, 1) @ k[..., part].permute(1, 2, 0) / math.sqrt(D)  # (N, L, S)
        p = (scores if mask is None else scores.masked_fill(mask, -math.inf)).softmax(-1)
        heads.append((p @ v[..., part].transpose(0, 1)).transpose(0, 1))
        weights.append(p)
    return layer.out_proj(facula.cat(heads, -1)), facula.stack(weights, 1)


@pytest.fixture
def layer() -> nn.MultiheadAttention:
    facula.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2)
    nn.init.normal_(layer.in_proj_bias)
    return layer


def test_self_attention(layer) -> None:
    x = facula.randn(4, 3, 8)
    out, weights = by_hand(layer, x, x, x)
    got, mean = layer(x, x, x)
    close(got, out)
    close(mean, weights.mean(1))
    close(layer(x, x, x, average_attn_weights=False)[1], weights)
    close(layer(x, x, x, need_weights=False)[0], out)


def test_cross_attention_with_masks(layer) -> None:
    q, k = facula.randn(4, 3, 8), facula.randn(5, 3, 8)
    causal = facula.ones(4, 5).triu(1).bool()
    close(layer(q, k, k, attn_mask=causal)[0], by_hand(layer, q, k, k, causal)[0])
    padding = facula.tensor([[False] * 5, [False, False, False, True, True], [False, False, False, False, True]])
    expected = by_hand(layer, q, k, k, padding.unsqueeze(1))[0]
    close(layer(q, k, k, key_padding_mask=padding)[0], expected)
    close(layer(q, k, k, key_padding_mask=padding, need_weights=False)[0], expected)


def test_unbatched_and_batch_first(layer) -> None:
    x = facula.randn(4, 3, 8)
    close(layer(x[:, 1], x[:, 1], x[:, 1])[0], layer(x, x, x)[0][:, 1])
    first = nn.MultiheadAttention(8, 2, batch_first=True)
    first.load_state_dict(layer.state_dict())
    y = x.transpose(0, 1)
    close(first(y, y, y)[0].transpose(0, 1), layer(x, x, x)[0])


def test_other_widths_and_extra_rows() -> None:
    layer = nn.MultiheadAttention(8, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True)
    out, weights = layer(facula.randn(4, 2, 8), facula.randn(6, 2, 3), facula.randn(6, 2, 5))
    assert out.shape == (4, 2, 8) and weights.shape == (2, 4, 8)
    close(weights.sum(-1), facula.ones(2, 4))


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "embed_dim must be divisible by num_heads"),
        (lambda: nn.MultiheadAttention(4, 2)(*[facula.ones(1)] * 3), AssertionError, "query should be unbatched 2D or batched 3D tensor"),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[facula.ones(2, 1, 6)] * 3),
            AssertionError,
            "was expecting embedding dimension of 4, but got 6",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[facula.ones(2, 1, 4)] * 3, attn_mask=facula.ones(3, 3)),
            RuntimeError,
            r"The shape of the 2D attn_mask is torch.Size\(\[3, 3\]\), but should be \(2, 2\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(*[facula.ones(2, 1, 4)] * 3, is_causal=True),
            RuntimeError,
            "Need attn_mask if specifying the is_causal",
        ),
        (
            lambda: nn.Transformer(8, 2, 1, 1, 8)(facula.ones(2, 1, 8), facula.ones(2, 3, 8)),
            RuntimeError,
            "the batch number of src and tgt must be equal",
        ),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation="foo"), RuntimeError, "activation should be relu/gelu, not foo"),
    ],
)
def test_refusals(call, kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        call()


def test_encoder_layer_before_and_after_norm() -> None:
    x = facula.randn(4, 2, 8)
    for norm_first in (False, True):
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, norm_first=norm_first)
        attend = lambda y, layer=layer: layer.self_attn(y, y, y)[0]  # noqa: E731
        feed = lambda y, layer=layer: layer.linear2(layer.linear1(y).relu())  # noqa: E731
        if norm_first:
            y = x + attend(layer.norm1(x))
            expected = y + feed(layer.norm2(y))
        else:
            y = layer.norm1(x + attend(x))
            expected = layer.norm2(y + feed(y))
        close(layer(x), expected)


def test_causal_transformer_does_not_look_ahead() -> None:
    net = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0)
    src, tgt = facula.randn(3, 1, 8), facula.randn(5, 1, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    whole = net(src, tgt, tgt_mask=mask)
    close(net(src, tgt[:3], tgt_mask=mask[:3, :3]), whole[:3])


def test_batches_without_examples() -> None:
    x = facula.ones(0, 3, 2, requires_grad=True)
    out, weights = nn.MultiheadAttention(2, 1, batch_first=True)(x, x, x)
    out.sum().backward()
    assert out.shape == (0, 3, 2) and weights.shape == (0, 3, 3) and x.grad.shape == (0, 3, 2)
