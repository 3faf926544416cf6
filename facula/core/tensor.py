"""`Tensor`: the object's methods that are not operators: what it is, its storage, its place on the tape, its Python values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import facula.core.objects as objects
import facula.core.overrides as overrides

from ..base.device import META, channels_last, contiguous_format
from ..base.device import strided as STRIDED
from ..base.errors import refuse, warn
from ..base.narrow import is_a
from ..base.settings import SETTINGS
from ..base.size import Size
from ..spec.binder import BINDER
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from .layout import wrap_dim
from .leaves import hooks_of, post_hooks
from .modes import MODE
from .native import fields as F
from .plan import exposed, located
from .tape import Handle, Node, Rule
from .views import refresh

NUMBERS = (
    "add", "subtract", "multiply", "true_divide", "floor_divide", "remainder", "power", "matrix_multiply", "and", "or", "xor", "lshift", "rshift",
    "unary_negative", "unary_invert", "unary_absolute", "unary_float", "unary_int", "unary_index", "unary_truth", "inplace_add", "inplace_subtract", "inplace_multiply", "inplace_true_divide",
    "inplace_floor_divide", "inplace_remainder", "inplace_power", "inplace_and", "inplace_or", "inplace_xor", "inplace_lshift", "inplace_rshift",
    "subscript", "set_item", "compare_lt", "compare_le", "compare_eq", "compare_ne", "compare_gt", "compare_ge",
)  # fmt: skip
objects.install(Node, Rule, NUMBERS)
if TYPE_CHECKING:

    class Members(type):
        """Of the class too: methods are set by the rooms that own them."""

        def __getattr__(cls, name: str) -> Any: ...
        def __setattr__(cls, name: str, value: Any) -> None: ...

    class Tensor(metaclass=Members):
        """To a type checker: operators give anything, members are found at run time."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
        def __getitem__(self, key: Any) -> Any: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __len__(self) -> int: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...
        def __bool__(self) -> bool: ...
        def __index__(self) -> int: ...
        def __neg__(self) -> Any: ...
        def __abs__(self) -> Any: ...
        def __invert__(self) -> Any: ...
        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __lshift__(self, other: Any) -> Any: ...
        def __rlshift__(self, other: Any) -> Any: ...
        def __rshift__(self, other: Any) -> Any: ...
        def __rrshift__(self, other: Any) -> Any: ...

else:
    Tensor = objects.Tensor
BINDER.tensor = Tensor


def warn_grad(t: Any) -> None:
    """Of a tensor with a history that keeps no gradient."""
    warn(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during "
        "autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. "
        "If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead.",
        UserWarning,
    )


