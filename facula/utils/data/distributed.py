"""The sampler that gives each process of a cluster its share of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ... import ops
from ...base.errors import refuse
from ...ops.random import Generator
from .sampler import Sampler


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on; all ranks get equally many. Call `set_epoch` before each epoch to reshuffle."""

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise refuse(
                RuntimeError,
                "Requires distributed package to be available",
                received=f"{num_replicas=}, {rank=}",
                expected="both given while no process group exists",
                hint="DistributedSampler(dataset, num_replicas=world_size, rank=rank)",
            )
        if not 0 <= rank < num_replicas:
            raise refuse(ValueError, f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.epoch, self.drop_last, self.shuffle, self.seed = 0, drop_last, shuffle, seed
        count = len(dataset)
        self.num_samples = count // num_replicas if drop_last else math.ceil(count / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = ops.randperm(count, generator=generator).tolist()
        else:
            indices = list(range(count))
        if self.drop_last:
            indices = indices[: self.total_size]
        elif indices:  # pad with the first ones, as often as it takes
            indices = (indices * -(-self.total_size // count))[: self.total_size]
        return iter(indices[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Make the next order a function of (seed, epoch), equal on all ranks."""
        self.epoch = epoch


__all__ = ["DistributedSampler"]
