"""Every function against its promised bound, the published table, its special values, and the same bits on every width and target."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from facula.base.dtypes import float32, float64
from facula.base.target import X86_64_V3
from facula.kernel import scalar
from facula.kernel.vector_math import measure
from facula.kernel.vector_math.measure import BINARY, BOUNDS, BOUNDS64, ONLY_SCIPY, arguments, compiled, every, largest_error, ulps
from facula.runtime import host

TABLE = Path(__file__).parents[3] / "docs" / "accuracy.md"
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def published() -> dict[str, list[str]]:
    rows = [line.strip("| \n").split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows[1:]}


@pytest.mark.parametrize("name", BOUNDS)
def test_float32_keeps_its_bound_and_the_table(name: str) -> None:
    error, where = largest_error(name, float32)
    assert error <= BOUNDS[name], where
    bound, single, _ = published()[name]
    assert float(bound) == BOUNDS[name] and single == f"{error:.2f}", where


@pytest.mark.parametrize("name", [n for n in BOUNDS if n not in ONLY_SCIPY])
def test_float64_keeps_its_bound_and_the_table(name: str) -> None:
    error, where = largest_error(name, float64, 64)
    assert error <= BOUNDS64.get(name, 2.0), where
    assert published()[name][2] == f"{error:.2f}", where


@pytest.mark.parametrize("name", sorted(ONLY_SCIPY - {"trigamma"}))
def test_float64_agrees_with_scipy(name: str) -> None:
    """Away from a function's zeros, where a relative error means nothing, and from SciPy's own (its tails below 1e-290)."""
    low, high = {"erfinv": (-0.999, 0.999), "lgamma": (2.5, 80.0), "digamma": (1.6, 80.0)}.get(name, (-20.0, 20.0))
    x = measure.uniform(float64, low, high, 1 << 14)
    out = np.empty_like(x)
    compiled(getattr(scalar, name), float64)(out, x)
    np.testing.assert_allclose(
        out, measure.reference(name, [x]), rtol=1e-13 if name in ("erfc", "ndtr", "normal_pdf", "gelu") else 2e-14, atol=1e-300
    )


def test_trigamma_agrees_with_scipy() -> None:
    x = measure.uniform(float64, 0.01, 30.0, 1 << 10)
    out = np.empty_like(x)
    compiled(scalar.trigamma, float64)(out, x)
    np.testing.assert_allclose(out, measure.reference("trigamma", [x]), rtol=2e-14)


@pytest.mark.slow
@pytest.mark.timeout(0)  # minutes for each
@pytest.mark.parametrize("name", [n for n in BOUNDS if n not in BINARY and n != "trigamma"])
def test_every_float32(name: str) -> None:
    run = compiled(getattr(scalar, name), float32)
    for start in range(0, 1 << 32, 1 << 24):
        x = np.arange(start, start + (1 << 24), dtype=np.uint32).view(np.float32)
        out = np.empty_like(x)
        run(out, x)
        error = ulps(out, measure.reference(name, [x]))
        worst = int(error.argmax())
        assert error[worst] <= BOUNDS[name], (x[worst], out[worst])


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", [n for n in BOUNDS if n not in BINARY])
def test_a_nan_stays_one_whatever_its_bits(name: str, kind: scalar.node.dtype) -> None:
    integer, digits = (np.uint32, 23) if kind is float32 else (np.uint64, 52)
    payload = np.random.default_rng(3).integers(1, 1 << digits, 4096).astype(integer)
    bits = payload | np.array(np.inf, kind.name).view(integer)
    x = np.concatenate([bits, bits | np.array(-0.0, kind.name).view(integer)]).view(kind.name)
    assert np.isnan(x).all()
    out = np.empty_like(x)
    compiled(getattr(scalar, name), kind)(out, x)
    assert np.isnan(out).all()


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", BOUNDS)
def test_every_width_and_target_gives_the_same_bits(name: str, kind: scalar.node.dtype) -> None:
    arrays = arguments(name, kind, 16)
    body = getattr(scalar, name)
    results = []
    for lanes, target in ((None, None), (0, None), (4, None), (None, X86_64_V3)):
        if target is not None and not host.runs(target):
            continue
        out = np.empty_like(arrays[0])
        compiled(body, kind, len(arrays), lanes, target)(out, *arrays)
        results.append(np.where(np.isnan(out), np.nan, out).tobytes())
    assert len(set(results)) == 1


ODD = ["sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "expm1", "log1p", "erf", "erfinv", "i1", "i1e"]


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda d: d.name)
def test_odd_functions_keep_the_sign_of_zero(kind: scalar.node.dtype) -> None:
    for name in ODD:
        x = np.array([0.0, -0.0] * 32, kind.numpy)
        out = np.empty_like(x)
        compiled(getattr(scalar, name), kind)(out, x)
        assert (out == 0).all() and (np.signbit(out) == np.signbit(x)).all(), name


SPECIAL = {
    "exp": [(-math.inf, 0), (math.inf, math.inf)],
    "log": [(0.0, -math.inf), (-1.0, math.nan), (math.inf, math.inf)],
    "log1p": [(-1.0, -math.inf), (-2.0, math.nan)],
    "sqrt": [(-1.0, math.nan), (-0.0, -0.0)],
    "rsqrt": [(0.0, math.inf), (-0.0, -math.inf), (math.inf, 0)],
    "sin": [(math.inf, math.nan)],
    "tanh": [(math.inf, 1), (-math.inf, -1)],
    "sigmoid": [(math.inf, 1), (-math.inf, 0)],
    "softplus": [(math.inf, math.inf), (-math.inf, 0)],
    "atanh": [(1.0, math.inf), (-1.0, -math.inf), (2.0, math.nan)],
    "acosh": [(1.0, 0), (0.5, math.nan), (math.inf, math.inf)],
    "asin": [(2.0, math.nan), (1.0, math.pi / 2)],
    "erf": [(math.inf, 1), (-math.inf, -1)],
    "erfc": [(math.inf, 0), (-math.inf, 2)],
    "erfinv": [(1.0, math.inf), (-1.0, -math.inf), (1.5, math.nan)],
    "ndtr": [(math.inf, 1), (-math.inf, 0)],
    "normal_pdf": [(math.inf, 0), (-math.inf, 0)],
    "gelu": [(math.inf, math.inf), (-math.inf, math.nan), (-0.0, -0.0), (-100.0, -0.0)],
    "lgamma": [(0.0, math.inf), (-1.0, math.inf), (1.0, 0), (2.0, 0), (math.inf, math.inf), (-math.inf, math.inf)],
    "digamma": [(0.0, -math.inf), (-0.0, math.inf), (-1.0, math.nan), (math.inf, math.inf)],
    "trigamma": [(0.0, math.inf), (math.inf, 0)],
    "i0e": [(math.inf, 0)],
}


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, kind: scalar.node.dtype) -> None:
    cases = [*SPECIAL[name], (math.nan, math.nan)]
    x = np.resize(np.array([a for a, _ in cases], kind.numpy), 64)
    out = np.empty_like(x)
    compiled(getattr(scalar, name), kind)(out, x)
    want = np.resize(np.array([b for _, b in cases], kind.numpy), 64)
    np.testing.assert_array_equal(out, want)
    assert (np.signbit(out) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda d: d.name)
def test_pow_of_special_values_is_cs(kind: scalar.node.dtype) -> None:
    values = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1e30, -1e30, math.inf, -math.inf, math.nan]
    pairs = np.array(list(itertools.product(values, values)), kind.numpy)
    x, y = (measure.padded(np.ascontiguousarray(pairs[:, i])) for i in (0, 1))
    out = np.empty_like(x)
    compiled(scalar.pow, kind, 2)(out, x, y)
    want = np.power(x, y)
    close = np.isclose(out, want, rtol=1e-6, atol=0) | (np.isnan(out) & np.isnan(want))
    assert close.all(), pairs[~close[: len(pairs)]]
    assert (np.signbit(out) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide", "nextafter", "copysign", "minimum", "maximum", "fmin", "fmax"])
def test_exact_functions_of_two(name: str, kind: scalar.node.dtype) -> None:
    x = every(kind, 32)
    rng = np.random.default_rng(3)
    x, y = rng.permutation(x), rng.permutation(x)
    out = np.empty_like(x)
    compiled(getattr(scalar, name), kind, 2)(out, x, y)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, getattr(np, name)(x, y))
