"""Special functions: derived checks, then values from tables and identities."""

from __future__ import annotations

import math

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.special")
DOUBLE = facula.float64


def value(name: str, *arguments: object) -> float:
    return getattr(facula.special, name)(*[facula.tensor(a, dtype=DOUBLE) if isinstance(a, float) else a for a in arguments]).item()


def test_values_from_tables() -> None:
    """Abramowitz, Stegun: Handbook of Mathematical Functions, tables 5, 6, 9, 23."""
    table = {("erfc", 4.0): 1.541725790028002e-08, ("gammaln", 0.5): math.log(math.pi) / 2, ("psi", 1.0): -0.5772156649015329, ("i0", 1.0): 1.2660658777520084,
             ("bessel_j0", 1.0): 0.7651976865579666, ("zeta", 2.0, 1): math.pi**2 / 6, ("ndtri", 0.975): 1.959963984540054, ("erfinv", 0.5): 0.4769362762044699}  # fmt: skip
    for (name, *arguments), want in table.items():
        assert abs(value(name, *arguments) - want) < 1e-12 * max(1.0, abs(want)), name


def test_polynomials_satisfy_their_recurrences() -> None:
    x = facula.arange(9, dtype=DOUBLE) / 2 - 2
    t = [facula.special.chebyshev_polynomial_t(x, n) for n in range(6)]
    for n in range(1, 5):
        assert facula.allclose(t[n + 1], 2 * x * t[n] - t[n - 1])
    assert facula.special.hermite_polynomial_h(x, -1).abs().sum().item() == 0.0


def test_third_derivative_of_lgamma_is_there() -> None:
    x = facula.tensor(2.0, dtype=DOUBLE, requires_grad=True)
    g = facula.lgamma(x)
    for _ in range(3):
        (g,) = facula.autograd.grad(g, x, create_graph=True)
    assert abs(g.item() - facula.polygamma(2, facula.tensor(2.0, dtype=DOUBLE)).item()) < 1e-12


@pytest.mark.parametrize("degree", [2**31, 2**62, facula.tensor([1.0, 1e17])], ids=str)
def test_polynomials_of_absurd_degree_are_answered_at_once(degree: object) -> None:
    x = facula.tensor([0.5, 2.0])
    for name in ("chebyshev_polynomial_t", "legendre_polynomial_p", "laguerre_polynomial_l"):
        with pytest.raises(RuntimeError, match="the degree of the polynomial is too large"):
            getattr(facula.special, name)(x, degree)
    assert facula.special.hermite_polynomial_he(x, degree)[1].isnan()


def test_incomplete_gamma_at_the_borders() -> None:
    """PyTorch's order: signs, an order of 0, an argument of 0, infinite orders, infinite arguments; NaN decides only after those."""
    inf, nan = math.inf, math.nan
    a = facula.tensor([nan, nan, inf, inf, 0.0, 0.0, -1.0, 2.0, 2.0, 3.0])
    x = facula.tensor([0.0, inf, inf, 1.0, 0.0, 2.0, 1.0, -1.0, inf, 0.0])
    assert [str(v) for v in facula.igamma(a, x).tolist()] == ["0.0", "1.0", "nan", "0.0", "nan", "1.0", "nan", "nan", "1.0", "0.0"]
    assert [str(v) for v in facula.igammac(a, x).tolist()] == ["1.0", "0.0", "nan", "1.0", "nan", "0.0", "nan", "nan", "0.0", "1.0"]


def test_polynomials_that_leave_the_range_of_their_type_are_pytorchs() -> None:
    """inf - inf of the recurrence in float32 is NaN where float64 has room; a NaN stays one; Hermite's end at degree 128 or 512."""
    x, n = facula.tensor([3e38, 3.5, -104.0, 0.5, 1.0, math.nan]), facula.tensor([3.0, 88.0, 88.0, 88.0, 88.0, 3.0])
    want = {
        "chebyshev_polynomial_t": ["inf", "nan", "nan", "-0.5000", "1.0000", "nan"],
        "shifted_chebyshev_polynomial_w": ["nan", "nan", "nan", "1.0000", "177.0000", "nan"],
        "hermite_polynomial_he": ["nan", "nan", "nan", "nan", "nan", "nan"],
        "laguerre_polynomial_l": ["nan", "-0.7595", "nan", "0.2804", "0.2035", "nan"],
        "legendre_polynomial_p": ["nan", "nan", "nan", "-0.0645", "1.0000", "nan"],
    }
    for name, values in want.items():
        function = getattr(facula.special, name)
        assert [f"{v:.4f}" for v in function(x, n).tolist()] == values, name
        assert function(x.to(DOUBLE), n)[1].isfinite().item(), name
    one = facula.ones(1)
    assert facula.special.hermite_polynomial_h(one, 129).isnan().item()
    assert facula.special.hermite_polynomial_h(one.to(DOUBLE), 129).isfinite().item()


def test_recurrences_in_float32_keep_the_precision_of_float64() -> None:
    x, n = facula.linspace(-0.999, 0.999, 101), facula.tensor(30)
    for name in ("chebyshev_polynomial_u", "legendre_polynomial_p", "laguerre_polynomial_l", "hermite_polynomial_h"):
        function = getattr(facula.special, name)
        wide = function(x.to(DOUBLE), n)
        assert facula.equal(function(x, n), wide.to(facula.float32)), name


def test_incomplete_gamma_of_huge_orders_is_pytorchs() -> None:
    """a * log(x) and lgamma(a) overflow both, and their difference is NaN; not so where PyTorch takes another formula, near a."""
    a = facula.tensor([3e38] * 5 + [1e37] * 3)
    x = facula.tensor([0.5, 1.2, 3.5, 1e20, 2e38, 88.0, 1e37, 1e38])
    assert [f"{v:.1f}" for v in facula.igamma(a, x).tolist()] == ["0.0", "0.0", "nan", "nan", "0.0", "0.0", "0.5", "nan"]
    assert [f"{v:.1f}" for v in facula.igammac(a, x).tolist()] == ["1.0", "1.0", "nan", "nan", "1.0", "1.0", "0.5", "nan"]
    assert facula.igamma(a.to(DOUBLE), x.to(DOUBLE)).isfinite().all().item()


def test_trigamma_at_its_poles_is_pytorchs() -> None:
    x = [0.0, -1.0, -104.0, -math.inf]
    assert [f"{v:.5g}" for v in facula.polygamma(1, facula.tensor(x)).tolist()] == ["inf", "1.2914e+15", "8.1577e+10", "nan"]
    assert [f"{v:.5g}" for v in facula.polygamma(1, facula.tensor(x, dtype=DOUBLE)).tolist()] == ["inf", "6.5808e+32", "4.0115e+28", "nan"]
    assert facula.polygamma(3, facula.tensor(-1.0)).isinf().item()
