"""Pooling: windows over one to three spatial dims, adaptive and fractional forms, and their inverse."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...base.errors import refuse
from ...core import Tensor
from .arguments import Sizes, repeated, sizes_with_default


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, L), and where they were."""
    return ops.max_pool1d_with_indices(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, H, W), and where they were."""
    return ops.max_pool2d_with_indices(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, D, H, W), and where they were."""
    return ops.max_pool3d_with_indices(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima of windows of (N, C, L); with `return_indices` also where they were."""
    if return_indices:
        return max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return ops.max_pool1d(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima of windows of (N, C, H, W); with `return_indices` also where they were."""
    if return_indices:
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return ops.max_pool2d(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima of windows of (N, C, D, H, W); with `return_indices` also where they were."""
    if return_indices:
        return max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return ops.max_pool3d(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


# ---------------------------------------------------------------- the inverse
def unpooled_size(
    input: Tensor, kernel_size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], output_size: Any
) -> list[int]:
    """Spatial sizes of an unpooled tensor; a given `output_size` must be one that pools to the input's."""
    n = len(kernel_size)
    shape = input.size()
    default = [(shape[len(shape) - n + d] - 1) * stride[d] + kernel_size[d] - 2 * padding[d] for d in range(n)]
    if output_size is None:
        return default
    wanted = output_size[2:] if len(output_size) == n + 2 else output_size
    if len(wanted) != n:
        raise refuse(
            ValueError,
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of '{len(wanted)}'",
            received=f"output_size={tuple(output_size)}",
        )
    for d, size in enumerate(wanted):
        low, high = default[d] - stride[d], default[d] + stride[d]
        if not low < size < high:
            raise refuse(
                ValueError,
                f'invalid output_size "{wanted}" (dim {d} must be between {low} and {high})',
                received=f"{tuple(wanted)}",
                expected=f"near {tuple(default)}",
            )
    return list(wanted)


def _unpool_arguments(input: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any, n: int) -> tuple[Any, Any, Any]:
    kernel = repeated(kernel_size, n)
    step = kernel if stride is None else repeated(stride, n)
    pad = repeated(padding, n)
    if input.dim() < n:
        raise IndexError("tuple index out of range")
    return unpooled_size(input, kernel, step, pad, output_size), step, pad


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, output_size: Sizes | None = None
) -> Tensor:
    """Put maxima back to where `max_pool1d(..., return_indices=True)` found them; zeros elsewhere."""
    size, _, _ = _unpool_arguments(input, kernel_size, stride, padding, output_size, 1)
    return ops.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), [*size, 1]).squeeze(-1)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, output_size: Sizes | None = None
) -> Tensor:
    """Put maxima back to where `max_pool2d(..., return_indices=True)` found them; zeros elsewhere."""
    size, _, _ = _unpool_arguments(input, kernel_size, stride, padding, output_size, 2)
    return ops.max_unpool2d(input, indices, size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, output_size: Sizes | None = None
) -> Tensor:
    """Put maxima back to where `max_pool3d(..., return_indices=True)` found them; zeros elsewhere."""
    size, step, pad = _unpool_arguments(input, kernel_size, stride, padding, output_size, 3)
    return ops.max_unpool3d(input, indices, size, step, pad)


# ---------------------------------------------------------------- power means
def _root(mean: Tensor, count: int, norm_type: float) -> Tensor:
    return (ops.sign(mean) * ops.relu(ops.abs(mean))).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> Tensor:
    """(sum of x^p)^(1/p) over windows of (N, C, L)."""
    mean = ops.avg_pool1d(input.pow(norm_type), kernel_size, kernel_size if stride is None else stride, 0, ceil_mode)
    return _root(mean, repeated(kernel_size, 1)[0], norm_type)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> Tensor:
    """(sum of x^p)^(1/p) over windows of (N, C, H, W)."""
    h, w = repeated(kernel_size, 2)
    return _root(
        ops.avg_pool2d(input.pow(norm_type), kernel_size, kernel_size if stride is None else stride, 0, ceil_mode), h * w, norm_type
    )


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> Tensor:
    """(sum of x^p)^(1/p) over windows of (N, C, D, H, W)."""
    d, h, w = repeated(kernel_size, 3)
    return _root(
        ops.avg_pool3d(input.pow(norm_type), kernel_size, kernel_size if stride is None else stride, 0, ceil_mode), d * h * w, norm_type
    )


# ---------------------------------------------------------------- adaptive
def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Sizes, return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """Maxima of `output_size` parts of (N, C, L), and where they were."""
    return ops.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: Sizes, return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """Maxima of `output_size` parts of (N, C, H, W), and where they were."""
    return ops.adaptive_max_pool2d(input, sizes_with_default(output_size, input.size()))


def adaptive_max_pool3d_with_indices(input: Tensor, output_size: Sizes, return_indices: bool = False) -> tuple[Tensor, Tensor]:
    """Maxima of `output_size` parts of (N, C, D, H, W), and where they were."""
    return ops.adaptive_max_pool3d(input, sizes_with_default(output_size, input.size()))


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Maxima of `output_size` parts of (N, C, L); with `return_indices` also where they were."""
    pair = adaptive_max_pool1d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


def adaptive_max_pool2d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Maxima of `output_size` parts of (N, C, H, W); with `return_indices` also where they were."""
    pair = adaptive_max_pool2d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


def adaptive_max_pool3d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Maxima of `output_size` parts of (N, C, D, H, W); with `return_indices` also where they were."""
    pair = adaptive_max_pool3d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


def adaptive_avg_pool2d(input: Tensor, output_size: Sizes) -> Tensor:
    """Means of `output_size` parts of (N, C, H, W); None keeps the input's size there."""
    return ops.adaptive_avg_pool2d(input, sizes_with_default(output_size, input.size()))


def adaptive_avg_pool3d(input: Tensor, output_size: Sizes) -> Tensor:
    """Means of `output_size` parts of (N, C, D, H, W); None keeps the input's size there."""
    return ops.adaptive_avg_pool3d(input, sizes_with_default(output_size, input.size()))


# ---------------------------------------------------------------- fractional. Graham 2014, arXiv 1412.6071
def _fractional(
    input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None, n: int
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{n}d"
    if output_size is None and output_ratio is None:
        raise refuse(ValueError, f"{name} requires specifying either an output_size or an output_ratio", hint="output_ratio=0.7")
    if output_size is None:
        ratio = (output_ratio,) * n if isinstance(output_ratio, (int, float)) else tuple(output_ratio)
        output_size = [int(input.size(d - n) * ratio[d]) for d in range(n)]
    if samples is None:
        batch = 1 if input.dim() == n + 1 else input.size(0)
        samples = ops.rand(batch, input.size(-n - 1), n, dtype=input.dtype, device=input.device)
    op = ops.fractional_max_pool2d if n == 2 else ops.fractional_max_pool3d
    return op(input, repeated(kernel_size, n), repeated(output_size, n), samples)


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows at pseudo-random places of (N, C, H, W), and where they were."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows at pseudo-random places of (N, C, D, H, W), and where they were."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows at pseudo-random places of (N, C, H, W); with `return_indices` also where they were."""
    pair = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return pair if return_indices else pair[0]


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows at pseudo-random places of (N, C, D, H, W); with `return_indices` also where they were."""
    pair = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return pair if return_indices else pair[0]
