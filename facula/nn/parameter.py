"""Tensors that a module owns: `Parameter` (trained), `Buffer` (kept), and their forms whose shape is not known yet."""

from __future__ import annotations

from typing import Any

from ..base.errors import refuse
from ..core import Tensor, disabled_torch_function, objects


class Parameter(Tensor):
    """A tensor that a module registers when it is assigned as an attribute, and that optimizers train.

    Shares the memory of `data`. `requires_grad=True` needs a floating or complex type.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            from .. import ops

            data = ops.empty(0)
        if not isinstance(requires_grad, bool):
            sentence = f"_make_subclass(): argument 'require_grad' (position 3) must be bool, not {type(requires_grad).__name__}"
            raise refuse(TypeError, sentence, received=f"requires_grad={requires_grad!r:.60}", expected="True or False")
        if requires_grad and isinstance(data, Tensor) and not (data.is_floating_point() or data.is_complex()):
            raise refuse(RuntimeError, "Only Tensors of floating point and complex dtype can require gradients", received=str(data.dtype),
                         hint="requires_grad=False, or a cast")  # fmt: skip
        if type(data) is Tensor or isinstance(data, Parameter):
            return Tensor._make_subclass(cls, data, requires_grad)
        if not isinstance(data, Tensor):
            raise refuse(TypeError, f"_make_subclass(): argument 'data' (position 2) must be Tensor, not {type(data).__name__}",
                         received=f"data={data!r}", expected="a Tensor", hint="Parameter(facula.tensor(...))")  # fmt: skip
        own = data.detach().requires_grad_(requires_grad)  # a user's tensor class stays what it is
        if type(own) is not type(data):
            raise refuse(
                RuntimeError,
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns "
                f"an instance of the same type, but return type {type(own).__name__} was found instead. To use the type as a "
                "Parameter, please correct the detach() semantics defined by its __torch_dispatch__() implementation.",
                received=type(own).__name__,
                expected=type(data).__name__,
            )
        own._is_param = True
        return own

    # Operators treat a parameter as the plain tensor that it is: results are plain, and no call is dispatched to this class.
    __torch_function__ = disabled_torch_function

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return rebuild_parameter, (self.data, self.requires_grad)


objects.set_parameter(Parameter)  # calls with parameters take the same road as plain tensors


def rebuild_parameter(data: Tensor, requires_grad: bool) -> Parameter:
    """The parameter that `Parameter.__reduce_ex__` took apart."""
    return Parameter(data, requires_grad)


def is_parameter(value: Any) -> bool:
    """Whether a module registers `value` as a parameter when it is assigned."""
    return isinstance(value, Parameter) or (isinstance(value, Tensor) and getattr(value, "_is_param", False))


class Buffer(Tensor):
    """A tensor that a module keeps without training it; `persistent=False` leaves it out of the state dict."""

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if data is None:
            from .. import ops

            data = ops.empty(0)
        if not isinstance(data, Tensor):
            raise refuse(TypeError, f"Buffer(): argument 'data' (position 1) must be Tensor, not {type(data).__name__}",
                         received=f"data={data!r:.60}", expected="a Tensor", hint="Buffer(facula.tensor(...))")  # fmt: skip
        own = data.detach().requires_grad_(data.requires_grad)
        own.persistent = persistent
        own._is_buffer = True
        return own


def is_buffer(value: Any) -> bool:
    """Whether a module registers `value` as a buffer when it is assigned under a new name."""
    return isinstance(value, Tensor) and getattr(value, "_is_buffer", False)


class UninitializedTensorMixin:
    """What the two uninitialized classes share: everything that needs a shape is refused until `materialize`."""

    cls_to_become: type = Tensor
    requires_grad: bool
    allowed = ("__hash__", "cuda", "cpu", "to", "is_floating_point", "is_complex", "half", "float", "double", "bfloat16", "type", "char",
               "short", "int", "long", "copy_", "get_device", "_has_compatible_shallow_copy_type", "detach", "requires_grad_",
               "share_memory_")  # fmt: skip

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor memory of `shape`, keeping dtype and device where they are not given; its class becomes the ordinary one."""
        from .. import ops

        dtype = self.data.dtype if dtype is None else dtype
        device = self.data.device if device is None else device
        self.data = ops.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise refuse(RuntimeError, "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
                     "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` to "
                     "initialize the parameters before accessing their attributes.")  # fmt: skip

    def share_memory_(self) -> Any:
        raise refuse(RuntimeError, "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the "
                     "parameters before calling `module.share_memory()`.")  # fmt: skip

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.requires_grad,)


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is known only after the first input; lazy modules create and materialize it."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        from .. import ops

        return Tensor._make_subclass(cls, ops.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = copied
        return copied


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is known only after the first input."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> Any:
        from .. import ops

        own = Tensor._make_subclass(cls, ops.empty(0, device=device, dtype=dtype), requires_grad)
        own.persistent = persistent
        own._is_buffer = True
        return own


__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "UninitializedTensorMixin", "is_lazy"]
