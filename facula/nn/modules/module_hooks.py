"""Hooks of modules: their handles, the global tables, and what a call with hooks does."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from ... import ops
from ...base.errors import refuse, warn
from ...core import Tensor, is_grad_enabled
from .module_base import ModuleBase


class RemovableHandle:
    """Removes one hook from its table; also a context manager that does so at the end."""

    next_id = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = () if extra_dict is None else extra_dict if isinstance(extra_dict, (list, tuple)) else (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(table) for table in extra)

    def remove(self) -> None:
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = reference()
            if table is not None and self.id in table:
                del table[self.id]

    def __getstate__(self) -> Any:
        return self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref)

    def __setstate__(self, state: Any) -> None:
        table, self.id, extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if table is None else table)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if other is None else other) for other in extra)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self.remove()


def enter(table: OrderedDict[int, Any], hook: Any, *marks: Any, prepend: bool = False) -> RemovableHandle:
    """Put `hook` into `table`; every OrderedDict in `marks` gets the same id as a flag."""
    handle = RemovableHandle(table, extra_dict=list(marks))
    table[handle.id] = hook
    for mark in marks:
        mark[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


# Hooks that hold for every module of the process, by kind. Tests and tools that want PyTorch's tables find them here.
PRE: OrderedDict[int, Any] = OrderedDict()
FORWARD: OrderedDict[int, Any] = OrderedDict()
FORWARD_WITH_KWARGS: OrderedDict[int, bool] = OrderedDict()
FORWARD_ALWAYS: OrderedDict[int, bool] = OrderedDict()
BACKWARD_PRE: OrderedDict[int, Any] = OrderedDict()
BACKWARD: OrderedDict[int, Any] = OrderedDict()
BACKWARD_IS_FULL: list[bool | None] = [None]
PARAMETER_REGISTRATION: OrderedDict[int, Any] = OrderedDict()
BUFFER_REGISTRATION: OrderedDict[int, Any] = OrderedDict()
MODULE_REGISTRATION: OrderedDict[int, Any] = OrderedDict()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, args)` before every forward of every module."""
    return enter(PRE, hook)


def register_module_forward_hook(hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False) -> RemovableHandle:
    """`hook(module, args, output)` after every forward of every module."""
    marks = ([FORWARD_WITH_KWARGS] if with_kwargs else []) + ([FORWARD_ALWAYS] if always_call else [])
    return enter(FORWARD, hook, *marks)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, grad_output)` before the gradients of any module's inputs are computed."""
    return enter(BACKWARD_PRE, hook)


def _global_backward(hook: Callable[..., Any], full: bool) -> RemovableHandle:
    if BACKWARD_IS_FULL[0] is not None and BACKWARD_IS_FULL[0] != full and BACKWARD:
        raise refuse(RuntimeError, "Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use "
                     "only one of them.")  # fmt: skip
    BACKWARD_IS_FULL[0] = full
    return enter(BACKWARD, hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """The old form of `register_module_full_backward_hook`: gradients of the last operator, not of the module."""
    return _global_backward(hook, False)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, grad_input, grad_output)` whenever the gradients of any module's inputs are computed."""
    return _global_backward(hook, True)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, name, buffer)` when any module registers a buffer; a result replaces the buffer."""
    return enter(BUFFER_REGISTRATION, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, name, submodule)` when any module registers a child; a result replaces the child."""
    return enter(MODULE_REGISTRATION, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """`hook(module, name, parameter)` when any module registers a parameter; a result replaces the parameter."""
    return enter(PARAMETER_REGISTRATION, hook)


def registered(table: OrderedDict[int, Any], module: ModuleBase, name: str, value: Any) -> Any:
    """`value` after the registration hooks of its kind."""
    for hook in table.values():
        result = hook(module, name, value)
        if result is not None:
            value = result
    return value


# ---------------------------------------------------------------- methods of Module
def register_forward_pre_hook(
    self: ModuleBase, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
) -> RemovableHandle:
    """`hook(module, args) -> None | args` before forward; with `with_kwargs`, `hook(module, args, kwargs) -> None | (args, kwargs)`."""
    marks = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
    return enter(self._forward_pre_hooks, hook, *marks, prepend=prepend)


def register_forward_hook(
    self: ModuleBase, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """`hook(module, args[, kwargs], output) -> None | output` after forward; `always_call` also after a forward that raised."""
    marks = ([self._forward_hooks_with_kwargs] if with_kwargs else []) + ([self._forward_hooks_always_called] if always_call else [])
    return enter(self._forward_hooks, hook, *marks, prepend=prepend)


def register_full_backward_pre_hook(self: ModuleBase, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    """`hook(module, grad_output) -> None | grad_output` when the gradients of the module's outputs are known."""
    return enter(self._backward_pre_hooks, hook, prepend=prepend)


