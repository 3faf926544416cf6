"""Fetching, at the path that libraries import it from."""

from ..fetch import _IterableDatasetFetcher, _MapDatasetFetcher

__all__ = ["_IterableDatasetFetcher", "_MapDatasetFetcher"]
