"""Interpolation against its definition; the gradient is its transpose."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from facula.base.dtypes import int32
from facula.base.target import Target
from facula.kernel import compiler
from facula.kernel.launch import Array
from facula.kernel.resample import interpret_resample, resample, resample_backward, taps
from facula.testing.operands import operand

SHAPES = [((9,), (20,)), ((40,), (7,)), ((6, 5), (12, 10)), ((13, 17), (8, 40)), ((1, 3), (4, 1)), ((3, 4, 5), (5, 2, 21))]
MODES = [("nearest", False), ("nearest-exact", False), ("linear", False), ("linear", True), ("cubic", False), ("cubic", True)]
EPS = {2: 2**-7, 4: 3e-6, 8: 1e-13}


@pytest.mark.parametrize(
    "dtype", (np.float32, np.float64, np.float16, ml_dtypes.bfloat16), ids=("float32", "float64", "float16", "bfloat16")
)
@pytest.mark.parametrize(("mode", "align"), MODES)
def test_interpolation_and_gradient(target: Target, dtype: type, mode: str, align: bool) -> None:
    rng = np.random.default_rng(0)
    for size, result in SHAPES:
        options = {"mode": mode, "align_corners": align}
        x, g = rng.standard_normal((2, 3, *size)).astype(dtype), rng.standard_normal((2, 3, *result)).astype(dtype)
        y, gx = np.full_like(g, np.nan), np.full_like(x, np.nan)
        compiler.run(resample(operand(y), operand(x), spatial=len(size), **options), [y], [x])
        compiler.run(resample_backward(operand(gx), operand(g), spatial=len(size), **options), [gx], [g])
        exact = interpret_resample(x, result, **options)
        assert np.abs(y.astype(np.float64) - exact).max() <= EPS[x.itemsize] * max(1, np.abs(exact).max())
        # <g, A x> = <A^T g, x>
        left, right = (g.astype(np.float64) * exact).sum(), (gx.astype(np.float64) * x.astype(np.float64)).sum()
        assert abs(left - right) <= EPS[x.itemsize] * np.abs(g.astype(np.float64) * exact).sum() + 1e-9


def test_known_values() -> None:
    x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    assert interpret_resample(x, (3, 3), mode="linear", align_corners=True).tolist() == [[[1, 1.5, 2], [2, 2.5, 3], [3, 3.5, 4]]]
    assert interpret_resample(x, (4, 4), mode="nearest")[0, 0].tolist() == [1, 1, 2, 2]
    assert np.allclose(interpret_resample(x, (4, 4), mode="linear")[0, 0], [1, 1.25, 1.75, 2])


@pytest.mark.parametrize(("mode", "align"), MODES)
def test_weights_add_up_to_one(mode: str, align: bool) -> None:
    for size, result in itertools.product((1, 2, 7), (1, 3, 10)):
        index, weight = taps(size, result, mode, align, None, True)
        assert np.allclose(weight.sum(1), 1) and index.min() >= 0 and index.max() < size


def test_a_given_factor_defines_the_grid() -> None:
    x = np.arange(5.0, dtype=np.float32).reshape(1, 5)
    y = np.zeros((1, 12), np.float32)
    compiler.run(resample(operand(y), operand(x), spatial=1, mode="nearest", scales=(2.5,)), [y], [x])
    assert y[0].tolist() == [float(min(4, int(np.float32(i) * np.float32(0.4)))) for i in range(12)]


def test_infinity_beside_a_weight_of_zero_stays_out() -> None:
    x = np.array([[1.0, np.inf, 3.0]], np.float32)
    y = np.zeros((1, 3), np.float32)
    compiler.run(resample(operand(y), operand(x), spatial=1, mode="linear", align_corners=True), [y], [x])
    assert y[0].tolist() == [1.0, np.inf, 3.0]


def test_a_row_of_a_million_elements() -> None:
    n = (1 << 20) + 77
    x = (np.arange(n) % 1009).astype(np.float32)[None]
    y = np.zeros((1, n + n // 2), np.float32)
    compiler.run(resample(operand(y), operand(x), spatial=1, mode="linear"), [y], [x])
    exact = interpret_resample(x, y.shape[1:], mode="linear")
    assert np.abs(y - exact).max() < 0.2  # the grid is computed in float32, which has a sixteenth there


def test_integers_are_refused() -> None:
    x = Array(int32, (1, 4), (4, 1))
    with pytest.raises(NotImplementedError, match="floating types"):
        resample(x, x, spatial=1, mode="linear")
