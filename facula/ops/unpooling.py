"""Unpooling, and max pooling over windows at random places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.placing import known
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import pooling as kernels
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, sample, uniform, values
from .formats import flat, image, result
from .pooling import planes_last


class MaxUnpool(Fused):
    """Zeros with x at the indices of its plane."""

    schema = "max_unpool(Tensor input, Tensor indices, int[] size, int spatial) -> Tensor"
    batching = "fold input indices"
    paths = ""

    @staticmethod
    def kernel(x: Layout, indices: Layout, size: Any, spatial: int) -> Result:
        out = image(size, x.dtype, planes_last(x, spatial))
        return result((out,), kernels.max_unpool(flat(out), flat(x), spatial=spatial), x, indices)

    @staticmethod
    def gradient(g: Tensor, indices: Tensor, spatial: int) -> tuple[Any, ...]:
        return ops.pool_take(g, indices, spatial), None


def _unpooled(n: int, x: Any, indices: Any, size: Any, stride: Any, padding: Any) -> Tensor:
    _check(n, x, indices, size, stride, padding)
    index = indices.contiguous()
    volume = math.prod(size)
    if index._layout.numel and known(index) and not bool(((index >= 0) & (index < volume)).all()):
        bad = next(v for v in index.reshape(-1).tolist() if not 0 <= v < volume)
        raise refuse(
            RuntimeError,
            f"Found an invalid max index: {bad} (output volumes are of size {'x'.join(map(str, size))}",
            received=f"index {bad}",
            expected=f"0 to {volume - 1}",
        )
    return ops.max_unpool(x, index, (*x.shape[: x.ndim - n], *size), n)


def _check(n: int, x: Any, indices: Any, size: Any, stride: Any, padding: Any) -> None:
    title = f"max_unpool{n}d"
    for place, (name, t) in enumerate((("input", x), ("indices", indices)), 1):
        if not isinstance(t, Tensor):
            raise refuse(TypeError, f"{title}(): argument '{name}' (position {place}) must be Tensor, not {type(t).__name__}")
    if indices.dtype is not d.int64:
        raise refuse(
            RuntimeError, "elements in indices should be type int64" + (f" but got: {scalar_type_name(indices.dtype)}" if n == 2 else "")
        )
    if len(size) != n:
        raise refuse(
            RuntimeError,
            f"There should be exactly {'two elements (height, width)' if n == 2 else 'three elements (depth, height, width)'} in output_size, but got {len(size)} elements.",
        )
    if x.ndim not in (n + 1, n + 2):
        raise refuse(
            RuntimeError, f"Input to max_unpooling{n}d should be a {n + 1}d or {n + 2}d Tensor, but got a tensor with {x.ndim} dimensions."
        )
    if n == 3 and any(v <= 0 for v in stride):
        raise refuse(RuntimeError, f"strides should be greater than zero, but got stride: {list(stride)}")
    if tuple(x.shape) != tuple(indices.shape):
        raise refuse(
            RuntimeError,
            f"Expected shape of indices to be same as that of the input tensor ({list(x.shape)}) but got indices tensor with shape: {list(indices.shape)}",
        )
    if not x.dtype.is_floating_point:
        raise refuse(NotImplementedError, f"\"{title}\" not implemented for '{scalar_type_name(x.dtype)}'")
    for i in range(1, x.ndim):
        if x.shape[i] == 0:
            raise refuse(
                RuntimeError,
                f"{title}(): Expected input to have non-zero size for non-batch dimensions, but got {list(x.shape)} with dimension {i} being empty.",
            )


class MaxUnpool2d(Composite):
    """Zeros with each value where its index, in the plane of `output_size`, says."""

    schema = "max_unpool2d(Tensor input, Tensor indices, int[] output_size) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, indices: Tensor, output_size: Sequence[int]) -> Tensor:
        return _unpooled(2, input, indices, output_size, None, None)

    samples = [sample(distinct(1, 1, 2, 2), values([[[[0, 3], [9, 15]]]]), (4, 4))]


class MaxUnpool3d(Composite):
    """Zeros with each value where its index, in the volume of `output_size`, says."""

    schema = "max_unpool3d(Tensor input, Tensor indices, int[] output_size, int[] stride, int[] padding) -> Tensor"
    paths = ""

    @staticmethod
    def compose(input: Tensor, indices: Tensor, output_size: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Tensor:
        return _unpooled(3, input, indices, output_size, stride, padding)

    samples = [sample(distinct(1, 1, 1, 2, 2), values([[[[[0, 3], [9, 15]]]]]), (2, 4, 2), (2, 2, 2), (0, 0, 0))]


# -- windows at random places. Graham 2014, arXiv 1412.6071
class FractionalMaxPool(Fused):
    """(maxima, int64 flat index of each in its plane) of windows at places that `random_samples` (N, C, n) choose."""

    schema = (
        "fractional_max_pool(Tensor input, int[] kernel_size, int[] output_size, Tensor random_samples) -> (Tensor out, Tensor indices)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(input: Layout, kernel_size: Any, output_size: Any, random_samples: Layout) -> Result:
        n = len(kernel_size)
        shape = (*input.shape[: input.ndim - n], *output_size)
        out = layout(shape, input.dtype)
        order = range(n - 1, -1, -1) if n == 2 else range(n)  # images: the width's number comes first
        return Result((out, layout(shape, d.int64)), kernels.fractional_max_pool(out, input, kernel=kernel_size, order=order))

    @staticmethod
    def gradient(g0: Tensor, input: Tensor, out1: Tensor, kernel_size: Any) -> tuple[Any, ...]:
        return ops.pool_put(g0, out1.detach(), input, len(kernel_size)), None


def _fractional(n: int, input: Tensor, kernel_size: Any, output_size: Any, samples: Tensor) -> tuple[Tensor, Tensor]:
    title = f"fractional_max_pool{n}d"
    if input.ndim not in (n + 1, n + 2) or any(v == 0 for v in input.shape[-n - 1 :]):
        raise refuse(
            RuntimeError, f"{title}(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(input.shape)}", received=f"{tuple(input.shape)}"
        )
    if not input.dtype.is_floating_point:
        raise refuse(NotImplementedError, f"\"{title}_out_frame\" not implemented for '{scalar_type_name(input.dtype)}'")
    if samples.dtype is not input.dtype:
        raise refuse(
            RuntimeError, "Expect _random_samples to have the same dtype as input", received=str(samples.dtype), expected=str(input.dtype)
        )
    planes = (1 if input.ndim == n + 1 else input.shape[0], input.shape[-n - 1], n)
    if tuple(samples.shape) != planes:
        raise refuse(RuntimeError, f"Expect _random_samples to have shape {list(planes)}, got {list(samples.shape)}")
    for name, size, k, r in zip(("time", "height", "width")[3 - n :], input.shape[-n:], kernel_size, output_size):
        if r + k - 1 > size or r < 1:
            raise refuse(RuntimeError, f"{title}(): pool {name} {k} too large relative to input {name} {size}", received=f"output {r}")
    got = ops.fractional_max_pool(input, tuple(kernel_size), tuple(output_size), samples)
    return got[0], got[1]


def _declare(n: int) -> None:
    def compose(input: Tensor, kernel_size: Any, output_size: Any, random_samples: Tensor) -> tuple[Tensor, Tensor]:
        return _fractional(n, input, kernel_size, output_size, random_samples)

    body = {
        "__doc__": f"Maxima of windows at random places over the last {n} dims, and where they were.", "__module__": __name__, "paths": "",
        "schema": f"fractional_max_pool{n}d(Tensor input, int[] kernel_size, int[] output_size, Tensor random_samples) -> Tensor",
        "compose": staticmethod(compose), "samples": [sample(distinct(1, 1, *(5, 4, 4)[:n]), (2,) * n, (2,) * n, uniform(1, 1, n, low=0.0, high=1.0))],
    }  # fmt: skip
    type(f"FractionalMaxPool{n}d", (Composite,), body)


_declare(2)
_declare(3)
