"""Resizing images and volumes, and sampling them on a grid."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import resample as kernels
from ..kernel import sampling
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, ones, sample, uniform

SCALES = "str mode, bool align_corners, any scales"


class Resample(Fused):
    """The last dims resized: (N, C, *S) -> (N, C, *output_size)."""

    schema = f"resample(Tensor input, int[] output_size, {SCALES}) -> Tensor"
    batching = "fold input"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, output_size: Any, mode: str, align_corners: bool, scales: Any) -> Result:
        n = len(output_size)
        out = layout((*x.shape[:-n], *output_size), x.dtype)
        return Result((out,), kernels.resample(out, x, spatial=n, mode=mode, align_corners=align_corners, scales=scales))

    @staticmethod
    def gradient(g: Tensor, input: Layout, mode: str, align_corners: bool, scales: Any, output_size: Any) -> Tensor:
        return ops.resample_backward(g, tuple(input.shape[-len(output_size) :]), mode, align_corners, scales)


class ResampleBackward(Fused):
    """The gradient of resample by its input, which has `input_size`."""

    schema = f"resample_backward(Tensor grad, int[] input_size, {SCALES}) -> Tensor"
    batching = "fold grad +input_size"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, input_size: Any, mode: str, align_corners: bool, scales: Any) -> Result:
        n = len(input_size)
        out = layout((*g.shape[:-n], *input_size), g.dtype)
        return Result((out,), kernels.resample_backward(out, g, spatial=n, mode=mode, align_corners=align_corners, scales=scales))

    @staticmethod
    def gradient(g: Tensor, grad: Layout, mode: str, align_corners: bool, scales: Any, input_size: Any) -> Tensor:
        return ops.resample(g, tuple(grad.shape[-len(input_size) :]), mode, align_corners, scales)


def _sizes(name: str, x: Any, n: int, size: Any, factors: Any) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """(output sizes, the user's factors), checked as PyTorch does."""
    if not isinstance(x, Tensor):
        raise refuse(TypeError, f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    if (size is None) == (factors is None):
        raise refuse(
            RuntimeError,
            "Must specify exactly one of output_size and scale_factors",
            received=f"output_size={size}, scale_factors={factors}",
        )
    given = tuple(size) if size is not None else tuple(float(f) for f in factors)
    if x.ndim != n + 2 or len(given) != n:
        raise refuse(
            RuntimeError,
            f"It is expected input_size equals to {n + 2}, but got size {x.ndim}"
            if x.ndim != n + 2
            else f"It is expected output_size equals to {n}, but got size {len(given)}",
        )
    result = given if size is not None else tuple(int(s * f) for s, f in zip(x.shape[2:], given))
    if min(*x.shape[2:], *result) <= 0:
        axes = ("W",) if n == 1 else "HW" if n == 2 else "DHW"
        shown = [", ".join(f"{a}: {v}" for a, v in zip(axes, sizes)) for sizes in (x.shape[2:], result)]
        raise refuse(RuntimeError, f"Input and output sizes should be greater than 0, but got input ({shown[0]}) output ({shown[1]})")
    if math.prod(x.shape[1:]) == 0:
        raise refuse(RuntimeError, f"Non-empty {n + 2}D data tensor expected but got a tensor with sizes {list(x.shape)}")
    return tuple(int(v) for v in result), (given if size is None else None)


def _last(x: Tensor) -> bool:
    """PyTorch takes its channels-last path."""
    return x.ndim == 4 and (not x.is_contiguous() or x.shape[1] == 1)


KERNELS = {"nearest": "nearest", "nearest-exact": "nearest", "linear": "linear", "cubic": "cubic"}


def _resized(name: str, n: int, mode: str, input: Tensor, size: Any, align: bool, factors: Any) -> Tensor:
    sizes, scales = _sizes(name, input, n, size, factors)
    x = input
    if x.dtype is d.uint8 and mode != "cubic":
        return ops.resample(x.to(d.float32), sizes, mode, align, scales).round().to(d.uint8)
    if not x.dtype.is_floating_point:
        title = f"compute_indices_weights_{KERNELS[mode]}"
        if n == 2 and mode != "cubic" and _last(x):
            title = f"upsample_{'nearest' if mode.startswith('nearest') else 'bilinear'}2d_channels_last"
        raise refuse(
            NotImplementedError,
            f"\"{title}\" not implemented for '{scalar_type_name(x.dtype)}'",
            received=str(x.dtype),
            expected="a floating dtype",
        )
    return ops.resample(x, sizes, mode, align, scales)


def _declare(name: str, n: int, mode: str) -> None:
    """upsample_NAME(input, output_size[, align_corners], scale_factors)."""
    exact = mode.startswith("nearest")

    def nearest(input: Tensor, output_size: Any = None, scale_factors: Any = None) -> Tensor:
        return _resized(name, n, mode, input, output_size, False, scale_factors)

    def graded(input: Tensor, output_size: Any = None, align_corners: bool = False, scale_factors: Any = None) -> Tensor:
        return _resized(name, n, mode, input, output_size, bool(align_corners), scale_factors)

    shape = (1, 2, 5, 4, 3)[: n + 2]
    target = (7, 6, 4)[:n]
    arguments = (
        "any output_size=None, any scale_factors=None"
        if exact
        else "any output_size=None, bool align_corners=False, any scale_factors=None"
    )
    body = {
        "__doc__": f"{mode} resizing of the last {n} dims.", "__module__": __name__, "schema": f"{name}(Tensor input, {arguments}) -> Tensor", "paths": "",
        "compose": staticmethod(nearest if exact else graded), "samples": [sample(normal(*shape), target)],  # pyright: ignore[reportArgumentType]
    }  # fmt: skip
    type("".join(w.title() for w in name.split("_")), (Composite,), body)


for _n in (1, 2, 3):
    _declare(f"upsample_nearest{_n}d", _n, "nearest")
    _declare(f"_upsample_nearest_exact{_n}d", _n, "nearest-exact")
for _name, _n, _mode in (
    ("upsample_linear1d", 1, "linear"),
    ("upsample_bilinear2d", 2, "linear"),
    ("upsample_trilinear3d", 3, "linear"),
    ("upsample_bicubic2d", 2, "cubic"),
):
    _declare(_name, _n, _mode)


# -- with a filter as wide as a pixel of the result, against aliasing
def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _keys(x: float) -> float:
    """Cubic convolution; Keys 1981 with a = -0.5."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0


FILTERS: dict[str, tuple[Callable[[float], float], float]] = {"bilinear": (_triangle, 1.0), "bicubic": (_keys, 2.0)}


@functools.lru_cache(128)
def _matrix(size: int, result: int, how: str, align: bool, factor: float | None) -> list[list[float]]:
    """(result, size): each output as weights of the inputs under its filter."""
    function, reach = FILTERS[how]
    scale = ((size - 1) / (result - 1) if result > 1 else 0.0) if align else 1 / factor if factor else size / result
    wide = max(scale, 1.0)
    support = reach * wide
    rows = []
    for i in range(result):
        center = scale * (i + 0.5)
        first, end = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), size)
        weights = [function((j - center + 0.5) / wide) for j in range(first, end)]
        total = sum(weights) or 1.0
        rows.append([0.0] * first + [w / total for w in weights] + [0.0] * (size - end))
    return rows


def _declare_smooth(how: str) -> None:
    name = f"_upsample_{how}2d_aa"

    def compose(input: Tensor, output_size: Any = None, align_corners: bool = False, scale_factors: Any = None) -> Tensor:
        sizes, scales = _sizes(name, input, 2, output_size, scale_factors)
        kind = input.dtype
        x = input if kind.is_floating_point else input.to(d.float32)
        tall, wide = (
            ops.tensor(_matrix(x.shape[2 + i], sizes[i], how, bool(align_corners), scales[i] if scales else None), dtype=x.dtype)
            for i in range(2)
        )
        y = tall @ (x @ wide.t())
        return y if kind.is_floating_point else y.round().clamp(0, 255).to(kind)

    body = {
        "__doc__": f"{how} resizing of images with a filter against aliasing.", "__module__": __name__, "paths": "", "compose": staticmethod(compose),
        "schema": f"{name}(Tensor input, any output_size=None, bool align_corners=False, any scale_factors=None) -> Tensor",
        "samples": [sample(normal(1, 2, 5, 6), (3, 4))],
    }  # fmt: skip
    type(f"Upsample{how.title()}Aa", (Composite,), body)


_declare_smooth("bilinear")
_declare_smooth("bicubic")


# -- sampling on a grid
def _pixels(at: Tensor, size: int, align: bool) -> Tensor:
    """Coordinates -1..1 as places of pixels."""
    return (at + 1) * ((size - 1) / 2) if align else ((at + 1) * size - 1) / 2


def _reflected(at: Tensor, low: float, high: float) -> Tensor:
    """Places thrown back at `low` and `high` until they lie between."""
    if high <= low:
        return at * 0
    span = high - low
    away = (at - low).abs()
    turns = (away / span).detach().floor()
    rest = away - turns * span
    return ops.where(turns.remainder(2) == 0, rest + low, span - rest + low)


def _inside(at: Tensor, size: int, padding: int, align: bool) -> Tensor:
    """Border: clamped to the plane; reflection: thrown back into it."""
    if padding == 2:
        at = _reflected(at, 0.0, size - 1.0) if align else _reflected(at, -0.5, size - 0.5)
    return at.clamp(0, size - 1) if padding else at


class SamplePlanes(Fused):
    """Sums of weighted elements of planes: (N, C, P) at places (N, T, L) with weights (N, T, L) -> (N, C, L). A place of -1 reads 0."""

    schema = "sample_planes(Tensor input, Tensor places, Tensor weights) -> Tensor"
    batching = "fold input places weights"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, places: Layout, weights: Layout) -> Result:
        out = layout((*x.shape[:2], places.shape[2]), x.dtype)
        return Result((out,), sampling.sample(out, x, places, weights))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, places: Tensor, weights: Tensor) -> tuple[Any, ...]:
        return ops.spread_planes(g, places, weights, input.shape[2]), None, ops.match_planes(g, input, places)


class SpreadPlanes(Fused):
    """The gradient of sample_planes by its input, which has `size` elements in a plane."""

    schema = "spread_planes(Tensor grad, Tensor places, Tensor weights, int size) -> Tensor"
    batching = "fold grad places weights"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, places: Layout, weights: Layout, size: int) -> Result:
        out = layout((*g.shape[:2], size), g.dtype)
        return Result((out,), sampling.spread(out, g, places, weights))

    @staticmethod
    def gradient(g: Tensor, grad: Tensor, places: Tensor, weights: Tensor) -> tuple[Any, ...]:
        return ops.sample_planes(g, places, weights), None, ops.match_planes(grad, g, places)


class MatchPlanes(Fused):
    """The gradient of sample_planes by its weights."""

    schema = "match_planes(Tensor grad, Tensor input, Tensor places) -> Tensor"
    batching = "fold grad input places"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, x: Layout, places: Layout) -> Result:
        out = layout(places.shape, g.dtype)
        return Result((out,), sampling.match(out, g, x, places))

    @staticmethod
    def gradient(g: Tensor, grad: Tensor, input: Tensor, places: Tensor) -> tuple[Any, ...]:
        return ops.sample_planes(input, places, g), ops.spread_planes(grad, places, g, input.shape[2]), None


def _cubic(t: Tensor) -> list[Tensor]:
    """Weights of the four neighbours; Keys 1981 with a = -0.75."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _sampled(x: Tensor, grid: Tensor, mode: int, padding: int, align: bool) -> Tensor:
    n, c, *sizes = x.shape
    kind = x.dtype if x.dtype is d.float64 else d.float32
    lines = [grid[..., i].reshape((n, -1)) for i in reversed(range(len(sizes)))]  # outermost dim first; half precision stays, as in PyTorch
    places = [_pixels(at, size, align) for at, size in zip(lines, sizes)]
    if mode != 2:
        places = [_inside(at, size, padding, align) for at, size in zip(places, sizes)]
    if mode == 1:
        choices = [[(at.detach().round(), None)] for at in places]
    else:
        floors = [at.detach().floor() for at in places]
        if mode == 0:
            choices = [[(low, 1 - (at - low)), (low + 1, at - low)] for at, low in zip(places, floors)]
        else:
            choices = [
                [(_inside(low + k - 1, size, padding, align), w) for k, w in enumerate(_cubic(at - low))]
                for at, low, size in zip(places, floors, sizes)
            ]
    index, weights = _corners([[(*_whole(at, size), w) for at, w in row] for row, size in zip(choices, sizes)], sizes)
    weights = ops.ones(index.shape, dtype=kind) if mode == 1 else weights.to(kind)
    planes = x.reshape((n, c, -1)).to(kind)
    together = index.shape[1] if x.dtype is kind else 1  # in half precision every product and sum is rounded, as in PyTorch
    terms = [ops.sample_planes(planes, i, w).to(x.dtype) for i, w in zip(index.split(together, 1), weights.split(together, 1))]
    y = functools.reduce(operator.add, terms)
    if mode == 1 and grid.requires_grad:  # its gradient is zeros, not None
        still = ops.cat(lines, 1)
        y = y + (ops.where(still.isfinite(), still, ops.zeros_like(still)) * 0).sum().to(x.dtype)
    return y.reshape((n, c, *grid.shape[1:-1]))


def _whole(at: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Whether a whole place lies inside, and it as a number."""
    inside = (at >= 0) & (at <= size - 1)
    place = ops.where(inside, at, ops.zeros_like(at)).to(d.int32)
    return inside & (place < size), place  # in half precision size - 1 may be rounded up


def _corners(choices: Sequence[Sequence[tuple[Tensor, Tensor, Any]]], sizes: Sequence[int]) -> tuple[Tensor, Any]:
    """All combinations of one choice of each dim, (N, T, L): flat places, -1 where one lies outside, and products of their weights."""
    places: list[Tensor] = []
    weights: list[Any] = []
    for picks in itertools.product(*choices):
        inside, place, weight = picks[0]
        for (good, at, w), size in zip(picks[1:], sizes[1:]):
            inside, place, weight = inside & good, place * size + at, weight if w is None else weight * w
        places.append(ops.where(inside, place, ops.full((), -1, dtype=place.dtype)))
        weights.append(weight)
    return ops.stack(places, 1), None if weights[0] is None else ops.stack(weights, 1)


class GridSampler(Composite):
    """Values of (N, C, *S) at a grid (N, *R, len(S)) of coordinates (x, y[, z]) from -1 to 1. Modes: 0 linear, 1 nearest, 2 cubic."""

    schema = "grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor"
    out = False
    paths = "torch"
    half_error = 10.0  # coordinates are rounded too

    @staticmethod
    def compose(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:
        _check_grid(input, grid, interpolation_mode)
        return _sampled(input, grid, interpolation_mode, padding_mode, bool(align_corners))

    samples = [
        sample(normal(1, 2, 4, 3), uniform(1, 3, 2, 2, low=-0.9, high=0.9), 0, 0, False),
        sample(ones(1, 2, 4, 3), uniform(1, 3, 2, 2, low=-0.9, high=0.9), 2, 1, True),
        sample(normal(2, 3, 4, 5), uniform(2, 3, 2, 2, low=-1.6, high=1.6), 0, 2, True),
        sample(normal(2, 3, 4, 5), uniform(2, 3, 7, 2, low=-1.6, high=1.6), 2, 0, False),
        sample(normal(2, 3, 4, 5), uniform(2, 3, 7, 2, low=-1.6, high=1.6), 1, 0, False),
        sample(normal(1, 2, 3, 4, 2), uniform(1, 2, 2, 2, 3, low=-1.6, high=1.6), 0, 0, True),
    ]


def _check_grid(x: Any, grid: Any, mode: int) -> None:
    for place, (name, t) in enumerate((("input", x), ("grid", grid)), 1):
        if not isinstance(t, Tensor):
            raise refuse(TypeError, f"grid_sampler(): argument '{name}' (position {place}) must be Tensor, not {type(t).__name__}")
    for t in (x, grid):
        if not t.ndim:
            raise refuse(IndexError, "Dimension specified as 0 but tensor has no dimensions", received="a tensor without dims")
    shown = f"input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
    if x.ndim < 2 or x.shape[0] != (grid.shape[0] if grid.ndim else -1):
        raise refuse(RuntimeError, f"grid_sampler(): expected grid and input to have same batch size, but got {shown}")
    if grid.shape[-1] != x.ndim - 2:
        raise refuse(
            RuntimeError,
            f"grid_sampler(): expected grid to have size {x.ndim - 2} in last dimension, but got grid with sizes {list(grid.shape)}",
        )
    for i, size in enumerate(x.shape[2:], 2):
        if size <= 0:
            raise refuse(
                RuntimeError,
                f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes {list(x.shape)} with dimension {i} being empty",
            )
    if x.ndim not in (4, 5) or x.ndim != grid.ndim:
        raise refuse(RuntimeError, f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got {shown}")
    if x.ndim == 5 and mode == 2:
        raise refuse(RuntimeError, "grid_sampler(): bicubic interpolation only supports 4D input")
    if not x.dtype.is_floating_point:
        raise refuse(
            NotImplementedError,
            f"\"grid_sampler_{x.ndim - 2}d_cpu{'_kernel_impl' if x.ndim == 4 else ''}\" not implemented for '{scalar_type_name(x.dtype)}'",
        )
    if x.dtype is not grid.dtype:
        raise refuse(
            RuntimeError,
            f"expected scalar type {scalar_type_name(x.dtype)} but found {scalar_type_name(grid.dtype)}",
            received=f"grid {grid.dtype}",
            expected=f"{x.dtype}",
        )


def _declare_grid(n: int) -> None:
    """grid_sampler for a known number of dims."""

    def compose(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:
        return ops.grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)

    name = f"grid_sampler_{n}d"
    body = {
        "__doc__": f"grid_sampler over {n} dims.", "__module__": __name__, "compose": staticmethod(compose), "paths": "torch", "out": False,
        "schema": f"{name}(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
        "samples": [sample(normal(1, 2, *(4, 3, 2)[:n]), uniform(1, *(3, 2, 2)[:n], n, low=-0.9, high=0.9), 0, 0, False)],
    }  # fmt: skip
    type(f"GridSampler{n}d", (Composite,), body)


_declare_grid(2)
_declare_grid(3)


class AffineGridGenerator(Composite):
    """The grid of affine maps theta (N, n, n + 1) for results of `size` (N, C, *S): (N, *S, n)."""

    schema = "affine_grid_generator(Tensor theta, int[] size, bool align_corners) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
        spatial = tuple(size[2:])
        lines = []
        for i, m in enumerate(spatial):
            line = ops.linspace(-1, 1, m, dtype=theta.dtype) if m > 1 else ops.zeros((1,), dtype=theta.dtype)
            line = line if align_corners else line * ((m - 1) / m)
            lines.append(line.view((*(1,) * i, m, *(1,) * (len(spatial) - 1 - i))).expand(spatial))
        base = ops.stack([*reversed(lines), ops.ones(spatial, dtype=theta.dtype)], -1).reshape((1, -1, len(spatial) + 1))
        return (base.expand((theta.shape[0], *base.shape[1:])) @ theta.transpose(1, 2)).reshape((theta.shape[0], *spatial, len(spatial)))

    samples = [sample(normal(2, 2, 3), (2, 1, 3, 4), False), sample(normal(1, 3, 4), (1, 1, 2, 3, 2), True)]
