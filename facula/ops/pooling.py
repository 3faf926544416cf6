"""Max and average pooling, adaptive forms, unpooling. Memory-bound: one read and one write."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.expression import wants
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import pooling as kernels
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import distinct, normal, sample
from .convolution import spread
from .formats import flat, image, is_last, result

TAPS = 256  # that one byte tells apart


def flattened(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """A window as one list, short enough for a key of the plan table: dilations that are all 1 are left out."""
    return (*kernel, *stride, *padding, *(dilation if any(v != 1 for v in dilation) else ()))


def dims_of(window: Sequence[int]) -> int:
    """Dims of a flattened window, one to three."""
    return len(window) // (3 if len(window) % 4 else 4)


def parts(window: Sequence[int]) -> dict[str, Any]:
    """Kernel, stride, padding and dilation of a flattened window."""
    n = dims_of(window)
    kernel, stride, padding, dilation = (tuple(window[i : i + n]) or (1,) * n for i in range(0, 4 * n, n))
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def pooled(n: int, k: int, s: int, p: int, dil: int, ceil: bool) -> int:
    """Windows along a dim; with `ceil` the last one may hang over, but must start inside the input or its left padding."""
    reach = n + 2 * p - dil * (k - 1) - 1
    count = (reach + (s - 1 if ceil else 0)) // s + 1
    return count - 1 if ceil and (count - 1) * s >= n + p else count


AXES = "THW"


def check_window(n: int, title: str, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> None:
    """Refuse sizes that make no window, in PyTorch's order."""
    single = n == 1 and title.startswith("max_pool1d")
    axes = AXES[3 - max(n, 2) :]
    for k, p, dil in zip(kernel, padding, dilation):
        if not single and p < 0:
            raise refuse(RuntimeError, f"pad must be non-negative, but got pad: {p}")
        if not single and p > (dil * (k - 1) + 1) // 2:
            raise refuse(
                RuntimeError, f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={dil}"
            )
    for name, values, letter in (("kernel size", kernel, "k"), ("stride", stride, "d"), ("dilation", dilation, "dilation")):
        if any(v <= 0 for v in values):
            if single:
                raise refuse(RuntimeError, f"max_pool1d() {name.replace(' ', '_')} must be greater than zero, but got {values[0]}")
            full = (1,) * (2 - n) + tuple(values)
            raise refuse(
                RuntimeError, f"{name} should be greater than zero, but got " + " ".join(f"{letter}{a}: {v}" for a, v in zip(axes, full))
            )
    for k, p in zip(kernel, padding):
        if single and (p < 0 or p > k // 2):
            raise refuse(
                RuntimeError,
                f"max_pool1d() padding must be non-negative, but got {p}"
                if p < 0
                else f"max_pool1d() padding should be at most half of kernel size, but got padding={p} and kernel_size={k}",
            )


def windows(
    x: Layout, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], ceil: bool
) -> tuple[int, ...]:
    """The result's shape, or PyTorch's refusal."""
    n = len(kernel)
    out = tuple(pooled(*row, ceil) for row in zip(x.shape[-n:], kernel, stride, padding, dilation))
    if any(v < 1 for v in out):
        size = "x".join(map(str, (x.shape[-n - 1], *(1,) * (2 - n), *x.shape[-n:])))
        shown = "x".join(map(str, (x.shape[-n - 1], *(1,) * (2 - n), *out)))
        raise refuse(
            RuntimeError,
            f"Given input size: ({size}). Calculated output size: ({shown}). Output size is too small",
            received=f"input {tuple(x.shape)}, kernel {tuple(kernel)}",
        )
    return (*x.shape[:-n], *out)


def check_input(x: Any, title: str) -> None:
    if not isinstance(x, Tensor):
        raise refuse(TypeError, f"{title}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")


def two_or_three(x: Tensor, title: str) -> None:
    if x.ndim not in (2, 3):
        raise refuse(
            RuntimeError,
            f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for argument #1 'self' (while checking arguments for {title})",
        )


