"""A tensor's memory: storages, and tensors that take another shape, place or storage."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import CPU, device
from ..base.errors import refuse
from ..core import objects, writing
from ..core.layout import channels_last_strides, extent, layout, row_major
from ..core.placing import no_values
from ..core.plan import allocate, settle
from ..core.tensor import Tensor
from ..runtime.allocator_code import OWNER
from ..spec.registry import ops


class UntypedStorage:
    """The bytes that tensors share."""

    def __init__(self, size: Any = 0) -> None:
        if isinstance(size, Tensor):
            _, start, nbytes = objects.memory(size)
            self.bytes = objects.alias(Tensor, size, layout((nbytes,), d.uint8, None, size.device), start - size._address)
        elif hasattr(size, "__index__"):
            self.bytes = allocate(layout((size.__index__(),), d.uint8))
        else:
            data = bytes(size)
            self.bytes = allocate(layout((len(data),), d.uint8))
            ctypes.memmove(self.bytes._address, data, len(data))

    device = property(lambda self: self.bytes.device)
    is_cuda = is_sparse = property(lambda self: False)

    def nbytes(self) -> int:
        return self.bytes.shape[0]

    size = __len__ = nbytes

    def element_size(self) -> int:
        return 1

    def data_ptr(self) -> int:
        return self.bytes.data_ptr()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            out = UntypedStorage(0)
            out.bytes = self.bytes[index]
            return out
        _look(self.device)
        return int(self.bytes[index].item())

    def __setitem__(self, index: Any, value: Any) -> None:
        self.bytes[index] = value

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def tolist(self) -> list[int]:
        _look(self.device)
        return self.bytes.tolist()

    def clone(self) -> UntypedStorage:
        out = UntypedStorage(self.nbytes())
        out.bytes.copy_(self.bytes)
        return out

    def copy_(self, source: UntypedStorage, non_blocking: bool = False) -> UntypedStorage:
        self.bytes.copy_(source.bytes)
        return self

    def fill_(self, value: int) -> UntypedStorage:
        self.bytes.fill_(value)
        return self

    def resize_(self, size: int) -> UntypedStorage:
        """Bytes of its own from here on; tensors that exist keep the old ones."""
        fresh, kept = ops.empty((size,), dtype=d.uint8, device=self.device), min(size, self.nbytes())
        fresh[:kept].copy_(self.bytes[:kept])
        self.bytes = fresh
        return self

    def cpu(self) -> UntypedStorage:
        return self

    def share_memory_(self) -> UntypedStorage:
        return self

    def is_shared(self) -> bool:
        return False

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def resizable(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other.data_ptr() == self.data_ptr() and other.nbytes() == self.nbytes()

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{self.tolist() if self.device is CPU else '...'}\n[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"


def _look(where: device) -> None:
    if where is not CPU:
        raise no_values(NotImplementedError, f"Not available for '{where}' device type")


class TypedStorage:
    """The same bytes as elements of one type."""

    def __init__(
        self, *args: Any, wrap_storage: UntypedStorage | None = None, dtype: Any = None, device: Any = None, _internal: bool = False
    ) -> None:
        self.dtype = dtype or d.float32
        self._untyped_storage = wrap_storage if wrap_storage is not None else UntypedStorage((args[0] if args else 0) * self.dtype.itemsize)

    device = property(lambda self: self._untyped_storage.device)

    def untyped(self) -> UntypedStorage:
        return self._untyped_storage

    def _elements(self) -> Tensor:
        whole = self._untyped_storage.bytes
        return objects.alias(Tensor, whole, layout((self.size(),), self.dtype, None, whole.device), 0)

    def nbytes(self) -> int:
        return self._untyped_storage.nbytes()

    def size(self) -> int:
        return self.nbytes() // self.dtype.itemsize

    __len__ = _size = size

    def element_size(self) -> int:
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    def __getitem__(self, index: int) -> Any:
        return self._elements()[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements()[index] = value

    def tolist(self) -> list[Any]:
        return self._elements().tolist()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        lines = "\n".join(f" {x}" for x in self.tolist()) if self.device is CPU else "..."
        return f"{lines}\n[torch.storage.TypedStorage(dtype=torch.{self.dtype.name}, device={self.device}) of size {self.size()}]"


Tensor.untyped_storage = lambda self: UntypedStorage(self)
Tensor.storage = Tensor._typed_storage = lambda self: TypedStorage(wrap_storage=UntypedStorage(self), dtype=self.dtype)
Tensor.storage_type = lambda self: TypedStorage


# -- another shape of the same tensor
def size_list(size: Sequence[Any], title: str, name: str = "size") -> tuple[int, ...]:
    items = size[0] if len(size) == 1 and not hasattr(size[0], "__index__") else size
    if not hasattr(items, "__iter__"):
        raise refuse(TypeError, f"{title}(): argument '{name}' (position 1) must be tuple of ints, not {type(items).__name__}")
    return tuple(n.__index__() for n in items)


def owned_elsewhere(t: Tensor) -> bool:
    """Whether the memory belongs to another object, as that of a NumPy array does."""
    return bool(ctypes.c_int64.from_address(t._block + OWNER).value)


def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Another shape, row-major from the same first element; the storage grows when it must, and keeps its bytes."""
    if not size:
        raise TypeError('resize_() missing 1 required positional arguments: "size"')
    shape = size_list(size, "resize_")
    if self.requires_grad:
        raise refuse(RuntimeError, "cannot resize variables that require grad")
    if any(n < 0 for n in shape):
        raise refuse(RuntimeError, "numel: integer multiplication overflow", received=f"shape {shape}", expected="extents >= 0")
    strides = channels_last_strides(shape) if memory_format is not None and "last" in memory_format.name else None
    if tuple(self.shape) == shape and strides is None:
        return self
    lay = layout(shape, self.dtype, strides, self.device)
    _, start, held = objects.memory(self)
    before = self._address - start
    if before + lay.nbytes > held:
        if owned_elsewhere(self) and self.device is CPU:
            raise refuse(
                RuntimeError,
                "Trying to resize storage that is not resizable",
                received=f"{before + lay.nbytes} bytes in memory of another library",
                expected=f"at most {held}",
            )
        settle((self,))
        bigger = allocate(layout((before + lay.nbytes,), d.uint8, None, self.device))
        if self.device is CPU:
            ctypes.memmove(bigger._address, start, held)
        objects.rebind(self, bigger, lay, before)
    else:
        objects.rebind(self, self, lay, 0)
    return self


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """`resize_` to another tensor's shape."""
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """The tensor takes another's storage, shape and strides, or a storage from an element on."""
    if source is None:
        empty = self.new_empty((0,))
        objects.rebind(self, empty, empty._layout, 0)
        return self
    if isinstance(source, Tensor) and size is None:
        if source.dtype is not self.dtype:
            raise refuse(RuntimeError, f"Could not set tensor of type {source.dtype.name} to a tensor of type {self.dtype.name}")
        _same_device(self, source)
        objects.rebind(self, source, source._layout, 0)
        return self
    if not isinstance(source, (Tensor, UntypedStorage, TypedStorage)):
        sentence = f"set_() received an invalid combination of arguments - got ({type(source).__name__})"
        raise refuse(TypeError, sentence, received=f"source={source!r:.60}", expected="a Tensor or a storage")
    whole = (
        source.bytes
        if isinstance(source, UntypedStorage)
        else source.untyped().bytes
        if isinstance(source, TypedStorage)
        else UntypedStorage(source).bytes
    )
    _same_device(self, whole)
    shape = (whole.shape[0] // self.dtype.itemsize,) if size is None else tuple(size)
    strides = row_major(shape) if stride is None else tuple(stride)
    need = storage_bytes(self, shape, strides, storage_offset)
    if isinstance(source, (UntypedStorage, TypedStorage)) and need > whole.shape[0]:
        if owned_elsewhere(whole):
            raise refuse(
                RuntimeError, "Trying to resize storage that is not resizable", received=f"{need} bytes", expected=f"{whole.shape[0]}"
            )
        whole = (source.untyped() if isinstance(source, TypedStorage) else source).resize_(need).bytes
    place_in_storage(self, whole, shape, strides, storage_offset)
    return self


def _same_device(self: Tensor, source: Tensor) -> None:
    if source.device is not self.device:
        raise refuse(
            RuntimeError,
            f'Attempted to set the storage of a tensor on device "{self.device}" to a storage on different device "{source.device}".  This is no longer '
            "allowed; the devices must match.",
        )


def storage_bytes(self: Tensor, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> int:
    """How many bytes of a storage such a tensor reaches."""
    if offset < 0:
        raise refuse(RuntimeError, f"Tensor: invalid storage offset {offset}")
    if any(s < 0 for s in strides):
        raise refuse(RuntimeError, f"as_strided: Negative strides are not supported at the moment, got strides: {list(strides)}")
    return (offset + extent(shape, strides)) * self.dtype.itemsize if 0 not in shape else 0


def place_in_storage(self: Tensor, whole: Tensor, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> None:
    """Rebinds after the check that every element lies in the storage."""
    item, held = self.dtype.itemsize, whole.shape[0]
    need = storage_bytes(self, shape, strides, offset)
    if need > held:
        raise refuse(
            RuntimeError,
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, and itemsize {item} requiring a storage size of {need} are out of bounds for storage of size {held}",
        )
    objects.rebind(self, whole, layout(shape, self.dtype, strides, self.device), offset * item)


# -- views in place
def _view_in_place(name: str, made: Any) -> None:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        writing.check_leaf(self)
        view = made(self, *args, **kwargs)
        return rebound(self, view)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name[:-1]}` of the tensor itself."
    setattr(Tensor, name, method)
    setattr(ops, name, method)


def rebound(self: Tensor, view: Tensor) -> Tensor:
    """The tensor becomes the view, history included."""
    node, flags = view._node, view._flags
    objects.rebind(self, view, view._layout, 0)
    if node is not None:
        self._node, self._flags = node, flags
    return self


_view_in_place("squeeze_", lambda x, *a, **k: x.squeeze(*a, **k))
_view_in_place("unsqueeze_", lambda x, *a, **k: x.unsqueeze(*a, **k))
_view_in_place("transpose_", lambda x, *a, **k: x.transpose(*a, **k))
_view_in_place("swapaxes_", lambda x, *a, **k: x.transpose(*a, **k))
_view_in_place("swapdims_", lambda x, *a, **k: x.transpose(*a, **k))
_view_in_place("as_strided_", lambda x, *a, **k: ops.as_strided(x, *a, **k))


def t_(self: Tensor) -> Tensor:
    """The matrix becomes its transpose."""
    if self.ndim > 2:
        raise refuse(RuntimeError, f"t_() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    writing.check_leaf(self)
    return rebound(self, self.t())


Tensor.resize_, Tensor.resize_as_, Tensor.set_, Tensor.t_ = resize_, resize_as_, set_, t_
ops.resize_, ops.resize_as_, ops.set_, ops.t_ = resize_, resize_as_, set_, t_


# -- types by name
LEGACY = {
    "FloatTensor": d.float32, "DoubleTensor": d.float64, "HalfTensor": d.float16, "BFloat16Tensor": d.bfloat16, "LongTensor": d.int64, "IntTensor": d.int32,
    "ShortTensor": d.int16, "CharTensor": d.int8, "ByteTensor": d.uint8, "BoolTensor": d.bool_, "ComplexFloatTensor": d.complex64, "ComplexDoubleTensor": d.complex128,
}  # fmt: skip
NAMES = {kind: name for name, kind in LEGACY.items()}


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    """The type's name, or the values as another type."""
    if kwargs:
        raise refuse(TypeError, f"type() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if dtype is None:
        return f"torch.{'meta.' if self.is_meta else ''}{NAMES.get(self.dtype, self.dtype.name)}"
    if isinstance(dtype, str):
        found = LEGACY.get(dtype.removeprefix("torch."))
        if found is None:
            raise ValueError(f"invalid type: '{dtype}'")
        return self.to(found)
    return self.to(getattr(dtype, "legacy_dtype", dtype) if not isinstance(dtype, d.dtype) else dtype)


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The values as another tensor's type."""
    if not isinstance(other, Tensor):
        raise TypeError(f"type_as(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}")
    return self.to(other.device, other.dtype)


Tensor.type, Tensor.type_as = type_, type_as
ops.type_as = type_as
