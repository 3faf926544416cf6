"""What follows from the blocks of facula/ops/grouping.py."""

from __future__ import annotations

from collections import Counter

import pytest

import facula
from facula import ops
from facula.testing import derived

test_declared = derived("facula.ops.grouping")


def test_unique_values_with_places_and_counts() -> None:
    got = ops.unique(ops.tensor([3, 1, 3]), return_inverse=True, return_counts=True)
    assert [t.tolist() for t in got] == [[1, 3], [1, 0, 1], [1, 2]]
    rows, inverse = ops.unique(ops.tensor([[2, 1], [1, 5], [2, 1]]), return_inverse=True, dim=0)
    assert rows.tolist() == [[1, 5], [2, 1]] and inverse.tolist() == [1, 0, 1]
    assert ops.unique_consecutive(ops.tensor([1, 1, 2, 1])).tolist() == [1, 2, 1]


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float32", "bfloat16"])
@pytest.mark.parametrize(("n", "k"), [(1, 3), (300, 1), (9000, 2), (10000, 5)])
def test_unique_rows_are_those_of_sorted_tuples(dtype: str, n: int, k: int) -> None:
    x = facula.randint(0, 2 if dtype == "bool" else 6, (n, k)).to(getattr(facula, dtype))
    rows = [tuple(r) for r in x.tolist()]
    want = sorted(set(rows))
    got, inverse, counts = ops.unique(x, return_inverse=True, return_counts=True, dim=0)
    assert [tuple(r) for r in got.tolist()] == want and got.dtype is x.dtype
    assert inverse.tolist() == [want.index(r) for r in rows]
    assert counts.tolist() == [Counter(rows)[r] for r in want]
    turned = ops.unique(x.t(), dim=1)
    assert turned.shape == (k, len(want)) and facula.equal(turned, got.t())


def test_unique_rows_do_not_depend_on_threads() -> None:
    x, threads = facula.randint(0, 3, (40000, 4)), facula.get_num_threads()
    got = ops.sort_rows(x)
    try:
        facula.set_num_threads(3)
        assert all(facula.equal(a, b) for a, b in zip(ops.sort_rows(x), got, strict=True))
    finally:
        facula.set_num_threads(threads)
    order = got[0].tolist()
    rows = x.tolist()
    assert order == sorted(range(40000), key=lambda i: rows[i])  # stable


def test_unique_rows_with_zeros_of_both_signs_and_nans() -> None:
    nan = float("nan")
    x = ops.tensor([[nan, 0.0], [0.0, 1.0], [1.0, nan], [-0.0, 1.0], [1.0, nan]])
    got, inverse, counts = ops.unique(x, return_inverse=True, return_counts=True, dim=0)
    assert (inverse.tolist(), counts.tolist()) == ([3, 0, 1, 0, 2], [2, 1, 1, 1])
    assert ops.unique_consecutive(x, return_counts=True, dim=0)[1].tolist() == [1, 1, 1, 1, 1]
    assert got[0].tolist() == [0.0, 1.0]


def test_unique_refuses_what_it_cannot_sort() -> None:
    for f in (ops.unique, ops.unique_consecutive):
        with pytest.raises(NotImplementedError, match="\"unique_dim\" not implemented for 'ComplexFloat'"):
            f(ops.tensor([1j, 1j]), dim=0)
        with pytest.raises(NotImplementedError, match="\"unique\" not implemented for 'ComplexFloat'"):
            f(ops.tensor([1j, 1j]))
        with pytest.raises(IndexError, match="Dimension specified as 0 but tensor has no dimensions"):
            f(ops.tensor(1.0), dim=0)
        with pytest.raises(RuntimeError, match="There are 0 sized dimensions"):
            f(ops.zeros(3, 0), dim=0)


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


def test_boundaries_and_values_of_different_types() -> None:
    assert facula.bucketize(facula.tensor([0.5, 1.5]), facula.arange(3)).tolist() == [1, 2]
    assert facula.searchsorted(facula.tensor([1, 2, 3]), facula.tensor([2.5]).double()).tolist() == [2]
    with pytest.raises(NotImplementedError, match="\"searchsorted_out_cpu\" not implemented for 'ComplexFloat'"):
        facula.searchsorted(facula.ones(3), facula.ones(2, dtype=facula.complex64))
