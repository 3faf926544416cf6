"""Names from PyTorch's earlier days, and methods that touch a tensor from outside: FloatTensor, apply_, share_memory_, cuda."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

from ..base import dtypes as d
from ..base.errors import NotCompiledError, refuse
from ..base.size import Size
from ..core import objects, writing
from ..core.function import PUBLIC
from ..core.layout import layout
from ..core.modes import no_grad
from ..core.plan import settle
from ..core.tensor import Tensor
from ..runtime import allocator
from ..runtime.allocator_code import OWNER
from ..spec.registry import ops
from . import creation, embedding, gathering, random, sampling  # noqa: F401 - their in-place functions are published here
from .making import on_cpu
from .storing import LEGACY, TypedStorage, UntypedStorage


# -- classes by element type
class LegacyType(type):
    """FloatTensor and its siblings: they make tensors of one type and recognise them."""

    legacy_dtype: d.dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.is_cpu and instance.dtype is cls.legacy_dtype

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        on_cpu(device)
        kind = cls.legacy_dtype
        if len(args) == 1 and isinstance(args[0], Tensor):
            if args[0].dtype is not kind:
                raise TypeError(f"expected a tensor of {kind.name} (got one of {args[0].dtype.name})")
            return args[0].detach()
        if len(args) == 1 and not isinstance(args[0], (int, Size)):
            return ops.tensor(args[0], dtype=kind, device="cpu") if kind.is_floating_point else ops.tensor(args[0], device="cpu").to(kind)
        shape = tuple(args[0]) if args and isinstance(args[0], Size) else args or (0,)
        return ops.empty(shape, dtype=kind, device="cpu")


for _name, _kind in LEGACY.items():
    if _name != "ComplexFloatTensor" and _name != "ComplexDoubleTensor":
        PUBLIC[("torch", _name)] = LegacyType(
            _name, (), {"legacy_dtype": _kind, "__module__": "torch", "__doc__": f"Tensors of {_kind.name}."}
        )
PUBLIC[("torch", "UntypedStorage")], PUBLIC[("torch", "TypedStorage")] = UntypedStorage, TypedStorage


def is_storage(obj: Any) -> bool:
    """Whether this is a storage."""
    return isinstance(obj, (UntypedStorage, TypedStorage))


PUBLIC[("torch", "is_storage")] = is_storage


# -- element by element in Python
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Every element becomes what a Python function makes of it: slow, for small tensors."""
    return _mapped(self, "apply_", (self,), callable)


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Every element becomes what a Python function makes of it and of another tensor's."""
    return _mapped(self, "map_", (self, tensor.expand(self.shape)), callable)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Every element becomes what a Python function makes of it and of two other tensors'."""
    return _mapped(self, "map2_", (self, x.expand(self.shape), y.expand(self.shape)), callable)


def _mapped(self: Tensor, title: str, sources: tuple[Tensor, ...], function: Callable[..., Any]) -> Tensor:
    if self.requires_grad:
        raise refuse(RuntimeError, f"Can't call {title}() on Variable that requires grad. Use var.detach().{title}() instead.")
    writing.check_target(self, title)
    rows = [x.detach().reshape(-1).tolist() for x in sources]
    writing.write(self, ops.tensor([function(*row) for row in zip(*rows)], dtype=self.dtype).reshape(self.shape))
    return self


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """The main diagonal becomes `fill_value`; with `wrap` it starts anew below the square of a tall matrix."""
    if self.ndim < 2:
        raise refuse(RuntimeError, "dimensions must larger than 1", received=f"{self.ndim} dims")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise refuse(RuntimeError, "all dimensions of input must be of equal length", received=str(tuple(self.shape)))
    places = ops.arange(min(self.shape))
    index = [places] * self.ndim
    rows, columns = self.shape[0], self.shape[1]
    if wrap and self.ndim == 2 and rows > columns + 1:
        flat = ops.arange(0, rows * columns, columns + 1)
        index = [ops.div(flat, columns, rounding_mode="floor"), flat % columns]
    return self.index_put_(index, ops.full((), fill_value, dtype=self.dtype))


Tensor.apply_, Tensor.map_, Tensor.map2_, Tensor.fill_diagonal_ = apply_, map_, map2_, fill_diagonal_