def check_dims(x: Layout, n: int, title: str) -> None:
    """Refuse a rank that is neither (C, *S) nor (N, C, *S), or a size of zero other than N's."""
    average, shown = title.startswith("avg"), str(list(x.shape))
    wanted = f"{n + 1}D or {n + 2}D (batch mode)"
    if n == 1:
        if x.ndim not in (2, 3):
            raise refuse(
                RuntimeError, f"{title}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:{shown}"
            )
    elif x.ndim <= 2 and average and n == 2:
        raise refuse(
            IndexError,
            f"Dimension out of range (expected to be in range of [{-x.ndim}, {x.ndim - 1}], but got {-n - 1})"
            if x.ndim
            else f"Dimension specified as {-n - 1} but tensor has no dimensions",
        )
    elif x.ndim not in (n + 1, n + 2):
        if average and n == 2:
            raise refuse(RuntimeError, f"Expected {wanted} tensor with optional 0 dim batch size for input, but got:{shown}")
        raise refuse(RuntimeError, f"non-empty {wanted} tensor expected for input", received=shown)
    first = x.ndim - n - 1
    for i in range(first, x.ndim):
        if x.shape[i] == 0:
            if n == 3:
                name = "avg_pool3d_out_cpu()" if average else "max_pool3d_with_indices_out_cpu_template()"
                raise refuse(
                    RuntimeError,
                    f"{name}: Expected input's non-batch dimensions to have positive length, but input has a shape of {shown} and non-batch dimension {i - first} has length zero!",
                )
            raise refuse(RuntimeError, f"Expected {wanted} tensor with optional 0 dim batch size for input, but got:{shown}")


def planes_last(x: Layout, spatial: int) -> bool:
    """Whether means and adaptive forms give channels_last results: as in PyTorch, for planes only, while maxima of windows keep volumes too."""
    return spatial == 2 and is_last(x, spatial)


class MaxPool(Fused):
    """(maxima, int64 flat index of each in its plane)."""

    schema = "max_pool(Tensor input, int[] window, bool ceil_mode) -> (Tensor out, Tensor indices)"
    batching = "fold input"
    paths = ""

    @staticmethod
    def kernel(x: Layout, window: Any, ceil_mode: bool) -> Result:
        own = parts(window)
        shape, last = windows(x, **own, ceil=ceil_mode), is_last(x, dims_of(window))
        out, indices = image(shape, x.dtype, last), image(shape, d.int64, last)
        return result((out, indices), kernels.max_pool(flat(out), flat(x), **own, note="index"), x)

    @staticmethod
    def gradient(g0: Tensor, input: Tensor, out1: Tensor, window: Any) -> Tensor:
        return ops.max_pool_backward(g0, out1.detach(), input, window)


class MaxPoolPlain(Fused):
    """Maxima of windows, without their places."""

    schema = "max_pool_plain(Tensor input, int[] window, bool ceil_mode) -> Tensor"
    batching = "fold input"
    paths = ""

    @staticmethod
    def kernel(x: Layout, window: Any, ceil_mode: bool) -> Result:
        own = parts(window)
        out = image(windows(x, **own, ceil=ceil_mode), x.dtype, is_last(x, dims_of(window)))
        return result((out,), kernels.max_pool(flat(out), flat(x), **own), x)


class MaxPoolTap(Fused):
    """(maxima, which tap of its window each is, one byte): eight times less to save than flat indices."""

    schema = "max_pool_tap(Tensor input, int[] window, bool ceil_mode) -> (Tensor out, Tensor taps)"
    batching = "fold input"
    paths = ""

    @staticmethod
    def kernel(x: Layout, window: Any, ceil_mode: bool) -> Result:
        own = parts(window)
        shape = windows(x, **own, ceil=ceil_mode)
        out = image(shape, x.dtype, is_last(x, dims_of(window)))
        return result((out, layout(shape, d.uint8)), kernels.max_pool(flat(out), flat(x), **own, note="tap"), x)

    @staticmethod
    def gradient(g0: Tensor, input: Layout, out1: Tensor, window: Any) -> Tensor:
        n = dims_of(window)
        return ops.max_pool_tap_backward(g0, out1.detach(), tuple(input.shape[-n:]), is_last(input, n), window)


