"""Tensors and the world: NumPy, the buffer protocol, DLPack, Python lists, copies and pickles."""

from __future__ import annotations

import ctypes
from typing import Any

import facula.core.objects as objects

from ..base import dtypes as d
from ..base.device import CPU, META
from ..base.device import device as Device
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from .batching import refuse_look
from .copying import fresh_copy
from .layout import TRIM, Layout, layout
from .modes import MODE
from .native import fields as F
from .placing import no_values, placed
from .plan import exposed, settle
from .tensor import Tensor, subclass
from .values import method

LISTED = 1 << 20  # elements that become Python objects without a look at signals, about 0.02 s


class _Exposed:
    """What NumPy reads to see a tensor's memory; it keeps the tensor alive."""

    __slots__ = ("__array_interface__", "tensor")

    def __init__(self, t: Any, kind: Any) -> None:
        self.tensor = t
        lay = t._layout
        self.__array_interface__ = {
            "version": 3,
            "typestr": kind.str,
            "shape": tuple(lay.shape),
            "strides": tuple(s * kind.itemsize for s in lay.strides),
            "data": (t._address, False),
        }


def as_array(t: Any) -> Any:
    """A NumPy array on the tensor's memory, whatever its history."""
    settle((t,))
    lay = t._layout
    if (form := ARRAYS.get(lay)) is not None:
        return _array(t, *form)
    import numpy as np

    if lay.batch:
        refuse_look(t, "the values")
    if lay.device is META:
        raise no_values(
            TypeError, "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )
    if not lay.numel:
        return np.empty(tuple(lay.shape), lay.dtype.numpy)
    if lay.dtype is d.bfloat16:
        return np.asarray(_Exposed(t, np.dtype(np.uint16))).view(lay.dtype.numpy)
    span = (sum((n - 1) * s for n, s in zip(lay.shape, lay.strides)) + 1) * lay.dtype.itemsize
    strides = tuple(s * lay.dtype.itemsize for s in lay.strides)
    form = ARRAYS[lay] = ctypes.c_char * span, np.ndarray, tuple(lay.shape), lay.dtype.numpy, strides
    return _array(t, *form)


ARRAYS: dict[Layout, tuple[Any, ...]] = {}  # what arrays on tensors of a layout are made of
TRIM.append(ARRAYS.clear)


def _array(t: Any, kind: Any, array: Any, shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...]) -> Any:
    memory = kind.from_address(t._address)
    memory.tensor = t  # stays alive as long as the array
    return array(shape, dtype, memory, 0, strides)


def numpy(self: Any, *, force: bool = False) -> Any:
    """The values as a NumPy array on the same memory. `force=True` detaches first."""
    if (
        MODE.recorder is None
        and (form := ARRAYS.get(self._layout)) is not None
        and not self.requires_grad
        and not self._flags & F.READ_ONLY
    ):
        return _array(self, *form)  # the usual case, by the shortest way
    if force:
        self = self.detach()
    if self.requires_grad:
        raise refuse(
            RuntimeError,
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
            received="a tensor with requires_grad=True",
            expected="one without history",
            hint="x.detach().numpy() or x.numpy(force=True)",
        )
    if self.dtype is d.bfloat16 or self.dtype is d.complex32:
        raise TypeError(f"Got unsupported ScalarType {'BFloat16' if self.dtype is d.bfloat16 else 'ComplexHalf'}")
    exposed()
    array = as_array(self)
    if self._flags & F.READ_ONLY:
        array.flags.writeable = False
    return array


def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    import numpy as np

    array = self.numpy()
    if copy:
        return array.astype(dtype or array.dtype, copy=True)
    return array if dtype is None else np.asarray(array, dtype=dtype)


