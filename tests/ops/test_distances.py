"""Distances: derived checks, and values by hand."""

from __future__ import annotations

import facula
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
