"""Layer, RMS, batch, group and instance normalisation. Each reads its input once and writes its result once: the bandwidth of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core import objects
from ..core.batching import Examples
from ..core.layout import Layout, is_channels_last, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import rows as kernels
from ..kernel.launch import Array
from ..kernel.rows.batch_norm import batch_norm as batch_schedule
from ..kernel.rows.batch_norm import batch_norm_backward as batch_backward_schedule
from ..kernel.rows.group_norm import group_norm as group_schedule
from ..kernel.rows.group_norm import group_norm_backward as group_backward_schedule
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, refused, sample
from .convolution import apart, side_by_side


def product(xs: Sequence[int]) -> int:
    n = 1
    for x in xs:
        n *= x
    return n


def rows_of(x: Layout, dims: int) -> Array:
    """(rows, n): the last `dims` dims of a contiguous operand as one."""
    n = product(x.shape[x.ndim - dims :])
    rows = product(x.shape[: x.ndim - dims])
    return Array(x.dtype, (rows, n), (n, 1))


def flat(x: Layout | None) -> Array | None:
    return None if x is None else Array(x.dtype, (x.numel,), (1,))


def check_normalised(x: Layout, shape: Sequence[int], weight: Layout | None, bias: Layout | None) -> None:
    if not shape:
        raise refuse(
            RuntimeError,
            f"Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = {list(shape)}",
        )
    if x.ndim < len(shape) or tuple(x.shape[x.ndim - len(shape) :]) != tuple(shape):
        raise refuse(
            RuntimeError,
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(x.shape)}",
            received=f"input {tuple(x.shape)}",
            expected=f"(*, {', '.join(map(str, shape))})",
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != tuple(shape):
            raise refuse(
                RuntimeError,
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(t.shape)} and normalized_shape = {list(shape)}",
            )
    check_mixed(x, [t for t in (weight, bias) if t is not None])
    if not x.dtype.is_floating_point:
        raise refuse(NotImplementedError, f"\"LayerNormKernelImpl\" not implemented for '{scalar_type_name(x.dtype)}'")


def check_mixed(x: Layout, given: Sequence[Layout]) -> None:
    """Parameters are of the input's dtype, or float32 beside halves."""
    if any(t.dtype is not x.dtype for t in given):
        if any(t.dtype is not d.float32 for t in given) and given[0].dtype is not x.dtype:
            raise refuse(
                RuntimeError,
                "mixed dtype (CPU): expect parameter to have scalar type of Float",
                received=", ".join(str(t.dtype) for t in given),
            )
        if x.dtype not in (d.float16, d.bfloat16):
            raise refuse(
                RuntimeError,
                "mixed dtype (CPU): all inputs must share same datatype.",
                received=f"input {x.dtype}, parameters {', '.join(str(t.dtype) for t in given)}",
            )


def scaled(examples: Examples, y: Tensor, weight: Tensor | None, bias: Tensor | None, lead: int) -> Tensor:
    """y * weight + bias with parameters that differ between examples: their dims come `lead` dims after the examples' own."""
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None:
            t = examples.all(t, name)
            t = t.view(t.shape[0], *(1,) * lead, *t.shape[1:], *(1,) * (y.ndim - lead - t.ndim))
            y = (y * t if name == "weight" else y + t).to(y.dtype)
    return y


