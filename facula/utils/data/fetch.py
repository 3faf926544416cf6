"""From indices to a batch, in the main process or in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import ops
from .collate import default_collate
from .dataset import TensorDataset, _fetch


class _MapDatasetFetcher:
    """Looks samples up and collates them; a single index (no batching) goes to `collate_fn` as one sample."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable[..., Any], drop_last: bool) -> None:
        self.dataset, self.auto_collation, self.collate_fn = dataset, auto_collation, collate_fn
        # Picking rows and stacking them is one gather: the same batch without a Python loop over samples.
        self.whole = auto_collation and collate_fn is default_collate and type(dataset) is TensorDataset

    def fetch(self, index: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self.whole and all(type(i) is int for i in index):
            rows = ops.tensor(list(index))
            return [t[rows] for t in self.dataset.tensors]
        return self.collate_fn(_fetch(self.dataset, index))


class _IterableDatasetFetcher:
    """Takes the next samples of a stream; raises StopIteration at its end."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable[..., Any], drop_last: bool) -> None:
        self.auto_collation, self.collate_fn, self.drop_last = auto_collation, collate_fn, drop_last
        self.stream = iter(dataset)
        self.ended = False

    def fetch(self, index: Sequence[None]) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.stream))
        samples = []
        for _ in index:
            try:
                samples.append(next(self.stream))
            except StopIteration:
                self.ended = True
                break
        if not samples or (self.drop_last and len(samples) < len(index)):
            raise StopIteration
        return self.collate_fn(samples)


class _DatasetKind:
    """Map-style or iterable-style."""

    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(kind: int, dataset: Any, auto_collation: bool, collate_fn: Callable[..., Any], drop_last: bool) -> Any:
        fetcher = _MapDatasetFetcher if kind == _DatasetKind.Map else _IterableDatasetFetcher
        return fetcher(dataset, auto_collation, collate_fn, drop_last)


__all__ = ["_DatasetKind", "_IterableDatasetFetcher", "_MapDatasetFetcher"]
