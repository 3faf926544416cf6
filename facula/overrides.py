"""PyTorch's `torch.overrides`: function modes and the `__torch_function__` protocol from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .core.function import PUBLIC
from .core.modes import MODE, sync
from .core.overrides import disabled, dispatch_override, overridden
from .core.tensor import Tensor

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_ignored_functions",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]


class TorchFunctionMode:
    """Inside the block, `__torch_function__(func, types, args, kwargs)` of this object takes every call of a public function."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        MODE.functions.append(self)
        sync()
        return self

    def __exit__(self, *exc: object) -> None:
        MODE.functions.pop()
        sync()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> TorchFunctionMode:
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that lets every call pass."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments, or an active mode, takes calls over."""
    return bool(MODE.functions) or (not MODE.overrides_off and overridden(list(relevant_args), ()) is not None)


def handle_torch_function(public_api: Any, relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """Ask modes and arguments in order. TypeError when nobody takes the call."""
    return dispatch_override(overridden(list(relevant_args), ()) or [], public_api, args, kwargs)


def is_tensor_like(inp: Any) -> bool:
    """A tensor, or something that takes tensor functions over."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    name = getattr(func, "__name__", "")
    return name == "__get__" or getattr(Tensor, name, None) is func


def wrap_torch_function(dispatcher: Any) -> Any:
    """A decorator: `dispatcher(*args)` names the arguments that may take the call over."""

    def decorate(func: Any) -> Any:
        import functools

        @functools.wraps(func)
        def run(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(run, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return run

    return decorate


def get_ignored_functions() -> set[Any]:
    """Functions that nobody can take over."""
    return {Tensor.__new__, Tensor.__init__}


def get_overridable_functions() -> dict[str, list[Any]]:
    """Place ("torch", "Tensor", "nn.functional", ...) -> the public functions there."""
    table: dict[str, list[Any]] = {}
    for (place, _), function in PUBLIC.items():
        table.setdefault(place, []).append(function)
    table["Tensor"] = [f for name, f in vars(Tensor).items() if callable(f) and not name.startswith("__")]
    return table


def resolve_name(f: Any) -> str | None:
    """The name users know a function by."""
    for (place, name), function in PUBLIC.items():
        if function is f:
            return ".".join(("torch", name) if place == "torch" else ("torch", place, name))
    name = getattr(f, "__name__", None)
    return f"torch.Tensor.{name}" if name and getattr(Tensor, name, None) is f else None


_disabled_torch_function_impl = disabled
