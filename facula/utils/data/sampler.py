"""Samplers: in which order a `DataLoader` visits a dataset. Same draws as PyTorch's from the same generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from ... import ops
from ...base.dtypes import float64, int64
from ...base.errors import refuse
from ...ops.random import Generator

T_co = TypeVar("T_co", covariant=True)


def fresh_seed(generator: Any = None) -> int:
    """A seed from `generator` (or the default one), below 2**63."""
    return int(ops.empty((), dtype=int64).random_(generator=generator).item())


def _require_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise refuse(ValueError, f"{name} should be a positive integer value, but got {name}={value}", expected=f"{name} >= 1")


class Sampler(Generic[T_co]):
    """Base class: `__iter__` gives indices (or lists of them); `__len__` is optional."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A fresh permutation each epoch, or independent draws with `replacement`."""

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None) -> None:
        self.data_source, self.replacement, self._num_samples, self.generator = data_source, replacement, num_samples, generator
        if not isinstance(replacement, bool):
            raise refuse(TypeError, f"replacement should be a boolean value, but got replacement={replacement}")
        _require_count("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """Draws an epoch; follows the dataset's length unless it was given."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        generator = self.generator
        if generator is None:  # a generator of its own: what is drawn between two batches does not change the order
            seed = fresh_seed()
            generator = Generator()
            generator.manual_seed(seed)
        if self.replacement:  # by 32, as in PyTorch, so that a seed gives the same order
            for start in range(0, self.num_samples, 32):
                size = (min(32, self.num_samples - start),)
                yield from ops.randint(high=n, size=size, dtype=int64, generator=generator).tolist()
            return
        for _ in range(self.num_samples // n):
            yield from ops.randperm(n, generator=generator).tolist()
        yield from ops.randperm(n, generator=generator).tolist()[: self.num_samples % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in ops.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Index i with a probability in proportion to weights[i]."""

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        _require_count("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise refuse(ValueError, f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = ops.as_tensor(weights, dtype=float64)
        if self.weights.dim() != 1:
            raise refuse(
                ValueError, f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}", expected="(n,)"
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        yield from ops.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices; the last may be shorter, unless `drop_last`."""

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        _require_count("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise refuse(ValueError, f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        length = len(self.sampler)  # type: ignore[arg-type]
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]
