"""Lazy modules: parameters take their shapes from the first input, then the module becomes an ordinary one."""

from __future__ import annotations

import itertools
from typing import Any

from ...base.errors import refuse, warn
from ..parameter import is_lazy


class LazyModuleMixin:
    """Put before the ordinary class; needs `cls_to_become` and `initialize_parameters(*args)`."""

    cls_to_become: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)  # type: ignore[attr-defined]
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)  # type: ignore[attr-defined]
        warn(
            "Lazy modules are a new feature under heavy development so changes to the API or functionality can happen at any moment.",
        )

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, p in self._parameters.items():  # type: ignore[attr-defined]
            if p is not None:
                destination[prefix + name] = p if is_lazy(p) or keep_vars else p.detach()
        for name, buffer in self._buffers.items():  # type: ignore[attr-defined]
            if buffer is not None and name not in self._non_persistent_buffers_set:  # type: ignore[attr-defined]
                destination[prefix + name] = buffer if is_lazy(buffer) or keep_vars else buffer.detach()

    def _lazy_load_hook(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Shapes come from the saved tensors where those have one."""
        for name, p in itertools.chain(self._parameters.items(), self._buffers.items()):  # type: ignore[attr-defined]
            saved = state_dict.get(prefix + name)
            if p is not None and saved is not None and is_lazy(p) and not is_lazy(saved):
                p.materialize(saved.shape)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give every uninitialized parameter its shape, from the first input."""
        raise refuse(NotImplementedError, f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer still lacks its shape."""
        return any(is_lazy(p) for p in itertools.chain(self._parameters.values(), self._buffers.values()))  # type: ignore[attr-defined]

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise refuse(RuntimeError, f"module {self._get_name()} has not been fully initialized")  # type: ignore[attr-defined]
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
