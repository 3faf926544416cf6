"""What follows from the blocks of facula/ops/products.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.products")


def test_addbmm_keeps_small_integers() -> None:
    x = facula.ones(2, 2).to(facula.uint8)
    assert facula.addbmm(x, x.view(1, 2, 2), x.view(1, 2, 2)).dtype is facula.uint8


def test_vector_products_are_one_kernel() -> None:
    x = facula.randn(7, 3, 5)
    assert "pointwise" in str(facula.explain(facula.ops.vector_product, x, x, 1))
    y = facula.randn(7, 3, 5)
    a, b = x.unbind(1), y.unbind(1)
    want = facula.stack([a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))], 1)
    assert facula.cross(x, y, 1).equal(want)
    assert facula.cross(x.half(), y.half(), 1).equal(facula.stack([p * q - r * s for p, q, r, s in (
        (a[i].half(), b[j].half(), a[j].half(), b[i].half()) for i, j in ((1, 2), (2, 0), (0, 1)))], 1))  # fmt: skip
