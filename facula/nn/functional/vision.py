"""Functions on images and volumes: padding, resizing, sampling on a grid, sliding blocks."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...base.errors import refuse, warn
from ...core import Tensor
from .arguments import Sizes, repeated
from .pooling import adaptive_avg_pool2d, adaptive_avg_pool3d


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dims: `pad` is (left, right) of the last dim, then of the one before. Modes constant, reflect, replicate, circular."""
    return ops.pad(input, pad, mode, value)


# ---------------------------------------------------------------- resizing
# mode: the number of dims it wants (None: 3, 4 or 5), and the op's name by dims
RESIZE = {
    "nearest": {3: "upsample_nearest1d", 4: "upsample_nearest2d", 5: "upsample_nearest3d"},
    "nearest-exact": {3: "_upsample_nearest_exact1d", 4: "_upsample_nearest_exact2d", 5: "_upsample_nearest_exact3d"},
    "linear": {3: "upsample_linear1d"},
    "bilinear": {4: "upsample_bilinear2d"},
    "bicubic": {4: "upsample_bicubic2d"},
    "trilinear": {5: "upsample_trilinear3d"},
}
MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"


def _target_size(input: Tensor, size: Any, scale_factor: Any) -> tuple[list[int] | None, list[float] | None]:
    """(output sizes, None) or (None, factors), one per spatial dim."""
    ndim = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise refuse(ValueError, "only one of size or scale_factor should be defined", received=f"{size=}, {scale_factor=}")
    if size is None and scale_factor is None:
        raise refuse(ValueError, "either size or scale_factor should be defined", hint="size=(H, W) or scale_factor=2")
    given, word = (size, "output") if size is not None else (scale_factor, "factor")
    if not isinstance(given, (list, tuple)):
        return ([given] * ndim, None) if word == "output" else (None, [given] * ndim)
    if len(given) != ndim:
        spatial = list(input.shape[2:])
        if word == "output":
            raise refuse(
                ValueError,
                f"Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of "
                f"{spatial} and output size of {size}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and output size in "
                "(o1, o2, ...,oK) format.",
                received=f"{tuple(input.shape)}",
                expected=f"{len(given) + 2} dims",
            )
        raise refuse(
            ValueError,
            f"Input and scale_factor must have the same number of spatial dimensions, but got input with spatial dimensions of "
            f"{spatial} and scale_factor of shape {scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
            "scale_factor in (s1, s2, ...,sK) format.",
            received=f"{tuple(input.shape)}",
            expected=f"{len(given) + 2} dims",
        )
    if word == "factor":
        return None, list(given)
    if not all(isinstance(s, int) and not isinstance(s, bool) for s in given):
        raise refuse(
            TypeError,
            "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but got size with types "
            f"{[type(s) for s in given]}",
        )
    return list(given), None


def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Resize the spatial dims of (N, C, ...) to `size` or by `scale_factor`."""
    exact = mode in ("nearest", "area", "nearest-exact")
    if exact and align_corners is not None:
        raise refuse(
            ValueError,
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear",
            received=f"{mode=}, {align_corners=}",
        )
    if align_corners is not None and not isinstance(align_corners, bool):
        raise refuse(TypeError, f"interpolate(): argument 'align_corners' must be bool, not {type(align_corners).__name__}",
                     received=f"{align_corners=!r:.60}", expected="True, False or None")  # fmt: skip
    align = bool(align_corners)
    sizes, factors = _target_size(input, size, scale_factor)
    if recompute_scale_factor and sizes is not None:
        raise refuse(ValueError, "recompute_scale_factor is not meaningful with an explicit size.", received=f"{size=}")
    if factors is not None and (recompute_scale_factor or mode == "area"):
        sizes, factors = [int(input.size(i + 2) * f) for i, f in enumerate(factors)], None
    ndim = input.dim()
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and ndim == 4):
        raise refuse(
            ValueError,
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input",
            received=f"{mode=}, {ndim} dims",
        )
    if mode == "area" and ndim in (3, 4, 5):
        return {3: ops.adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}[ndim](input, sizes)
    by_dims = RESIZE.get(mode, {})
    if ndim in by_dims:
        name = by_dims[ndim]
        if exact:
            return getattr(ops, name)(input, sizes, factors)
        return getattr(ops, f"_{name}_aa" if antialias else name)(input, sizes, align, factors)
    if by_dims and ndim in (3, 4, 5) and mode != "bicubic":
        raise refuse(
            NotImplementedError, f"Got {ndim}D input, but {mode} mode needs {next(iter(by_dims))}D input", received=f"{tuple(input.shape)}"
        )
    raise refuse(
        NotImplementedError,
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {ndim}D) for the modes: {MODES} (got {mode})",
        received=f"{tuple(input.shape)}, {mode=}",
    )


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None) -> Tensor:
    """The old name of `interpolate`."""
    warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The old name of `interpolate` with mode nearest."""
    warn("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The old name of `interpolate` with mode bilinear and aligned corners."""
    warn("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---------------------------------------------------------------- sampling on a grid
SAMPLE_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
OUTSIDE = {"zeros": 0, "border": 1, "reflection": 2}


def _aligned(align_corners: bool | None) -> bool:
    if align_corners is None:
        warn("Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
                      "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.")  # fmt: skip
    return bool(align_corners)


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Values of `input` (N, C, H, W) at `grid` (N, h, w, 2), coordinates (x, y) from -1 to 1; or with three spatial dims."""
    if mode not in SAMPLE_MODES:
        raise refuse(ValueError, f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if padding_mode not in OUTSIDE:
        raise refuse(ValueError, "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
                     f"but got: '{padding_mode}'")  # fmt: skip
    return ops.grid_sampler(input, grid, SAMPLE_MODES[mode], OUTSIDE[padding_mode], _aligned(align_corners))


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The grid that `grid_sample` needs for the affine maps `theta` (N, 2, 3) and an output of `size` (N, C, H, W); or (N, 3, 4)."""
    align = _aligned(align_corners)
    if not theta.is_floating_point():
        raise refuse(ValueError, f"Expected theta to have floating point type, but got {theta.dtype}", received=str(theta.dtype))
    if len(size) not in (4, 5):
        raise refuse(NotImplementedError, "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
                     f"Got size {size}.", received=f"{tuple(size)}")  # fmt: skip
    n = len(size) - 2
    if theta.dim() != 3 or theta.size(-2) != n or theta.size(-1) != n + 1:
        raise refuse(ValueError, f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got {theta.shape}.",
                     received=f"{tuple(theta.shape)}", expected=f"(N, {n}, {n + 1})")  # fmt: skip
    if min(size[2:]) <= 0:
        raise refuse(ValueError, f"Expected non-zero, positive output size. Got {size}", received=f"{tuple(size)}")
    return ops.affine_grid_generator(theta, size, align)


# ---------------------------------------------------------------- sliding blocks
def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Blocks of (N, C, H, W) as columns: (N, C * kernel elements, blocks)."""
    return ops.im2col(input, repeated(kernel_size, 2), repeated(dilation, 2), repeated(padding, 2), repeated(stride, 2))


def fold(input: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Sum columns (N, C * kernel elements, blocks) back into (N, C, *output_size); where blocks overlap, values add up."""
    return ops.col2im(
        input, repeated(output_size, 2), repeated(kernel_size, 2), repeated(dilation, 2), repeated(padding, 2), repeated(stride, 2)
    )
