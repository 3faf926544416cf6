"""Datasets: samples by index (`Dataset`) or as a stream (`IterableDataset`), and the ways to combine them."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ... import ops
from ...base.errors import refuse, warn
from ...core import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by index: `__getitem__`, and `__len__` where samplers need it; `__getitems__` may fetch a whole batch at once."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples: `__iter__`. With several workers each has a copy: share the stream by `get_worker_info()`."""

    def __add__(self, other: Dataset[T_co]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Rows of tensors that have the same first size: sample i is `tuple(t[i] for t in tensors)`."""

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [t.size(0) for t in tensors]
        if any(size != sizes[0] for size in sizes):
            raise refuse(AssertionError, "Size mismatch between tensors", received=f"first sizes {sizes}", expected="equal first sizes")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)


def _fetch(dataset: Any, indices: Sequence[Any]) -> Sequence[Any]:
    """Samples of a batch, by `__getitems__` where the dataset has one."""
    if callable(getattr(dataset, "__getitems__", None)):
        return dataset.__getitems__(indices)
    return [dataset[i] for i in indices]


class StackDataset(Dataset[Any]):
    """Datasets side by side: a sample is the tuple (or dict) of their samples."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise refuse(
                ValueError,
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, but both types are given.",
            )
        self.datasets: tuple[Any, ...] | dict[str, Any] = kwargs or args
        parts = self._parts()
        if not parts:
            raise refuse(ValueError, "At least one dataset should be passed")
        lengths = [len(d) for d in parts]
        if any(length != lengths[0] for length in lengths):
            raise refuse(ValueError, "Size mismatch between datasets", received=f"lengths {lengths}", expected="equal lengths")
        self._length = lengths[0]

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _sample(self, values: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, values)) if isinstance(self.datasets, dict) else tuple(values)

    def __getitem__(self, index: Any) -> Any:
        return self._sample(d[index] for d in self._parts())

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        columns = [_fetch(d, indices) for d in self._parts()]
        for column in columns:
            if len(column) != len(indices):
                raise refuse(ValueError, f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(column)}")
        return [self._sample(row) for row in zip(*columns)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets end to end."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets: list[Any] = list(datasets)
        if not self.datasets:
            raise refuse(AssertionError, "datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise refuse(AssertionError, "ConcatDataset does not support IterableDataset", hint="ChainDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """Where each dataset ends."""
        return list(itertools.accumulate(len(d) for d in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> T_co:
        if idx < 0:
            if -idx > len(self):
                raise refuse(ValueError, "absolute value of index should not exceed dataset length", received=f"{idx=}, length {len(self)}")
            idx += len(self)
        if idx >= len(self):
            raise refuse(IndexError, f"index {idx} is out of range for a ConcatDataset of length {len(self)}")
        place = bisect.bisect_right(self.cumulative_sizes, idx)
        return self.datasets[place][idx - (self.cumulative_sizes[place - 1] if place else 0)]


class ChainDataset(IterableDataset[T_co]):
    """Streams one after the other."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise refuse(
                    AssertionError, "ChainDataset only supports IterableDataset", received=type(dataset).__name__, hint="ConcatDataset"
                )
            yield dataset

    def __iter__(self) -> Iterator[T_co]:
        return itertools.chain.from_iterable(self._streams())

    def __len__(self) -> int:
        return sum(len(d) for d in self._streams())


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise refuse(
                NotImplementedError,
                f"{kind.__name__} overrides __getitem__ but not __getitems__. When subclassing Subset and overriding __getitem__, you "
                "must also override __getitems__ to ensure DataLoader works correctly with your custom logic. A simple "
                "implementation:\n\ndef __getitems__(self, indices):\n    return [self.__getitem__(idx) for idx in indices]",
            )

    def __getitem__(self, idx: Any) -> T_co:
        return self.dataset[[self.indices[i] for i in idx]] if isinstance(idx, list) else self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> Sequence[T_co]:
        return _fetch(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class IterDataPipe(IterableDataset[T_co]):
    """PyTorch's name for a stream that is built from streams; here an `IterableDataset` like any other."""


class MapDataPipe(Dataset[T_co]):
    """PyTorch's name for a dataset that is built from datasets."""


def random_split(dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Any = None) -> list[Subset[T_co]]:
    """Disjoint random subsets of the given lengths, or shares that sum to 1 (what rounding leaves goes to the first ones)."""
    total = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for index, share in enumerate(lengths):
            if not 0 <= share <= 1:
                raise refuse(ValueError, f"Fraction at index {index} is not between 0 and 1", received=f"lengths={list(lengths)}")
        counts = [math.floor(total * share) for share in lengths]
        for index in range(total - sum(counts)):
            counts[index % len(counts)] += 1
        for index, count in enumerate(counts):
            if count == 0:
                warn(f"Length of split at index {index} is 0. This might result in an empty dataset.")
        lengths = counts
    if sum(lengths) != total:
        raise refuse(
            ValueError,
            "Sum of input lengths does not equal the length of the input dataset!",
            received=f"lengths {list(lengths)} with sum {sum(lengths)}",
            expected=f"sum {total}",
        )
    order = ops.randperm(total, generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, lengths)]  # type: ignore[misc]


__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterDataPipe",
    "IterableDataset",
    "MapDataPipe",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]
