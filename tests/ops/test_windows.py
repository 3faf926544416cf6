"""Windows as columns, and shuffles: derived checks, and what undoes what."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.windows")

F = facula.nn.functional


def test_columns_multiply_to_a_convolution() -> None:
    x, w = facula.randn(2, 3, 7, 6), facula.randn(4, 3, 3, 2)
    y = w.reshape(4, -1) @ F.unfold(x, (3, 2), dilation=2, padding=1, stride=1)
    assert facula.allclose(y.reshape(2, 4, 5, 6), F.conv2d(x, w, padding=1, dilation=2), atol=1e-5)


def test_fold_counts_how_often_a_place_is_seen() -> None:
    ones = facula.ones(1, 1, 4, 4)
    seen = F.fold(F.unfold(ones, 2), (4, 4), 2)
    assert seen[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_unshuffle_undoes_shuffle() -> None:
    x = facula.randn(2, 12, 3, 4)
    assert facula.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    assert facula.equal(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x)


def test_pixels_are_copied_also_where_a_view_would_do() -> None:
    x = facula.zeros(1, 1, 1, 2)
    for y in (facula.nn.functional.pixel_shuffle(x, 1), facula.nn.functional.pixel_unshuffle(x, 1)):
        y.fill_(1)
        assert x.sum().item() == 0
