"""Parameters and buffers computed from others: reading `module.weight` runs the parametrizations, assigning runs their inverses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from ...base.errors import refuse
from ...core import Tensor, no_grad
from ...core.guards import guard
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter, is_parameter


class Cache:
    """Values of parametrized tensors while a `cached()` block is open."""

    depth = 0
    values: dict[tuple[int, str], Tensor] = {}  # one table for the process, emptied when the last block ends


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once until the block ends."""
    Cache.depth += 1
    try:
        yield
    finally:
        Cache.depth -= 1
        if not Cache.depth:
            Cache.values.clear()


def _keep(module: Module, name: str, value: Tensor) -> None:
    if is_parameter(value):
        module.register_parameter(name, value)  # type: ignore[arg-type]
    else:
        module.register_buffer(name, value)


def _same(old: Tensor, new: Any, what: str) -> None:
    """Refuse a parametrization that changes what the tensor is."""
    if not isinstance(new, Tensor):
        raise refuse(ValueError, f"A parametrization must return a tensor. Got {type(new).__name__}.")
    for name in ("dtype", "shape"):
        a, b = getattr(old, name), getattr(new, name)
        if a != b:
            raise refuse(
                ValueError,
                f"Registering a parametrization may not change the {name} of the tensor, unless {what}`unsafe` flag is enabled.\n"
                f"unparametrized {name}: {a}\nparametrized {name}: {b}",
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor and what they start from: `original`, or `original0`, `original1`, ..."""

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise refuse(ValueError, "ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        start = self._inverse(original, strict=False)
        if not isinstance(start, (Tensor, Sequence)):
            raise refuse(
                ValueError, f"'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got {type(start).__name__}"
            )
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        before = original.detach()
        if isinstance(start, Tensor):
            if original.dtype != start.dtype:
                raise refuse(ValueError, "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                             f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {start.dtype}")  # fmt: skip
            original.data = start.detach()
            _keep(self, "original", original)
        else:
            for i, part in enumerate(start):
                if not isinstance(part, Tensor):
                    raise refuse(ValueError, "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                                 f"{i} of the sequence with type {type(part).__name__}.")  # fmt: skip
                part = part.detach()
                _keep(self, f"original{i}", Parameter(part, original.requires_grad) if is_parameter(original) else part)
        if not unsafe:
            _same(before, self(), "")

    def _inverse(self, value: Any, strict: bool) -> Any:
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        value = module.right_inverse(value)
                    except NotImplementedError:
                        if strict:
                            raise
                elif strict:
                    raise refuse(RuntimeError, f"parametrization {type(module).__name__} does not implement right_inverse.")
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`."""
        start = self._inverse(value, strict=True)
        parts = [start] if self.is_tensor else start
        if self.is_tensor and not isinstance(start, Tensor):
            raise refuse(ValueError, f"`right_inverse` should return a tensor. Got {type(start).__name__}")
        if not isinstance(parts, Sequence) or len(parts) != self.ntensors:
            raise refuse(ValueError, f"'right_inverse' must return a sequence of tensors of length {self.ntensors}.")
        for own, part in zip(self._originals(), parts, strict=True):
            if own.dtype != part.dtype:
                raise refuse(
                    ValueError, f"The tensor returned by `right_inverse` has dtype {part.dtype} while `original` has dtype {own.dtype}"
                )
            own.data = part.detach()

    def _originals(self) -> list[Tensor]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def forward(self) -> Tensor:
        first, *rest = self
        value = first(*self._originals())
        for module in rest:
            value = module(value)
        return value


def _parametrized_class(module: Module) -> None:
    """Give one module a class of its own, which can hold properties."""
    base = type(module)

    def getstate(self: Any) -> Any:
        raise refuse(
            RuntimeError,
            "Serialization of parametrized modules is only supported through state_dict(). See:\nhttps://pytorch.org/tutorials/"
            "beginner/saving_loading_models.html#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training",
        )

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            twin = memo[id(self)] = type(self).__new__(type(self))  # pyright: ignore[reportCallIssue]
            twin.__dict__.update(deepcopy(self.__dict__, memo))
        return memo[id(self)]

    body: dict[str, Any] = {"__getstate__": getstate}
    if not hasattr(base, "__deepcopy__"):
        body["__deepcopy__"] = copied
    parents: tuple[type, ...] = (base,)
    module.__class__ = type(f"Parametrized{base.__name__}", parents, body)


def _parametrized_property(module: Module, name: str) -> None:
    def value(self: Any) -> Tensor:
        parametrization = self.parametrizations[name]
        if not Cache.depth:
            return parametrization()
        key = (id(self), name)
        if key not in Cache.values:
            Cache.values[key] = parametrization()
        return Cache.values[key]

    def assign(self: Any, new: Tensor) -> None:
        self.parametrizations[name].right_inverse(new)

    setattr(type(module), name, property(value, assign))


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """Compute `module.tensor_name` by `parametrization` from now on; `unsafe` lets it change dtype and shape."""
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            now = getattr(module, tensor_name)
            _same(now, parametrization(now), "the ")
        listed: Any = module.parametrizations[tensor_name]  # type: ignore[index]
        listed.append(parametrization)
        listed.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        listed = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _parametrized_class(module)
            module.parametrizations = ModuleDict()
        _parametrized_property(module, tensor_name)
        module.parametrizations[tensor_name] = listed  # type: ignore[index]
    else:
        raise refuse(
            ValueError, f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module, or one tensor of it, is computed by parametrizations."""
    table = getattr(module, "parametrizations", None)
    if not isinstance(table, ModuleDict):
        return False
    return len(table) > 0 if tensor_name is None else tensor_name in table


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Undo `register_parametrization`, keeping the computed value, or the original where `leave_parametrized` is False."""
    if not is_parametrized(module, tensor_name):
        raise refuse(ValueError, f"Module {module} does not have a parametrization on {tensor_name}")
    listed: Any = module.parametrizations[tensor_name]  # type: ignore[index]
    if not leave_parametrized and not listed.is_tensor:
        raise refuse(
            ValueError,
            "You can't leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence of tensors.",
        )
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach()
        first = listed._originals()[0]
        kept: Any = Parameter(value, first.requires_grad) if is_parameter(first) else value
    else:
        kept = listed.original
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]  # type: ignore[index]
    _keep(module, tensor_name, kept)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module: Module, to_module: Module, tensor_name: str | None = None) -> Module:
    """Give `to_module` deep copies of the parametrizations of `from_module`, and their originals."""
    if not is_parametrized(from_module):
        return to_module
    names = [tensor_name] if tensor_name is not None else list(from_module.parametrizations)  # type: ignore[arg-type]
    for name in names:
        source: Any = from_module.parametrizations[name]  # type: ignore[index]
        if not hasattr(to_module, name):
            _keep(to_module, name, deepcopy(source._originals()[0]))
        for parametrization in source:
            register_parametrization(to_module, name, deepcopy(parametrization), unsafe=source.unsafe)
        target: Any = to_module.parametrizations[name]  # type: ignore[index]
        for own, given in zip(target._originals(), source._originals(), strict=True):
            own.data = given.detach().clone()
    return to_module


__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
           "transfer_parametrizations_and_params", "type_before_parametrizations"]  # fmt: skip

guard(globals(), __all__)
