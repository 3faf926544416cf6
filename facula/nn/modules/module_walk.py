"""Walking a module's tree: names of everything in it, look-up by path, and changes of all its tensors."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any

from ...base.dtypes import bfloat16 as bfloat16_dtype
from ...base.dtypes import dtype as DType
from ...base.dtypes import float16, float32, float64
from ...base.errors import refuse
from ...core import Tensor, no_grad
from ..parameter import Parameter, is_lazy, is_parameter
from .module_base import ModuleBase


# ---------------------------------------------------------------- names
def named_modules(
    self: ModuleBase, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
) -> Iterator[tuple[str, Any]]:
    """(path, module) of this module and all below it, parents first; each object once unless `remove_duplicate=False`."""
    memo = set() if memo is None else memo
    if self in memo:
        return
    if remove_duplicate:
        memo.add(self)
    yield prefix, self
    for name, child in self._modules.items():
        if child is not None:
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)


def modules(self: ModuleBase, remove_duplicate: bool = True) -> Iterator[Any]:
    """This module and all below it, each once unless `remove_duplicate=False`."""
    for _, module in self.named_modules(remove_duplicate=remove_duplicate):
        yield module


def named_children(self: ModuleBase) -> Iterator[tuple[str, Any]]:
    """(name, module) of the immediate children, each object once."""
    seen: set[Any] = set()
    for name, child in self._modules.items():
        if child is not None and child not in seen:
            seen.add(child)
            yield name, child


def children(self: ModuleBase) -> Iterator[Any]:
    """The immediate children, each once."""
    for _, child in self.named_children():
        yield child


def _named_members(
    self: ModuleBase, get_members_fn: Callable[[Any], Any], prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Any]]:
    seen: set[Any] = set()
    for path, module in self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]:
        for name, value in get_members_fn(module):
            if value is None or id(value) in seen:
                continue
            if remove_duplicate:
                seen.add(id(value))
            yield f"{path}.{name}" if path else name, value


def named_parameters(
    self: ModuleBase, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
) -> Iterator[tuple[str, Parameter]]:
    """(path, parameter) in the order of registration."""
    yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)


def parameters(self: ModuleBase, recurse: bool = True) -> Iterator[Parameter]:
    """The parameters, in the order of registration."""
    for _, p in self.named_parameters(recurse=recurse):
        yield p


def named_buffers(self: ModuleBase, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
    """(path, buffer) in the order of registration."""
    yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)


def buffers(self: ModuleBase, recurse: bool = True) -> Iterator[Tensor]:
    """The buffers, in the order of registration."""
    for _, b in self.named_buffers(recurse=recurse):
        yield b


# ---------------------------------------------------------------- look-up by path
def get_submodule(self: ModuleBase, target: str) -> Any:
    """The module at a dotted path; the module itself for ""."""
    module: Any = self
    for name in target.split(".") if target else []:
        if not hasattr(module, name):
            raise refuse(AttributeError, f"{module._get_name()} has no attribute `{name}`", received=target,
                         expected=f"one of {', '.join(module._modules) or 'no children'}")  # fmt: skip
        module = getattr(module, name)
        if not isinstance(module, ModuleBase):
            raise refuse(AttributeError, f"`{name}` is not an nn.Module", received=type(module).__name__, expected="a Module")
    return module


def set_submodule(self: ModuleBase, target: str, module: ModuleBase, strict: bool = False) -> None:
    """Put `module` at a dotted path; with `strict` something must be there already."""
    if target == "":
        raise refuse(ValueError, "Cannot set the submodule without a target name!")
    path, _, name = target.rpartition(".")
    if not isinstance(module, ModuleBase):
        raise refuse(ValueError, f"`module` is not an nn.Module, found {type(module)}", received=repr(module), expected="a Module")
    parent = self.get_submodule(path)
    if strict and not hasattr(parent, name):
        raise refuse(AttributeError, f"{parent._get_name()} has no attribute `{name}`")
    if hasattr(parent, name) and not isinstance(getattr(parent, name), ModuleBase):
        raise refuse(AttributeError, f"`{name}` is not an nn.Module", received=type(getattr(parent, name)).__name__, expected="a Module")
    setattr(parent, name, module)


def get_parameter(self: ModuleBase, target: str) -> Parameter:
    """The parameter at a dotted path."""
    path, _, name = target.rpartition(".")
    module = self.get_submodule(path)
    if not hasattr(module, name):
        raise refuse(AttributeError, f"{module._get_name()} has no attribute `{name}`", expected=f"one of {', '.join(module._parameters)}")
    value = getattr(module, name)
    if not is_parameter(value):
        raise refuse(AttributeError, f"`{name}` is not an nn.Parameter", received=type(value).__name__, expected="a Parameter")
    return value


def get_buffer(self: ModuleBase, target: str) -> Tensor:
    """The buffer at a dotted path."""
    path, _, name = target.rpartition(".")
    module = self.get_submodule(path)
    if not hasattr(module, name):
        raise refuse(AttributeError, f"{module._get_name()} has no attribute `{name}`", expected=f"one of {', '.join(module._buffers)}")
    if name not in module._buffers:
        raise refuse(AttributeError, f"`{name}` is not a buffer", expected=f"one of {', '.join(module._buffers)}")
    return module._buffers[name]  # type: ignore[return-value]


# ---------------------------------------------------------------- changes of all tensors
def apply(self: ModuleBase, fn: Callable[[Any], None]) -> Any:
    """`fn(module)` for everything below, then for this module."""
    for child in self.children():
        child.apply(fn)
    fn(self)
    return self


def _apply(self: ModuleBase, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
    """Replace every parameter, its gradient and every buffer by `fn` of it; parameter objects stay the same."""
    if recurse:
        for child in self.children():
            child._apply(fn)
    for name, p in self._parameters.items():
        if p is None:
            continue
        with no_grad():
            changed = fn(p)
            grad = p.grad
            changed_grad = None if grad is None else fn(grad).requires_grad_(grad.requires_grad)
            if type(changed) in (Tensor, type(p)) and changed.device is p.device:
                if grad is not None:
                    p.grad = None  # a gradient must always have its parameter's type
                p.data = changed.detach()
                if changed_grad is not None:
                    p.grad = changed_grad
            else:
                self._parameters[name] = Parameter(changed, p.requires_grad)
                if changed_grad is not None:
                    self._parameters[name].grad = changed_grad  # type: ignore[union-attr]
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[name] = fn(buffer)
    return self


def parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """(device, dtype, non_blocking, memory_format) of the forms `to(device, dtype)`, `to(dtype)`, `to(tensor)`."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    non_blocking, memory_format = kwargs.get("non_blocking", False), kwargs.get("memory_format")
    other = kwargs.get("tensor") or kwargs.get("other")
    for position, value in enumerate(args):
        if isinstance(value, DType):
            dtype = value
        elif isinstance(value, Tensor):
            other = value
        elif isinstance(value, builtins.bool):
            if position < 3:
                non_blocking = value
        elif value is not None:
            device = value
    if other is not None:
        if device is not None or dtype is not None:
            got = ", ".join([type(a).__name__ for a in args] + [f"{k}={type(v).__name__}" for k, v in kwargs.items()])
            raise refuse(
                TypeError, f"to() received an invalid combination of arguments - got ({got})", expected="a tensor, or a device and a dtype"
            )
        device, dtype = other.device, other.dtype
    return device, dtype, non_blocking, memory_format


