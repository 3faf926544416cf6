"""What follows from the blocks of facula/ops/locating.py."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.locating")


def test_places() -> None:
    x = facula.tensor([[0, 3], [4, 0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]] and [t.tolist() for t in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert facula.nonzero_static(x, size=3).tolist() == [[0, 1], [1, 0], [-1, -1]]
    assert [t.item() for t in facula.unravel_index(facula.tensor(5), (2, 3))] == [1, 2]


def test_unravelled_places_are_int64() -> None:
    assert facula.unravel_index(facula.tensor([3], dtype=facula.uint8), (2, 3))[0].dtype is facula.int64
