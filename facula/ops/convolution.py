"""Convolution and its transpose in one to three dims. Compute-bound: the kernels in `kernel/convolution` run near the FMA peak."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..base.device import channels_last, contiguous_format
from ..base.dtypes import float64
from ..base.errors import refuse
from ..core.batching import Examples
from ..core.layout import Layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import convolution as kernels
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, normal, refused, sample
from .formats import image, is_last

GEOMETRY = "int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups"


class Geometry(NamedTuple):
    """How windows lie over an image: the operators' arguments of these names, one number a dim."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int

    @property
    def options(self) -> dict[str, Any]:
        """What a kernel wants to know."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def packed(self) -> tuple[int, ...]:
        """As one list, short enough for a key of the plan table: dilations of 1 and output paddings of 0 are left out."""
        plain = not any(self.output_padding) and max(self.dilation) == 1
        return (self.groups, int(self.transposed), *self.stride, *self.padding, *(() if plain else (*self.dilation, *self.output_padding)))

    @staticmethod
    def unpacked(packed: Sequence[int], n: int) -> Geometry:
        """Of n dims."""
        stride, padding, dilation, extra = (tuple(packed[i : i + n]) for i in range(2, 2 + 4 * n, n))
        return Geometry(stride, padding, dilation or (1,) * n, bool(packed[1]), extra or (0,) * n, packed[0])

    def result(self, x: Sequence[int], w: Sequence[int]) -> tuple[int, ...]:
        """(N, O, *R) from the shapes of input and weight."""
        space = []
        for i, n in enumerate(x[2:]):
            s, p, k = self.stride[i], self.padding[i], self.dilation[i] * (w[2 + i] - 1) + 1
            space.append((n - 1) * s - 2 * p + k + self.output_padding[i] if self.transposed else (n + 2 * p - k) // s + 1)
        return (x[0], w[1] * self.groups if self.transposed else w[0], *space)


def check(x: Layout, w: Layout, bias: Layout | None, geometry: Geometry) -> None:
    """PyTorch's refusals, in its order."""
    stride, padding, dilation, transposed, output_padding, groups = geometry
    _check_geometry(x, w, stride, padding, dilation, groups)
    if x.dtype is not w.dtype:
        if w.ndim == 3 and bias is not None and bias.dtype is w.dtype and x.dtype.name not in ("float32", "bool"):
            raise _mixed_bias(x, bias)
        raise _mixed(x, w, stride, transposed, output_padding, groups)
    if bias is not None and bias.dtype is not x.dtype:
        raise _mixed_bias(x, bias)
    _check_channels(x, w, bias, transposed, groups)
    if not transposed:
        padded = [s + 2 * p for s, p in zip(x.shape[2:], padding)]
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:])]
        if any(r > s for r, s in zip(reach, padded)):
            raise refuse(
                RuntimeError,
                f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: ({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size",
            )


def last_channels(x: Layout, w: Layout) -> bool:
    """Whether results lie as channels_last: PyTorch's rule. The library that it calls for volumes takes no float64."""
    spatial = w.ndim - 2
    return (spatial < 3 or x.dtype is not float64) and (is_last(x, spatial) or is_last(w, spatial))


PHASES = 1 << 14


def _phases(stride: Sequence[int]) -> None:
    """The transpose of a convolution has a part for each of the stride's phases."""
    if math.prod(stride) > PHASES:
        raise refuse(RuntimeError, "stride is too large", received=f"stride={tuple(stride)}", expected=f"a product of at most {PHASES:,}")


def _check_geometry(x: Layout, w: Layout, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int) -> None:
    n = w.ndim - 2
    for name, values, least, sentence in (
        ("padding", padding, 0, "negative padding is not supported"),
        ("stride", stride, 1, "non-positive stride is not supported"),
        ("dilation", dilation, 1, "dilation should be greater than zero"),
    ):
        if any(v < least for v in values):
            raise refuse(RuntimeError, sentence, received=f"{name}={tuple(values)}")
    if groups <= 0:
        raise refuse(RuntimeError, f"expected groups to be greater than 0, but got groups={groups}")
    if n < 1:
        raise refuse(RuntimeError, "weight should have at least three dimensions", received=f"weight {tuple(w.shape)}")
    if len(stride) not in (1, n):
        raise refuse(
            RuntimeError,
            f"expected stride to be a single integer value or a list of {n} values to match the convolution dimensions, but got stride={list(stride)}",
        )
    if x.ndim != n + 2:
        raise refuse(
            RuntimeError,
            f"Expected {n + 2}-dimensional input for {n + 2}-dimensional weight {list(w.shape)}, but got {x.ndim}-dimensional input of size {list(x.shape)} instead",
        )


def _check_channels(x: Layout, w: Layout, bias: Layout | None, transposed: bool, groups: int) -> None:
    size = f"weight of size {list(w.shape)}"
    if transposed:
        given, channels, outputs = f"transposed=1, {size}", w.shape[0], w.shape[1] * groups
    else:
        given, channels, outputs = f"groups={groups}, {size}", w.shape[1] * groups, w.shape[0]
        for wrong, wanted in ((outputs < groups, f"at least {groups}"), (outputs % groups, f"divisible by {groups}")):
            if wrong:
                raise refuse(
                    RuntimeError,
                    f"Given groups={groups}, expected weight to be {wanted} at dimension 0, but got {size} instead",
                )
    if x.shape[1] != channels:
        raise refuse(
            RuntimeError,
            f"Given {given}, expected input{list(x.shape)} to have {channels} channels, but got {x.shape[1]} channels instead",
            received=f"input {tuple(x.shape)}", expected=f"{channels} channels",
        )  # fmt: skip
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != outputs):
        raise refuse(
            RuntimeError,
            f"Given {'transposed=1, ' if transposed else ''}{size}, expected bias to be 1-dimensional with {outputs} elements, but got bias of size {list(bias.shape)} instead",
        )


def _mixed_bias(x: Layout, bias: Layout) -> Exception:
    return refuse(RuntimeError, f"Input type ({_cpp(x)}) and bias type ({_cpp(bias)}) should be the same")


def _mixed(x: Layout, w: Layout, stride: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int) -> Exception:
    """PyTorch words it by the library that it would have called."""
    first, second = scalar_type_name(x.dtype), scalar_type_name(w.dtype)
    if x.dtype.name == "bool":
        return refuse(
            NotImplementedError,
            f"\"slow_conv{'_transpose' if transposed else ''}{max(w.ndim - 2, 2)}d_{'out_' if transposed else ''}cpu\" not implemented for 'Bool'",
        )
    large = transposed and any(e >= s for e, s in zip(output_padding, stride))
    if x.dtype.name == "float32" and not large and (groups > 1 or x.shape[0] > 1 or min(w.shape[-2:]) > 3 or x.numel > 20480):
        return refuse(
            RuntimeError,
            f"Input type (torch.{first}Tensor) and weight type (torch.{second}Tensor) should be the same or input should be a MKLDNN tensor and weight is a dense tensor",
        )
    return refuse(
        RuntimeError,
        f"expected scalar type {first} but found {second}",
        received=f"input {x.dtype}, weight {w.dtype}",
        expected="one dtype",
    )


def _cpp(x: Layout) -> str:
    return (
        f"CPU{scalar_type_name(x.dtype)}Type"
        if x.dtype.name == "bfloat16"
        else {"float32": "float", "float64": "double", "float16": "c10::Half", "int64": "long int"}.get(
            x.dtype.name, f"{scalar_type_name(x.dtype)}Tensor"
        )
    )


class Convolution(Fused):
    """y = x * w + bias; x (N, C, *S), w (O, C / groups, *K), or (C, O / groups, *K) when transposed."""

    schema = f"convolution(Tensor input, Tensor weight, Tensor? bias, {GEOMETRY}) -> Tensor"
    out = False
    paths = "torch"
    contiguous = ("bias",)

    @staticmethod
    def batch(examples: Examples, input: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> Tensor:
        n, geometry = examples.n, Geometry(*arguments)
        x = examples.all(input, "input")
        if "weight" not in examples:  # one convolution of all examples' images
            y = ops.convolution(x.flatten(0, 1), weight, None if "bias" in examples else bias, *geometry).unflatten(0, (n, -1))
        else:  # a group per example
            y = apart(ops.convolution(side_by_side(x), weight.flatten(0, 1), None, *grouped(geometry, n)), n)
        if bias is None or ("weight" not in examples and "bias" not in examples):
            return y
        return y + bias.view(-1, 1, bias.shape[-1], *(1,) * (y.ndim - 3))

    @staticmethod
    def kernel(x: Layout, w: Layout, bias: Layout | None, *arguments: Any) -> Result:
        geometry = Geometry(*arguments)
        check(x, w, bias, geometry)
        if x.dtype.is_complex or not x.dtype.is_floating_point:
            raise refuse(NotImplementedError, f"\"slow_conv2d_cpu\" not implemented for '{scalar_type_name(x.dtype)}'")
        out = image(geometry.result(x.shape, w.shape), x.dtype, last_channels(x, w))
        if geometry.transposed:
            _phases(geometry.stride)
        run = kernels.backward_input if geometry.transposed else kernels.forward
        return Result((out,), run(out, x, w, **geometry.options, bias=bias is not None))

    @staticmethod
    def gradient(
        g: Tensor,
        input: Tensor,
        weight: Tensor,
        bias: Layout | None,
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        output_padding: Any,
        groups: int,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        geometry = Geometry(stride, padding, dilation, transposed, output_padding, groups).packed
        last = last_channels(input._layout, weight._layout)
        if needs[0] and needs[1] and not g._layout.contiguous and math.prod(weight.shape[2:]) > 1:
            g = g.contiguous()  # both read it in planes: turned once
        gx = ops.convolution_input(g, weight, tuple(input.shape[2:]), geometry, last) if needs[0] else None
        gw = ops.convolution_weight(g, input, tuple(weight.shape[2:]), geometry, last) if needs[1] else None
        gb = g.sum((0, *range(2, g.ndim))) if len(needs) > 2 and needs[2] else None
        return gx, gw, gb

    samples = [
        sample(normal(2, 2, 5, 4), normal(3, 2, 2, 2), normal(3), [1, 2], [1, 0], [1, 1], False, [0, 0], 1),
        sample(normal(1, 2, 4), normal(2, 3, 2), None, [2], [0], [1], True, [1], 1),
    ]


class ConvolutionInput(Fused):
    """The gradient of a convolution's input, whose planes have this size."""

    schema = "convolution_input(Tensor grad, Tensor weight, int[] size, int[] geometry, bool channels_last) -> Tensor"
    paths = ""

    @staticmethod
    def batch(examples: Examples, grad: Tensor, weight: Tensor, size: Any, geometry: Any, channels_last: bool) -> Tensor:
        n, g = examples.n, examples.all(grad, "grad")
        if "weight" not in examples:
            return ops.convolution_input(g.flatten(0, 1), weight, size, geometry, channels_last).unflatten(0, (n, -1))
        return apart(ops.convolution_input(side_by_side(g), weight.flatten(0, 1), size, (geometry[0] * n, *geometry[1:]), channels_last), n)

    @staticmethod
    def kernel(g: Layout, w: Layout, size: Any, geometry: Any, channels_last: bool) -> Result:
        own = Geometry.unpacked(geometry, len(size))
        channels = w.shape[0] if own.transposed else w.shape[1] * own.groups
        out = image((g.shape[0], channels, *size), g.dtype, channels_last)
        if not own.transposed:
            _phases(own.stride)
        run = kernels.forward if own.transposed else kernels.backward_input
        return Result((out,), run(out, g, w, **own.options))

    @staticmethod
    def gradient(
        g: Tensor, grad: Tensor, weight: Tensor, size: Any, geometry: Any, channels_last: bool, needs: Sequence[bool]
    ) -> tuple[Any, ...]:
        gg = ops.convolution(g, weight, None, *Geometry.unpacked(geometry, len(size))) if needs[0] else None
        gw = ops.convolution_weight(grad, g, tuple(weight.shape[2:]), geometry, channels_last) if needs[1] else None
        return gg, gw


class ConvolutionWeight(Fused):
    """The gradient of a convolution's weight, whose windows have this size."""

    schema = "convolution_weight(Tensor grad, Tensor input, int[] size, int[] geometry, bool channels_last) -> Tensor"
    paths = ""

    @staticmethod
    def batch(examples: Examples, grad: Tensor, input: Tensor, size: Any, geometry: Any, channels_last: bool) -> Tensor:
        n = examples.n
        g, x = side_by_side(examples.all(grad, "grad")), side_by_side(examples.all(input, "input"))
        return ops.convolution_weight(g, x, size, (geometry[0] * n, *geometry[1:]), channels_last).unflatten(0, (n, -1))

    @staticmethod
    def kernel(g: Layout, x: Layout, size: Any, geometry: Any, channels_last: bool) -> Result:
        own = Geometry.unpacked(geometry, len(size))
        source, result = (g, x) if own.transposed else (x, g)
        out = image((result.shape[1], source.shape[1] // own.groups, *size), g.dtype, channels_last)
        schedule = kernels.backward_weight(out, result, source, **own.options)
        return Result((out,), swapped(schedule) if own.transposed else schedule)

    @staticmethod
    def gradient(
        g: Tensor, grad: Tensor, input: Tensor, size: Any, geometry: Any, channels_last: bool, needs: Sequence[bool]
    ) -> tuple[Any, ...]:
        gg = ops.convolution(input, g, None, *Geometry.unpacked(geometry, len(size))) if needs[0] else None
        gx = ops.convolution_input(grad, g, tuple(input.shape[2:]), geometry, channels_last) if needs[1] else None
        return gg, gx


TAPS = 1000  # extents of a window, added up, that one convolution takes
RUN = 512  # taps of longer ones that are taken together


def side_by_side(x: Tensor) -> Tensor:
    """(examples, N, C, ...) -> (N, examples * C, ...): one group of channels per example."""
    return x.movedim(0, 1).flatten(1, 2)


def grouped(geometry: Geometry, n: int) -> Geometry:
    """With the groups of n examples."""
    return geometry._replace(groups=n * geometry.groups)


def apart(x: Tensor, n: int) -> Tensor:
    """(N, n * C, ...) -> (n, N, C, ...): what `side_by_side` joined."""
    return x.unflatten(1, (n, -1)).movedim(1, 0)


def swapped(schedule: Any) -> Any:
    """The schedule with its two tensor inputs exchanged."""
    from dataclasses import replace

    from ..kernel.launch import In

    launches = tuple(
        replace(x, words=tuple(In(1 - w.index, w.offset) if isinstance(w, In) else w for w in x.words)) for x in schedule.launches
    )
    return replace(schedule, launches=launches)


def spread(value: Any, n: int, name: str) -> tuple[int, ...]:
    """One int for all dims, or one per dim."""
    if isinstance(value, int) or not hasattr(value, "__iter__"):
        return (value.__index__(),) * n
    items = tuple(v.__index__() for v in value)
    if len(items) == 1:
        return items * n
    if len(items) != n:
        raise refuse(
            RuntimeError,
            f"expected {name} to be a single integer value or a list of {n} values to match the convolution dimensions, but got {name}={list(items)}",
        )
    return items


def _batched(x: Tensor, n: int, title: str) -> tuple[Tensor, bool]:
    if x.ndim == n + 1:
        return x.unsqueeze(0), True
    if x.ndim != n + 2:
        raise refuse(
            RuntimeError, f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {title}, but got input of size: {list(x.shape)}"
        )
    return x, False


def convolved(x: Tensor, w: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """One convolution for floating types; complex ones are four real ones, integers a product of columns."""
    if x.dtype.is_floating_point or x.dtype is not w.dtype or x.dtype.name == "bool":
        if w.ndim == len(geometry.stride) + 2 and sum(w.shape[2:]) > TAPS:
            return _in_parts(x, w, bias, geometry)
        return ops.convolution(x, w, bias, *geometry)
    check(x._layout, w._layout, None if bias is None else bias._layout, geometry)
    if x.dtype.is_complex:
        a, b, u, v = x.real, x.imag, w.real, w.imag
        y = ops.complex(
            ops.convolution(a, u, None, *geometry) - ops.convolution(b, v, None, *geometry),
            ops.convolution(a, v, None, *geometry) + ops.convolution(b, u, None, *geometry),
        )
    else:
        y = _whole(x, w, geometry)
    return y if bias is None else y + bias.view((1, -1, *(1,) * (x.ndim - 2)))


def _in_parts(x: Tensor, w: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """The sum of convolutions with runs of the taps along the longest dim of the window, each of a shifted input or shifted in the result."""
    check(x._layout, w._layout, None if bias is None else bias._layout, geometry)
    shape, n = geometry.result(x.shape, w.shape), len(geometry.stride)
    k = max(range(n), key=lambda i: w.shape[2 + i])
    behind, reach, step, padding = 2 * (n - 1 - k), geometry.dilation[k], geometry.stride[k], geometry.padding[k]
    plain = geometry._replace(
        padding=tuple(0 if i == k else p for i, p in enumerate(geometry.padding)),
        output_padding=tuple(0 if i == k else p for i, p in enumerate(geometry.output_padding)),
    )
    around = lambda t, before, after: ops.constant_pad_nd(t, [0] * behind + [before, after], 0)  # noqa: E731
    x = x if geometry.transposed else around(x, padding, padding)
    total: Tensor | None = None
    for first in range(0, w.shape[2 + k], RUN):
        taps = w.narrow(2 + k, first, min(RUN, w.shape[2 + k] - first))
        length = (shape[2 + k] - 1) * step + (taps.shape[2 + k] - 1) * reach + 1
        here = x if geometry.transposed else x.narrow(2 + k, first * reach, length)
        part = convolved(here, taps, None, plain)
        if geometry.transposed:
            length = shape[2 + k] + 2 * padding
            part = around(part, first * reach, length - first * reach - part.shape[2 + k]).narrow(2 + k, padding, shape[2 + k])
        total = part if total is None else total + part
    assert total is not None
    return total if bias is None else total + bias.view((1, -1, *(1,) * n))


def _whole(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """Convolution of integers: exact, wrapping like any other sum of products."""
    stride, padding, dilation, transposed, output_padding, groups = geometry
    shape = geometry.result(x.shape, w.shape)
    n, kernel, none = x.shape[0], tuple(w.shape[2:]), (0,) * len(stride)
    if not transposed:
        columns = ops.columns(x, kernel, dilation, padding, stride)
        parts = columns.reshape((n, groups, columns.shape[1] // groups, columns.shape[2]))
        y = (w.reshape((1, groups, w.shape[0] // groups, parts.shape[2])) @ parts).reshape(shape)
    else:
        parts = x.reshape((n, groups, x.shape[1] // groups, -1))
        turned = w.reshape((1, groups, w.shape[0] // groups, -1)).transpose(2, 3)
        columns = (turned @ parts).reshape((n, -1, parts.shape[3]))
        full = [(size - 1) * s + dl * (k - 1) + 1 for size, s, dl, k in zip(x.shape[2:], stride, dilation, kernel)]
        y = ops.uncolumns(columns, full, kernel, dilation, none, stride)
        ends = [v for extra in reversed(output_padding) for v in (0, extra)]
        y = ops.constant_pad_nd(y, ends, 0) if any(ends) else y
        y = y[(slice(None), slice(None), *(slice(p, p + r) for p, r in zip(padding, shape[2:])))]
    last = len(stride) == 2 and last_channels(x._layout, w._layout)
    return y.contiguous(memory_format=channels_last if last else contiguous_format)


def _forward(n: int, input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
    x, single = _batched(input, n, f"conv{n}d")
    strides, dilations = spread(stride, n, "stride"), spread(dilation, n, "dilation")
    if isinstance(padding, str):
        x, pads = _named_padding(x, weight, padding, strides, dilations, n, groups)
    else:
        pads = spread(padding, n, "padding")
    y = convolved(x, weight, bias, Geometry(strides, pads, dilations, False, (0,) * n, groups))
    return y.squeeze(0) if single else y


def _named_padding(
    x: Tensor, weight: Tensor, padding: str, stride: tuple[int, ...], dilation: tuple[int, ...], n: int, groups: int
) -> tuple[Tensor, tuple[int, ...]]:
    """ "valid" is no padding; "same" pads so that the extents stay, the odd element at the end."""
    if padding == "valid":
        return x, (0,) * n
    if groups <= 0:
        raise refuse(RuntimeError, "non-positive groups is not supported", received=f"groups={groups}")
    if padding != "same":
        raise refuse(RuntimeError, f"Invalid padding string: '{padding}'", expected="'valid' or 'same'")
    if any(s != 1 for s in stride):
        raise refuse(RuntimeError, "padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:])]
    low = tuple(t // 2 for t in total)
    if any(t % 2 for t in total):
        ends: list[int] = []
        for t in reversed(total):
            ends += [0, t % 2]
        x = ops.constant_pad_nd(x, tuple(ends), 0)
    return x, low


def _transpose(
    n: int, input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Tensor:
    x, single = _batched(input, n, f"conv_transpose{n}d")
    strides, dilations, extra = spread(stride, n, "stride"), spread(dilation, n, "dilation"), spread(output_padding, n, "output_padding")
    for s, d, e in zip(strides, dilations, extra):
        if e >= max(s, d):
            raise refuse(
                RuntimeError,
                f"output padding must be smaller than either stride or dilation, but got output_padding_height: {e} stride_height: {s} dilation_height: {d}",
            )
    y = convolved(x, weight, bias, Geometry(strides, spread(padding, n, "padding"), dilations, True, extra, groups))
    return y.squeeze(0) if single else y


class Conv1d(Composite):
    """input (N, C, L) or (C, L) with weight (O, C / groups, K)."""

    schema = "conv1d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, any padding=0, any dilation=1, int groups=1) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Tensor:
        return _forward(1, input, weight, bias, stride, padding, dilation, groups)

    samples = [sample(normal(2, 3, 7), normal(4, 3, 3), normal(4)), sample(normal(2, 4, 7), normal(4, 2, 3), None, 2, 1, 2, 2)]


class Conv2d(Composite):
    """input (N, C, H, W) or (C, H, W) with weight (O, C / groups, KH, KW)."""

    schema = "conv2d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, any padding=0, any dilation=1, int groups=1) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Tensor:
        return _forward(2, input, weight, bias, stride, padding, dilation, groups)

    samples = [
        sample(normal(2, 3, 6, 5), normal(4, 3, 3, 3), normal(4), 1, 1),
        sample(normal(1, 4, 6, 6), normal(4, 1, 3, 3), None, 2, 1, 1, 4),
    ]
    refusals = each(
        refused(normal(1, 3, 5, 5), normal(4, 2, 3, 3), raises=RuntimeError, match="to have 2 channels, but got 3 channels instead")
    )


class Conv3d(Composite):
    """input (N, C, D, H, W) or (C, D, H, W) with weight (O, C / groups, KD, KH, KW)."""

    schema = "conv3d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, any padding=0, any dilation=1, int groups=1) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Tensor:
        return _forward(3, input, weight, bias, stride, padding, dilation, groups)

    samples = [sample(normal(1, 2, 4, 4, 4), normal(3, 2, 2, 2, 2), normal(3))]


class ConvTranspose1d(Composite):
    """The transpose of conv1d; weight (C, O / groups, K)."""

    schema = "conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, any padding=0, any output_padding=0, int groups=1, any dilation=1) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        return _transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)

    samples = [sample(normal(2, 3, 5), normal(3, 4, 3), normal(4), 2, 1, 1)]


class ConvTranspose2d(Composite):
    """The transpose of conv2d; weight (C, O / groups, KH, KW)."""

    schema = "conv_transpose2d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, any padding=0, any output_padding=0, int groups=1, any dilation=1) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        return _transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)

    samples = [sample(normal(1, 3, 4, 4), normal(3, 2, 2, 2), normal(2), 2)]


class ConvTranspose3d(Composite):
    """The transpose of conv3d; weight (C, O / groups, KD, KH, KW)."""

    schema = "conv_transpose3d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, any padding=0, any output_padding=0, int groups=1, any dilation=1) -> Tensor"
    out = False
    paths = "torch nn.functional"

    @staticmethod
    def compose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        return _transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)

    samples = [sample(normal(1, 2, 3, 3, 3), normal(2, 2, 2, 2, 2))]
