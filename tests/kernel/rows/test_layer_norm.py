"""Layer and RMS normalisation and their gradients against the definitions in float64."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import compiler, rows
from facula.runtime import pool
from facula.testing.operands import operand

TOLERANCE = {"float32": 4e-6, "float64": 1e-13, "float16": 4e-3, "bfloat16": 3e-2}
EPS = 1e-5


def near(got: np.ndarray, want: np.ndarray, d: str, factor: float = 1.0) -> bool:
    return bool(np.abs(got.astype(np.float64) - want).max() <= factor * TOLERANCE[d] * max(1, np.abs(want).max()))


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (130, 33), (70, 256), (5, 1003)])
def test_layer_norm(target: None, d: str, shape: tuple[int, int], affine: bool, centred: bool) -> None:
    rng, kind = np.random.default_rng(0), dtypes.DTYPES[d].numpy
    stat = np.float64 if d == "float64" else np.float32
    x, g = (rng.standard_normal(shape) + 2).astype(kind), rng.standard_normal(shape).astype(kind)
    w, b = ((rng.standard_normal(shape[1]) + k).astype(kind) for k in (1, 0))
    y, mean, rstd = np.empty_like(x), np.empty(shape[0], stat), np.empty(shape[0], stat)
    if centred:
        given = (operand(w), operand(b)) if affine else ()
        compiler.run(rows.layer_norm(operand(x), *given), [y, mean, rstd], [x, w, b] if affine else [x], (EPS,))
    else:
        compiler.run(rows.rms_norm(operand(x), operand(w) if affine else None), [y, rstd], [x, w] if affine else [x], (EPS,))
    x6, g6, w6, b6 = (a.astype(np.float64) for a in (x, g, w, b))
    w6, b6 = (w6, b6 if centred else 0 * b6) if affine else (np.ones_like(w6), np.zeros_like(b6))
    m6 = x6.mean(1, keepdims=True) if centred else 0.0
    r6 = 1 / np.sqrt(((x6 - m6) ** 2).mean(1, keepdims=True) + EPS)
    h6 = (x6 - m6) * r6
    assert near(y, h6 * w6 + b6, d) and near(rstd, r6[:, 0], d)
    gh = g6 * w6
    gx6 = r6 * (gh - (gh.mean(1, keepdims=True) if centred else 0) - h6 * (gh * h6).mean(1, keepdims=True))
    gx, gw, gb = np.empty_like(x), np.empty_like(w), np.empty_like(w)
    if centred:
        ins = [g, x, mean, rstd, w] if affine else [g, x, mean, rstd]
        compiler.run(rows.layer_norm_backward(operand(x), operand(w) if affine else None), [gx, gw, gb], ins)
        assert near(gb, g6.sum(0), d, 4)
        only = np.empty_like(gb)
        compiler.run(rows.layer_norm_backward(operand(x), operand(w) if affine else None, (False, False, True)), [only], ins)
        assert (only == gb).all()
    else:
        ins = [g, x, rstd, w] if affine else [g, x, rstd]
        compiler.run(rows.rms_norm_backward(operand(x), operand(w) if affine else None), [gx, gw], ins)
    assert near(gx, gx6, d, 4 * max(1, r6.max())) and near(gw, (g6 * h6).sum(0), d, 4)


def test_rows_do_not_depend_on_others(target: None) -> None:
    """A row gives the same bits alone and among many, streamed or not."""
    x = np.random.default_rng(1).standard_normal((4096, 520), dtype=np.float32)
    y, mean, rstd = np.empty_like(x), np.empty(4096, np.float32), np.empty(4096, np.float32)
    compiler.run(rows.layer_norm(operand(x)), [y, mean, rstd], [x], (EPS,))
    one = np.empty_like(x[:1])
    compiler.run(rows.layer_norm(operand(x[:1])), [one, mean[:1], rstd[:1]], [x[7:8]], (EPS,))
    assert (one == y[7]).all()


def test_threads_do_not_change_bits() -> None:
    rng = np.random.default_rng(2)
    x, g = rng.standard_normal((2, 3000, 70), dtype=np.float32)
    mean, rstd = rng.standard_normal((2, 3000), dtype=np.float32)
    results = []
    before = pool.get_num_threads()
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        outs = [np.empty_like(x), np.empty(70, np.float32), np.empty(70, np.float32)]
        compiler.run(rows.layer_norm_backward(operand(x)), outs, [g, x, mean, rstd])
        results.append(outs)
    pool.set_num_threads(before)
    assert all((a == b).all() for outs in results[1:] for a, b in zip(results[0], outs))