class MaxPoolTapBackward(Fused):
    """g put back at the taps; overlapping windows add."""

    schema = "max_pool_tap_backward(Tensor grad, Tensor taps, int[] size, bool channels_last, int[] window) -> Tensor"
    batching = "fold grad taps"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, taps: Layout, size: Any, channels_last: bool, window: Any) -> Result:
        out = image((*g.shape[: -len(size)], *size), g.dtype, channels_last)
        return result((out,), kernels.max_pool_backward(flat(out), g, **parts(window), note="tap"))

    @staticmethod
    def gradient(g: Tensor, taps: Tensor, size: Any, window: Any) -> tuple[Any, ...]:
        return ops.pool_take(g, tap_index(taps, size, **parts(window)), len(size)), None


def tap_index(taps: Tensor, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Tensor:
    """The flat index in its plane of each tap."""
    n = len(kernel)
    rest, index, step = taps.to(d.int64), None, 1
    for k in reversed(range(n)):
        corner = ops.arange(taps.shape[k - n]) * stride[k] - padding[k]
        place = corner.view((-1, *(1,) * (n - 1 - k))) + rest % kernel[k] * dilation[k]
        index = place if index is None else index + place * step
        rest = ops.div(rest, kernel[k], rounding_mode="floor")
        step *= size[k - n]
    return index  # type: ignore[return-value]


class MaxPoolBackward(Fused):
    """g put back where the maxima were; overlapping windows add."""

    schema = "max_pool_backward(Tensor grad, Tensor indices, Tensor input, int[] window) -> Tensor"
    batching = "fold grad indices input"
    paths = ""
    contiguous = ("grad", "indices")

    @staticmethod
    def kernel(g: Layout, indices: Layout, x: Layout, window: Any) -> Result:
        own = parts(window)
        out = image(x.shape, g.dtype, is_last(x, dims_of(window)))
        return result((out,), kernels.max_pool_backward(flat(out), g, **own, note="index"))

    @staticmethod
    def gradient(g: Tensor, indices: Tensor, window: Any) -> tuple[Any, ...]:
        return ops.pool_take(g, indices, dims_of(window)), None, None


class PoolTake(Fused):
    """x[plane][index]: what the maxima of the windows see of another tensor."""

    schema = "pool_take(Tensor input, Tensor indices, int spatial) -> Tensor"
    batching = "fold input indices"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, indices: Layout, spatial: int) -> Result:
        out = layout(indices.shape, x.dtype)
        return Result((out,), kernels.max_unpool_backward(out, x, spatial=spatial))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, indices: Tensor, spatial: int) -> tuple[Any, ...]:
        return ops.pool_put(g, indices, input, spatial), None


class PoolPut(Fused):
    """Zeros of the input's shape with g added at the indices of its plane."""

    schema = "pool_put(Tensor grad, Tensor indices, Tensor input, int spatial) -> Tensor"
    batching = "fold grad indices input"
    paths = ""
    contiguous = ("grad", "indices")

    @staticmethod
    def kernel(g: Layout, indices: Layout, x: Layout, spatial: int) -> Result:
        out = image(x.shape, g.dtype, planes_last(x, spatial))
        return result((out,), kernels.max_pool_backward(flat(out), g, note="index", spatial=spatial))

    @staticmethod
    def gradient(g: Tensor, indices: Tensor, spatial: int) -> tuple[Any, ...]:
        return ops.pool_take(g, indices, spatial), None, None


class AvgPool(Fused):
    """Means of windows."""

    schema = "avg_pool(Tensor input, int[] kernel, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor"
    batching = "fold input"
    paths = ""

    @staticmethod
    def kernel(
        x: Layout, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor_override: int | None
    ) -> Result:
        if not x.dtype.is_floating_point:
            raise refuse(NotImplementedError, f"\"avg_pool{len(kernel)}d_out_frame\" not implemented for '{scalar_type_name(x.dtype)}'")
        if divisor_override == 0:
            raise refuse(RuntimeError, "divisor must be not zero")
        out = image(windows(x, kernel, stride, padding, (1,) * len(kernel), ceil_mode), x.dtype, planes_last(x, len(kernel)))
        window = {"kernel": kernel, "stride": stride, "padding": padding}
        counted = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
        return result((out,), kernels.avg_pool(flat(out), flat(x), **window, **counted), x)

    @staticmethod
    def gradient(
        g: Tensor, input: Tensor, kernel: Any, stride: Any, padding: Any, count_include_pad: bool, divisor_override: int | None
    ) -> Tensor:
        return ops.avg_pool_backward(g, input, kernel, stride, padding, count_include_pad, divisor_override)


