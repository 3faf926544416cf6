"""Initial values: shapes of distributions, exact constructions, and refusals. The streams themselves: modules/test_recorded.py."""

from __future__ import annotations

import math

import pytest

import facula
from facula.nn import init


def test_bounds_follow_fan_and_gain() -> None:
    w = facula.empty(40, 30, 3, 3)
    assert init.fans(w) == (270, 360)
    bound = math.sqrt(6 / 630)
    assert init.xavier_uniform_(w).abs().max().item() <= bound and w.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu").std().item() == pytest.approx(math.sqrt(2 / 360), rel=0.05)
    assert init.trunc_normal_(w, std=2.0, a=-1, b=1).abs().max().item() <= 1


def test_exact_constructions() -> None:
    assert init.eye_(facula.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = facula.randn(1, 4, 5)
    kernel = init.dirac_(facula.empty(4, 4, 3))
    assert facula.nn.functional.conv1d(x, kernel, padding=1).tolist() == x.tolist()
    assert init.constant_(facula.empty(2), 3).tolist() == [3, 3]
    zeros = (init.sparse_(facula.empty(10, 4), sparsity=0.3) == 0).sum(0).tolist()
    assert zeros == [3, 3, 3, 3]


def test_orthogonal_rows() -> None:
    w = init.orthogonal_(facula.empty(3, 5))
    assert ((w @ w.t() - facula.eye(3)).abs().max()).item() < 1e-5


def test_gain() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2) and init.calculate_gain("leaky_relu", 1) == 1
    with pytest.raises(ValueError, match="Unsupported nonlinearity foo"):
        init.calculate_gain("foo")
    with pytest.raises(ValueError, match="Fan in and fan out can not be computed"):
        init.xavier_uniform_(facula.empty(3))
