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
