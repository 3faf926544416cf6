"""Attention and its gradients against the definition in float64."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import attention as sdpa
from facula.kernel import compiler
from facula.testing.operands import operand

TOLERANCE = {"float32": 3e-6, "float64": 1e-13, "float16": 2e-3, "bfloat16": 1.6e-2}


def definition(q, k, v, mask, causal, scale):
    """(output, log of sums, probabilities)."""
    s = np.einsum("bhle,bhse->bhls", q, k) * scale
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        s = np.where(np.tri(*s.shape[2:], dtype=bool), s, -np.inf)
    top = s.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(np.isfinite(top), top, 0))
    total = e.sum(-1, keepdims=True)
    p = e / np.where(total == 0, 1, total)
    with np.errstate(divide="ignore"):
        lse = np.where(np.isfinite(top), top, 0) + np.log(total)
    return np.einsum("bhls,bhsv->bhlv", p, v), lse[..., 0], p


SHAPES = [
    (1, 1, 1, 1, 1, 1, 1),  # B, H, Hk, L, S, E, Ev
    (2, 3, 3, 64, 64, 64, 64),
    (1, 2, 2, 100, 100, 32, 32),
    (2, 4, 2, 70, 130, 20, 40),
    (1, 2, 1, 65, 90, 32, 48),
    (1, 4, 1, 5, 200, 80, 16),
    (1, 1, 1, 129, 63, 128, 128),
]


KINDS = [("", False), ("", True), ("bool", False), ("float", True)]
CASES = [(shape, "float32", *kind) for shape in SHAPES for kind in KINDS]
CASES += [(SHAPES[3], d, *kind) for d in ("float64", "float16", "bfloat16") for kind in KINDS]


def inputs(shape: tuple[int, ...], d: str, masked: str) -> list:
    rng = np.random.default_rng(0)
    B, H, Hk, L, S, E, Ev = shape
    kind = dtypes.DTYPES[d].numpy
    q = rng.standard_normal((B, L, H, E)).astype(kind).transpose(0, 2, 1, 3)  # heads inside, as a projection gives them
    k = rng.standard_normal((B, Hk, S, E)).astype(kind)
    v = rng.standard_normal((B, S, Hk, Ev)).astype(kind).transpose(0, 2, 1, 3)
    mask = None
    if masked == "bool":
        mask = np.broadcast_to(rng.random((B, 1, 1, S)) < 0.7, (B, H, L, S))
    elif masked == "float":
        mask = np.broadcast_to(rng.standard_normal((L, S)).astype(kind), (B, H, L, S))
    return [q, k, v, mask]


@pytest.mark.parametrize(("shape", "d", "masked", "causal"), CASES)
def test_forward(target: None, d: str, shape: tuple[int, ...], masked: str, causal: bool) -> None:
    B, H, Hk, L, _S, E, Ev = shape
    q, k, v, mask = inputs(shape, d, masked)
    out, lse = np.full((B, H, L, Ev), 9).astype(q.dtype), np.empty((B, H, L), np.float64 if d == "float64" else np.float32)
    scale = E**-0.5
    given = [x for x in (q, k, v, mask) if x is not None]
    schedule = sdpa.attention(operand(q), operand(k), operand(v), operand(out), operand(mask) if mask is not None else None, causal)
    compiler.run(schedule, [out, lse], given, (scale,))
    repeat = lambda x: np.repeat(x.astype(np.float64), H // Hk, 1)  # noqa: E731
    want, want_lse, _ = definition(
        q.astype(np.float64), repeat(k), repeat(v), mask if mask is None or mask.dtype == bool else mask.astype(np.float64), causal, scale
    )
    assert np.abs(out.astype(np.float64) - want).max() <= TOLERANCE[d] * max(1, np.abs(want).max())
    assert np.allclose(lse, want_lse, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "d", "masked", "causal"), CASES)
def test_backward(target: None, d: str, shape: tuple[int, ...], masked: str, causal: bool) -> None:
    B, H, Hk, L, _S, E, Ev = shape
    q, k, v, mask = inputs(shape, d, masked)
    out, lse = np.empty((B, H, L, Ev), q.dtype), np.empty((B, H, L), np.float64 if d == "float64" else np.float32)
    scale, masks = E**-0.5, [] if mask is None else [mask]
    options = (operand(masks[0]) if masks else None, causal)
    compiler.run(sdpa.attention(operand(q), operand(k), operand(v), operand(out), *options), [out, lse], [q, k, v, *masks], (scale,))
    g = np.random.default_rng(1).standard_normal(out.shape).astype(q.dtype)
    gq, gk, gv = np.full((B, L, H, E), 9).astype(q.dtype).transpose(0, 2, 1, 3), np.full_like(k, 9), np.full_like(v, 9)
    given = [operand(x) for x in (g, gq, gk, gv)]
    schedule = sdpa.attention_backward(operand(q), operand(k), operand(v), operand(out), *options, *given)
    compiler.run(schedule, [gq, gk, gv], [g, q, k, v, out, lse, *masks], (scale,))
    q6, k6, v6, g6 = (x.astype(np.float64) for x in (q, k, v, g))
    k6, v6 = np.repeat(k6, H // Hk, 1), np.repeat(v6, H // Hk, 1)
    _, _, p = definition(q6, k6, v6, mask if mask is None or mask.dtype == bool else mask.astype(np.float64), causal, scale)
    dp = np.einsum("bhlv,bhsv->bhls", g6, v6)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
    fold = lambda x: x.reshape(B, Hk, H // Hk, *x.shape[2:]).sum(2)  # noqa: E731
    wants = np.einsum("bhls,bhse->bhle", ds, k6), fold(np.einsum("bhls,bhle->bhse", ds, q6)), fold(np.einsum("bhls,bhlv->bhsv", p, g6))
    for got, want in zip((gq, gk, gv), wants):
        assert np.abs(got.astype(np.float64) - want).max() <= 4 * TOLERANCE[d] * max(1, np.abs(want).max())


def test_a_query_without_keys_is_zero(target: None) -> None:
    q = np.ones((1, 1, 2, 4), np.float32)
    mask = np.array([[[[True, True], [False, False]]]])
    out, lse = np.empty_like(q), np.empty((1, 1, 2), np.float32)
    compiler.run(sdpa.attention(*[operand(q)] * 4, operand(mask)), [out, lse], [q, q, q, mask], (0.5,))
    assert (out[0, 0, 0] == 1).all() and (out[0, 0, 1] == 0).all() and lse[0, 0, 1] == -np.inf