class LayerNormForward(Fused):
    """(y, mean, rstd) over the last dims. Ba et al. 2016, arXiv 1607.06450."""

    schema = "layer_norm_forward(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def batch(
        examples: Examples, input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, ...]:
        x = examples.all(input, "input")
        if not {"weight", "bias"} & examples.names:
            return ops.layer_norm_forward(x, normalized_shape, weight, bias, eps)
        y, mean, rstd = ops.layer_norm_forward(x, normalized_shape, None, None, eps)
        return scaled(examples, y, weight, bias, x.ndim - 1 - len(normalized_shape)), mean, rstd

    @staticmethod
    def kernel(x: Layout, shape: tuple[int, ...], weight: Layout | None, bias: Layout | None, eps: float) -> Result:
        check_normalised(x, shape, weight, bias)
        kept = (*x.shape[: x.ndim - len(shape)], *(1,) * len(shape))
        stats = layout(kept, x.dtype.compute)
        return Result((layout(x.shape, x.dtype), stats, stats), kernels.layer_norm(rows_of(x, len(shape)), flat(weight), flat(bias)))

    @staticmethod
    def gradient(
        g0: Tensor,
        input: Tensor,
        normalized_shape: tuple[int, ...],
        weight: Tensor | None,
        bias: Tensor | None,
        out1: Tensor,
        out2: Tensor,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        wants = (needs[0], weight is not None and needs[1], bias is not None and needs[2])
        got = ops.layer_norm_backward(g0, input, out1.detach(), out2.detach(), weight, normalized_shape, *wants)
        rest = list(got) if isinstance(got, tuple) else [got]
        return tuple(rest.pop(0) if w else None for w in wants)


class LayerNormBackward(Fused):
    """The wanted ones of (gx, gw, gb)."""

    schema = "layer_norm_backward(Tensor grad, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, int[] normalized_shape, bool want_x, bool want_w, bool want_b) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def batch(
        examples: Examples,
        grad: Tensor,
        input: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        normalized_shape: tuple[int, ...],
        want_x: bool,
        want_w: bool,
        want_b: bool,
    ) -> Any:
        named = {"grad": grad, "input": input, "mean": mean, "rstd": rstd}
        g, x, m, r = (examples.all(t, name) for name, t in named.items())
        lead = x.ndim - 1 - len(normalized_shape)
        outs = []
        if want_x:
            own = "weight" in examples
            u = scaled(examples, g, weight, None, lead) if own else g
            outs.append(ops.layer_norm_backward(u, x, m, r, None if own else weight, normalized_shape, True, False, False))
        dims = tuple(range(1, 1 + lead))
        kind = x.dtype if weight is None else weight.dtype
        for want, t in ((want_w, lambda: g * ((x - m) * r)), (want_b, lambda: g)):
            if want:
                outs.append((t().sum(dims) if dims else t()).to(kind))
        return tuple(outs) if len(outs) > 1 else outs[0]

    @staticmethod
    def kernel(
        g: Layout,
        x: Layout,
        mean: Layout,
        rstd: Layout,
        weight: Layout | None,
        shape: tuple[int, ...],
        want_x: bool,
        want_w: bool,
        want_b: bool,
    ) -> Result:
        wants = (want_x, want_w, want_b)
        kind = weight.dtype if weight is not None else x.dtype
        outs = tuple(o for o, w in zip((layout(x.shape, x.dtype), layout(shape, kind), layout(shape, kind)), wants) if w)
        return Result(outs, kernels.layer_norm_backward(rows_of(x, len(shape)), flat(weight), wants))

    @staticmethod
    def gradient(
        gs: Any,
        grad: Tensor,
        input: Tensor,
        weight: Tensor | None,
        mean: Tensor,
        rstd: Tensor,
        normalized_shape: tuple[int, ...],
        want_x: bool,
        want_w: bool,
        want_b: bool,
    ) -> tuple[Any, ...]:
        dims = tuple(range(-len(normalized_shape), 0))
        return norm_double_backward(gs, grad, input, weight, mean, rstd, dims, (want_x, want_w, want_b))


def norm_double_backward(
    gs: Any,
    grad: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    dims: tuple[int, ...],
    wants: tuple[bool, bool, bool],
) -> tuple[Any, ...]:
    """Gradients of (gx, gw, gb) by (grad, x, mean, rstd, weight): the backward formula written with ordinary operators and differentiated.

    With h = (x - mean) rstd, w the weight, u = grad w: gx = rstd (u - mean(u) - h mean(u h)); gw = sum(grad h); gb = sum(grad).
    """
    given = list(gs) if isinstance(gs, (tuple, list)) else [gs]
    rest = iter(given)
    ggx, ggw, ggb = (next(rest) if w else None for w in wants)
    n = product([x.shape[k] for k in dims])
    r = rstd.to(x.dtype)
    h = (x - x.mean(dims, True)) * r
    u = grad if weight is None else grad * weight
    by_grad: Any = None
    by_h: Any = None
    by_w: Any = None
    by_x: Any = None

    def avg(t: Tensor) -> Tensor:
        return t.mean(dims, True)

    if ggx is not None:
        # s = <ggx, gx>
        a, b = avg(u), avg(u * h)
        by_u = r * (ggx - avg(ggx) - h * avg(ggx * h))
        by_grad = by_u if weight is None else by_u * weight
        if weight is not None:
            by_w = by_u * grad
        by_h = -r * (ggx * b + u * avg(ggx * h))
        inner = (ggx * (u - a - h * b)).sum(dims, True)  # derivative by r
        by_x = -inner * r * r * h / n
    if ggw is not None:
        by_grad = ggw * h if by_grad is None else by_grad + ggw * h
        by_h = ggw * grad if by_h is None else by_h + ggw * grad
    if ggb is not None:
        spread = ggb.expand(grad.shape)
        by_grad = spread if by_grad is None else by_grad + spread
    if by_h is not None:
        back = r * (by_h - avg(by_h) - h * avg(by_h * h))
        by_x = back if by_x is None else by_x + back
    lead = tuple(range(x.ndim - len(dims)))
    return by_grad, by_x, None, None, (by_w.sum(lead) if by_w is not None and lead else by_w)