class AvgPoolBackward(Fused):
    """Each gradient shared among its window."""

    schema = "avg_pool_backward(Tensor grad, Tensor input, int[] kernel, int[] stride, int[] padding, bool count_include_pad, int? divisor_override) -> Tensor"
    batching = "fold grad input"
    paths = ""
    contiguous = ("grad",)

    @staticmethod
    def kernel(
        g: Layout, x: Layout, kernel: Any, stride: Any, padding: Any, count_include_pad: bool, divisor_override: int | None
    ) -> Result:
        out = image(x.shape, g.dtype, planes_last(x, len(kernel)))
        window = {"kernel": kernel, "stride": stride, "padding": padding}
        counted = {"count_include_pad": count_include_pad, "divisor_override": divisor_override}
        return result((out,), kernels.avg_pool_backward(flat(out), g, **window, **counted))

    @staticmethod
    def gradient(
        g: Tensor, grad: Layout, kernel: Any, stride: Any, padding: Any, count_include_pad: bool, divisor_override: int | None
    ) -> tuple[Any, ...]:
        n = len(kernel)
        ceil = windows(g._layout, kernel, stride, padding, (1,) * n, False) != tuple(grad.shape)
        return ops.avg_pool(g, kernel, stride, padding, ceil, count_include_pad, divisor_override), None


class AdaptiveAvgPool(Fused):
    """Means of boxes floor(i S / R) .. ceil((i + 1) S / R)."""

    schema = "adaptive_avg_pool(Tensor input, int[] output_size) -> Tensor"
    batching = "fold input"
    paths = ""

    @staticmethod
    def kernel(x: Layout, output_size: Any) -> Result:
        n = len(output_size)
        last = is_last(x, n) if prod(output_size) == 1 else planes_last(x, n)
        out = image((*x.shape[:-n], *output_size), x.dtype, last)
        return result((out,), kernels.adaptive_avg_pool(flat(out), flat(x), spatial=n), x)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, output_size: Any) -> Tensor:
        return ops.adaptive_avg_pool_backward(g, input, len(output_size))


class AdaptiveAvgPoolBackward(Fused):
    """Each gradient shared among its box."""

    schema = "adaptive_avg_pool_backward(Tensor grad, Tensor input, int spatial) -> Tensor"
    batching = "fold grad input"
    paths = ""
    contiguous = ("grad",)

    @staticmethod
    def kernel(g: Layout, x: Layout, spatial: int) -> Result:
        out = image(x.shape, g.dtype, planes_last(x, spatial) and prod(g.shape[-spatial:]) > 1)  # of one mean a plane: contiguous
        return result((out,), kernels.adaptive_avg_pool_backward(flat(out), g, spatial=spatial))

    @staticmethod
    def gradient(g: Tensor, grad: Layout, spatial: int) -> tuple[Any, ...]:
        return ops.adaptive_avg_pool(g, tuple(grad.shape[-spatial:])), None


class AdaptiveMaxPool(Fused):
    """(maxima of boxes, int64 flat index of each in its plane)."""

    schema = "adaptive_max_pool(Tensor input, int[] output_size) -> (Tensor out, Tensor indices)"
    batching = "fold input"
    paths = ""

    @staticmethod
    def kernel(x: Layout, output_size: Any) -> Result:
        n = len(output_size)
        last, shape = planes_last(x, n), (*x.shape[:-n], *output_size)
        out, indices = image(shape, x.dtype, last), image(shape, d.int64, last)
        return result((out, indices), kernels.adaptive_max_pool(flat(out), flat(x), spatial=n), x)

    @staticmethod
    def gradient(g0: Tensor, input: Tensor, out1: Tensor, output_size: Any) -> Tensor:
        return ops.pool_put(g0, out1.detach(), input, len(output_size))


