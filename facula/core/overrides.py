"""`__torch_function__`: types that take calls over, and function modes. They hang on the road here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import facula.core.objects as objects

from ..base.narrow import is_sequence
from .modes import MODE, sync


def disabled(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """A `__torch_function__` that lets calls pass as if it were not there."""
    before = MODE.overrides_off
    MODE.overrides_off = before + 1
    try:
        return func(*args, **(kwargs or {}))
    finally:
        MODE.overrides_off = before


def overridden(arguments: Sequence[Any], modes: Sequence[Any]) -> list[Any] | None:
    """The arguments that take the call over, subclasses first; None (the rule) when there is none and no mode."""
    found: list[Any] = []
    for a in arguments:
        if is_sequence(a):
            for item in a:
                _consider(item, found)
        else:
            _consider(a, found)
    return found if found or modes else None


def _consider(a: object, found: list[Any]) -> None:
    kind = type(a)
    if kind is objects.Tensor or kind in PLAIN or not hasattr(kind, "__torch_function__"):
        return
    if getattr(kind, "__torch_function__") is disabled_method or any(type(f) is kind for f in found):
        return
    # a subclass goes before its base
    place = next((i for i, f in enumerate(found) if issubclass(kind, type(f))), len(found))
    found.insert(place, a)


PLAIN: set[type] = {int, float, bool, str, complex, type(None)}
disabled_method: Any = disabled


def dispatch_override(found: Sequence[object], function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Ask the modes, then the types, in order; TypeError when nobody takes the call."""
    types = tuple(type(a) for a in found)
    if MODE.functions:
        mode = MODE.functions.pop()
        sync()
        try:
            got = mode.__torch_function__(function, types, tuple(args), kwargs)
        finally:
            MODE.functions.append(mode)
            sync()
        if got is not NotImplemented:
            return got
    for a in found:
        got = getattr(type(a), "__torch_function__")(function, types, tuple(args), kwargs)
        if got is not NotImplemented:
            return got
    name = getattr(function, "__name__", str(function))
    raise TypeError(
        f"Multiple dispatch failed for 'torch.{name}'; all __torch_function__ handlers returned NotImplemented:\n"
        + "\n".join(f"  - {t}" for t in types)
    )


def default(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Tensor's own `__torch_function__`: run the function, give plain results the subclass's type."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    MODE.overrides_off += 1
    try:
        got = func(*args, **(kwargs or {}))
    finally:
        MODE.overrides_off -= 1
    return _convert(got, cls)


def _convert(got: Any, cls: type) -> Any:
    if cls is objects.Tensor:
        return got
    if isinstance(got, objects.Tensor) and not isinstance(got, cls):
        return got.as_subclass(cls)
    if is_sequence(got):
        items = [_convert(x, cls) for x in got]
        made, plain = cast(Any, type(got)), type(got) in (tuple, list)
        return made(items) if plain else made(*items)
    return got