class LayerNorm(Composite):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims."""

    schema = "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor,
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
        cudnn_enable: bool = True,
    ) -> Tensor:
        return ops.layer_norm_forward(input, tuple(normalized_shape), weight, bias, float(eps))[0]

    samples = [sample(normal(3, 5), (5,)), sample(normal(2, 3, 4), (3, 4), normal(3, 4), normal(3, 4))]
    refusals = [refused(normal(3, 5), (4,), raises=RuntimeError, match="Given normalized_shape=\\[4\\], expected input with shape")]


class NativeLayerNorm(Composite):
    """(y, mean, 1 / deviation); the statistics of halves are halves, unless the weights are wider."""

    schema = "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)"
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not isinstance(input, Tensor):
            raise refuse(TypeError, f"native_layer_norm(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        y, mean, rstd = ops.layer_norm_forward(input, tuple(normalized_shape), weight, bias, float(eps))
        kind = next((t.dtype for t in (weight, bias) if t is not None), input.dtype)
        return y, mean.detach().to(kind), rstd.detach().to(kind)

    samples = [sample(normal(3, 5), (5,), normal(5), normal(5), 1e-5), sample(normal(2, 3, 4), (3, 4), None, None, 1e-5)]


class FusedRmsNorm(Fused):
    """(y, rstd) of x / sqrt(mean(x^2) + eps) * weight over the last dims. Zhang & Sennrich 2019, arXiv 1910.07467."""

    schema = "fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float eps) -> (Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def batch(
        examples: Examples, input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None, eps: float
    ) -> tuple[Tensor, ...]:
        x, own = examples.all(input, "input"), "weight" in examples
        y, rstd = ops.fused_rms_norm(x, normalized_shape, None if own else weight, eps)
        return scaled(examples, y, weight, None, x.ndim - 1 - len(normalized_shape)) if own else y, rstd

    @staticmethod
    def kernel(x: Layout, shape: tuple[int, ...], weight: Layout | None, eps: float) -> Result:
        check_normalised(x, shape, weight, None)
        kept = (*x.shape[: x.ndim - len(shape)], *(1,) * len(shape))
        return Result((layout(x.shape, x.dtype), layout(kept, x.dtype.compute)), kernels.rms_norm(rows_of(x, len(shape)), flat(weight)))

    @staticmethod
    def gradient(
        g0: Tensor, input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None, out1: Tensor, needs: Sequence[bool]
    ) -> tuple[Any, ...]:
        wants = (needs[0], weight is not None and needs[1])
        got = ops.rms_norm_backward(g0, input, out1.detach(), weight, normalized_shape, *wants)
        got = list(got) if isinstance(got, tuple) else [got]
        return tuple(got.pop(0) if w else None for w in wants)


class RmsNormBackward(Fused):
    """The wanted ones of (gx, gw)."""

    schema = "rms_norm_backward(Tensor grad, Tensor input, Tensor rstd, Tensor? weight, int[] normalized_shape, bool want_x, bool want_w) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def batch(
        examples: Examples,
        grad: Tensor,
        input: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        normalized_shape: tuple[int, ...],
        want_x: bool,
        want_w: bool,
    ) -> Any:
        g, x, r = (examples.all(t, name) for name, t in (("grad", grad), ("input", input), ("rstd", rstd)))
        lead, own = x.ndim - 1 - len(normalized_shape), "weight" in examples
        outs = []
        if want_x:
            u = scaled(examples, g, weight, None, lead) if own else g
            outs.append(ops.rms_norm_backward(u, x, r, None if own else weight, normalized_shape, True, False))
        if want_w:
            t = g * (x * r)
            outs.append((t.sum(tuple(range(1, 1 + lead))) if lead else t).to(x.dtype if weight is None else weight.dtype))
        return tuple(outs) if len(outs) > 1 else outs[0]

    @staticmethod
    def kernel(g: Layout, x: Layout, rstd: Layout, weight: Layout | None, shape: tuple[int, ...], want_x: bool, want_w: bool) -> Result:
        kind = weight.dtype if weight is not None else x.dtype
        outs = tuple(o for o, w in zip((layout(x.shape, x.dtype), layout(shape, kind)), (want_x, want_w)) if w)
        return Result(outs, kernels.rms_norm_backward(rows_of(x, len(shape)), flat(weight), (want_x, want_w)))

    @staticmethod
    def gradient(
        gs: Any,
        grad: Tensor,
        input: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        normalized_shape: tuple[int, ...],
        want_x: bool,
        want_w: bool,
    ) -> tuple[Any, ...]:
        given = iter(list(gs))
        ggx, ggw = (next(given) if w else None for w in (want_x, want_w))
        dims = tuple(range(-len(normalized_shape), 0))
        n = product([input.shape[k] for k in dims])
        r = rstd.to(input.dtype)
        h, u = input * r, grad if weight is None else grad * weight
        by_grad = by_h = by_w = by_x = None
        if ggx is not None:  # gx = r (u - h mean(u h))
            b = (u * h).mean(dims, True)
            by_u = r * (ggx - h * (ggx * h).mean(dims, True))
            by_grad = by_u if weight is None else by_u * weight
            by_w = None if weight is None else by_u * grad
            by_h = -r * (ggx * b + u * (ggx * h).mean(dims, True))
            by_x = -(ggx * (u - h * b)).sum(dims, True) * r * r * h / n
        if ggw is not None:
            by_grad = ggw * h if by_grad is None else by_grad + ggw * h
            by_h = ggw * grad if by_h is None else by_h + ggw * grad
        if by_h is not None:
            back = r * (by_h - h * (by_h * h).mean(dims, True))
            by_x = back if by_x is None else by_x + back
        lead = tuple(range(input.ndim - len(dims)))
        return by_grad, by_x, None, (by_w.sum(lead) if by_w is not None and lead else by_w)


class RmsNorm(Composite):
    """x / sqrt(mean(x^2) + eps) * weight over the last dims; eps is the type's epsilon when not given."""

    schema = "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
        shape = tuple(normalized_shape)
        if input.ndim < len(shape):
            raise refuse(
                ValueError,
                f"Input tensor must have at least {len(shape)} dimensions, but got {input.ndim}",
                received=f"{tuple(input.shape)}",
                expected=f"(*, {shape})",
            )
        if tuple(input.shape[input.ndim - len(shape) :]) != shape:
            raise refuse(
                RuntimeError,
                f"Given normalized_shape={list(shape)}, expected input with shape [*{', '.join(map(str, shape))}], but got input of size{list(input.shape)}",
                received=f"input {tuple(input.shape)}",
            )
        if eps is None:
            eps = {
                "complex128": 2.220446049250313e-16,
                "float64": 2.220446049250313e-16,
                "float16": 0.0009765625,
                "bfloat16": 0.0078125,
            }.get(input.dtype.name, 1.1920928955078125e-07)
        if not (input.dtype.is_floating_point or input.dtype.is_complex):
            raise refuse(NotImplementedError, f"\"rms_norm\" not implemented for '{scalar_type_name(input.dtype)}'")
        if input.dtype.is_complex or (weight is not None and weight.dtype is not input.dtype):
            dims = tuple(range(-len(shape), 0))
            y = input * ((input * input).mean(dims, True) + float(eps)).rsqrt()
            return y if weight is None else y * weight
        return ops.fused_rms_norm(input, tuple(normalized_shape), weight, float(eps))[0]

    samples = [sample(normal(3, 5), (5,)), sample(normal(3, 5), (5,), normal(5))]


