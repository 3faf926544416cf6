"""The base of all optimizers: parameter groups, per-parameter state, hooks, and the state dictionary that a checkpoint keeps.

An optimizer declares `_initial` (the state of a fresh parameter) and `_update` (one step on lists of tensors, in ordinary operators).
A kernel that does the same in one pass over memory may be attached as `fused`; `_update` stays its definition and its test.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, ClassVar

from .. import ops
from ..base.dtypes import float32
from ..base.errors import refuse, warn
from ..core import Tensor, enable_grad, set_grad_enabled
from ..utils.hooks import RemovableHandle

Group = dict[str, Any]
State = dict[str, Any]
Closure = Callable[[], Any]
ParamsT = Iterable[Any]

_GLOBAL_PRE_HOOKS: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_GLOBAL_POST_HOOKS: OrderedDict[int, Callable[..., Any]] = OrderedDict()


class _Required:
    """Marks a default that every parameter group must give itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before the step of every optimizer."""
    return _registered(_GLOBAL_PRE_HOOKS, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after the step of every optimizer."""
    return _registered(_GLOBAL_POST_HOOKS, hook)


def require(holds: Any, sentence: str, expected: str, received: str = "") -> None:
    """Refuse a bad option with PyTorch's sentence (ValueError)."""
    if not holds:
        raise refuse(ValueError, sentence, received=received or sentence.rpartition(": ")[2], expected=expected)


def require_one_element(lr: Any) -> None:
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise refuse(
            ValueError, "Tensor lr must be 1-element", received=f"lr of shape {tuple(lr.shape)}", expected="a tensor of one element"
        )


def require_rate(lr: Any) -> None:
    require_one_element(lr)
    require(lr >= 0.0, f"Invalid learning rate: {lr}", "lr >= 0")


def require_betas(betas: Sequence[Any]) -> None:
    for index in (0, 1):
        require(0.0 <= betas[index] < 1.0, f"Invalid beta parameter at index {index}: {betas[index]}", "0 <= beta < 1")


def require_at_least_zero(name: str, value: Any) -> None:
    require(value >= 0.0, f"Invalid {name} value: {value}", f"{name} >= 0")


