"""Convolutions and transposed convolutions over one to three spatial dims, (N, C, ...) or (C, ...)."""

from __future__ import annotations

import math
from typing import Any

import facula.nn.functional as F
import facula.nn.init as init

from ... import ops
from ...base.errors import refuse
from ...core import Tensor
from ..functional.arguments import Sizes, repeated
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin
from .module import Module


class _ConvNd(Module):
    """What all convolutions share: arguments, parameters, initial values."""

    __constants__ = (
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "output_padding",
        "in_channels",
        "out_channels",
        "kernel_size",
    )
    spatial = 0  # number of spatial dims
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
        output_padding: Any, groups: int, bias: bool, padding_mode: str, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        _check(in_channels, out_channels, stride, padding, groups, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _edges(padding, kernel_size, dilation)
        channels = (in_channels, out_channels // groups) if transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(ops.empty((*channels, *kernel_size), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(ops.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in +-1/sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = init.fans(self.weight)[0]
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        n = len(self.kernel_size)
        if self.padding != (0,) * n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")


def _check(in_channels: int, out_channels: int, stride: Any, padding: Any, groups: int, padding_mode: str) -> None:
    if groups <= 0:
        raise refuse(ValueError, "groups must be a positive integer", received=f"{groups=}")
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise refuse(ValueError, f"{name} must be divisible by groups", received=f"{name}={channels}, {groups=}")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise refuse(ValueError, f"Invalid padding string '{padding}', should be one of {{'valid', 'same'}}"
                         if padding else f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")  # fmt: skip
        if padding == "same" and any(s != 1 for s in stride):
            raise refuse(ValueError, "padding='same' is not supported for strided convolutions", received=f"{stride=}", expected="stride 1")
    modes = ("zeros", "reflect", "replicate", "circular")
    if padding_mode not in modes:
        raise refuse(
            ValueError, f"padding_mode must be one of {set(modes)}, but got padding_mode='{padding_mode}'", received=f"{padding_mode=}"
        )


def _edges(padding: Any, kernel_size: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """(before, after) of each spatial dim, last dim first, as `pad` takes them."""
    if padding == "valid":
        return [0, 0] * len(kernel_size)
    if padding != "same":
        return [p for p in reversed(padding) for _ in range(2)]
    edges: list[int] = []
    for k, d in zip(reversed(kernel_size), reversed(dilation), strict=True):
        total = d * (k - 1)
        edges += [total // 2, total - total // 2]
    return edges


class _Conv(_ConvNd):
    """A convolution; subclasses say how many spatial dims and which function."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
        bias: bool = True, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        n = self.spatial
        padding = padding if isinstance(padding, str) else repeated(padding, n)
        super().__init__(in_channels, out_channels, repeated(kernel_size, n), repeated(stride, n), padding, repeated(dilation, n), False,
                         (0,) * n, groups, bias, padding_mode, device, dtype)  # fmt: skip

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input and the padding left to the operator, which knows zeros only."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode), (0,) * self.spatial


class Conv1d(_Conv):
    """Cross-correlation of (N, C, L) with kernels (out, C / groups, k)."""

    spatial = 1

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv1d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv2d(_Conv):
    """Cross-correlation of (N, C, H, W) with kernels (out, C / groups, kh, kw)."""

    spatial = 2

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv3d(_Conv):
    """Cross-correlation of (N, C, D, H, W) with kernels (out, C / groups, kd, kh, kw)."""

    spatial = 3

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv3d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class _ConvTransposeNd(_ConvNd):
    """The gradient of a convolution as a layer; `output_size` chooses among the sizes that a stride merges."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes | str = 0, output_padding: Sizes = 0,
        groups: int = 1, bias: bool = True, dilation: Sizes = 1, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise refuse(ValueError, f'Only "zeros" padding mode is supported for {type(self).__name__}', received=f"{padding_mode=}")
        n = self.spatial
        super().__init__(in_channels, out_channels, repeated(kernel_size, n), repeated(stride, n), repeated(padding, n),
                         repeated(dilation, n), True, repeated(output_padding, n), groups, bias, padding_mode, device, dtype)  # fmt: skip

    def _output_padding(self, input: Tensor, output_size: Any, n: int) -> Any:
        """What to add to the smallest output to reach `output_size`."""
        if output_size is None:
            return self.output_padding
        skip = input.dim() - n
        wanted = list(output_size[skip:] if len(output_size) == skip + n else output_size)
        if len(wanted) != n:
            raise refuse(ValueError, f"ConvTranspose{n}D: for {input.dim()}D input, output_size must have {n} or {skip + n} elements "
                         f"(got {len(output_size)})", received=f"{tuple(output_size)}")  # fmt: skip
        low = [(input.size(d + skip) - 1) * self.stride[d] - 2 * self.padding[d] + self.dilation[d] * (self.kernel_size[d] - 1) + 1
               for d in range(n)]  # fmt: skip
        high = [s + self.stride[d] - 1 for d, s in enumerate(low)]
        if any(not a <= size <= b for size, a, b in zip(wanted, low, high, strict=True)):
            raise refuse(ValueError, f"requested an output size of {output_size}, but valid sizes range from {low} to {high} "
                         f"(for an input of {input.size()[2:]})", received=f"{tuple(wanted)}", expected=f"{low} to {high}")  # fmt: skip
        return [size - a for size, a in zip(wanted, low, strict=True)]


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution of (N, C, L)."""

    spatial = 1

    def forward(self, input: Tensor, output_size: Sizes | None = None) -> Tensor:
        extra = self._output_padding(input, output_size, 1)
        return F.conv_transpose1d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of (N, C, H, W)."""

    spatial = 2

    def forward(self, input: Tensor, output_size: Sizes | None = None) -> Tensor:
        extra = self._output_padding(input, output_size, 2)
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of (N, C, D, H, W)."""

    spatial = 3

    def forward(self, input: Tensor, output_size: Sizes | None = None) -> Tensor:
        extra = self._output_padding(input, output_size, 3)
        return F.conv_transpose3d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


# ---------------------------------------------------------------- lazy forms
class _LazyConv(LazyModuleMixin):
    """`in_channels` comes from the first input."""

    groups: int
    transposed: bool

    def __init__(self, out_channels: int, kernel_size: Sizes, *args: Any, device: Any = None, dtype: Any = None, **kwargs: Any) -> None:
        with_bias = kwargs.pop("bias", None)
        if with_bias is None:
            place = 4  # after stride, padding, dilation or output_padding, and groups
            with_bias = args[place] if len(args) > place else True
            args = (*args[:place], False, *args[place + 1 :]) if len(args) > place else args
        if len(args) < 5:
            kwargs["bias"] = False
        super().__init__(0, 0, kernel_size, *args, **kwargs)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if with_bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, from `input` (N, C, ...)."""
        if not self.has_uninitialized_params():
            return
        n = self.spatial  # type: ignore[attr-defined]
        if input.dim() not in (n + 1, n + 2):
            raise refuse(
                RuntimeError,
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {type(self).__name__}, but got input of size: {input.shape}",
                received=f"{tuple(input.shape)}",
            )
        self.in_channels = input.shape[-n - 1]
        if self.in_channels % self.groups:  # type: ignore[attr-defined]
            raise refuse(ValueError, "in_channels must be divisible by groups", received=f"{self.in_channels=}, {self.groups=}")  # type: ignore[attr-defined]
        pair = (
            (self.in_channels, self.out_channels // self.groups)
            if self.transposed
            else (self.out_channels, self.in_channels // self.groups)
        )  # type: ignore[attr-defined]
        self.weight.materialize((*pair, *self.kernel_size))  # type: ignore[attr-defined]
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d that takes `in_channels` from its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d that takes `in_channels` from its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A Conv3d that takes `in_channels` from its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """A ConvTranspose1d that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """A ConvTranspose2d that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """A ConvTranspose3d that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose3d
