"""Samplers: orders that were recorded from PyTorch, and refusals."""

from __future__ import annotations

import pytest

from facula.ops.random import Generator, manual_seed
from facula.utils.data import BatchSampler, DistributedSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler

# Recorded from PyTorch 2.13: torch.manual_seed(3), then list(...) of each
PERMUTATION = [7, 2, 0, 8, 6, 11, 10, 9, 5, 1, 4, 3]
WITH_REPLACEMENT = [4, 6, 6, 5, 8, 8, 7, 6, 1, 6, 4, 6, 0, 0, 3, 8, 4, 8, 8, 1, 6, 1, 5, 6, 5, 6, 4, 7, 1, 5, 7, 2, 4, 0, 0, 3, 4, 3, 1, 1]
TWICE = [3, 1, 0, 2, 3, 0, 2, 1, 0, 1]
OWN_GENERATOR = [3, 4, 0, 5, 7, 9, 11, 6, 8, 1, 10, 2]
SUBSET = [7, 8, 6, 5]
DISTRIBUTED = [[0, 3, 4], [6, 5, 0], [1, 2, 6]]


def test_orders_are_pytorchs() -> None:
    manual_seed(3)
    assert list(RandomSampler(range(12))) == PERMUTATION
    manual_seed(3)
    assert list(RandomSampler(range(9), replacement=True, num_samples=40)) == WITH_REPLACEMENT
    manual_seed(3)
    assert list(RandomSampler(range(4), num_samples=10)) == TWICE
    assert list(RandomSampler(range(12), generator=Generator().manual_seed(7))) == OWN_GENERATOR
    manual_seed(3)
    assert list(SubsetRandomSampler([5, 6, 7, 8])) == SUBSET
    shares = [DistributedSampler(range(7), num_replicas=3, rank=r, seed=1) for r in range(3)]
    assert [list(s) for s in shares] == DISTRIBUTED


def test_weighted_never_draws_weight_zero() -> None:
    drawn = list(WeightedRandomSampler([0.0, 1.0, 0.0, 3.0], 50))
    assert len(drawn) == 50 and set(drawn) == {1, 3}
    assert sorted(WeightedRandomSampler([1.0, 1.0, 1.0], 3, replacement=False)) == [0, 1, 2]


def test_batches() -> None:
    assert list(BatchSampler(SequentialSampler(range(5)), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(SequentialSampler(range(5)), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3 and len(BatchSampler(range(5), 2, True)) == 2


def test_epoch_changes_the_distributed_order() -> None:
    sampler = DistributedSampler(range(20), num_replicas=2, rank=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first and len(sampler) == 10


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda: RandomSampler(range(3), replacement=1), TypeError, "replacement should be a boolean"),
        (lambda: RandomSampler([]), ValueError, "num_samples should be a positive integer value, but got num_samples=0"),
        (lambda: BatchSampler(range(3), 0, False), ValueError, "batch_size should be a positive integer"),
        (lambda: BatchSampler(range(3), 2, 1), ValueError, "drop_last should be a boolean"),
        (lambda: WeightedRandomSampler([[1.0]], 2), ValueError, "weights should be a 1d sequence"),
        (lambda: DistributedSampler(range(3)), RuntimeError, "Requires distributed package"),
        (lambda: DistributedSampler(range(3), 2, 2), ValueError, "Invalid rank 2"),
    ],
)
def test_refusals(make, kind, match) -> None:
    with pytest.raises(kind, match=match):
        make()
