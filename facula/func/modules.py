"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..base.errors import refuse
from ..spec.registry import ops


def _owner(module: Any, path: str) -> tuple[Any, str]:
    """The submodule that holds a parameter or buffer, and its name there. KeyError for an unknown name."""
    prefix, _, name = path.rpartition(".")
    owner = module.get_submodule(prefix) if prefix else module
    if name not in owner._parameters and name not in owner._buffers:
        raise refuse(KeyError, f"{path} is not a parameter or buffer of {type(module).__name__}", received=repr(path))
    return owner, name


@contextmanager
def _swapped(module: Any, values: dict[str, Any]) -> Iterator[None]:
    """The module with other tensors under some of its names."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, value in values.items():
            owner, name = _owner(module, path)
            table = owner._parameters if name in owner._parameters else owner._buffers
            before.append((table, name, table[name]))
            table[name] = value
        yield
    finally:
        for table, name, value in reversed(before):
            table[name] = value


def _tied(module: Any, values: dict[str, Any]) -> dict[str, Any]:
    """A tensor that appears under several names is given under all of them."""
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    given = {id(t): values[name] for name, t in named if name in values}
    return {**{name: given[id(t)] for name, t in named if id(t) in given}, **values}


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with these tensors (a dict, or several) in place of its own."""
    if not isinstance(parameter_and_buffer_dicts, (dict, list, tuple)):
        raise refuse(
            ValueError,
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(parameter_and_buffer_dicts)}",
            received=f"{parameter_and_buffer_dicts!r:.60}",
        )
    dicts = parameter_and_buffer_dicts if isinstance(parameter_and_buffer_dicts, (tuple, list)) else (parameter_and_buffer_dicts,)
    values: dict[str, Any] = {}
    for d in dicts:
        for name in d:
            if name in values:
                raise ValueError(f"{name} appears in multiple dictionaries; behavior of functional call is ambiguous")
        values.update(d)
    if strict:
        known = {name for name, _ in (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))}
        if known != values.keys():
            raise RuntimeError(f"Missing key(s): {sorted(known - values.keys())}. Unexpected key(s): {sorted(values.keys() - known)}.")
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    with _swapped(module, _tied(module, values) if tie_weights else values):
        return module(*given, **(kwargs or {}))


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of several modules of one class, stacked along a new first dim."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or not any(m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = {
        k: ops.stack([dict(m.named_parameters())[k].detach() for m in models]).requires_grad_(p.requires_grad)
        for k, p in models[0].named_parameters()
    }
    buffers = {k: ops.stack([dict(m.named_buffers())[k] for m in models]) for k, _ in models[0].named_buffers()}
    return parameters, buffers