# -- public forms
def step_of(kernel: tuple[int, ...], stride: Any, n: int) -> tuple[int, ...]:
    return kernel if stride is None or (isinstance(stride, (tuple, list)) and not stride) else spread(stride, n, "stride")


def _max(
    n: int, title: str, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, indices: bool = False
) -> Any:
    """(maxima, flat indices), or the maxima alone: then what the gradient needs, if anything, is a byte each. With `indices` one dim is refused in the words of two, as PyTorch pools it."""
    check_input(input, title)
    if n == 1 and indices:
        two_or_three(input, title)
        title = "max_pool2d"
    kernel = spread(kernel_size, n, "kernel_size")
    row = (kernel, step_of(kernel, stride, n), spread(padding, n, "padding"), spread(dilation, n, "dilation"))
    if n == 1:
        check_dims(input._layout, n, title)
    check_window(n, title, *row)
    if n == 1 and not indices:
        length = pooled(input.shape[-1], row[0][0], row[1][0], row[2][0], row[3][0], bool(ceil_mode))
        if length < 1:
            raise refuse(
                RuntimeError,
                f"max_pool1d() Invalid computed output size: {length}",
                received=f"input {tuple(input.shape)}, kernel {kernel}",
            )
    check_dims(input._layout, n, title)
    if input.dtype is d.bool_ or input.dtype.is_complex:
        raise refuse(NotImplementedError, f"\"{title}\" not implemented for '{scalar_type_name(input.dtype)}'")
    if indices:
        return ops.max_pool(input, flattened(*row), bool(ceil_mode))
    if not (MODE.grad and wants(input)):
        return ops.max_pool_plain(input, flattened(*row), bool(ceil_mode))
    return (ops.max_pool_tap if prod(kernel) <= TAPS else ops.max_pool)(input, flattened(*row), bool(ceil_mode))[0]


def _whole_means(
    x: Tensor, kernel: tuple[int, ...], step: tuple[int, ...], pad: tuple[int, ...], ceil: bool, include: bool, override: int | None
) -> Tensor:
    """Means of int64, cut towards zero; sums are exact up to 2^53."""
    import numpy as np

    sums = ops.avg_pool(x.to(d.float64), kernel, step, pad, ceil, include, 1).to(d.int64)
    n = len(kernel)
    if override:
        return ops.div(sums, override, rounding_mode="trunc")
    counts: Any = np.ones((), np.int64)
    for size, r, k, s, p in zip(x.shape[-n:], sums.shape[-n:], kernel, step, pad):
        counts = counts[..., None] * kernels.window_bounds(size, r, k, s, p, include)[:, 2]
    return ops.div(sums, ops.from_numpy(np.ascontiguousarray(counts)), rounding_mode="trunc")


