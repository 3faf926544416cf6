"""Sliding windows as columns and back, and shuffles between channels and pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..base.device import contiguous_format
from ..base.errors import refuse
from ..core.tensor import Tensor
from ..spec.block import Composite, Procedure
from ..spec.registry import ops
from ..spec.samples import normal, refused, sample

SIZES = "int[] kernel_size, int[] dilation, int[] padding, int[] stride"


def counts(
    sizes: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> tuple[int, ...]:
    """Windows along each dim."""
    return tuple((n + 2 * p - dl * (k - 1) - 1) // s + 1 for n, k, dl, p, s in zip(sizes, kernel, dilation, padding, stride))


def windows_of(x: Tensor, kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]) -> Tensor:
    """x (N, C, *S) -> a view (N, C, *K, *L) of x padded with zeros; run outside the tape."""
    if any(padding):
        x = ops.constant_pad_nd(x, [v for p in reversed(padding) for v in (p, p)], 0)
    x = x.contiguous()
    places = counts(x.shape[2:], kernel, dilation, (0,) * len(kernel), stride)
    steps = x.stride()[2:]
    strides = (*x.stride()[:2], *(v * dl for v, dl in zip(steps, dilation)), *(v * s for v, s in zip(steps, stride)))
    return ops.as_strided_from(x, (*x.shape[:2], *kernel, *places), strides, 0)


class Columns(Procedure):
    """Windows of (N, C, *S) as columns (N, C prod(K), L)."""

    schema = f"columns(Tensor input, {SIZES}) -> Tensor"
    batching = "fold input"
    paths = ""

    @staticmethod
    def run(input: Tensor, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
        view = windows_of(input, kernel_size, dilation, padding, stride)
        n = 2 + len(kernel_size)
        return view.contiguous().view((view.shape[0], math.prod(view.shape[1:n]), math.prod(view.shape[n:])))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
        return ops.uncolumns(g, tuple(input.shape[2:]), kernel_size, dilation, padding, stride)


class Uncolumns(Procedure):
    """Columns (N, C prod(K), L) added up where their windows lie: (N, C, *S)."""

    schema = f"uncolumns(Tensor input, int[] output_size, {SIZES}) -> Tensor"
    batching = "fold input"
    paths = ""

    @staticmethod
    def run(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
        channels = input.shape[1] // max(math.prod(kernel_size), 1)
        padded = [n + 2 * p for n, p in zip(output_size, padding)]
        out = ops.zeros((input.shape[0], channels, *padded), dtype=input.dtype)
        places = counts(output_size, kernel_size, dilation, padding, stride)
        taps = input.reshape((input.shape[0], channels, math.prod(kernel_size), *places))
        for tap in range(math.prod(kernel_size)):  # one tap of all windows at a time: those never overlap
            at, rest = [], tap
            for k, dl in zip(reversed(kernel_size), reversed(dilation)):
                at.append(rest % k * dl)
                rest //= k
            where = tuple(slice(a, a + (m - 1) * s + 1, s) for a, m, s in zip(reversed(at), places, stride))
            out[(slice(None), slice(None), *where)].add_(taps[:, :, tap])
        inner = tuple(slice(p, p + n) for p, n in zip(padding, output_size))
        return out[(slice(None), slice(None), *inner)].contiguous()

    @staticmethod
    def gradient(g: Tensor, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
        return ops.columns(g, kernel_size, dilation, padding, stride)


def _pair(values: Any, name: str) -> tuple[int, int]:
    got = (values, values) if isinstance(values, int) else tuple(values)
    got = got * 2 if len(got) == 1 else got
    if len(got) != 2:
        raise refuse(RuntimeError, f"It is expected {name} equals to 2, but got size {len(got)}")
    return int(got[0]), int(got[1])


def _positive(**sizes: tuple[int, int]) -> None:
    for name, (h, w) in sizes.items():
        if name == "padding":
            if min(h, w) < 0:
                raise refuse(RuntimeError, f"padding should be non-negative, but got pad_height: {h} pad_width: {w}")
        elif min(h, w) <= 0:
            raise refuse(RuntimeError, f"{name} should be greater than zero, but got {name}_height: {h} {name}_width: {w}")


class Im2col(Composite):
    """Sliding blocks of images as columns: (N, C, H, W) -> (N, C kh kw, L). F.unfold."""

    schema = "im2col(Tensor input, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
        kernel, dil, pad, step = (
            _pair(v, n) for v, n in ((kernel_size, "kernel_size"), (dilation, "dilation"), (padding, "padding"), (stride, "stride"))
        )
        _positive(kernel=kernel, dilation=dil, padding=pad, stride=step)
        if input.ndim not in (3, 4) or any(v == 0 for v in input.shape[-3:]):
            raise refuse(
                RuntimeError,
                f"Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {list(input.shape)}",
            )
        x = input if input.ndim == 4 else input.unsqueeze(0)
        places = counts(x.shape[2:], kernel, dil, pad, step)
        if min(places) < 1:
            h, w = x.shape[2:]
            raise refuse(
                RuntimeError,
                f"Given input with spatial size ({h}, {w}), kernel_size=({kernel[0]}, {kernel[1]}), dilation=({dil[0]}, {dil[1]}), padding=({pad[0]}, {pad[1]}), stride=({step[0]}, {step[1]}), calculated shape of the array of sliding blocks as ({places[0]}, {places[1]}), but its components must be at least one.",
            )
        y = ops.columns(x, kernel, dil, pad, step)
        return y if input.ndim == 4 else y.squeeze(0)

    samples = [sample(normal(2, 3, 5, 6), (2, 3), 1, 1, 2)]


class Col2im(Composite):
    """Columns added up to images: (N, C kh kw, L) -> (N, C, H, W). F.fold."""

    schema = "col2im(Tensor input, int[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
        size, kernel, dil, pad, step = (
            _pair(v, n)
            for v, n in (
                (output_size, "output_size"),
                (kernel_size, "kernel_size"),
                (dilation, "dilation"),
                (padding, "padding"),
                (stride, "stride"),
            )
        )
        _positive(kernel=kernel, dilation=dil, padding=pad, stride=step)
        if input.ndim not in (2, 3) or any(v == 0 for v in input.shape[-2:]):
            raise refuse(
                RuntimeError,
                f"Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but got: {list(input.shape)}",
            )
        x = input if input.ndim == 3 else input.unsqueeze(0)
        if x.shape[1] % math.prod(kernel):
            raise refuse(
                RuntimeError,
                f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={x.shape[1]} and kernel_size=({kernel[0]}, {kernel[1]}).",
            )
        places = counts(size, kernel, dil, pad, step)
        if x.shape[2] != math.prod(places) or min(places) < 1:
            raise refuse(
                RuntimeError,
                f"Given output_size=({size[0]}, {size[1]}), kernel_size=({kernel[0]}, {kernel[1]}), dilation=({dil[0]}, {dil[1]}), padding=({pad[0]}, {pad[1]}), stride=({step[0]}, {step[1]}), expected size of input's dimension 2 to match the calculated number of sliding blocks {places[0]} * {places[1]} = {math.prod(places)}, but got input.size(2)={x.shape[2]}.",
            )
        y = ops.uncolumns(x, size, kernel, dil, pad, step)
        return y if input.ndim == 3 else y.squeeze(0)

    samples = [sample(normal(2, 18, 9), (5, 6), (2, 3), 1, 1, 2)]


class PixelShuffle(Composite):
    """(*, C r^2, H, W) -> (*, C, H r, W r). Shi et al. 2016, arXiv 1609.05158."""

    schema = "pixel_shuffle(Tensor input, int upscale_factor) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(input: Tensor, upscale_factor: int) -> Tensor:
        r = _factor("pixel_shuffle", input, upscale_factor, "upscale_factor")
        *lead, c, h, w = input.shape
        if c % (r * r):
            raise refuse(
                RuntimeError,
                f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}",
            )
        n = len(lead)
        x = input.reshape((*lead, c // (r * r), r, r, h, w)).permute((*range(n), n, n + 3, n + 1, n + 4, n + 2))
        return x.clone(memory_format=contiguous_format).view((*lead, c // (r * r), h * r, w * r))

    samples = [sample(normal(2, 8, 3, 2), 2), sample(normal(9, 2, 2), 3)]
    refusals = [refused(normal(2, 3, 3), 2, raises=RuntimeError, match="divisible by the square of upscale_factor")]


class PixelUnshuffle(Composite):
    """(*, C, H r, W r) -> (*, C r^2, H, W)."""

    schema = "pixel_unshuffle(Tensor input, int downscale_factor) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(input: Tensor, downscale_factor: int) -> Tensor:
        r = _factor("pixel_unshuffle", input, downscale_factor, "downscale_factor")
        *lead, c, h, w = input.shape
        for name, place, size in (("height", -2, h), ("width", -1, w)):
            if size % r:
                raise refuse(
                    RuntimeError,
                    f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({place})={size} is not divisible by {r}",
                )
        n = len(lead)
        x = input.reshape((*lead, c, h // r, r, w // r, r)).permute((*range(n), n, n + 2, n + 4, n + 1, n + 3))
        return x.clone(memory_format=contiguous_format).view((*lead, c * r * r, h // r, w // r))

    samples = [sample(normal(2, 2, 6, 4), 2), sample(normal(1, 3, 6), 3)]


def _factor(name: str, x: Any, factor: Any, argument: str) -> int:
    if not isinstance(x, Tensor):
        raise refuse(TypeError, f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    if isinstance(factor, bool) or not hasattr(factor, "__index__"):
        raise refuse(TypeError, f"{name}(): argument '{argument}' (position 2) must be int, not {type(factor).__name__}")
    if x.ndim < 3:
        raise refuse(
            RuntimeError,
            f"{name} expects input to have at least 3 dimensions, but got input with {x.ndim} dimension(s)",
            received=f"{tuple(x.shape)}",
        )
    if factor <= 0:
        raise refuse(RuntimeError, f"{name} expects a positive {argument}, but got {factor}")
    return int(factor)


class ChannelShuffle(Composite):
    """(N, G K, *) -> the same channels, groups interleaved. Zhang et al. 2017, arXiv 1707.01083."""

    schema = "channel_shuffle(Tensor input, int groups) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(input: Tensor, groups: int) -> Tensor:
        if input.ndim < 3:
            raise refuse(RuntimeError, f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
        c = input.shape[1]
        if groups <= 0:
            raise refuse(RuntimeError, f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
        if c % groups:
            raise refuse(RuntimeError, f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
        n, *rest = input.shape[0], *input.shape[2:]
        return input.reshape((n, groups, c // groups, *rest)).transpose(1, 2).reshape(tuple(input.shape))

    samples = [sample(normal(2, 6, 3), 3), sample(normal(2, 4, 3, 2), 2)]


class NativeChannelShuffle(Composite):
    """channel_shuffle by its other name."""

    schema = "native_channel_shuffle(Tensor input, int groups) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(input: Tensor, groups: int) -> Tensor:
        return ops.channel_shuffle(input, groups)

    samples = [sample(normal(2, 6, 3), 3)]