class Methods:
    """Copied onto `Tensor` below; `self` is a tensor."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    # -- what it is
    shape = property(lambda self: self._layout.shape, doc="Extents, one per dim.")
    dtype = property(lambda self: self._layout.dtype, doc="Element type.")
    device = property(lambda self: self._layout.device, doc="Where it lives.")
    ndim = property(lambda self: self._layout.ndim, doc="Number of dims.")
    layout = property(lambda self: STRIDED)
    itemsize = property(lambda self: self._layout.dtype.itemsize, doc="Bytes of one element.")
    nbytes = property(lambda self: self._layout.numel * self._layout.dtype.itemsize, doc="Bytes of all elements.")
    is_cuda = is_sparse = is_quantized = is_mkldnn = is_nested = is_mps = is_xpu = is_xla = is_vulkan = is_ipu = is_mtia = is_maia = (
        is_sparse_csr
    ) = property(lambda self: False)
    is_cpu = property(lambda self: self._layout.device.type == "cpu")
    is_meta = property(lambda self: self._layout.device.type == "meta")
    names = property(lambda self: (None,) * self._layout.ndim)
    name = property(lambda self: None)
    _output_nr = property(lambda self: self._flags >> F.OUTPUT_SHIFT)
    output_nr = _output_nr

    @property
    def _version(self) -> int:
        """How often the storage was written to."""
        if self._flags & F.INFERENCE:
            raise RuntimeError("Inference tensors do not track version counter.")
        return objects.version(self)

    def size(self, dim: int | None = None) -> Any:
        """All extents, or one."""
        shape = self._layout.shape
        if dim is None:
            return shape
        if type(dim) is int and 0 <= dim < len(shape):
            return cast(Any, tuple).__getitem__(shape, dim)  # Size's own is for slices too
        if not self._layout.ndim:
            raise refuse(IndexError, f"Dimension specified as {dim} but tensor has no dimensions")
        return self._layout.shape[wrap_dim(dim, self._layout.ndim, "size")]

    def stride(self, dim: int | None = None) -> Any:
        """Strides in elements, or one."""
        return self._layout.strides if dim is None else self._layout.strides[wrap_dim(dim, self._layout.ndim, "stride")]

    def dim(self) -> int:
        return self._layout.ndim

    ndimension = dim

    def numel(self) -> int:
        """Number of elements."""
        return self._layout.numel

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._layout.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._layout.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self._layout.dtype.is_complex

    def is_signed(self) -> bool:
        return self._layout.dtype.is_signed

    def is_conj(self) -> bool:
        return False

    is_neg = is_inference_ = is_conj

    def is_inference(self) -> bool:
        return bool(self._flags & F.INFERENCE)

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def is_shared(self) -> bool:
        return False

    def has_names(self) -> bool:
        return False

    def get_device(self) -> int:
        return -1

    def is_contiguous(self, memory_format: Any = contiguous_format) -> bool:
        """Whether the elements lie in this order without gaps."""
        lay = self._layout
        if memory_format is contiguous_format:
            return lay.contiguous
        if not isinstance(memory_format, type(contiguous_format)):
            kind = type(memory_format).__name__
            sentence = f"is_contiguous(): argument 'memory_format' must be torch.memory_format, not {kind}"
            raise refuse(TypeError, sentence, received=f"{memory_format!r:.60}")
        ndim = 4 if memory_format is channels_last else 5
        from .layout import channels_last_strides

        return lay.ndim == ndim and all(n == 1 or s == c for n, s, c in zip(lay.shape, lay.strides, channels_last_strides(lay.shape)))

    def dim_order(self) -> tuple[int, ...]:
        return tuple(sorted(range(self._layout.ndim), key=lambda i: -self._layout.strides[i]))

    def __len__(self) -> int:
        if not self._layout.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._layout.shape[0]

    # -- storage
    def data_ptr(self) -> int:
        """Address of the first element, 0 when there is none."""
        exposed()
        return self._address if self._layout.numel and self._layout.device is not META else 0

    def storage_offset(self) -> int:
        """Elements before the first one."""
        located()
        return (self._address - objects.memory(self)[1]) // self._layout.dtype.itemsize

    def is_set_to(self, tensor: Any) -> bool:
        return self._address == tensor._address and self._block == tensor._block and self._layout is tensor._layout

    # -- the tape
    @property
    def requires_grad(self) -> bool:
        if self._root is not None:
            refresh(self)
        return self._node is not None or self._flags & F.REQUIRES_GRAD != 0

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not is_a(value, bool):
            raise refuse(RuntimeError, "requires_grad must be a bool", received=f"{value!r:.60}", expected="True or False")
        refresh(self)
        if self._node is not None:
            if value:
                return
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require "
                "differentiation use var_no_grad = var.detach()."
            )
        if value and not (self.dtype.is_floating_point or self.dtype.is_complex):
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if value and self._flags & F.INFERENCE and not MODE.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        if value and MODE.trace is not None and not self._flags & F.REQUIRES_GRAD:
            MODE.trace.leaf(self)
        self._flags = self._flags | F.REQUIRES_GRAD if value else self._flags & ~F.REQUIRES_GRAD

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Sets `requires_grad`, returns self."""
        if requires_grad is True and self._flags & F.REQUIRES_GRAD:
            return self
        if not is_a(requires_grad, bool):
            kind = type(requires_grad).__name__
            raise refuse(TypeError, f"requires_grad_(): argument 'requires_grad' (position 1) must be bool, not {kind}", expected="bool")
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether nothing recorded made it."""
        refresh(self)
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The node that made it."""
        refresh(self)
        return self._node

    @property
    def grad(self) -> Any:
        """The accumulated gradient."""
        if self._grad is None and self._node is not None and not self._flags & F.RETAINS_GRAD:
            warn_grad(self)
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if tuple(value.shape) != tuple(self.shape):
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size '{list(self.shape)}'. Please ensure that the gradient "
                    "and the tensor are the same size"
                )
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{scalar_type_name(value.dtype).lower()}' to a tensor with grad_dtype "
                    f"'{scalar_type_name(self.dtype)}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's "
                    "grad_dtype attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and "
                    "its gradient may break downstream systems that assume they match."
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def detach(self) -> Any:
        """The same storage, without history."""
        if type(self) is not objects.Tensor and overridden_type(self):
            return type(self).__torch_function__(Tensor.detach, (type(self),), (self,), {})
        out = objects.alias(Tensor, self, self._layout, 0)
        out._flags |= self._flags & (F.INFERENCE | F.UNTRACKED)
        if MODE.trace is not None:
            MODE.trace.detached(self, out)
        return out

    def detach_(self) -> Any:
        self._node, self._flags = None, self._flags & ~(F.REQUIRES_GRAD | ~0 << F.OUTPUT_SHIFT)
        return self

    @property
    def data(self) -> Any:
        """The same storage without history; writes to it are not counted as versions."""
        if type(self) is not objects.Tensor and overridden_type(self):
            return type(self).__torch_function__(Tensor.data.__get__, (type(self),), (self,), {})
        out = objects.alias(Tensor, self, self._layout, 0)
        out._flags |= F.UNTRACKED
        return out

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if value._layout.device is not self._layout.device:
            raise refuse(
                RuntimeError,
                "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have incompatible tensor type.",
                received=f"values on {value.device} for a tensor on {self.device}",
            )
        if value.dtype.category != self.dtype.category and (self._node is not None or self._flags & F.REQUIRES_GRAD):
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        objects.rebind(self, value, value._layout, 0)

    @property
    def _base(self) -> Any:
        return self._root

    def _is_view(self) -> bool:
        return self._root is not None

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad`."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None:
            self._flags |= F.RETAINS_GRAD
            self._node.more.setdefault("retain", {})[self._output_nr] = self

    @property
    def retains_grad(self) -> bool:
        return bool(self._flags & F.RETAINS_GRAD)

    def register_hook(self, hook: Any) -> Handle:
        """`hook(grad)` sees the gradient of this tensor and may return another."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is None:
            return Handle(hooks_of(self).setdefault("grad", {}), hook)
        return Handle(self._node.more.setdefault("tensor hooks", {}).setdefault(self._output_nr, {}), hook)

    def register_post_accumulate_grad_hook(self, hook: Any) -> Handle:
        """`hook(tensor)` runs after a gradient was accumulated into this leaf."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return Handle(post_hooks(self), hook)

    # -- Python values
    def __iter__(self) -> Any:
        if not self._layout.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, (Tensor, int, float, bool, complex)):
            return bool((cast(Any, self) == element).any())
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *getattr(self, "__dict__", {})})

    __torch_function__ = classmethod(overrides.default)

    # -- subclasses
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Tensor(2, 3): uninitialised; Tensor([...]): these values; Tensor(tensor): the same storage. Always the default floating type."""
        if len(args) == 1 and type(args[0]) is list and cls is objects.Tensor and not kwargs:
            return ops.tensor(args[0], dtype=SETTINGS.default_dtype)
        device = kwargs.pop("device", None) or "cpu"
        data = kwargs.pop("data", None)
        if kwargs:
            raise TypeError(f"new() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if data is not None:
            args = (data,)
        if len(args) == 1 and isinstance(args[0], Tensor):
            made = args[0].detach()
        elif len(args) == 1 and not isinstance(args[0], (int, Size)):
            if isinstance(args[0], (float, complex)):
                raise refuse(TypeError, f"new(): data must be a sequence (got {type(args[0]).__name__})", received=repr(args[0]))
            made = ops.tensor(args[0], dtype=SETTINGS.default_dtype, device=device)
        else:
            made = ops.empty(tuple(args[0]) if args and isinstance(args[0], Size) else args or (0,), device=device)
        return made if cls is objects.Tensor else objects.alias(cls, made, made._layout, 0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    @staticmethod
    def _make_subclass(
        cls: type,  # pyright: ignore[reportSelfClsParameterName]  # PyTorch's name
        data: Any,
        require_grad: bool = False,
        dispatch_sizes_strides_policy: Any = None,
        dispatch_device: bool = False,
        device_for_backend_keys: Any = None,
    ) -> Any:
        """A tensor of a subclass on the storage of `data`, without history."""
        if not isinstance(data, Tensor):
            raise TypeError(f"_make_subclass(): argument 'data' (position 2) must be Tensor, not {type(data).__name__}")
        out = objects.alias(subclass(cls), data, data._layout, 0)
        if require_grad:
            out.requires_grad_(True)
        return out

    def as_subclass(self, cls: type) -> Any:
        """The same tensor, with its history, as a subclass."""
        out = objects.alias(subclass(cls), self, self._layout, 0)
        out._node, out._flags, out._root, out._viewed = self._node, self._flags, self._root, self._viewed
        return out


def subclass(cls: Any) -> type:
    """A class of tensors; TypeError for anything else, whose objects have no place for what a tensor holds."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"cls must be a type that inherits from Tensor, not {cls!r}")
    return cls


def overridden_type(t: object) -> bool:
    return not MODE.overrides_off and getattr(type(t), "__torch_function__") is not overrides.disabled_method


for _name, _value in list(vars(Methods).items()):
    if _name not in (
        "__module__",
        "__dict__",
        "__weakref__",
        "__doc__",
        "__qualname__",
        "__static_attributes__",
        "__firstlineno__",
        "__annotations__",
        *objects.read,
    ):
        setattr(Tensor, _name, _value)
objects.set_members(
    refresh=refresh, set_requires_grad=vars(Methods)["requires_grad"].fset, warn_grad=warn_grad, set_grad=vars(Methods)["grad"].fset
)
Tensor.__module__ = "facula"
Tensor.__doc__ = "A multi-dimensional array of one element type, with history for differentiation."

__all__ = ["Tensor", "wrap_dim"]
