"""Datasets and how they combine."""

from __future__ import annotations

import pytest

from facula import ops
from facula.ops.random import Generator
from facula.utils.data import ChainDataset, ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset, random_split


class Squares(Dataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        return i * i


class Count(IterableDataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __iter__(self):
        return iter(range(self.n))


def test_tensor_dataset_gives_rows() -> None:
    data = TensorDataset(ops.arange(6).view(3, 2), ops.arange(3))
    x, y = data[1]
    assert x.tolist() == [2, 3] and int(y) == 1 and len(data) == 3


def test_concat_finds_the_part_and_counts_from_the_end() -> None:
    data = Squares(3) + Squares(4)
    assert [data[i] for i in range(7)] == [0, 1, 4, 0, 1, 4, 9] and data[-1] == 9 and len(data) == 7


def test_chain_streams_one_after_the_other() -> None:
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2] and len(ChainDataset([Count(2), Count(3)])) == 5


def test_stack_gives_tuples_or_dicts() -> None:
    assert StackDataset(Squares(3), Squares(3))[2] == (4, 4)
    assert StackDataset(a=Squares(3), b=Squares(3)).__getitems__([1, 2]) == [{"a": 1, "b": 1}, {"a": 4, "b": 4}]


def test_subset_fetches_batches_through_its_dataset() -> None:
    data = Subset(Subset(Squares(10), [9, 8, 7]), [2, 0])
    assert data.__getitems__([0, 1]) == [49, 81] and data[0] == 49


def test_random_split_by_shares_uses_every_sample_once() -> None:
    parts = random_split(Squares(10), [0.5, 0.25, 0.25], generator=Generator().manual_seed(0))
    assert [len(p) for p in parts] == [6, 2, 2]
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    again = random_split(Squares(10), [6, 2, 2], generator=Generator().manual_seed(0))
    assert [p.indices for p in again] == [p.indices for p in parts]


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda: TensorDataset(ops.zeros(2), ops.zeros(3)), AssertionError, "Size mismatch between tensors"),
        (lambda: random_split(Squares(10), [3, 3]), ValueError, "does not equal the length"),
        (lambda: random_split(Squares(10), [1.5, -0.5]), ValueError, "Fraction at index 0"),
        (lambda: ConcatDataset([]), AssertionError, "should not be an empty iterable"),
        (lambda: ConcatDataset([Count(2)]), AssertionError, "does not support IterableDataset"),
        (lambda: list(ChainDataset([Squares(2)])), AssertionError, "only supports IterableDataset"),
        (lambda: (Squares(2) + Squares(2))[-5], ValueError, "should not exceed dataset length"),
        (lambda: (Squares(2) + Squares(2))[4], IndexError, "out of range"),
        (lambda: StackDataset(Squares(2), Squares(3)), ValueError, "Size mismatch between datasets"),
        (lambda: StackDataset(), ValueError, "At least one dataset"),
        (lambda: Dataset()[0], NotImplementedError, "should implement __getitem__"),
        (lambda: type("S", (Subset,), {"__getitem__": lambda s, i: i})(Squares(2), [0]), NotImplementedError, "must also override"),
    ],
)
def test_refusals(make, kind, match) -> None:
    with pytest.raises(kind, match=match):
        make()
