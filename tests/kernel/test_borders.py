"""Borders against NumPy's, and their transpose against the definition of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facula.base.target import Target
from facula.kernel.borders import add_borders, fold_borders
from facula.kernel.compiler import run
from facula.testing.operands import operand

NUMPY: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
def test_borders(target: Target, mode: str, kind: str) -> None:
    random = np.random.default_rng(0)
    for shape, pads in (
        ((40,), [(3, 0)]),
        ((5, 70), [(4, 1), (7, 30)]),
        ((3, 6, 9), [(0, 0), (5, 5), (8, 0)]),
        ((2, 5, 4, 33), [(0, 0), (1, 1), (3, 2), (2, 2)]),
    ):
        x = random.integers(-8, 9, shape).astype(kind)
        wide = np.pad(x, pads, mode=NUMPY[mode])
        out, back = np.empty_like(wide), np.empty_like(x)
        for source in (x, np.ascontiguousarray(x.T).T):
            run(add_borders(operand(out), operand(source), pads, mode), [out], [source])
            assert np.array_equal(out, wide)
        grad = random.integers(-8, 9, wide.shape).astype(kind)
        places = np.pad(np.arange(x.size).reshape(shape), pads, mode=NUMPY[mode])
        want = np.bincount(places.reshape(-1), grad.reshape(-1), x.size).reshape(shape)
        run(fold_borders(operand(back), operand(grad), pads, mode), [back], [grad])
        assert np.array_equal(back, want)
