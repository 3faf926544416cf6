"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

from ...base.errors import refuse
from ...core import Tensor


def _tied_names(module: Any) -> dict[str, set[str]]:
    """For each name of a tensor, all names of the same tensor."""
    by_tensor: dict[int, set[str]] = {}
    for name, tensor in (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)):
        by_tensor.setdefault(id(tensor), set()).add(name)
    return {name: names for names in by_tensor.values() for name in names}


def _place(module: Any, path: str) -> tuple[dict[str, Any], str]:
    """The table of parameters or buffers that holds a path, and the name in it."""
    prefix, _, name = path.rpartition(".")
    owner = module.get_submodule(prefix)
    for table in (owner._parameters, owner._buffers):
        if name in table:
            return table, name
    raise refuse(KeyError, f"{path}", expected="the path of a parameter or buffer")


@contextmanager
def _reparametrize_module(module: Any, parameters_and_buffers: Mapping[str, Tensor], tie_weights: bool = False, strict: bool = False,
                          stack_weights: bool = False) -> Any:  # fmt: skip
    """`module` with the given tensors in place of its own, until the block ends."""
    given = dict(parameters_and_buffers)
    tied = _tied_names(module)
    if tie_weights:
        for name in list(given):
            for other in tied.get(name, ()):
                if other in parameters_and_buffers and parameters_and_buffers[other] is not parameters_and_buffers[name]:
                    raise refuse(
                        ValueError,
                        f"functional_call got multiple values for keys {sorted(tied[name])}, which are tied. Consider using "
                        "tie_weights=False",
                    )
                given[other] = parameters_and_buffers[name]
    if strict:
        unexpected, missing = set(given) - set(tied), set(tied) - set(given)
        if unexpected or missing:
            parts = [f"Unexpected key(s): {', '.join(map(repr, sorted(unexpected)))}."] if unexpected else []
            parts += [f"Missing key(s): {', '.join(map(repr, sorted(missing)))}."] if missing else []
            raise refuse(RuntimeError, f"Error(s) in reparametrizing for {module._get_name()}:\n\t" + "\n\t".join(parts))
    places = [(*_place(module, path), tensor) for path, tensor in given.items() if strict or path in tied]
    kept = [(table, name, table[name]) for table, name, _ in places]
    try:
        for table, name, tensor in places:
            table[name] = tensor
        yield module
    finally:
        for (table, name, own), path in zip(kept, [p for p in given if strict or p in tied], strict=True):
            if path in parameters_and_buffers and isinstance(parameters_and_buffers, dict):
                parameters_and_buffers[path] = table[name]  # a buffer that forward replaced is handed back
            table[name] = own


def functional_call(module: Any, parameters_and_buffers: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *,
                    tie_weights: bool = True, strict: bool = False) -> Any:  # fmt: skip
    """`module(*args, **kwargs)` with tensors of a dict (or several dicts) in place of its own; the module itself does not change."""
    if isinstance(parameters_and_buffers, (list, tuple)):
        merged: dict[str, Tensor] = {}
        for part in parameters_and_buffers:
            repeated = set(merged) & set(part)
            if repeated:
                raise refuse(ValueError, f"{sorted(repeated)} appears in multiple dictionaries; behavior of functional call is ambiguous")
            merged.update(part)
        parameters_and_buffers = merged
    if not isinstance(parameters_and_buffers, Mapping):
        raise refuse(
            ValueError,
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(parameters_and_buffers)}",
        )
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights=tie_weights, strict=strict):
        return module(*args, **(kwargs or {}))
