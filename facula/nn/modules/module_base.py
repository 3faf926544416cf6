"""What a module holds, below the files that walk it, save it and call it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ...base.errors import refuse
from ...core import Tensor
from ..parameter import Parameter


class ModuleBase:
    """The tables of a `Module`, how its attributes are read from them, and the methods that stand for no extra state. `Module` is its only child and makes the tables."""

    training: bool
    _version: int
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]
    _forward_hooks: OrderedDict[int, Any]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Any]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _backward_hooks: OrderedDict[int, Any]
    _backward_pre_hooks: OrderedDict[int, Any]
    _is_full_backward_hook: bool | None
    _state_dict_hooks: OrderedDict[int, Any]
    _state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_pre_hooks: OrderedDict[int, Any]
    _load_state_dict_post_hooks: OrderedDict[int, Any]

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if "_modules" in own:
            table = own["_parameters"]
            if name in table:
                return table[name]
            table = own["_modules"]
            if name in table:
                return table[name]
            table = own["_buffers"]
            if name in table:
                return table[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def get_extra_state(self) -> Any:
        """State beyond parameters and buffers, saved under `_extra_state`; define it together with `set_extra_state`."""
        raise refuse(RuntimeError, "Reached a code path in Module.get_extra_state() that should never be called. Please file an issue at "
                     "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug.")  # fmt: skip

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise refuse(RuntimeError, "Reached a code path in Module.set_extra_state() that should never be called. Please file an issue at "
                     "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug.")  # fmt: skip