def register_full_backward_hook(self: ModuleBase, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    """`hook(module, grad_input, grad_output) -> None | grad_input` when the gradients of the module's inputs are known."""
    if self._is_full_backward_hook is False:
        raise refuse(RuntimeError, "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
                     "one of them.")  # fmt: skip
    self._is_full_backward_hook = True
    return enter(self._backward_hooks, hook, prepend=prepend)


def register_backward_hook(self: ModuleBase, hook: Callable[..., Any]) -> RemovableHandle:
    """The old form of `register_full_backward_hook`: sees the gradients of the module's last operator only."""
    if self._is_full_backward_hook is True:
        raise refuse(RuntimeError, "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
                     "one of them.")  # fmt: skip
    self._is_full_backward_hook = False
    return enter(self._backward_hooks, hook)


# ---------------------------------------------------------------- the call
def call_hooked(module: ModuleBase, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward` with every hook of the module and of the process around it."""
    done: set[int] = set()
    state: dict[str, Any] = {"args": args, "kwargs": kwargs, "result": None}
    try:
        return _call(module, state, done)
    except Exception:
        _run_always(module, state, done)
        raise


def _call(module: ModuleBase, state: dict[str, Any], done: set[int]) -> Any:
    args, kwargs = _run_pre(module, state["args"], state["kwargs"])
    state["args"], state["kwargs"] = args, kwargs
    full, plain = _backward_hooks(module)
    before = [*BACKWARD_PRE.values(), *module._backward_pre_hooks.values()]
    gate = Gate(module, full, before) if full or before else None
    if gate is not None:
        args = gate.inputs(args)
        state["args"] = args
    result = state["result"] = module.forward(*args, **kwargs)
    for identity, hook in (*FORWARD.items(), *module._forward_hooks.items()):
        if identity in FORWARD_ALWAYS or identity in module._forward_hooks_always_called:
            done.add(identity)
        if identity in FORWARD_WITH_KWARGS or identity in module._forward_hooks_with_kwargs:
            changed = hook(module, args, kwargs, result)
        else:
            changed = hook(module, args, result)
        if changed is not None:
            result = state["result"] = changed
    if gate is not None:
        result = gate.outputs(result)
    if plain:
        _attach_plain(module, plain, result)
    return result


def _run_pre(module: ModuleBase, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for identity, hook in (*PRE.items(), *module._forward_pre_hooks.items()):
        if identity in module._forward_pre_hooks_with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise refuse(
                        RuntimeError,
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}.",
                        received=type(changed).__name__,
                        expected="None or (args, kwargs)",
                    )
                args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


def _run_always(module: ModuleBase, state: dict[str, Any], done: set[int]) -> None:
    """Hooks with `always_call` that an error kept from running; their own errors become warnings."""
    for identity, hook in (*FORWARD.items(), *module._forward_hooks.items()):
        everywhere = identity in FORWARD_ALWAYS
        if identity in done or not (everywhere or identity in module._forward_hooks_always_called):
            continue
        with_kwargs = identity in FORWARD_WITH_KWARGS or identity in module._forward_hooks_with_kwargs
        try:
            changed = (
                hook(module, state["args"], state["kwargs"], state["result"])
                if with_kwargs
                else hook(module, state["args"], state["result"])
            )
            if changed is not None:
                state["result"] = changed
        except Exception as error:
            kind = "global module" if everywhere else "module"
            warn(
                f"{kind} forward hook with ``always_call=True`` raised an exception that was silenced as another error was raised "
                f"in forward: {error!s}",
            )


def _backward_hooks(module: ModuleBase) -> tuple[list[Any], list[Any]]:
    """(full, old-style) backward hooks, global ones first."""
    full, plain = [], []
    (full if BACKWARD_IS_FULL[0] else plain).extend(BACKWARD.values())
    (full if module._is_full_backward_hook else plain).extend(module._backward_hooks.values())
    return full, plain


def _attach_plain(module: ModuleBase, hooks: list[Any], result: Any) -> None:
    value = result
    while not isinstance(value, Tensor):
        value = next(v for v in value.values() if isinstance(v, Tensor)) if isinstance(value, dict) else value[0]
    if value.grad_fn is not None:
        for hook in hooks:
            value.grad_fn.register_hook(partial(hook, module))


def materialized(grads: Any, like: list[tuple[Any, Any, Any]]) -> tuple[Any, ...]:
    """Gradients with zeros where there is none; `like` has (shape, dtype, device) of each."""
    return tuple(ops.zeros(s, dtype=d, device=v) if g is None else g for g, (s, d, v) in zip(grads, like, strict=True))


class Gate:
    """Two identities on the tape around one forward: their backward steps run the full backward hooks."""

    def __init__(self, module: ModuleBase, hooks: list[Any], before: list[Any]) -> None:
        self.module = module
        self.hooks = hooks
        self.before = before
        self.grad_outputs: Any = None
        self.arity = -1  # number of arguments
        self.gated = False  # whether an argument carries a gradient, so that the input identity will run

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """`args`, its tensors passed through the input identity."""
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.arity, self.places = len(args), places
        if not (is_grad_enabled() and any(args[i].requires_grad for i in places)):
            return args
        self.gated = True
        self.like = [(args[i].shape, args[i].dtype, args[i].device) for i in places]
        passed = _identity().apply(self._leave, *[args[i] for i in places])
        return self._filled(args, places, passed)

    def outputs(self, result: Any) -> Any:
        """`result`, its tensors passed through the output identity."""
        single = isinstance(result, Tensor)
        values = (result,) if single else result
        if not isinstance(values, (tuple, list)):
            warn(
                f"For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received {type(result)}",
            )
            return result
        places = [i for i, a in enumerate(values) if isinstance(a, Tensor)]
        if not (is_grad_enabled() and any(values[i].requires_grad for i in places)):
            return result
        self.out_arity, self.out_places = len(values), places
        self.out_like = [(values[i].shape, values[i].dtype, values[i].device) for i in places]
        passed = _identity().apply(self._enter, *[values[i] for i in places])
        filled = self._filled(tuple(values), places, passed)
        return filled[0] if single else type(result)(filled) if type(result) in (tuple, list) else type(result)(*filled)

    @staticmethod
    def _filled(values: tuple[Any, ...], places: list[int], passed: Any) -> tuple[Any, ...]:
        full = list(values)
        for place, value in zip(places, passed if isinstance(passed, tuple) else (passed,), strict=True):
            full[place] = value
        return tuple(full)

    def _packed(self, grads: Any, places: list[int], arity: int) -> tuple[Any, ...]:
        full: list[Any] = [None] * arity
        for place, grad in zip(places, grads, strict=True):
            full[place] = grad
        return tuple(full)

    def _enter(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Backward reaches the module: its output gradients are known."""
        full = self._packed(grads, self.out_places, self.out_arity)
        for hook in self.before:
            changed = hook(self.module, full)
            if changed is not None:
                full = self._checked(changed, full, "Backward pre hook", "grad_output")
        self.grad_outputs = full
        if not self.gated:
            blank = (None,) * self.arity
            for hook in self.hooks:
                changed = hook(self.module, blank, full)
                if changed is not None and not (isinstance(changed, tuple) and all(c is None for c in changed)):
                    raise refuse(
                        RuntimeError,
                        "Backward hook for Modules where no input requires gradient should always return None or None for all gradients.",
                    )
            self.grad_outputs = None
        return materialized([full[i] for i in self.out_places], self.out_like)  # hooks see None, the module zeros

    def _leave(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Backward leaves the module: its input gradients are known."""
        full = self._packed(materialized(grads, self.like), self.places, self.arity)
        if self.grad_outputs is not None:
            for hook in self.hooks:
                changed = hook(self.module, full, self.grad_outputs)
                if changed is not None:
                    full = self._checked(changed, full, "Backward hook", "grad_input")
            self.grad_outputs = None
        return tuple(full[i] for i in self.places)

    @staticmethod
    def _checked(changed: Any, before: tuple[Any, ...], who: str, what: str) -> tuple[Any, ...]:
        changed = changed if isinstance(changed, tuple) else (changed,)
        if len(changed) != len(before):
            raise refuse(RuntimeError, f"{who} returned an invalid number of {what}, got {len(changed)}, but expected {len(before)}",
                         received=f"{len(changed)} gradients", expected=f"{len(before)}")  # fmt: skip
        return changed


def _identity() -> Any:
    """The autograd function whose backward step calls `run` on the gradients; made on first use, the tape loads late."""
    global _Pass
    if _Pass is None:
        from ...autograd import Function  # type: ignore[attr-defined]

        class Pass(Function):
            @staticmethod
            def forward(ctx: Any, run: Any, *values: Tensor) -> Any:
                ctx.run = run
                ctx.set_materialize_grads(False)
                ctx.mark_non_differentiable(*[v for v in values if not v.requires_grad])
                return tuple(v.view_as(v) for v in values)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                return (None, *ctx.run(grads))

        _Pass = Pass
    return _Pass


_Pass: Any = None
