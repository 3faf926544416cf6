"""What follows from the blocks of facula/ops/movement.py."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.movement")


def test_broadcast_tensors_gives_a_tuple() -> None:
    assert isinstance(facula.broadcast_tensors(facula.ones(2), facula.ones(1)), tuple)


@pytest.mark.parametrize(
    ("size", "step"), [(0, 1), (1, 1), (3, 1), (3, 2), (3, 5), (7, 7), (9, 1), (9, 4), (10, 9), (20, 1), (23, 3), (23, 30)]
)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_windows_add_up_where_they_came_from(dim: int, size: int, step: int) -> None:
    x = facula.randn(23, 24, 25, dtype=facula.float64, requires_grad=True)
    windows = x.unfold(dim, size, step)
    g = facula.randn(*windows.shape, dtype=facula.float64)
    (got,) = facula.autograd.grad(windows, x, g)
    want = facula.zeros(23, 24, 25, dtype=facula.float64)
    for k in range(windows.shape[dim if dim >= 0 else dim - 1]):
        want.narrow(dim, k * step, size).add_(g.select(dim if dim >= 0 else dim - 1, k).movedim(-1, dim))
    assert facula.allclose(got, want)
