"""Modules over several devices. One process on one processor needs none: the wrapper keeps names and calls the module."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module


class DataParallel(Module):
    """The module under the name `module`, as programs for several GPUs save it."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


__all__ = ["DataParallel"]