def __array_wrap__(self: Any, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
    from ..spec.registry import ops

    return ops.from_numpy(array.copy() if not array.flags.writeable or not array.ndim else array)


def tolist(self: Any) -> Any:
    """Nested Python lists; a number for a 0-dim tensor."""
    t = self.detach()
    if t._layout.device is META:
        raise no_values(NotImplementedError, "Cannot copy out of meta tensor; no data!")
    if t.dtype is d.bfloat16 or t.dtype is d.complex32:
        t = t.to(d.float32 if t.dtype is d.bfloat16 else d.complex64)
    return _listed(as_array(t))


def _listed(array: Any) -> Any:
    """`array.tolist()` in steps of LISTED elements: Python looks at signals between them."""
    if array.size <= LISTED or not array.ndim:
        return array.tolist()
    each = array.size // len(array)
    if each > LISTED:
        return [_listed(row) for row in array]
    out: list[Any] = []
    step = LISTED // each
    for i in range(0, len(array), step):
        out += array[i : i + step].tolist()
    return out


# -- DLPack (https://dmlc.github.io/dlpack): the unversioned structure
class _DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32), ("dtype", _DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


class _DLManaged(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


CODES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_live: dict[int, Any] = {}


def _code(t: DType) -> int:
    if t is d.bool_:
        return 6
    if t is d.bfloat16:
        return 4
    return 5 if t.is_complex else 2 if t.is_floating_point else 0 if t.is_signed else 1


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _forget(address: int) -> None:
    _live.pop(address, None)


def __dlpack__(self: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None) -> Any:
    """A capsule on the same memory."""
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    t = self.clone() if copy else self
    exposed()
    refuse_look(t, "the memory")
    lay = t._layout
    if lay.device is META:
        raise no_values(BufferError, "Cannot pack tensors on meta")
    shape, strides = (ctypes.c_int64 * max(1, lay.ndim))(*lay.shape), (ctypes.c_int64 * max(1, lay.ndim))(*lay.strides)
    kind = _DLDataType(_code(lay.dtype), lay.dtype.itemsize * 8, 1)
    managed = _DLManaged(_DLTensor(t._address, 1, 0, lay.ndim, kind, shape, strides, 0), None, ctypes.cast(_forget, ctypes.c_void_p))
    address = ctypes.addressof(managed)
    _live[address] = (managed, t, shape, strides)
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return capsule(address, b"dltensor", None)


def __dlpack_device__(self: Any) -> tuple[int, int]:
    if self._layout.device is META:
        raise refuse(ValueError, "Unknown device type meta for Dlpack")
    return (1, 0)


class _Lease:
    """Calls a capsule's deleter when the memory is no longer used."""

    def __init__(self, managed: Any) -> None:
        """All that the call takes is fetched here: when the interpreter goes down, modules may be empty before the last tensor goes."""
        self.deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(managed.deleter) if managed.deleter else None
        self.address = ctypes.addressof(managed)

    def __del__(self) -> None:
        if self.deleter is not None:
            self.deleter(self.address)


def to_dlpack(tensor: Any) -> Any:
    """A capsule on the tensor's memory, to be used once."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor on the memory of any object that speaks DLPack, or with `copy` on its own; moved when it shall be on another `device`."""
    if not hasattr(ext_tensor, "__dlpack__"):
        if device is not None or copy is not None:
            sentence = "device and copy kwargs not supported when ext_tensor is already a DLPack capsule."
            raise refuse(AssertionError, sentence, received=f"device={device}, copy={copy}")
        return _adopt(ext_tensor)
    where = CPU if device is None else Device(device)
    if where != CPU and copy is False:
        raise refuse(ValueError, f"cannot move DLPack tensor from device cpu to {where} without copying. Set copy=None or copy=True.")
    made = _adopt(ext_tensor.__dlpack__()).to(where)
    return made.clone() if copy and where == CPU else made


def _adopt(capsule: Any) -> Any:
    """A tensor on the memory of a capsule, which is used up."""
    from ..runtime import allocator

    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    valid = ctypes.pythonapi.PyCapsule_IsValid
    valid.restype, valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
    if not valid(capsule, b"dltensor"):
        raise refuse(
            RuntimeError,
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have already constructed a "
            "tensor from it once.",
            received=f"{capsule!r:.60}",
        )
    managed = _DLManaged.from_address(get(capsule, b"dltensor"))
    rename = ctypes.pythonapi.PyCapsule_SetName
    rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
    rename(capsule, b"used_dltensor")
    x = managed.tensor
    bits = x.dtype.bits
    name = CODES.get(x.dtype.code, "")
    kind = d.DTYPES.get({"bfloat": "bfloat16", "bool": "bool"}.get(name, f"{name}{bits}"))
    if kind is None or x.dtype.lanes != 1 or x.device_type != 1:
        raise BufferError(f"from_dlpack: unsupported element type or device (code {x.dtype.code}, {bits} bits, device {x.device_type})")
    shape = tuple(x.shape[i] for i in range(x.ndim))
    strides = tuple(x.strides[i] for i in range(x.ndim)) if x.strides else None
    if strides is not None and min(strides, default=0) < 0:
        raise refuse(
            BufferError,
            "from_dlpack: tensors with negative strides are not supported",
            received=f"strides {strides}",
            hint="pass a copy of it",
        )
    lay = layout(shape, kind, strides)
    block = allocator.external((x.data or 0) + x.byte_offset, lay.nbytes, _Lease(managed))
    return objects.adopt(Tensor, lay, block)


# -- copies and pickles
def __deepcopy__(self: Any, memo: Any) -> Any:
    """A leaf with memory of its own; views of one storage stay views of one storage within one deepcopy."""
    from copy import deepcopy

    if self._node is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting to deepcopy a module, "
            "this may be because of a torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(self) in memo:
        return memo[id(self)]
    block, start, nbytes = objects.memory(self)
    key = ("facula storage", block)
    source = memo.get(key)
    if source is None:
        whole = objects.alias(Tensor, self, layout((nbytes,), d.uint8, None, self._layout.device), start - self._address)
        source = memo[key] = fresh_copy(whole)
    out = objects.alias(type(self), source, self._layout, self._address - start)
    out._flags = self._flags & F.REQUIRES_GRAD
    if self._grad is not None:
        out._grad = deepcopy(self._grad, memo)
    for name, value in getattr(self, "__dict__", {}).items():
        out.__dict__[name] = deepcopy(value, memo)
    memo[id(self)] = out
    return out


def __copy__(self: Any) -> Any:
    """Another leaf on the same storage."""
    if self._node is not None:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the copy protocol at the moment.")
    out = objects.alias(type(self), self, self._layout, 0)
    out._flags = self._flags & F.REQUIRES_GRAD
    out.__dict__.update(self.__dict__)
    return out


def rebuild(
    cls: type,
    data: bytes | None,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    kind: DType,
    requires_grad: bool,
    extra: dict[str, Any] | None = None,
) -> Any:
    """A tensor from the bytes between its first and last element; without any, one on the meta device."""
    from .plan import allocate

    lay = layout(shape, kind, strides, CPU if data is not None else placed("meta"))
    if data is not None and len(data) != lay.nbytes:
        raise ValueError(f"a tensor of {lay.nbytes} bytes cannot be made from {len(data)}")
    base = allocate(lay)
    if data is not None:
        ctypes.memmove(base._address, data, len(data))
    out = base if cls is Tensor else objects.alias(subclass(cls), base, lay, 0)
    out._flags = int(requires_grad)
    if extra:
        out.__dict__.update(extra)
    return out


def __reduce_ex__(self: Any, protocol: Any) -> Any:
    settle((self,))
    refuse_look(self, "the values")
    lay = self._layout
    data = None if lay.device is META else ctypes.string_at(self._address, lay.nbytes) if lay.nbytes else b""
    extra = dict(getattr(self, "__dict__", {}) or {})
    return rebuild, (type(self), data, tuple(lay.shape), lay.strides, lay.dtype, self.requires_grad, extra or None)


Tensor.tolist = method(tolist, F.AS_LIST)
for _f in (numpy, __array__, __array_wrap__, __dlpack__, __dlpack_device__, __copy__, __deepcopy__, __reduce_ex__):
    setattr(Tensor, _f.__name__, _f)
Tensor.__array_priority__ = 1000


def _export(t: Any) -> Any:
    """The array behind the buffer protocol; tensors with history are not handed out."""
    if t.requires_grad:
        raise BufferError("Can't export a tensor that requires gradient, use tensor.detach()")
    exposed()
    return as_array(t)


if objects.set_exporter is not None:
    objects.set_exporter(_export)
