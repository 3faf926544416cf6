"""Modules that libraries import from PyTorch's `torch.utils.data._utils`."""

from . import collate, fetch, worker

__all__ = ["collate", "fetch", "worker"]