# -- batch normalisation
def planes(x: Layout) -> Array:
    """(N, C, S) of a contiguous operand, or (R, C) of a channels-last one."""
    n, c = (x.shape[0], x.shape[1])
    s = product(x.shape[2:])
    if x.ndim == 2 or s == 1:
        return Array(x.dtype, (n, c), (c, 1))
    if not x.contiguous:
        return Array(x.dtype, (n * s, c), (c, 1))
    return Array(x.dtype, (n, c, s), (c * s, s, 1))


def in_order(x: Tensor) -> Tensor:
    """Contiguous, or channels last."""
    lay = x._layout
    if lay.contiguous or (lay.ndim in (4, 5) and lay.dense and is_channels_last(lay.shape, lay.strides, lay.ndim)):
        return x
    return x.contiguous()


class NativeBatchNorm(Fused):
    """(y, mean, rstd) per channel (dim 1). Ioffe & Szegedy 2015, arXiv 1502.03167. Running statistics are updated in place."""

    schema = "native_batch_norm_forward(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float eps, float momentum) -> (Tensor, Tensor, Tensor)"
    paths = ""

    @staticmethod
    def batch(
        examples: Examples,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        training: bool,
        eps: float,
        momentum: float,
    ) -> Any:
        if training and running_mean is not None and "running_mean" not in examples:
            raise refuse(
                RuntimeError,
                "Batch norm got a batched tensor as input while the running_mean or running_var, which will be updated in place, were not batched.",
                received="statistics that all examples share",
                hint="BatchNorm(..., track_running_stats=False), GroupNorm, or eval() under vmap",
            )
        given = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
        rows = [t if t is None else examples.all(t, name).flatten(0, 1) for name, t in given.items()]
        y, mean, rstd = ops.native_batch_norm_forward(side_by_side(examples.all(input, "input")), *rows, training, eps, momentum)
        return apart(y, examples.n), mean.unflatten(0, (examples.n, -1)), rstd.unflatten(0, (examples.n, -1))

    @staticmethod
    def kernel(
        x: Layout,
        weight: Layout | None,
        bias: Layout | None,
        mean: Layout | None,
        var: Layout | None,
        training: bool,
        eps: float,
        momentum: float,
    ) -> Result:
        stats = layout((x.shape[1],), x.dtype.compute)
        out = layout(x.shape, x.dtype, None if x.contiguous else x.strides)
        return Result((out, stats, stats), batch_schedule(planes(x), weight is not None, bias is not None, mean is not None, training))

    @staticmethod
    def gradient(
        g0: Tensor,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        out1: Tensor,
        out2: Tensor,
        training: bool,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        wants = (needs[0], weight is not None and needs[1], bias is not None and needs[2])
        g = g0 if g0._layout.strides == input._layout.strides else _arranged(g0, input)
        got = ops.batch_norm_backward(g, input, out1.detach(), out2.detach(), weight, training, *wants)
        rest = list(got) if isinstance(got, tuple) else [got]
        return (*(rest.pop(0) if w else None for w in wants), None, None)


def _arranged(g: Tensor, x: Tensor) -> Tensor:
    from ..base.device import channels_last, channels_last_3d, contiguous_format

    fmt = contiguous_format if x._layout.contiguous else channels_last if x.ndim == 4 else channels_last_3d
    return g.contiguous(memory_format=fmt)


class BatchNormBackward(Fused):
    """The wanted ones of (gx, gw, gb)."""

    schema = "batch_norm_backward(Tensor grad, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, bool training, bool want_x, bool want_w, bool want_b) -> Tensor"
    paths = ""

    @staticmethod
    def batch(
        examples: Examples,
        grad: Tensor,
        input: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        training: bool,
        want_x: bool,
        want_w: bool,
        want_b: bool,
    ) -> Any:
        g, x = (side_by_side(examples.all(t, name)) for name, t in (("grad", grad), ("input", input)))
        given = {"mean": mean, "rstd": rstd, "weight": weight}
        rows = [t if t is None else examples.all(t, name).flatten(0, 1) for name, t in given.items()]
        got = ops.batch_norm_backward(g, x, *rows, training, want_x, want_w, want_b)
        outs = list(got) if isinstance(got, (tuple, list)) else [got]
        first = [apart(outs.pop(0), examples.n)] if want_x else []
        all_ = [*first, *(t.unflatten(0, (examples.n, -1)) for t in outs)]
        return tuple(all_) if len(all_) > 1 else all_[0]

    @staticmethod
    def kernel(
        g: Layout, x: Layout, mean: Layout, rstd: Layout, weight: Layout | None, training: bool, want_x: bool, want_w: bool, want_b: bool
    ) -> Result:
        wants = (want_x, want_w, want_b)
        c = layout((x.shape[1],), weight.dtype if weight is not None else x.dtype)
        outs = tuple(o for o, w in zip((layout(x.shape, x.dtype, None if x.contiguous else x.strides), c, c), wants) if w)
        return Result(outs, batch_backward_schedule(planes(x), weight is not None, training, wants))

    @staticmethod
    def gradient(
        gs: Any,
        grad: Tensor,
        input: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        training: bool,
        want_x: bool,
        want_w: bool,
        want_b: bool,
    ) -> tuple[Any, ...]:
        given = iter(list(gs))
        ggx, ggw, ggb = (next(given) if w else None for w in (want_x, want_w, want_b))
        dims = (0, *range(2, input.ndim))
        shape = (1, -1, *(1,) * (input.ndim - 2))
        r, m = rstd.to(input.dtype).view(shape), mean.to(input.dtype).view(shape)
        w = None if weight is None else weight.view(shape)
        n = input._layout.numel // input.shape[1]
        h = (input - (input.mean(dims, True) if training else m)) * r
        u = grad if w is None else grad * w

        def avg(t: Tensor) -> Tensor:
            return t.mean(dims, True)

        by_grad = by_h = by_w = by_x = None
        if ggx is not None and training:
            b = avg(u * h)
            by_u = r * (ggx - avg(ggx) - h * avg(ggx * h))
            by_grad, by_w = (by_u, None) if w is None else (by_u * w, (by_u * grad).sum(dims))
            by_h = -r * (ggx * b + u * avg(ggx * h))
            by_x = -(ggx * (u - avg(u) - h * b)).sum(dims, True) * r * r * h / n
        elif ggx is not None:
            by_grad, by_w = (ggx * r, None) if w is None else (ggx * r * w, (ggx * r * grad).sum(dims))
        if ggw is not None:
            spread = ggw.view(shape)
            by_grad = spread * h if by_grad is None else by_grad + spread * h
            by_h = spread * grad if by_h is None else by_h + spread * grad
        if ggb is not None:
            spread = ggb.view(shape).expand(grad.shape)
            by_grad = spread if by_grad is None else by_grad + spread
        if by_h is not None:
            back = r * (by_h - avg(by_h) - h * avg(by_h * h)) if training else by_h * r
            by_x = back if by_x is None else by_x + back
        return by_grad, by_x, None, None, by_w


class BatchNorm(Composite):
    """Normalisation per channel over the batch and space; statistics of the batch when `training` or when none are kept."""

    schema = "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
        cudnn_enabled: bool = True,
    ) -> Tensor:
        if not isinstance(input, Tensor):
            raise refuse(TypeError, f"batch_norm(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        if input.ndim == 1 and not input._layout.numel:
            return input.clone()
        check_batch_norm(input, weight, bias, running_mean, running_var, training)
        if input._layout.numel == 0:
            return input.clone() if weight is None else input * weight.view((1, -1, *(1,) * (input.ndim - 2)))
        kind = input.dtype.compute
        extra = [None if t is None else t.to(kind).contiguous() for t in (weight, bias, running_mean, running_var)]
        y = ops.native_batch_norm_forward(in_order(input), *extra, bool(training), float(eps), float(momentum))[0]
        if training:
            for given, used in ((running_mean, extra[2]), (running_var, extra[3])):
                if given is not None:
                    if used is not given:
                        given.copy_(used)
                    else:
                        objects.bump(given)
        return y

    samples = [sample(normal(4, 3, 2), normal(3), normal(3), None, None, True, 0.1, 1e-5, False)]


def check_batch_norm(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool) -> None:
    if x.ndim < 2:
        raise refuse(RuntimeError, f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
    c = x.shape[1]
    for name, t in (("running_mean", mean), ("running_var", var), ("weight", weight), ("bias", bias)):
        if t is not None and t.numel() != c:
            raise refuse(
                RuntimeError,
                f"{name} should contain {c} elements not {t.numel()}",
                received=f"{name} {tuple(t.shape)}",
                expected=f"({c},): the input's channels",
            )
    if not training and (mean is None or var is None):
        raise refuse(RuntimeError, "running_mean and running_var must be defined in evaluation mode")
    if not x.dtype.is_floating_point:
        raise refuse(NotImplementedError, f"\"batch_norm\" not implemented for '{scalar_type_name(x.dtype)}'")


class InstanceNorm(Composite):
    """Batch normalisation of every example by itself. Ulyanov et al. 2016, arXiv 1607.08022."""

    schema = "instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        use_input_stats: bool,
        momentum: float,
        eps: float,
        cudnn_enabled: bool = True,
    ) -> Tensor:
        if not use_input_stats and (running_mean is None or running_var is None):
            raise refuse(RuntimeError, "Expected running_mean and running_var to be defined when use_input_stats is false")
        b, c = input.shape[0], input.shape[1]

        def repeated(t: Tensor | None) -> Tensor | None:
            return None if t is None else t.repeat(b)

        mean, var = repeated(running_mean), repeated(running_var)
        folded = input.contiguous().view((1, b * c, *input.shape[2:]))
        y = ops.batch_norm(folded, repeated(weight), repeated(bias), mean, var, use_input_stats, momentum, eps, False)
        if use_input_stats:
            for kept, new in ((running_mean, mean), (running_var, var)):
                if kept is not None and new is not None:
                    kept.copy_(new.view(b, c).mean(0))
        return y.view(input.shape)

    samples = [sample(normal(2, 3, 4), None, None, None, None, True, 0.1, 1e-5, False)]


def grouped(x: Layout) -> Array:
    """(N, C, S) of a contiguous operand."""
    n, c = x.shape[:2]
    size = product(x.shape[2:])
    return Array(x.dtype, (n, c, size), (c * size, size, 1))


class NativeGroupNorm(Fused):
    """(y, mean, rstd) per group of channels of each example."""

    schema = "native_group_norm_forward(Tensor input, int groups, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def batch(examples: Examples, input: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        x = examples.all(input, "input")
        own = bool({"weight", "bias"} & examples.names)
        shared = (None, None) if own else (weight, bias)
        y, mean, rstd = (t.unflatten(0, (examples.n, -1)) for t in ops.native_group_norm_forward(x.flatten(0, 1), groups, *shared, eps))
        return scaled(examples, y, weight, bias, 1) if own else y, mean, rstd

    @staticmethod
    def kernel(x: Layout, groups: int, weight: Layout | None, bias: Layout | None, eps: float) -> Result:
        stats = layout((x.shape[0] * groups,), x.dtype.compute)
        return Result((layout(x.shape, x.dtype), stats, stats), group_schedule(grouped(x), groups, flat(weight), flat(bias)))

    @staticmethod
    def gradient(
        g0: Tensor,
        input: Tensor,
        groups: int,
        weight: Tensor | None,
        bias: Tensor | None,
        out1: Tensor,
        out2: Tensor,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        wants = (needs[0], weight is not None and needs[1], bias is not None and needs[2])
        got = ops.group_norm_backward(g0, input, out1.detach(), out2.detach(), weight, groups, *wants)
        rest = list(got) if isinstance(got, tuple) else [got]
        return tuple(rest.pop(0) if w else None for w in wants)


class GroupNormBackward(Fused):
    """The wanted ones of (gx, gw, gb)."""

    schema = "group_norm_backward(Tensor grad, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, int groups, bool want_x, bool want_w, bool want_b) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def batch(
        examples: Examples,
        grad: Tensor,
        input: Tensor,
        mean: Tensor,
        rstd: Tensor,
        weight: Tensor | None,
        groups: int,
        want_x: bool,
        want_w: bool,
        want_b: bool,
    ) -> Any:
        named = {"grad": grad, "input": input, "mean": mean, "rstd": rstd}
        g, x, m, r = (examples.all(t, name) for name, t in named.items())
        outs = []
        if want_x:
            own = "weight" in examples
            u = scaled(examples, g, weight, None, 1) if own else g
            rest = (t.flatten(0, 1) for t in (u, x, m, r))
            got = ops.group_norm_backward(*rest, None if own else weight, groups, True, False, False)
            outs.append(got.unflatten(0, (examples.n, -1)))
        kind = x.dtype.compute if weight is None else weight.dtype
        shape = (examples.n, x.shape[1], groups, x.shape[2] // groups, -1)  # example, item, group, channel of the group, place
        go, stats = g.reshape(shape), (examples.n, x.shape[1], groups, 1, 1)
        for want, t in ((want_w, lambda: go * ((x.reshape(shape) - m.view(stats)) * r.view(stats))), (want_b, lambda: go)):
            if want:
                outs.append(t().sum((1, 4)).flatten(1).to(kind))
        return tuple(outs) if len(outs) > 1 else outs[0]

    @staticmethod
    def kernel(
        g: Layout, x: Layout, mean: Layout, rstd: Layout, weight: Layout | None, groups: int, want_x: bool, want_w: bool, want_b: bool
    ) -> Result:
        wants = (want_x, want_w, want_b)
        c = layout((x.shape[1],), weight.dtype if weight is not None else x.dtype.compute)
        outs = tuple(o for o, w in zip((layout(x.shape, x.dtype), c, c), wants) if w)
        return Result(outs, group_backward_schedule(grouped(x), groups, flat(weight), wants))

    @staticmethod
    def gradient(
        gs: Any, grad: Tensor, input: Tensor, rstd: Tensor, weight: Tensor | None, groups: int, want_x: bool, want_w: bool, want_b: bool
    ) -> tuple[Any, ...]:
        given = iter(list(gs))
        ggx, ggw, ggb = (next(given) if w else None for w in (want_x, want_w, want_b))
        shape = (input.shape[0], groups, input.shape[1] // groups, -1)  # example, group, channel of the group, place
        x, go = input.reshape(shape), grad.reshape(shape)

        def by_channel(t: Tensor) -> Tensor:
            return t.view((1, *shape[1:3], 1))

        def avg(t: Tensor) -> Tensor:
            return t.mean((2, 3), True)

        w = None if weight is None else by_channel(weight)
        r = rstd.to(input.dtype).view((*shape[:2], 1, 1))
        h = (x - avg(x)) * r
        u = go if w is None else go * w
        by_grad = by_h = by_w = by_x = None
        if ggx is not None:
            gg = ggx.reshape(shape)
            b = avg(u * h)
            by_u = r * (gg - avg(gg) - h * avg(gg * h))
            by_grad, by_w = (by_u, None) if w is None else (by_u * w, (by_u * go).sum((0, 3)).reshape(-1))
            by_h = -r * (gg * b + u * avg(gg * h))
            by_x = -avg(gg * (u - avg(u) - h * b)) * r * r * h
        if ggw is not None:
            by_grad = by_channel(ggw) * h if by_grad is None else by_grad + by_channel(ggw) * h
            by_h = by_channel(ggw) * go if by_h is None else by_h + by_channel(ggw) * go
        if ggb is not None:
            wide = by_channel(ggb).expand(go.shape)
            by_grad = wide if by_grad is None else by_grad + wide
        if by_h is not None:
            through = r * (by_h - avg(by_h) - h * avg(by_h * h))
            by_x = through if by_x is None else by_x + through
        return by_grad.reshape(grad.shape), None if by_x is None else by_x.reshape(input.shape), None, None, by_w  # type: ignore[union-attr]


class GroupNorm(Composite):
    """Layer normalisation of groups of channels, scaled per channel. Wu & He 2018, arXiv 1803.08494."""

    schema = "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor,
        num_groups: int,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
        cudnn_enabled: bool = True,
    ) -> Tensor:
        if input.ndim < 2:
            raise refuse(RuntimeError, f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
        c = input.shape[1]
        if num_groups <= 0:
            raise refuse(RuntimeError, f"Expected num groups to be greater than 0, got {num_groups}")
        if c % num_groups:
            raise refuse(
                RuntimeError,
                f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(input.shape)} and num_groups={num_groups}",
            )
        for name, t in (("weight", weight), ("bias", bias)):
            if t is not None and (t.ndim != 1 or t.numel() != c):
                raise refuse(
                    RuntimeError,
                    f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {list(t.shape)} and input of shape {list(input.shape)}",
                )
        if not input._layout.numel:
            return input.clone()
        if not input.dtype.is_floating_point:
            raise refuse(NotImplementedError, f"\"GroupNormKernelImpl\" not implemented for '{scalar_type_name(input.dtype)}'")
        return ops.native_group_norm_forward(input, int(num_groups), weight, bias, float(eps))[0]

    samples = [sample(normal(2, 4, 3), 2), sample(normal(2, 4, 3), 2, normal(4), normal(4))]


class NativeGroupNormPublic(Composite):
    """(y, mean, 1 / deviation) of groups, statistics (N, group); the sizes N, C and HxW are the input's."""

    schema = "native_group_norm(Tensor input, Tensor? weight, Tensor? bias, int N, int C, int HxW, int group, float eps) -> (Tensor, Tensor, Tensor)"
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        if group <= 0 or C % group:
            raise refuse(
                RuntimeError,
                f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(input.shape)} and num_groups={group}",
            )
        for name, t in (("weight", weight), ("bias", bias)):
            if t is not None and (t.ndim != 1 or t.numel() != C):
                raise refuse(
                    RuntimeError,
                    f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {list(t.shape)} and input of shape {list(input.shape)}",
                )
        check_mixed(input._layout, [t._layout for t in (weight, bias) if t is not None])
        if not input.dtype.is_floating_point:
            raise refuse(NotImplementedError, f"\"GroupNormKernelImpl\" not implemented for '{scalar_type_name(input.dtype)}'")
        kind = next((t.dtype for t in (weight, bias) if t is not None), input.dtype)
        if not input._layout.numel:
            return input.clone(), ops.zeros((N, group), dtype=kind), ops.full((N, group), float("nan"), dtype=kind)
        y, mean, rstd = ops.native_group_norm_forward(input.reshape((N, C, HxW)), int(group), weight, bias, float(eps))
        if input.requires_grad:  # the statistics are results too; the kernel's own carry no derivative
            rows = input.reshape((N, group, -1))
            mean = rows.mean(2, True)
            rstd = ((rows - mean).square().mean(2) + eps).rsqrt()
        return y.view(tuple(input.shape)), mean.view((N, group)).to(kind), rstd.view((N, group)).to(kind)

    samples = [sample(normal(2, 4, 3), normal(4), normal(4), 2, 4, 3, 2, 1e-5)]