# -- memory between processes
class SharedMemory:
    """Anonymous memory that forked processes share."""

    def __init__(self, nbytes: int) -> None:
        self.map = mmap.mmap(-1, max(nbytes, 1))
        self.view = (ctypes.c_char * max(nbytes, 1)).from_buffer(self.map)


def is_shared(self: Tensor) -> bool:
    """Whether processes forked from here on see what is written."""
    owner = ctypes.c_void_p.from_address(self._block + OWNER).value
    return bool(owner) and isinstance(ctypes.cast(owner, ctypes.py_object).value, SharedMemory)


def share_memory_(self: Tensor) -> Tensor:
    """The storage moves to memory that forked processes share. Other tensors on the old storage keep it."""
    if is_shared(self):
        return self
    if not self.is_cpu:
        raise refuse(RuntimeError, "_share_fd_: only available on CPU", received=f"a tensor on {self.device}")
    settle((self,))
    _, start, held = objects.memory(self)
    memory = SharedMemory(held)
    address = ctypes.addressof(memory.view)
    ctypes.memmove(address, start, held)
    whole = objects.adopt(Tensor, layout((held,), d.uint8), allocator.external(address, held, memory))
    objects.rebind(self, whole, self._layout, self._address - start)
    return self


Tensor.is_shared, Tensor.share_memory_ = is_shared, share_memory_


# -- devices that this build does not have
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: it lives here."""
    return self.to("cpu") if memory_format is None else self.to("cpu", memory_format=memory_format)


def _elsewhere(name: str, sentence: str, kind: type[Exception]) -> None:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        raise refuse(kind, sentence, received=f"x.{name}()", expected="a tensor on the CPU")

    method.__name__, method.__doc__ = name, "Refused: this build runs on the CPU."
    setattr(Tensor, name, method)


if not hasattr(Tensor, "cpu"):
    Tensor.cpu = cpu
_elsewhere("cuda", "Torch not compiled with CUDA enabled", NotCompiledError)
_elsewhere("xpu", "Torch not compiled with XPU enabled", NotCompiledError)
_elsewhere("mtia", "Torch not compiled with MTIA enabled", NotCompiledError)
_elsewhere("ipu", "Torch not compiled with IPU enabled", NotCompiledError)
_elsewhere("pin_memory", "Cannot access accelerator device when none is available.", RuntimeError)
_elsewhere("record_stream", "record_stream is not supported on the CPU", NotImplementedError)


# -- odds of the Python protocol
def __reversed__(self: Tensor) -> Tensor:
    return self.flip(0) if self.ndim else self


def __delitem__(self: Tensor, index: Any) -> None:
    raise TypeError("Tensor does not support deleting items")


Tensor.__reversed__, Tensor.__delitem__ = __reversed__, __delitem__
Tensor.__nonzero__, Tensor.__long__ = Tensor.__bool__, Tensor.__int__
Tensor.to_dense = lambda self, dtype=None, *, masked_grad=None: self if dtype is None else self.to(dtype)
Tensor.const_data_ptr = lambda self: self.data_ptr()
Tensor.is_distributed = lambda self: False
Tensor.is_coalesced = lambda self: False
Tensor.resize = lambda self, *size: self.clone().resize_(*size) if self.numel() == 0 else self.reshape(*size)
Tensor.resize_as = lambda self, tensor: self.reshape(tensor.shape)
Tensor.narrow_copy = lambda self, dim, start, length: self.narrow(dim, start, length).clone()


# -- in-place functions that are Tensor methods too
def _function(name: str) -> None:
    def function(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return getattr(input, name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`input.{name}(...)`."
    PUBLIC[("torch", name)] = function
    setattr(ops, name, function)


for _name in (
    "fill_",
    "zero_",
    "as_strided_",
    "detach",
    "detach_",
    "index_put_",
    "resize_as_",
    "squeeze_",
    "unsqueeze_",
    "t_",
    "is_inference",
    "get_device",
    "is_distributed",
):
    if hasattr(Tensor, _name) and ("torch", _name) not in PUBLIC:
        _function(_name)
for _name in ("alpha_dropout_", "feature_dropout_", "feature_alpha_dropout_", "dropout_", "embedding_renorm_"):
    PUBLIC[("torch", _name)] = getattr(ops, _name)


def _unrecorded(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What load_state_dict does with a value for this parameter: its numbers are copied, or with `assign` it is taken itself."""
    with no_grad():
        return other.detach() if assign else self.copy_(other).detach()


Tensor.module_load = _unrecorded
