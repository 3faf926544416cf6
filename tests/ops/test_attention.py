"""What follows from the blocks of facula/ops/attention.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.attention")


def test_heads_of_thousands_of_elements() -> None:
    q, k, v = (facula.linspace(-0.1, 0.1 + 0.01 * i, 8000).reshape(1, 1, 2, 4000).requires_grad_() for i in range(3))
    y = facula.nn.functional.scaled_dot_product_attention(q, k, v)
    want = facula.softmax(q @ k.mT / 4000**0.5, -1) @ v
    gradients = [facula.autograd.grad((z * z).sum(), [q, k, v]) for z in (y, want)]
    assert facula.allclose(y, want, rtol=1e-5, atol=1e-6)
    assert all(facula.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*gradients))
