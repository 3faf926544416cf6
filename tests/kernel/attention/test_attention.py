"""Attention and its gradients against the definition in float64."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base import dtypes
from facula.base.target import TARGETS
from facula.kernel import compiler
from facula.kernel import attention as sdpa
from facula.kernel.launch import Array
from facula.runtime import host

TOLERANCE = {"float32": 3e-6, "float64": 1e-13, "float16": 2e-3, "bfloat16": 1.6e-2}


@pytest.fixture(params=[t for t in TARGETS.values() if host.runs(t)], ids=lambda t: t.name)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "target", lambda: request.param)


def operand(a: np.ndarray) -> Array:
    return Array(dtypes.DTYPES[a.dtype.name], a.shape, tuple(s // a.itemsize for s in a.strides))


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
    (1, 4, 1, 5, 200, 80, 16),
    (1, 1, 1, 129, 63, 128, 128),
]


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


@pytest.mark.parametrize(("masked", "causal"), [("", False), ("", True), ("bool", False), ("float", False), ("float", True)])
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward(target: None, d: str, shape: tuple[int, ...], masked: str, causal: bool) -> None:
    B, H, Hk, L, S, E, Ev = shape
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
