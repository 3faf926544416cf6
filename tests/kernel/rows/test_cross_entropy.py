"""Cross entropy and its gradient against the definition in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import compiler, rows
from facula.testing.operands import operand

TOLERANCE = {"float32": 4e-6, "float64": 1e-13, "float16": 2e-3, "bfloat16": 2e-2}
IGNORE = -100


def definition(x: np.ndarray, t: np.ndarray, w: np.ndarray, eps: float, reduction: str, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(loss, gradient), PyTorch's formula."""
    count, n = x.shape
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    kept = t != IGNORE
    hot = np.zeros_like(x)
    hot[kept, t[kept]] = 1
    mix = ((1 - eps) * hot + eps / n) * w * kept[:, None]
    loss = -(mix * np.log(p)).sum(1)
    scale = g if reduction == "none" else np.full(count, g[0])
    if reduction == "mean":
        scale = scale / (hot * w).sum()
        loss = loss.sum() / (hot * w).sum()
    return (loss.sum() if reduction == "sum" else loss), scale[:, None] * (p * mix.sum(1, keepdims=True) - mix)


OPTIONS = list(itertools.product(["mean", "sum", "none"], [0.0, 0.1], [False, True]))


@pytest.mark.parametrize(("reduction", "eps", "weighted"), OPTIONS)
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 1), (9, 5), (6, 130), (3, 1000)])
def test_cross_entropy(target: None, d: str, shape: tuple[int, int], reduction: str, eps: float, weighted: bool) -> None:
    rng, kind = np.random.default_rng(3), dtypes.DTYPES[d].numpy
    stat = np.float64 if d == "float64" else np.float32
    count, n = shape
    x, t = (rng.standard_normal(shape) * 2).astype(kind), rng.integers(0, n, count)
    if count > 2:
        t[1] = IGNORE
    w = rng.random(n).astype(stat) + 0.5
    g = rng.standard_normal(count if reduction == "none" else 1).astype(kind)
    loss, lse, scale, status = np.empty_like(g), np.empty(count, stat), np.empty(count + 2, stat), np.zeros(1, np.int64)
    options = (operand(w) if weighted else None, eps > 0, reduction)
    extra = [w] if weighted else []
    compiler.run(rows.cross_entropy(operand(x), *options), [loss, lse, scale, status], [x, t, *extra], (IGNORE, eps))
    gx = np.empty_like(x)
    compiler.run(rows.cross_entropy_backward(operand(x), *options), [gx], [g, x, t, lse, scale, *extra], (IGNORE, eps))
    w64 = w.astype(np.float64) if weighted else np.ones(n)
    want, grad = definition(x.astype(np.float64), t, w64, eps, reduction, g.astype(np.float64))
    bound = TOLERANCE[d] * max(1, np.abs(want).max())
    assert status[0] == -1 and np.abs(loss.astype(np.float64) - want).max() <= bound
    assert np.abs(gx.astype(np.float64) - grad).max() <= TOLERANCE[d] * max(1, np.abs(grad).max())


@pytest.mark.parametrize(("reduction", "eps", "weighted"), OPTIONS)
@pytest.mark.parametrize("d", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 3, 300), (3, 21, 64)])
def test_pixels(target: None, d: str, shape: tuple[int, int, int], reduction: str, eps: float, weighted: bool) -> None:
    """(N, C, S) gives what its rows give."""
    rng, kind = np.random.default_rng(4), dtypes.DTYPES[d].numpy
    batch, n, inner = shape
    count = batch * inner
    x, t = (rng.standard_normal(shape) * 2).astype(kind), rng.integers(0, n, count)
    t[1] = IGNORE
    w, g = rng.random(n).astype(np.float32) + 0.5, rng.standard_normal(count if reduction == "none" else 1).astype(kind)
    flat = np.ascontiguousarray(x.transpose(0, 2, 1).reshape(count, n))
    options = (operand(w) if weighted else None, eps > 0, reduction)
    results = []
    for logits in (x, flat):
        loss, lse, scale, status = np.empty_like(g), np.empty(count, np.float32), np.empty(count + 2, np.float32), np.zeros(1, np.int64)
        ins = [w] if weighted else []
        compiler.run(rows.cross_entropy(operand(logits), *options), [loss, lse, scale, status], [logits, t, *ins], (IGNORE, eps))
        gx = np.full_like(logits, 9)
        compiler.run(rows.cross_entropy_backward(operand(logits), *options), [gx], [g, logits, t, lse, scale, *ins], (IGNORE, eps))
        results.append((loss, lse, scale, gx if logits is flat else gx.transpose(0, 2, 1).reshape(count, n)))
        assert status[0] == -1
    for ours, want in zip(*results):
        assert np.abs(ours.astype(np.float64) - want.astype(np.float64)).max() <= TOLERANCE[d] * max(
            1, np.abs(want.astype(np.float64)).max()
        )


def test_targets_out_of_range_are_found(target: None) -> None:
    x, t = np.ones((4, 3), np.float32), np.array([0, 1, 3, -1])
    loss, lse, scale, status = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(6, np.float32), np.zeros(1, np.int64)
    compiler.run(rows.cross_entropy(operand(x), reduction="none"), [loss, lse, scale, status], [x, t], (IGNORE, 0.0))
    assert status[0] == 2 and np.isnan(loss).tolist() == [False, False, True, True]


def test_all_ignored_is_nan_on_average(target: None) -> None:
    x, t = np.ones((4, 3), np.float32), np.full(4, IGNORE)
    loss, lse, scale, status = np.empty(1, np.float32), np.empty(4, np.float32), np.empty(6, np.float32), np.zeros(1, np.int64)
    compiler.run(rows.cross_entropy(operand(x)), [loss, lse, scale, status], [x, t], (IGNORE, 0.0))
    assert status[0] == -1 and np.isnan(loss[0])