def _declare(n: int) -> None:
    """The pooling functions of n dims, under PyTorch's names and signatures."""
    shape = (2, 3, 6, 5, 4)[: n + 2]

    def max_pool(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Tensor:
        return _max(n, f"max_pool{n}d", input, kernel_size, stride, padding, dilation, ceil_mode, False)

    def with_indices(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> tuple[Tensor, Tensor]:
        got = _max(n, f"max_pool{n}d", input, kernel_size, stride, padding, dilation, ceil_mode, True)
        return got[0], got[1]

    def avg_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        title = f"avg_pool{n}d"
        check_input(input, title)
        if n == 1:
            two_or_three(input, title)
        kernel = spread(kernel_size, n, "kernel_size")
        step, pad = step_of(kernel, stride, n), spread(padding, n, "padding")
        if divisor_override == 0:
            raise refuse(RuntimeError, "divisor must be not zero")
        check_window(n, title, kernel, step, pad, (1,) * n)
        check_dims(input._layout, n, title)
        if input.dtype is d.int64:
            return _whole_means(input, kernel, step, pad, bool(ceil_mode), bool(count_include_pad), divisor_override)
        return ops.avg_pool(input, kernel, step, pad, bool(ceil_mode), bool(count_include_pad), divisor_override)

    def adaptive_avg(input: Tensor, output_size: Any) -> Tensor:
        sizes = _target(n, input, output_size, f"adaptive_avg_pool{n}d")
        if not input.dtype.is_floating_point:
            name = scalar_type_name(input.dtype)
            if all(v == 1 for v in sizes):
                raise refuse(
                    RuntimeError,
                    f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {name}",
                )
            raise refuse(NotImplementedError, f"\"adaptive_avg_pool{max(n, 2)}d\" not implemented for '{name}'")
        return ops.adaptive_avg_pool(input, sizes)

    def adaptive_max(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
        sizes = _target(n, input, output_size, f"adaptive_max_pool{n}d")
        if not input.dtype.is_floating_point:
            raise refuse(
                NotImplementedError,
                f"\"adaptive_max_pool{'3d_cpu' if n == 3 else '2d'}\" not implemented for '{scalar_type_name(input.dtype)}'",
            )
        got = ops.adaptive_max_pool(input, sizes)
        return got[0], got[1]

    window = "any kernel_size, any stride=None, any padding=0, any dilation=1, bool ceil_mode=False"
    rows = [
        (f"max_pool{n}d", max_pool, f"Tensor input, {window}", "torch nn.functional", [sample(distinct(*shape), 2)]),
        (f"max_pool{n}d_with_indices", with_indices, f"Tensor input, {window}", "torch nn.functional" if n == 1 else "nn.functional", [sample(distinct(*shape), 2)]),
        (f"avg_pool{n}d", avg_pool, "Tensor input, any kernel_size, any stride=None, any padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None",
         "torch nn.functional" if n == 1 else "nn.functional", [sample(normal(*shape), 2)]),
        (f"adaptive_avg_pool{n}d", adaptive_avg, "Tensor input, any output_size", "torch nn.functional" if n == 1 else "nn.functional", [sample(normal(*shape), 2)]),
        (f"adaptive_max_pool{n}d", adaptive_max, "Tensor input, any output_size", "torch" if n == 1 else "", [sample(distinct(*shape), 2)]),
    ]  # fmt: skip
    for name, compose, arguments, paths, samples in rows:
        body = {"__doc__": f"{name.replace('_', ' ')} over the last {n} dims.", "__module__": __name__, "schema": f"{name}({arguments}) -> Tensor", "paths": paths,
                "compose": staticmethod(compose), "samples": samples, "out": n > 1 and compose is not max_pool}  # fmt: skip
        type("".join(w.title() for w in name.split("_")), (Composite,), body)


def _target(n: int, input: Tensor, output_size: Any, title: str) -> tuple[int, ...]:
    """One extent per dim; None keeps the input's."""
    check_input(input, title)
    average = "avg" in title
    sizes = (output_size,) * n if output_size is None or not hasattr(output_size, "__iter__") else tuple(output_size)
    if n == 1:
        if len(sizes) != 1:
            raise refuse(RuntimeError, f"{title}() argument 'output_size' should contain one int (got {len(sizes)})")
        two_or_three(input, title)
    if len(sizes) != n:
        raise refuse(
            RuntimeError,
            f"{title}: output_size must be {n}" if average else f"{title}(): internal error: output_size.size() must be {n}",
            received=f"output_size={output_size}",
        )
    if input.ndim not in (n + 1, n + 2):
        raise refuse(RuntimeError, f"{title}(): Expected {n + 1}D or {n + 2}D tensor, but got{'' if average else ':'} {list(input.shape)}")
    if average and any(v is not None and v < 0 for v in sizes):
        shown = ", ".join(map(str, (*(1,) * (2 - n), *sizes)))
        raise refuse(
            RuntimeError,
            f"adaptive_avg_pool{max(n, 2)}d: elements of output_size must be greater than or equal to 0 but received {{{shown}}}",
        )
    for i in range(1, n + 1):
        if input.shape[-i] == 0:
            raise refuse(
                RuntimeError,
                f"{title}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(input.shape)} with dimension {input.ndim - i} being empty",
            )
    return tuple(input.shape[i - n] if v is None else int(v) for i, v in enumerate(sizes))


for _n in (1, 2, 3):
    _declare(_n)
