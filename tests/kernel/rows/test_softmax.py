"""Softmax and its gradient against the definition in float64."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import compiler, rows
from facula.testing.operands import operand

TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "float16": 1e-3, "bfloat16": 8e-3}


def guarded(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(an output of a's shape, the larger block it lies in, filled with a value that must survive around it)."""
    block = np.full(a.size + 64, 77).astype(a.dtype)
    return block[32 : 32 + a.size].reshape(a.shape), block


def intact(block: np.ndarray) -> bool:
    return bool((block[:32] == 77).all() and (block[-32:] == 77).all())


def reference(x: np.ndarray, dim: int, log: bool) -> np.ndarray:
    x = x.astype(np.float64)
    z = x - x.max(dim, keepdims=True)
    return z - np.log(np.exp(z).sum(dim, keepdims=True)) if log else np.exp(z) / np.exp(z).sum(dim, keepdims=True)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize(
    ("shape", "dim"), [((3, 1), 1), ((5, 7), 1), ((4, 130), 1), ((2, 1000), 1), ((7, 5), 0), ((3, 9, 70), 1), ((2, 4, 3), 1)]
)
def test_softmax(target: None, d: str, shape: tuple[int, ...], dim: int, log: bool) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) * 3).astype(dtypes.DTYPES[d].numpy)
    y, block = guarded(x)
    compiler.run(rows.softmax(operand(x), dim, log), [y], [x])
    want = reference(x, dim, log)
    scale = TOLERANCE[d] * max(1, np.abs(want).max())
    assert intact(block) and np.abs(y.astype(np.float64) - want).max() <= scale
    g = rng.standard_normal(shape).astype(x.dtype)
    out, block = guarded(x)
    compiler.run(rows.softmax_backward(operand(g), operand(y), dim, log), [out], [g, y])
    g64, y64 = g.astype(np.float64), y.astype(np.float64)
    want = g64 - np.exp(y64) * g64.sum(dim, keepdims=True) if log else y64 * (g64 - (g64 * y64).sum(dim, keepdims=True))
    assert intact(block) and np.abs(out.astype(np.float64) - want).max() <= 8 * TOLERANCE[d] * max(1, np.abs(want).max())


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize(("shape", "dim"), [((2, 5003), 1), ((1, 1000), 1), ((2, 700, 3), 1), ((300, 70), 0), ((2, 100, 131), 1)])
def test_pieces(target: None, d: str, shape: tuple[int, ...], dim: int, log: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = importlib.import_module("facula.kernel.rows.softmax_pieces")
    monkeypatch.setattr(pieces, "LONG", 1)
    monkeypatch.setattr(pieces, "PIECE", 640)
    test_softmax(target, d, shape, dim, log)


def test_extremes_in_pieces(target: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of -inf alone counts as nothing."""
    pieces = importlib.import_module("facula.kernel.rows.softmax_pieces")
    monkeypatch.setattr(pieces, "LONG", 1)
    monkeypatch.setattr(pieces, "PIECE", 1)
    test_extremes(target)
    x = np.array([[-np.inf] * 3, [0.0] * 3, [-np.inf] * 3], np.float32)
    y = np.empty_like(x)
    compiler.run(rows.softmax(operand(x), 0), [y], [x])
    assert (y == [[0] * 3, [1] * 3, [0] * 3]).all()


def test_extremes(target: None) -> None:
    """-inf is probability 0, a row of -inf or with NaN is NaN, and large values do not overflow."""
    inf, nan = np.inf, np.nan
    x = np.array([[1e38, -inf, 1e38], [-inf, -inf, -inf], [nan, 0, 1], [0, 0, nan], [inf, 0, 0], [-1e38, 0, -200]], np.float32)
    y = np.empty_like(x)
    compiler.run(rows.softmax(operand(x), 1), [y], [x])
    assert (y[0] == [0.5, 0, 0.5]).all() and np.isnan(y[1:4]).all() and np.isnan(y[4, 0]) and (y[5] == [0, 1, 0]).all()
    compiler.run(rows.softmax(operand(x), 1, True), [y], [x])
    assert np.allclose(y[0], [-np.log(2), -inf, -np.log(2)]) and np.isnan(y[1:4]).all()


def test_large_rows_take_the_same_road_to_the_same_bits(target: None) -> None:
    """Outputs beyond the caches leave by streaming stores, very long rows compute exponentials twice."""
    x = np.random.default_rng(1).standard_normal((9, 1 << 18), dtype=np.float32)
    y = np.empty_like(x)
    compiler.run(rows.softmax(operand(x), 1), [y], [x])
    one = np.empty_like(x[:1])
    compiler.run(rows.softmax(operand(x[:1]), 1), [one], [x[:1]])
    assert (one == y[:1]).all() and np.abs(y - reference(x, 1, False)).max() < 1e-7
    x = np.random.default_rng(1).standard_normal((1, (1 << 18) + 5), dtype=np.float32)
    y = np.empty_like(x)
    compiler.run(rows.softmax(operand(x), 1), [y], [x])
    assert np.abs(y - reference(x, 1, False)).max() < 1e-7
