"""Distances: derived checks, and values by hand."""

from __future__ import annotations

import math

import pytest

import facula
import facula.nn.functional as F
from facula.autograd import gradcheck, gradgradcheck
from facula.testing import derived

test_declared = derived("facula.ops.distances")


def test_pdist_is_the_upper_triangle_of_cdist() -> None:
    x = facula.randn(6, 4, dtype=facula.float64)
    whole = facula.cdist(x, x)
    assert facula.allclose(facula.nn.functional.pdist(x), facula.stack([whole[i, j] for i in range(6) for j in range(i + 1, 6)]))


def test_long_cdist_takes_one_product_and_agrees() -> None:
    x, y = facula.randn(40, 5, dtype=facula.float64), facula.randn(30, 5, dtype=facula.float64)
    assert facula.allclose(facula.cdist(x, y), facula.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist"))


def test_cosine_of_a_vector_with_itself_is_one() -> None:
    x = facula.randn(3, 8)
    assert facula.allclose(facula.cosine_similarity(x, x), facula.ones(3))
    assert facula.allclose(facula.cosine_similarity(x, -2 * x), -facula.ones(3))


ORDERS = (0.5, 1.0, 1.5, 2.0, 3.0, math.inf)


@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("n", [3, 40])
def test_gradients_of_all_pairs(p: float, n: int) -> None:
    x = facula.randn(5, 3, dtype=facula.float64, requires_grad=True)
    y = facula.randn(n, 3, dtype=facula.float64, requires_grad=True)
    batched = facula.randn(2, 1, 5, 3, dtype=facula.float64, requires_grad=True)

    def distances(a: facula.Tensor, b: facula.Tensor) -> facula.Tensor:
        return facula.cdist(a, b, p, compute_mode="donot_use_mm_for_euclid_dist")

    assert gradcheck(distances, (x, y)) and gradcheck(distances, (batched, y))
    assert gradcheck(lambda a: F.pdist(a, p), (x,)) and gradgradcheck(lambda a: F.pdist(a, p), (x,))
    assert n > 3 or gradgradcheck(distances, (x, y))


@pytest.mark.parametrize("p", ORDERS[:-1])  # rounded differences tie where others do not
@pytest.mark.parametrize("kind", [facula.float32, facula.bfloat16, facula.float16], ids=str)
def test_pdist_gradient_in_less_precision(p: float, kind: facula.dtype) -> None:
    x = facula.randn(70, 9, dtype=kind, requires_grad=True)
    weight = facula.randn(70 * 69 // 2, dtype=kind)
    (got,) = facula.autograd.grad((F.pdist(x, p) * weight).sum(), x)
    wide = x.detach().to(facula.float64).requires_grad_()
    (want,) = facula.autograd.grad((F.pdist(wide, p) * weight.to(facula.float64)).sum(), wide)
    error = (got.to(facula.float64) - want).abs().max() / want.abs().max()
    assert error < (1e-5 if kind is facula.float32 else 0.05)


def test_gradients_where_distances_tie() -> None:
    """Recorded from PyTorch: rows that are equal, and differences of one size, each of which takes all of an infinite order's gradient."""
    x = facula.tensor([[0.0, 0, 0], [1, 1, -1], [0, 0, 0]], requires_grad=True)
    y = facula.tensor([[1.0, 2, 2], [0, 0, 0]], requires_grad=True)
    (g,) = facula.autograd.grad(F.pdist(x, math.inf).sum(), x)
    assert g.tolist() == [[-1, -1, 1], [2, 2, -2], [-1, -1, 1]]
    g, h = facula.autograd.grad(facula.cdist(x, y, math.inf).sum(), [x, y])
    assert g.tolist() == [[0, -1, -1], [1, 1, -2], [0, -1, -1]] and h.tolist() == [[0, 2, 3], [-1, -1, 1]]
    for p, want in ((0.5, 3.0), (1.0, 1.0), (2.0, 0.57735), (3.0, 0.48075)):
        (g,) = facula.autograd.grad(F.pdist(x, p).sum(), x)
        assert facula.allclose(g, facula.tensor([[-1.0, -1, 1], [2, 2, -2], [-1, -1, 1]]) * want)


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1.0, 1e30, 3e38])
def test_gradients_of_tiny_and_huge_distances(size: float) -> None:
    x = facula.tensor([[size, 0.0], [0.0, 0.0]], requires_grad=True)
    (g,) = facula.autograd.grad(F.pdist(x).sum(), x)
    assert facula.allclose(g, facula.tensor([[1.0, 0], [-1, 0]]))


def test_infinite_rows() -> None:
    """Recorded from PyTorch: a row beside itself is no pair, so its difference of infinities does not count."""
    x = facula.tensor([[math.inf, 0, 0], [1, 1, math.inf], [0, -math.inf, 0]], requires_grad=True)
    (g,) = facula.autograd.grad(F.pdist(x, 1.0).sum(), x)
    assert g.tolist() == [[2, 0, -1], [0, 2, 2], [-2, -2, -1]]


@pytest.mark.parametrize("p", (0.0, *ORDERS))
@pytest.mark.parametrize("depth", [0, 1, 3, 24, 25])
@pytest.mark.parametrize("kind", [facula.float32, facula.float64, facula.bfloat16], ids=str)
def test_rows_short_and_long(p: float, depth: int, kind: facula.dtype) -> None:
    if not depth and p == math.inf:
        return
    x, y = facula.randn(3, 1, 5, depth).to(kind), facula.randn(2, 40, depth).to(kind)
    got = facula.cdist(x, y, p, compute_mode="donot_use_mm_for_euclid_dist")
    want = facula.linalg.vector_norm((x.unsqueeze(-2) - y.unsqueeze(-3)).double(), p, -1)
    assert got.shape == (3, 2, 5, 40) and facula.allclose(got.double(), want, rtol=1e-2 if kind is facula.bfloat16 else 1e-5)
