"""Pooling: derived checks, and whole numbers."""

from __future__ import annotations

from typing import Any

import pytest

import facula
from facula.base.settings import SETTINGS
from facula.core import objects
from facula.core.function import Function
from facula.testing import derived

test_declared = derived("facula.ops.pooling")


def test_means_of_integers_are_cut_towards_zero() -> None:
    x = facula.tensor([[-3, -4, 5, 8]])
    assert facula.nn.functional.avg_pool1d(x, 2).tolist() == [[-3, 6]]
    assert facula.nn.functional.avg_pool2d(x.view(1, 1, 4), (1, 2), divisor_override=-1).tolist() == [[[7, -13]]]


def test_gradients_of_empty_batches() -> None:
    x = facula.ones(0, 3, 8, requires_grad=True)
    facula.nn.functional.adaptive_avg_pool1d(x, 5).sum().backward()
    assert x.grad.shape == (0, 3, 8)


@pytest.mark.parametrize("dtype", [facula.float32, facula.bfloat16])
def test_planes_that_do_not_fit_a_usual_slot_of_scratch_memory(dtype: Any) -> None:
    n = (1 << 20) + 8
    F = facula.nn.functional
    x = (facula.arange(2 * n) % 8).to(dtype).reshape(1, 2, n).requires_grad_()
    assert F.max_pool1d(x, n - 8, 1).unique().tolist() == [7] and F.avg_pool1d(x, n, 1).tolist() == [[[3.5], [3.5]]]
    for y, wanted in ((F.max_pool1d(x, 8, 8), [0, 1]), (F.adaptive_avg_pool1d(x, n // 8), [0.125]), (F.avg_pool1d(x, 8, 8), [0.125])):
        (gradient,) = facula.autograd.grad(y.sum(), x)
        assert gradient.unique().tolist() == wanted and gradient.sum(dtype=facula.float64).item() == 2 * n / 8


@pytest.mark.skipif(not objects.NATIVE or SETTINGS.check_bounds, reason="every call then goes through Python")
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("window", [(2,), (3, 2, 1), (2, 2, 0, 2)], ids=str)
def test_gradients_of_maxima_are_served_by_the_plan_table(n: int, window: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of three dims is not too long for a key."""
    if len(window) == 4 and n == 3:
        return
    x = facula.randn(2, 3, *(8,) * n, requires_grad=True)
    y = getattr(facula.nn.functional, f"max_pool{n}d")(x, *window)
    g, missed = facula.randn(*y.shape), list[str]()
    for _ in range(3):
        (want,) = facula.autograd.grad(y, x, g, retain_graph=True)
    bound = Function._bound
    monkeypatch.setattr(Function, "_bound", lambda self, *given: (missed.append(self.name), bound(self, *given))[1])
    (got,) = facula.autograd.grad(y, x, g, retain_graph=True)
    assert "max_pool_tap_backward" not in missed and facula.equal(got, want)
