"""Layer norm and RMS norm: each row by itself. The input is read once and the result written once: the bandwidth of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import rows as kernels
from ..kernel.launch import Array
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, refused, sample


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
    out = False
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
    out = False
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
    out = False
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
