"""Unpooling and random windows: derived checks, and that one undoes the other."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.unpooling")

F = facula.nn.functional


def test_unpooling_puts_maxima_back() -> None:
    x = facula.randn(2, 3, 6, 4)
    y, where = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, where, 2)
    assert facula.equal(F.max_pool2d(back.abs(), 2), y.abs())
    assert facula.equal(back[back != 0], x[back != 0])


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Found an invalid max index: 16"):
        F.max_unpool2d(facula.ones(1, 1, 1, 1), facula.full((1, 1, 1, 1), 16), 4)


def test_random_windows_hold_their_maxima() -> None:
    x = facula.randn(1, 2, 9, 9)
    y, where = F.fractional_max_pool2d(x, 2, output_ratio=0.5, return_indices=True)
    assert y.shape == (1, 2, 4, 4)
    assert facula.equal(x.flatten(2).gather(2, where.flatten(2)).view(y.shape), y)
