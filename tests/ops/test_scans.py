"""What follows from the blocks of facula/ops/scans.py, and gradients of products with zeros."""

from __future__ import annotations

import facula as torch
from facula.testing import derived

test_declared = derived("facula.ops.scans")


def test_gradients_of_running_products_with_zeros() -> None:
    """As recorded from PyTorch 2.13; and the same where they are to be differentiated again, which takes another road."""
    rows = [[2, 3, 0, 4, 0, 5], [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0], [1, 2, 0.5, 2, 1, 2]]
    x = torch.tensor(rows, dtype=torch.float32, requires_grad=True)
    g = torch.arange(1.0, 25.0).view(4, 6)
    want = [[7, 4, 114, 0, 0, 0], [1797, 0, 0, 0, 0, 0], [2555, 1271, 838, 606, 408, 2160], [266, 123.5, 414, 93, 142, 48]]
    assert torch.autograd.grad(x.cumprod(1), x, g)[0].tolist() == want
    assert torch.autograd.grad(x.cumprod(1), x, g, create_graph=True)[0].tolist() == want
    z = (x * (1 + 1j)).detach().requires_grad_()
    plain = torch.autograd.grad(z.cumprod(1), z, g + 2j * g)[0]
    again = torch.autograd.grad(z.cumprod(1), z, g + 2j * g, create_graph=True)[0].detach()
    torch.testing.assert_close(plain, again)


def test_the_gradient_of_a_long_product_with_zeros_takes_linear_time() -> None:
    x = torch.ones(200_000)
    x[100_000] = 0
    x.requires_grad_()
    x.cumprod(0).sum().backward()
    assert x.grad[:3].tolist() == [100_000.0, 99_999.0, 99_998.0] and x.grad[100_000:100_002].tolist() == [100_000.0, 0.0]
