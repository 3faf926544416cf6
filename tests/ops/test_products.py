"""What follows from the blocks of facula/ops/products.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.products")


def test_addbmm_keeps_small_integers() -> None:
    x = facula.ones(2, 2).to(facula.uint8)
    assert facula.addbmm(x, x.view(1, 2, 2), x.view(1, 2, 2)).dtype is facula.uint8
