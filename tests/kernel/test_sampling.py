"""Sampling of planes against its definition, on every instruction set that this machine runs."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base.target import Target
from facula.kernel import sampling
from facula.kernel.compiler import run
from facula.runtime import pool
from facula.testing.operands import operand

CASES = [(1, 1, 1, 1, 1), (2, 3, 50, 1, 17), (3, 2, 7, 4, 33), (1, 5, 400, 16, 64), (2, 2, 30, 8, 1500), (1, 2, 9, 4, 0), (0, 2, 9, 4, 5)]


def given(images: int, channels: int, size: int, taps: int, length: int, kind: type) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(size)
    x, g = rng.standard_normal((images, channels, size)).astype(kind), rng.standard_normal((images, channels, length)).astype(kind)
    places = rng.integers(-1, size, (images, taps, length)).astype(np.int32)
    return x, places, rng.standard_normal(places.shape).astype(kind), g


def picked(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, C, T, L), zeros at -1."""
    rows = np.stack([plane[:, at] for plane, at in zip(x, places)]) if len(x) else np.zeros((0, x.shape[1], *places.shape[1:]))
    return np.where(places[:, None] >= 0, rows, 0).astype(np.float64)


def results(x: np.ndarray, places: np.ndarray, weights: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    y, gx, gw = (np.full(like.shape, np.nan, like.dtype) for like in (g, x, weights))
    run(sampling.sample(operand(y), operand(x), operand(places), operand(weights)), [y], [x, places, weights])
    run(sampling.spread(operand(gx), operand(g), operand(places), operand(weights)), [gx], [g, places, weights])
    run(sampling.match(operand(gw), operand(g), operand(x), operand(places)), [gw], [g, x, places])
    return [y, gx, gw]


@pytest.mark.parametrize("kind", (np.float32, np.float64))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sampling_and_its_gradients(target: Target, case: tuple[int, ...], kind: type) -> None:
    x, places, weights, g = given(*case, kind)
    y, gx, gw = results(x, places, weights, g)
    spread = np.zeros(x.shape)
    for n, t, i in np.argwhere(places >= 0):
        spread[n, :, places[n, t, i]] += g[n, :, i].astype(np.float64) * weights[n, t, i]
    wanted = ((picked(x, places) * weights[:, None]).sum(2), spread, (picked(x, places) * g[:, :, None]).sum(1))
    for got, want in zip((y, gx, gw), wanted):
        assert np.allclose(got, want, rtol=0, atol=(1e-5 if kind is np.float32 else 1e-13) * max(1, np.abs(want).max(initial=0)))


def test_what_is_not_taken_is_not_read() -> None:
    """A place of -1 is 0, whatever lies in the plane."""
    x = np.full((1, 1, 20), np.nan, np.float32)
    x[0, 0, 3] = 2
    places = np.full((1, 1, 20), -1, np.int32)
    places[0, 0, 5] = 3
    y, _, _ = results(x, places, np.ones((1, 1, 20), np.float32), np.ones((1, 1, 20), np.float32))
    assert y[0, 0].tolist() == [2.0 if i == 5 else 0.0 for i in range(20)]


def test_same_bits_for_any_number_of_threads(threads: None) -> None:
    operands = given(2, 3, 100, 4, 3000, np.float32)
    seen = set()
    for n in (1, 2, 8):
        pool.set_num_threads(n)
        seen.add(b"".join(r.tobytes() for r in results(*operands)))
    assert len(seen) == 1


def test_other_types_are_refused() -> None:
    x, places, weights, g = given(1, 1, 5, 1, 5, np.float32)
    with pytest.raises(NotImplementedError, match="it takes float32 or float64 at int32"):
        sampling.sample(operand(g), operand(x), operand(places.astype(np.int64)), operand(weights))
