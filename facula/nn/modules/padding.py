"""Padding modules: (left, right) of the last dim first, as `nn.functional.pad` takes them."""

from __future__ import annotations

from typing import Any

import facula.nn.functional as F

from ...core import Tensor
from ..functional.arguments import repeated
from .module import Module


class _PadNd(Module):
    __constants__ = ("padding",)
    spatial = 0
    mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = repeated(padding, 2 * self.spatial)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        n = self.spatial + 1
        if input.dim() not in (n, n + 1):
            raise ValueError(f"expected {n}D or {n + 1}D input (got {input.dim()}D input)")
        return F.pad(input, self.padding, "circular")


class CircularPad1d(_CircularPadNd):
    """Continues (N, C, L) with its other end."""

    spatial = 1


class CircularPad2d(_CircularPadNd):
    """Continues (N, C, H, W) with its other ends."""

    spatial = 2


class CircularPad3d(_CircularPadNd):
    """Continues (N, C, D, H, W) with its other ends."""

    spatial = 3


class _ConstantPadNd(_PadNd):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dim with `value`."""

    spatial = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dims with `value`."""

    spatial = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dims with `value`."""

    spatial = 3


class _ReflectionPadNd(_PadNd):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """Continues (N, C, L) with its mirror image; the border itself is not repeated."""

    spatial = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Continues (N, C, H, W) with its mirror image."""

    spatial = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Continues (N, C, D, H, W) with its mirror image."""

    spatial = 3


class _ReplicationPadNd(_PadNd):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """Continues (N, C, L) with its border."""

    spatial = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Continues (N, C, H, W) with its border."""

    spatial = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Continues (N, C, D, H, W) with its border."""

    spatial = 3


class ZeroPad1d(ConstantPad1d):
    """Pads the last dim with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads the last two dims with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads the last three dims with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
