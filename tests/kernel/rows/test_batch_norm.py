"""Batch and group normalisation and their gradients against the definitions in float64."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import compiler, rows
from facula.testing.operands import operand

TOLERANCE = {"float32": 4e-6, "float64": 1e-13, "float16": 4e-3, "bfloat16": 3e-2}
EPS, MOMENTUM = 1e-5, 0.1


def near(got: np.ndarray, want: np.ndarray, d: str, factor: float = 1.0) -> bool:
    return bool(np.abs(got.astype(np.float64) - want).max() <= factor * TOLERANCE[d] * max(1, np.abs(want).max()))


def data(shape: tuple[int, ...], d: str, channels: int) -> tuple[np.ndarray, ...]:
    rng, kind = np.random.default_rng(0), dtypes.DTYPES[d].numpy
    stat = np.float64 if d == "float64" else np.float32
    x, g = (rng.standard_normal(shape) + 2).astype(kind), rng.standard_normal(shape).astype(kind)
    return x, g, *((rng.standard_normal(channels) + 1).astype(stat) for _ in range(3)), (rng.random(channels) + 0.5).astype(stat)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize("shape", [(2, 3, 1), (4, 5, 49), (3, 7, 200), (33, 7), (70, 130), (1200, 3)])
def test_batch_norm(target: None, d: str, shape: tuple[int, ...], affine: bool, training: bool) -> None:
    channels = shape[1]
    x, g, w, b, run_mean, run_var = data(shape, d, channels)
    axes, to = ((0, 2), (1, -1, 1)) if len(shape) == 3 else ((0,), (1, -1))
    x6, g6, w6, b6, rm6, rv6 = (a.astype(np.float64) for a in (x, g, w, b, run_mean, run_var))
    total = x.size // channels
    m6, v6 = (x6.mean(axes), x6.var(axes)) if training else (rm6, rv6)
    r6 = 1 / np.sqrt(v6 + EPS)
    h6 = (x6 - m6.reshape(to)) * r6.reshape(to)
    scale = w6 if affine else np.ones(channels)
    want = h6 * scale.reshape(to) + (b6 if affine else 0 * b6).reshape(to)
    y, mean, rstd = np.empty_like(x), np.empty_like(w), np.empty_like(w)
    given = [w, b] if affine else []
    compiler.run(
        rows.batch_norm(operand(x), affine, affine, True, training), [y, mean, rstd], [x, *given, run_mean, run_var], (EPS, MOMENTUM)
    )
    assert near(y, want, d) and near(mean, m6, d) and near(rstd, r6, d)
    if training:
        assert near(run_mean, 0.9 * rm6 + 0.1 * m6, d) and near(run_var, 0.9 * rv6 + 0.1 * v6 * total / (total - 1), d)
    gw6, gb6 = (g6 * h6).sum(axes), g6.sum(axes)
    gx6 = g6 * (scale * r6).reshape(to)
    if training:
        gx6 = (g6 - gb6.reshape(to) / total - h6 * gw6.reshape(to) / total) * (scale * r6).reshape(to)
    gx, gw, gb = np.empty_like(x), np.empty_like(w), np.empty_like(w)
    compiler.run(rows.batch_norm_backward(operand(x), affine, training), [gx, gw, gb], [g, x, mean, rstd, *given[:1]])
    assert near(gx, gx6, d, 4 * max(1, r6.max())) and near(gw, gw6, d, 4) and near(gb, gb6, d, 4)


def test_a_large_mean_costs_no_digits(target: None) -> None:
    """Sums of squares would lose all of the variance here."""
    for shape in ((4, 2, 300), (1200, 2)):
        x = (np.random.default_rng(0).standard_normal(shape) * 0.5 + 4000).astype(np.float32)
        y, mean, rstd = np.empty_like(x), np.empty(2, np.float32), np.empty(2, np.float32)
        compiler.run(rows.batch_norm(operand(x)), [y, mean, rstd], [x], (EPS, MOMENTUM))
        want = 1 / np.sqrt(x.astype(np.float64).var((0, 2) if x.ndim == 3 else 0) + EPS)
        assert np.allclose(rstd, want, rtol=1e-5)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize(("shape", "groups"), [((2, 6, 1), 2), ((3, 6, 49), 3), ((2, 8, 200), 8), ((2, 4, 33), 1)])
def test_group_norm(target: None, d: str, shape: tuple[int, int, int], groups: int, affine: bool) -> None:
    batch, channels, _size = shape
    x, g, w, b, *_ = data(shape, d, channels)
    w, b = w.astype(x.dtype), b.astype(x.dtype)
    x6, g6, w6, b6 = (a.astype(np.float64) for a in (x, g, w, b))
    w6, b6 = (w6, b6) if affine else (np.ones(channels), np.zeros(channels))
    grouped = x6.reshape(batch, groups, -1)
    m6 = grouped.mean(2, keepdims=True)
    r6 = 1 / np.sqrt(grouped.var(2, keepdims=True) + EPS)
    h6 = ((grouped - m6) * r6).reshape(shape)
    stat = np.float64 if d == "float64" else np.float32
    y, mean, rstd = np.empty_like(x), np.empty((batch, groups), stat), np.empty((batch, groups), stat)
    given = (operand(w), operand(b)) if affine else ()
    compiler.run(rows.group_norm(operand(x), groups, *given), [y, mean, rstd], [x, w, b] if affine else [x], (EPS,))
    assert near(y, h6 * w6[:, None] + b6[:, None], d, 2) and near(mean, m6[..., 0], d) and near(rstd, r6[..., 0], d)
    gh = (g6 * w6[:, None]).reshape(grouped.shape)
    hg = h6.reshape(grouped.shape)
    gx6 = (r6 * (gh - gh.mean(2, keepdims=True) - hg * (gh * hg).mean(2, keepdims=True))).reshape(shape)
    gx, gw, gb = (
        np.empty_like(x),
        np.empty_like(w if affine else mean, shape=channels),
        np.empty_like(w if affine else mean, shape=channels),
    )
    ins = [g, x, mean, rstd, w] if affine else [g, x, mean, rstd]
    compiler.run(rows.group_norm_backward(operand(x), groups, operand(w) if affine else None), [gx, gw, gb], ins)
    assert near(gx, gx6, d, 4 * max(1, r6.max())) and near(gw, (g6 * h6).sum((0, 2)), d, 4) and near(gb, g6.sum((0, 2)), d, 4)
