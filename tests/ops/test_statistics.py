"""What follows from the blocks of facula/ops/statistics.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

import facula
from facula.autograd import gradcheck
from facula.testing import assert_close, derived

test_declared = derived("facula.ops.statistics")


def test_spread_of_large_numbers() -> None:
    """The squares overflow float32, the standard deviation does not."""
    x = facula.tensor([1e30, -1e30, 1.0])
    assert x.std().item() == pytest.approx(1e30)
    assert x.var().item() == math.inf


def test_logsumexp_of_complex_numbers() -> None:
    x = facula.tensor([[1 + 2j, 100 - 1j, 99.5 + 0.5j], [0.5j, -3, -1 + 1j]], dtype=facula.complex128, requires_grad=True)
    want = (x.detach() - x.detach().real.amax(1, True)).exp().sum(1).log() + x.detach().real.amax(1)
    assert_close(facula.logsumexp(x, 1), want)
    assert gradcheck(lambda t: facula.logsumexp(t, 1), [x])
    assert gradcheck(lambda t: facula.logcumsumexp(t, 1), [x])
    assert_close(facula.logcumsumexp(x, 1)[:, -1].exp(), want.exp())


@pytest.mark.parametrize("dim", [0, 1])
def test_the_angle_of_complex_logcumsumexp_goes_on_as_in_pytorch(dim: int) -> None:
    """It follows the larger term and is not brought back into (-pi, pi]; lengths and orders of memory do not change that."""
    inf, nan = math.inf, math.nan
    line = facula.tensor(
        [complex(-inf, 1), complex(1, 2), complex(1, -2), complex(0, 7), complex(-1, 9), complex(inf, 3), complex(1, 1), complex(nan, 1)]
    )
    want = [
        complex(-inf, 0),
        1 + 2j,
        0.81643 - 3.14159j,
        0.49796 - 3.55234j,
        0.69973 - 3.55490j,
        complex(inf, 3),
        complex(inf, 3),
        complex(nan, nan),
    ]
    x = line.unsqueeze(1 - dim).expand(*((8, 3) if dim == 0 else (3, 8)))
    for laid in (x, x.contiguous(), x.t().contiguous().t()):
        got = facula.logcumsumexp(laid, dim).movedim(dim, 0)
        for k in range(3):
            assert_close(got[:, k], facula.tensor(want), rtol=1e-4, atol=1e-4, equal_nan=True)
    assert facula.logcumsumexp(facula.tensor([complex(1, inf)]), 0).tolist() == [complex(1, inf)]


@pytest.mark.parametrize(
    "dtype, scale", [(facula.float32, 1e30), (facula.float32, 1e-30), (facula.float64, 1e200), (facula.float64, 1e-200)]
)
def test_norms_of_extreme_numbers(dtype: facula.dtype, scale: float) -> None:
    """Squares may leave the range although the norm does not."""
    x = facula.tensor([[3 * scale, 4 * scale]], dtype=dtype, requires_grad=True)
    for norm in (x.norm(), facula.linalg.norm(x), facula.linalg.vector_norm(x, dim=1)[0]):
        assert norm.item() == pytest.approx(5 * scale, rel=1e-6)
    (slope,) = facula.autograd.grad(x.norm(), x)
    assert slope.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert facula.nn.functional.normalize(x, eps=1e-300).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]


def test_norms_of_numbers_of_every_size() -> None:
    inf, nan = float("inf"), float("nan")
    cases = {(1e200, 1e-200): 1e200, (1.0, 1e-200): 1.0, (inf, 1.0): inf, (-inf, 1e200): inf, (0.0, 0.0): 0.0, (5e-324, 0.0): 5e-324}
    for values, want in cases.items():
        assert facula.tensor(values, dtype=facula.float64).norm().item() == want
    assert facula.tensor([nan, 1e300], dtype=facula.float64).norm().isnan()


def test_nansum_reads_each_element_once_and_passes_no_gradient_to_nan() -> None:
    nan = float("nan")
    x = facula.tensor([[1.0, nan, 2.0], [nan, nan, nan]], requires_grad=True)
    assert x.nansum(1).tolist() == [3.0, 0.0] and facula.nansum(x).item() == 3.0
    x.nansum(0).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert facula.nansum(facula.tensor([1.5, 2.6, nan]), dtype=facula.int32).item() == 3  # as PyTorch: each element is cut first
    assert "reduce" in str(facula.explain(facula.nansum, x.detach())) and "pointwise" not in str(facula.explain(facula.nansum, x.detach()))


@pytest.mark.parametrize("place", [0, 1, 99_999])
@pytest.mark.parametrize("outlier", [0.0, 1e6, 1e20, 3e38, -3e38])
@pytest.mark.parametrize("centre", [0.0, 1e4])
def test_deviations_from_far_means_and_beside_outliers(centre: float, outlier: float, place: int) -> None:
    """float32 within an ULP, wherever the outlier is: it may be the element that the others are compared with."""
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32) / 128 + np.float32(centre)
    values[place] = outlier or values[place]
    exact = values.astype(np.longdouble)
    want = (exact.std(ddof=1), exact.mean())
    x = facula.from_numpy(values)
    for got in (facula.std_mean(x), facula.std_mean(x.view(-1, 1), 0), (x.std(), x.mean())):
        for answer, exactly in zip(got[: 1 if got[1] is None else 2], want):
            assert abs(answer.item() - exactly) <= 1.2e-7 * max(abs(exactly), abs(want[0]))
    assert x.var().isinf().item() == (abs(outlier) > 1e25)


def test_deviations_of_what_is_not_finite() -> None:
    """As PyTorch 2.13 answers."""
    inf, nan = float("inf"), float("nan")
    for values in ([1.0, inf, 2.0], [inf, 1.0], [nan, 1.0], [1.0, nan], [-inf, inf], [inf, inf]):
        assert facula.tensor(values).var().isnan() and facula.tensor(values).std().isnan()
    assert facula.tensor([1.0]).var().isnan() and facula.tensor([1.0]).var(correction=0).item() == 0
    assert facula.tensor([[3.5]] * 7).std(0).item() == 0