def require_one_road(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """`fused`, `foreach` and `differentiable` exclude each other as in PyTorch (RuntimeError)."""
    if fused and differentiable:
        raise refuse(RuntimeError, "`fused` does not support `differentiable`", hint="fused=None")
    if fused and foreach:
        raise refuse(RuntimeError, "`fused` and `foreach` cannot be `True` together.", hint="fused=None or foreach=None")


def number(value: Any) -> Any:
    """The Python number behind an option that may be a one-element tensor."""
    return value.item() if isinstance(value, Tensor) else value


def counter(start: float = 0.0) -> Tensor:
    """A 0-dim float32 tensor: PyTorch keeps the number of steps like this, and checkpoints carry it."""
    return ops.tensor(start, dtype=float32, device="cpu")


def as_real(*tensors: Tensor | None) -> tuple[Any, ...]:
    """Complex tensors as pairs of reals: two independent parameters, as PyTorch treats them. Views; None stays."""
    return tuple(ops.view_as_real(t) if t is not None and t.is_complex() else t for t in tensors)


class Optimizer:
    """Base class. `params` is an iterable of tensors, of (name, tensor) pairs or of dicts with a key `params`."""

    # One pass over memory for a whole group: (params, grads, states, group) -> True when it served the call.
    fused: ClassVar[Callable[[list[Tensor], list[Tensor], list[State], Group], bool] | None] = None

    param_groups: list[Group]
    state: defaultdict[Any, Any]
    _optimizer_step_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_step_post_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise refuse(
                TypeError,
                f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got {_typename(params)}",
                received=f"one Tensor of shape {tuple(params.shape)}",
                expected="an iterable of Tensors or dicts",
                hint="[tensor], or model.parameters()",
            )
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._make_hook_tables()
        groups = list(params)
        if not groups:
            raise refuse(
                ValueError,
                "optimizer got an empty parameter list",
                expected="at least one parameter",
                hint="a generator such as model.parameters() is empty after its first use; does the model have parameters?",
            )
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)
        self._patch_step()

    def _make_hook_tables(self) -> None:
        for name in Optimizer.__annotations__:
            if name.endswith("_hooks"):
                self.__dict__.setdefault(name, OrderedDict())

    def _patch_step(self) -> None:
        """Give the class's `step` its hooks, once; done here so that a user's subclass gets them without asking."""
        step = type(self).step
        if not getattr(step, "hooked", False):
            type(self).step = _with_hooks(step)  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hook_tables()
        self._patch_step()
        for group in self.param_groups:  # groups of an older checkpoint may lack options that were added since
            for name, default in self.__dict__.get("defaults", {}).items():
                if default is not required:
                    group.setdefault(name, default)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # -- stepping ---------------------------------------------------------------------------------------------------------

    def step(self, closure: Closure | None = None) -> Any:
        """One step on every parameter that has a gradient. `closure` computes the loss anew; its value is returned."""
        if type(self)._update is Optimizer._update:
            raise NotImplementedError(f"{type(self).__name__} must implement step()")
        with set_grad_enabled(bool(self.defaults.get("differentiable", False))):
            loss = None
            if closure is not None:
                with enable_grad():
                    loss = closure()
            for group in self.param_groups:
                params, grads, states = self._gather(group)
                if params and (self.fused is None or not type(self).fused(params, grads, states, group)):  # type: ignore[misc]
                    self._update(params, grads, states, group)
        return loss

    def _gather(self, group: Group) -> tuple[list[Tensor], list[Tensor], list[State]]:
        """Parameters of the group that have a gradient, with gradients and state; fresh state is made here."""
        params, grads, states = [], [], []
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            if grad.is_sparse:
                raise refuse(
                    RuntimeError, f"{type(self).__name__} does not support sparse gradients", hint="grad.to_dense(), or sparse=False"
                )
            state = self.state.get(p)
            if not state:
                state = self._initial(p, group)
                if state:
                    self.state[p] = state
            params.append(p)
            grads.append(grad)
            states.append(state)
        return params, grads, states

    def _initial(self, p: Tensor, group: Group) -> State:
        """State of a parameter that is updated for the first time; an empty one is not kept."""
        return {}

    def _update(self, params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        """One step, in place on `params` and `states`; `grads` keep their values."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (None), or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                    continue
                if p.grad.grad_fn is not None:
                    p.grad.detach_()
                else:
                    p.grad.requires_grad_(False)
                p.grad.zero_()

    # -- groups -----------------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own, for instance layers that are thawed during training."""
        if not isinstance(param_group, dict):
            raise refuse(TypeError, f"param_group must be a dict, but got {type(param_group)}", expected="{'params': [...], 'lr': ...}")
        if "params" not in param_group:
            raise refuse(KeyError, "params", received=f"a group with {[*param_group]}", expected="{'params': [...], ...}")
        tensors, names = _split_names(param_group["params"])
        for index, p in enumerate(tensors):
            if not isinstance(p, Tensor):
                raise refuse(
                    TypeError,
                    "optimizer can only optimize Tensors, but one of the params is " + _typename(p),
                    received=f"params[{index}]: {type(p).__name__}",
                    expected="Tensor",
                )
            if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
                raise refuse(
                    ValueError,
                    "can't optimize a non-leaf Tensor",
                    received=f"a tensor of shape {tuple(p.shape)} that was computed from others",
                    hint="x.detach().requires_grad_()",
                )
        param_group["params"] = tensors
        if names:
            param_group["param_names"] = names
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise refuse(ValueError, f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        self._require_new(param_group)
        self.param_groups.append(param_group)

    def _require_new(self, param_group: Group) -> None:
        identities = {id(p) for p in param_group["params"]}
        if len(identities) != len(param_group["params"]):
            warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
            )
        named = "param_names" in param_group
        for group in self.param_groups:
            if ("param_names" in group) != named:
                raise refuse(
                    ValueError,
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {'with names' if named else 'without names'} to the optimizer",
                )
            if any(id(p) in identities for p in group["params"]):
                raise refuse(ValueError, "some parameters appear in more than one parameter group")

    # -- state dictionary -------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State and groups, with parameters numbered in order of appearance; tensors are not copied."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; tensors are cast to the parameters' dtype and device."""
        if not isinstance(state_dict, dict):
            kind = type(state_dict).__name__
            raise refuse(TypeError, f"{type(self).__name__}.load_state_dict(): argument 'state_dict' must be dict, not {kind}",
                         received=f"{state_dict!r:.60}", expected="what state_dict() returned")  # fmt: skip
        for key in ("param_groups", "state"):
            if key not in state_dict and not self._optimizer_load_state_dict_pre_hooks:
                raise refuse(KeyError, key, received=f"a dict with {[*state_dict][:4]}", expected="'state' and 'param_groups'")
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved = deepcopy(state_dict["param_groups"])
        _require_same_groups(self.param_groups, saved)
        params = dict(zip(chain.from_iterable(g["params"] for g in saved), chain.from_iterable(g["params"] for g in self.param_groups)))
        options = {number: g for g in saved for number in g["params"]}
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _cast(params[key], value, options[key], None)
            else:
                state[key] = value
        for group, new in zip(self.param_groups, saved):
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # -- hooks ------------------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """`hook(optimizer, args, kwargs)` before `step`; may return new (args, kwargs)."""
        return _registered(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """`hook(optimizer, args, kwargs)` after `step`."""
        return _registered(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer)` before `state_dict` is made."""
        return _registered(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer, state_dict)` after; may return another state_dict."""
        return _registered(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer, state_dict)` before loading; may return another state_dict."""
        return _registered(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """`hook(optimizer)` after loading."""
        return _registered(self._optimizer_load_state_dict_post_hooks, hook, prepend)


def _registered(table: OrderedDict[int, Any], hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        self: Optimizer = args[0]  # hooks see it among the arguments too, as in PyTorch
        for hook in [*_GLOBAL_PRE_HOOKS.values(), *self._optimizer_step_pre_hooks.values()]:
            result = hook(self, args, kwargs)
            if result is None:
                continue
            if not (isinstance(result, tuple) and len(result) == 2):
                raise refuse(RuntimeError, f"{hook} must return None or a tuple of (new_args, new_kwargs), but got {result}.")
            args, kwargs = result
        out = step(*args, **kwargs)
        for hook in [*self._optimizer_step_post_hooks.values(), *_GLOBAL_POST_HOOKS.values()]:
            hook(self, args, kwargs)
        return out

    wrapper.hooked = True  # type: ignore[attr-defined]
    return wrapper


def _split_names(params: Any) -> tuple[list[Any], list[str]]:
    """Tensors and their names from a group's `params`: a tensor, tensors, or (name, tensor) pairs."""
    if isinstance(params, Tensor):
        return [params], []
    if isinstance(params, set):
        raise refuse(
            TypeError,
            "optimizer parameters need to be organized in ordered collections, but "
            "the ordering of tensors in sets will change between runs. Please use a list instead.",
        )
    params = list(params)
    names = [p[0] for p in params if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise refuse(ValueError, "all optimizer params should be with/without names. Some param names are missing")
    return [p[1] if isinstance(p, tuple) else p for p in params], names


def _require_same_groups(have: list[Group], saved: list[Group]) -> None:
    if len(have) != len(saved):
        raise refuse(
            ValueError,
            "loaded state dict has a different number of parameter groups",
            received=f"{len(saved)} groups",
            expected=f"{len(have)} groups",
        )
    for index, (group, other) in enumerate(zip(have, saved)):
        if len(group["params"]) != len(other["params"]):
            raise refuse(
                ValueError,
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
                received=f"group {index} with {len(other['params'])} parameters",
                expected=f"{len(group['params'])} parameters",
            )


def _cast(param: Tensor, value: Any, group: Group, key: Hashable) -> Any:
    """Copy of saved state at the parameter's dtype and device; the number of steps stays float32, where half would lose it."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.to(dtype=float32, device=param.device) if group.get("capturable") or group.get("fused") else value
        return value.to(dtype=param.dtype, device=param.device) if param.is_floating_point() else value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _cast(param, v, group, k) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(_cast(param, v, group, None) for v in value)
    return value


def _typename(value: Any) -> str:
    """Qualified type name in PyTorch's spelling."""
    if isinstance(value, Tensor):
        plain = type(value) is Tensor and hasattr(value, "type")
        return value.type() if plain else f"{type(value).__module__}.{type(value).__qualname__}"
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
