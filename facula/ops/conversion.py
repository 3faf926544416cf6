"""Copies: to another element type, another order of dims in memory, or into a tensor that exists."""

from __future__ import annotations

from typing import Any

from ..base.device import META, channels_last, contiguous_format, device, memory_format, preserve_format
from ..base.dtypes import ALIASES, DTYPES
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core import writing
from ..core.batching import Examples
from ..core.copying import converted
from ..core.expression import wants
from ..core.layout import Layout, channels_last_strides, dense_like, layout
from ..core.modes import MODE
from ..core.placing import no_values, placed
from ..core.plan import allocate
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.pointwise import pointwise
from ..spec.block import Composite, Fused, Procedure
from ..spec.registry import ops
from ..spec.samples import normal, sample


def strides_for(x: Layout, fmt: memory_format | None) -> tuple[int, ...] | None:
    """Strides of a copy in a memory format; None means contiguous."""
    if fmt is None or fmt is preserve_format:
        return None if x.contiguous else x.strides if x.dense else dense_like(x.shape, x.strides)
    if fmt is contiguous_format:
        return None
    ndim = 4 if fmt is channels_last else 5
    if x.ndim != ndim:
        raise refuse(RuntimeError, f"required rank {ndim} tensor to use {fmt.name} format", received=f"{x.ndim} dims")
    return channels_last_strides(x.shape)


class ToCopy(Fused):
    """A copy with another element type and order of dims in memory. One read and one write of each element: the bandwidth of a copy."""

    schema = "to_copy(Tensor input, ScalarType? dtype=None, MemoryFormat? memory_format=None) -> Tensor"
    paths = ""

    @staticmethod
    def batch(examples: Examples, input: Tensor, dtype: DType | None, memory_format: memory_format | None) -> Tensor:
        if memory_format is None or "last" not in memory_format.name:
            return ops.to_copy(input, dtype, memory_format)
        items = input if input.ndim - 1 in (4, 5) else input.unsqueeze(0)
        return ops.to_copy(items.flatten(0, 1), dtype, memory_format).view_as(input)

    @staticmethod
    def kernel(x: Layout, dtype: DType | None, memory_format: memory_format | None) -> Result:
        out = layout(x.shape, dtype or x.dtype, strides_for(x, memory_format), x.device)
        return Result((out,), pointwise([out], [x], (converted(x.dtype, out.dtype),)))

    @staticmethod
    def gradient(g: Tensor, input: Layout) -> Tensor:
        return g if g.dtype is input.dtype else (ops.real(g) if g.dtype.is_complex and not input.dtype.is_complex else g).to(input.dtype)

    samples = [sample(normal(3, 4))]


class ToMeta(Procedure):
    """The shape, strides and type alone."""

    schema = "to_meta(Tensor input, ScalarType dtype, MemoryFormat? memory_format=None) -> Tensor"
    paths = ""

    @staticmethod
    def run(input: Tensor, dtype: DType, memory_format: memory_format | None) -> Tensor:
        x = input._layout
        return allocate(layout(x.shape, dtype, strides_for(x, memory_format), META))

    @staticmethod
    def gradient(g: Tensor, input: Layout) -> Tensor:
        return g.to(input.device)


def _from_meta() -> Any:
    raise no_values(NotImplementedError, "Cannot copy out of meta tensor; no data!")


class Clone(Composite):
    """A copy in memory of its own."""

    schema = "clone(Tensor input, *, MemoryFormat? memory_format=None) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, *, memory_format: memory_format | None = None) -> Tensor:
        return ops.to_copy(input, None, memory_format)

    samples = [sample(normal(3, 4))]


class Contiguous(Composite):
    """Itself if its elements lie in this order without gaps, else a copy."""

    schema = "contiguous(Tensor input, *, MemoryFormat memory_format=None) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, *, memory_format: memory_format = contiguous_format) -> Tensor:
        if memory_format is preserve_format:
            if input.is_contiguous():
                return input
            raise refuse(RuntimeError, "preserve memory format is unsupported by the contiguous operator")
        return input if input.is_contiguous(memory_format=memory_format) else ops.to_copy(input, None, memory_format)

    samples = [sample(normal(3, 4))]


def _target(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """What `to` was asked for: (device, dtype, copy, memory format)."""
    dev = kwargs.pop("device", None)
    kind = kwargs.pop("dtype", None)
    other = kwargs.pop("other", None)
    copy, fmt = bool(kwargs.pop("copy", False)), kwargs.pop("memory_format", None)
    kwargs.pop("non_blocking", None)
    if kwargs:
        raise TypeError(f"to() received an invalid combination of arguments - got an unexpected keyword argument '{next(iter(kwargs))}'")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], DType):
        kind = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (device, str, int)) and not isinstance(rest[0], bool)):
        dev = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], DType)):
            kind = rest.pop(0)
    elif rest:
        raise TypeError(f"to() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})")
    if rest and not isinstance(rest[0], bool):
        raise TypeError(f"to() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})")
    if rest:
        rest.pop(0)  # non_blocking
    if rest:
        copy = rest.pop(0)
        if rest or not isinstance(copy, bool):
            raise TypeError(f"to() received an invalid combination of arguments - got ({', '.join(type(a).__name__ for a in args)})")
    if other is not None:
        dev, kind = other.device, other.dtype
    return dev, kind, copy, fmt


class To(Composite):
    """Another element type, device or memory format; itself when nothing changes and `copy` is False."""

    schema = "to(Tensor input, Device? device=None, ScalarType? dtype=None, bool non_blocking=False, bool copy=False, *, MemoryFormat? memory_format=None) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        dev, kind, copy, fmt = _target(args, kwargs)
        where = input.device if dev is None else placed(dev, copying=True)
        kind = kind or input.dtype
        if where is not input.device:
            return ops.to_meta(input, kind, fmt) if where is META else _from_meta()
        same = kind is input.dtype and (fmt is None or fmt is preserve_format or input.is_contiguous(memory_format=fmt))
        return input if same and not copy else ops.to_copy(input, kind, fmt)

    samples = [sample(normal(3, 4))]


def _cast(name: str, kind: DType) -> None:
    def compose(self: Tensor, memory_format: memory_format | None = None) -> Tensor:
        return self.to(kind) if memory_format is None else self.to(kind, memory_format=memory_format)

    compose.__name__ = name
    compose.__doc__ = f"The values as {kind.name}."
    setattr(Tensor, name, compose)


for _name, _kind in {**{n: k for n, k in ALIASES.items() if n not in ("chalf",)}, "bfloat16": DTYPES["bfloat16"], "bool": DTYPES["bool"],
                     "byte": DTYPES["uint8"], "char": DTYPES["int8"]}.items():  # fmt: skip
    _cast(_name, _kind)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrites the values with those of `src` (broadcast, converted); the history of `src` comes along."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    writing.check_target(self, "copy_")
    writing.check_leaf(self)
    if MODE.grad and (wants(src) or wants(self)):
        value = src if src.dtype is self.dtype else src.to(self.dtype)
        value = value.expand(self.shape) if value.shape != self.shape else _fresh(value)
        return writing.assign(self, value, "copy_", keeps=wants(self) and self._root is None)
    writing.write(self, src)
    return self


def _fresh(value: Tensor) -> Tensor:
    """A node of its own, so that the source's is not handed over."""
    return value.view_as(value)


Tensor.copy_ = copy_
