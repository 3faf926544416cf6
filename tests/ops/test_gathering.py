"""What follows from the blocks of facula/ops/gathering.py."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.gathering")


@pytest.mark.parametrize("shape", [(), (5,), (300,), (20, 30)], ids=str)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_elements_where_a_mask_holds(shape: tuple[int, ...], share: float) -> None:
    """Both ways to write it, their gradients and the gradients of those; also of what is not contiguous."""
    x = facula.randn(*shape, 2, dtype=facula.float64)[..., 0].requires_grad_()
    mask = facula.rand(shape) < share
    want = [v for v, m in zip(x.reshape(-1).tolist(), mask.reshape(-1).tolist()) if m]
    for pick in (lambda t: t.masked_select(mask), lambda t: t[mask]):
        y = pick(x)
        assert y.tolist() == want
        g = facula.arange(1.0, len(want) + 1, dtype=facula.float64).requires_grad_()
        (back,) = facula.autograd.grad(y, x, g, create_graph=True)
        assert back.shape == x.shape and pick(back).tolist() == g.tolist() and back.sum().item() == g.sum().item()
        (again,) = facula.autograd.grad(back, g, facula.ones_like(back))
        assert again.tolist() == [1.0] * len(want)
