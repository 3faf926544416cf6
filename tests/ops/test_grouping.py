"""What follows from the blocks of facula/ops/grouping.py."""

from __future__ import annotations

from facula import ops
from facula.testing import derived

test_declared = derived("facula.ops.grouping")


def test_unique_values_with_places_and_counts() -> None:
    got = ops.unique(ops.tensor([3, 1, 3]), return_inverse=True, return_counts=True)
    assert [t.tolist() for t in got] == [[1, 3], [1, 0, 1], [1, 2]]
    rows, inverse = ops.unique(ops.tensor([[2, 1], [1, 5], [2, 1]]), return_inverse=True, dim=0)
    assert rows.tolist() == [[1, 5], [2, 1]] and inverse.tolist() == [1, 0, 1]
    assert ops.unique_consecutive(ops.tensor([1, 1, 2, 1])).tolist() == [1, 2, 1]


def test_searches_left_and_right_of_equals_by_rows() -> None:
    edges = ops.tensor([[1, 2, 2, 5], [0, 0, 0, 9]])
    x = ops.tensor([[2, 6], [0, -1]])
    assert ops.searchsorted(edges, x).tolist() == [[1, 4], [0, 0]] and ops.searchsorted(edges, x, right=True).tolist() == [[3, 4], [3, 0]]
    shuffled = ops.tensor([5.0, 1.0, 3.0])
    assert ops.searchsorted(shuffled, ops.tensor([3.5]), sorter=ops.argsort(shuffled)).tolist() == [2]


def test_counts() -> None:
    assert ops.bincount(ops.tensor([1, 0, 3, 1]), ops.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [2.0, 5.0, 0.0, 3.0]
    assert ops.histc(ops.tensor([0.0, 0.5, 1.0, 7.0]), 2, 0, 1).tolist() == [1.0, 2.0]
    hist, edges = ops.histogram(ops.tensor([0.0, 0.5, 1.0]), 2)
    assert hist.tolist() == [1.0, 2.0] and edges.tolist() == [0.0, 0.5, 1.0]
    assert ops.isin(ops.tensor([1, 2, 3]), ops.tensor([3, 4])).tolist() == [False, False, True]