def to(self: ModuleBase, *args: Any, **kwargs: Any) -> Any:
    """Move or cast parameters and buffers in place: `to(device, dtype, non_blocking)`, `to(dtype)`, `to(tensor)`, `to(memory_format=)`.

    Only floating and complex tensors are cast; integers are moved only.
    """
    unknown = set(kwargs) - {"device", "dtype", "non_blocking", "memory_format", "tensor", "other", "copy"}
    if unknown:
        raise refuse(
            TypeError, f"to() received an invalid combination of arguments - got ({', '.join(sorted(unknown))})", received=repr(kwargs)
        )
    device, dtype, non_blocking, memory_format = parse_to(args, kwargs)
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise refuse(TypeError, f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}",
                     received=str(dtype), expected="a floating or complex dtype")  # fmt: skip

    def move(t: Tensor) -> Tensor:
        options: dict[str, Any] = {"non_blocking": non_blocking}
        if device is not None:
            options["device"] = device
        if dtype is not None and (t.is_floating_point() or t.is_complex()):
            options["dtype"] = dtype
        if memory_format is not None and not is_lazy(t) and t.dim() in (4, 5):
            options["memory_format"] = memory_format
        try:
            return t.to(**options)
        except NotImplementedError as error:
            if str(error) != "Cannot copy out of meta tensor; no data!":
                raise
            raise refuse(NotImplementedError, f"{error} Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from "
                         "meta to a different device.", received=f"a module on {t.device}", hint=f"module.to_empty(device={str(device)!r})") from None  # fmt: skip

    return self._apply(move)


def to_empty(self: ModuleBase, *, device: Any, recurse: bool = True) -> Any:
    """Move to `device` with new memory whose contents are not set."""
    from ... import ops

    return self._apply(lambda t: ops.empty_like(t, device=device), recurse=recurse)


def type_(self: ModuleBase, dst_type: Any) -> Any:
    """Cast all parameters and buffers to a type."""
    return self._apply(lambda t: t.type(dst_type))


def _cast(self: ModuleBase, dtype: Any) -> Any:
    return self._apply(lambda t: t.to(dtype=dtype) if t.is_floating_point() else t)


def float_(self: ModuleBase) -> Any:
    """Cast floating parameters and buffers to float32."""
    return _cast(self, float32)


def double(self: ModuleBase) -> Any:
    """Cast floating parameters and buffers to float64."""
    return _cast(self, float64)


def half(self: ModuleBase) -> Any:
    """Cast floating parameters and buffers to float16."""
    return _cast(self, float16)


def bfloat16(self: ModuleBase) -> Any:
    """Cast floating parameters and buffers to bfloat16."""
    return _cast(self, bfloat16_dtype)


def cpu(self: ModuleBase) -> Any:
    """Move all parameters and buffers to the processor's memory."""
    return self._apply(lambda t: t.to(device="cpu"))


def _mover(kind: str) -> Callable[..., Any]:
    def move(self: ModuleBase, device: Any = None) -> Any:
        where = kind if device is None else f"{kind}:{device}" if isinstance(device, int) else device
        return self._apply(lambda t: t.to(device=where))

    move.__name__, move.__doc__ = kind, f"Move all parameters and buffers to a device of type {kind}; refused where there is none."
    return move


cuda, xpu, ipu, mtia = _mover("cuda"), _mover("xpu"), _mover("ipu"), _mover("mtia")
