"""Batch, group and instance normalisation. Each reads its input once and writes its result once: the bandwidth of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import refuse
from ..core.batching import Examples
from ..core.layout import Layout, is_channels_last, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.launch import Array
from ..kernel.rows.batch_norm import batch_norm as batch_schedule
from ..kernel.rows.batch_norm import batch_norm_backward as batch_backward_schedule
from ..kernel.rows.group_norm import group_norm as group_schedule
from ..kernel.rows.group_norm import group_norm_backward as group_backward_schedule
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, sample
from .convolution import apart, side_by_side
from .row_norms import check_mixed, flat, product, scaled


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
        y, mean, rstd, *_ = ops.native_batch_norm_forward(side_by_side(examples.all(input, "input")), *rows, training, eps, momentum)
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
        first = 1 + (weight is not None) + (bias is not None)
        kept = (first, first + 1) if training and mean is not None else ()
        return Result(
            (out, stats, stats), batch_schedule(planes(x), weight is not None, bias is not None, mean is not None, training), kept
        )

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
    out = False
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
                if given is not None and used is not given:
                    given.copy_(used)
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
    out = False
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
    out = False
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
    out = False
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
