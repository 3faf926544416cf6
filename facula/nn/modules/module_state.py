"""State dicts of modules: what is saved, in which order, and how it is loaded and refused."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

from ...base.errors import refuse
from ...core import Tensor, no_grad
from ..parameter import Parameter, is_lazy
from .module_base import ModuleBase
from .module_hooks import RemovableHandle, enter

EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple("_IncompatibleKeys", [("missing_keys", list), ("unexpected_keys", list)])):
    """What `load_state_dict` returns: names that the dict lacks, and names that the module lacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"

    __str__ = __repr__


# ---------------------------------------------------------------- saving
def _save_to_state_dict(self: ModuleBase, destination: Any, prefix: str, keep_vars: bool) -> None:
    """Enter this module's own parameters, persistent buffers and extra state; children are not its business."""
    for name, p in self._parameters.items():
        if p is not None:
            destination[prefix + name] = p if keep_vars else p.detach()
    for name, buffer in self._buffers.items():
        if buffer is not None and name not in self._non_persistent_buffers_set:
            destination[prefix + name] = buffer if keep_vars else buffer.detach()
    if type(self).get_extra_state is not ModuleBase.get_extra_state:
        destination[prefix + EXTRA_STATE] = self.get_extra_state()


def state_dict(self: ModuleBase, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
    """Names and tensors of all parameters and persistent buffers, sharing their memory; detached unless `keep_vars`."""
    if args:
        destination = args[0] if destination is None else destination
        prefix = args[1] if len(args) > 1 and prefix == "" else prefix
        keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    metadata = {"version": self._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in self._state_dict_pre_hooks.values():
        hook(self, prefix, keep_vars)
    self._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in self._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
    for hook in self._state_dict_hooks.values():
        result = hook(self, destination, prefix, metadata)
        if not getattr(hook, "_from_public_api", False):
            if result is not None:
                destination = result
        elif result is not None:
            raise refuse(RuntimeError, "state_dict post-hook must return None")
    return destination


def _register_state_dict_hook(self: ModuleBase, hook: Callable[..., Any]) -> RemovableHandle:
    """A hook `(module, state_dict, prefix, metadata)` that may return another dict; the public form is `register_state_dict_post_hook`."""
    if getattr(hook, "_from_public_api", False):
        raise refuse(RuntimeError, "Cannot register the same function as the state dict post hook that was previously registered via "
                     "register_state_dict_post_hook")  # fmt: skip
    return enter(self._state_dict_hooks, hook)


def register_state_dict_post_hook(self: ModuleBase, hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, state_dict, prefix, local_metadata) -> None` after this module's part is saved; it may change the dict in place."""

    @wraps(hook)
    def public(*args: Any) -> Any:
        return hook(*args)

    public._from_public_api = True  # type: ignore[attr-defined]
    return enter(self._state_dict_hooks, public)


def register_state_dict_pre_hook(self: ModuleBase, hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, prefix, keep_vars) -> None` before this module's part is saved."""
    return enter(self._state_dict_pre_hooks, hook)


# ---------------------------------------------------------------- loading
class BoundHook:
    """A load hook that wants the module as its first argument."""

    def __init__(self, hook: Callable[..., Any], module: ModuleBase | None) -> None:
        self.hook, self.with_module, self.module = hook, module is not None, module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args) if self.with_module else self.hook(*args)


def _register_load_state_dict_pre_hook(self: ModuleBase, hook: Callable[..., Any], with_module: bool = False) -> RemovableHandle:
    return enter(self._load_state_dict_pre_hooks, BoundHook(hook, self if with_module else None))


def register_load_state_dict_pre_hook(self: ModuleBase, hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)` before loading."""
    return self._register_load_state_dict_pre_hook(hook, with_module=True)


def register_load_state_dict_post_hook(self: ModuleBase, hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, incompatible_keys)` after loading; it may change the two lists."""
    return enter(self._load_state_dict_post_hooks, hook)


def _load_from_state_dict(
    self: ModuleBase, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str], unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:  # fmt: skip
    """Load this module's own parameters and buffers from `state_dict`; what does not fit is written into the three lists."""
    for hook in self._load_state_dict_pre_hooks.values():
        hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
    kept = {name: b for name, b in self._buffers.items() if name not in self._non_persistent_buffers_set}
    assign = local_metadata.get("assign_to_params_buffers", False)
    own = {name: value for name, value in itertools.chain(self._parameters.items(), kept.items()) if value is not None}
    with no_grad():
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                _load_one(self, name, key, value, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)
    extra = prefix + EXTRA_STATE
    if type(self).set_extra_state is not ModuleBase.set_extra_state:
        if extra in state_dict:
            self.set_extra_state(state_dict[extra])
        elif strict:
            missing_keys.append(extra)
    elif strict and extra in state_dict:
        unexpected_keys.append(extra)
    if strict:
        for key in state_dict:
            if key.startswith(prefix) and key != extra:
                first, _, rest = key[len(prefix) :].partition(".")
                if first not in self._modules and (rest or first not in own):
                    unexpected_keys.append(key)


def _load_one(module: ModuleBase, name: str, key: str, value: Any, given: Any, assign: bool, error_msgs: list[str]) -> None:
    if not isinstance(given, Tensor):
        error_msgs.append(f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint but '
                          f"received {type(given)}")  # fmt: skip
        return
    lazy = is_lazy(value)
    if not lazy and value.dim() == 0 and given.dim() == 1 and len(given) == 1:
        given = given[0]  # scalars were saved with one dimension once
    if not lazy and given.shape != value.shape:
        error_msgs.append(
            f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in current model is "
            f"{value.shape}."
        )
        return
    try:
        if assign:
            if isinstance(value, Parameter):
                given = given.requires_grad_(value.requires_grad) if isinstance(given, Parameter) else Parameter(given, value.requires_grad)
            setattr(module, name, given)
        else:
            value.copy_(given)
    except Exception as error:
        notes = f"whose dimensions in the model are {value.size()} and whose dimensions in the checkpoint are {given.size()}"
        error_msgs.append(f'While copying the parameter named "{key}", {notes}, an exception occurred : {error.args}.')


def load_state_dict(self: ModuleBase, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
    """Copy parameters and buffers from `state_dict`; with `assign` its tensors themselves take their places.

    `strict` refuses missing and unexpected names, after everything that fits was loaded.
    """
    if not isinstance(state_dict, Mapping):
        raise refuse(TypeError, f"Expected state_dict to be dict-like, got {type(state_dict)}.", received=type(state_dict).__name__,
                     expected="a mapping of names to tensors", hint="module.load_state_dict(other.state_dict())")  # fmt: skip
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    metadata = getattr(state_dict, "_metadata", None)
    state: Any = OrderedDict(state_dict)
    if metadata is not None:
        state._metadata = metadata

    def load(module: ModuleBase, part: Any, prefix: str = "") -> None:
        local = {} if metadata is None else metadata.get(prefix[:-1], {})
        if assign:
            local["assign_to_params_buffers"] = assign
        module._load_from_state_dict(part, prefix, local, True, missing, unexpected, errors)
        below: dict[str, dict[str, Any]] = {}  # by the name of the child that the entry is for
        if module._modules:
            for key, value in part.items():
                head, dot, _ = key[len(prefix) :].partition(".")
                if dot:
                    below.setdefault(head, {})[key] = value
        for name, child in module._modules.items():
            if child is not None:
                load(child, below.get(name, {}), prefix + name + ".")
        outcome = IncompatibleKeys(missing, unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, outcome) is not None:
                raise refuse(AssertionError, "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                             "values, if incompatible_keys need to be modified, it should be done inplace.")  # fmt: skip

    load(self, state)
    if strict:
        if unexpected:
            errors.insert(0, "Unexpected key(s) in state_dict: {}. ".format(", ".join(f'"{k}"' for k in unexpected)))
        if missing:
            errors.insert(0, "Missing key(s) in state_dict: {}. ".format(", ".join(f'"{k}"' for k in missing)))
    if errors:
        raise refuse(RuntimeError, "Error(s) in loading state_dict for {}:\n\t{}".format(type(self).__name__, "\n\t".join(errors)),
                     received=f"{len(state)} entries", expected=f"the {len(self.state_dict())} names and shapes of {type(self).__name__}",
                     hint="strict=False loads what fits by name" if missing or unexpected else "")  # fmt: skip
    return IncompatibleKeys(missing, unexpected)
