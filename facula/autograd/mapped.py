"""`autograd.Function` under `vmap`: the rule that its author wrote, a static `vmap(info, in_dims, *args)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..base.errors import refuse
from ..core.batching import ACTIVE, Level, enter, leave, numbers
from ..core.modes import MODE, sync
from ..core.tensor import Tensor


class VmapInfo(NamedTuple):
    """What a rule is told: how many examples there are, and what random draws do."""

    batch_size: int
    randomness: str


def level_of(cls: Any, args: Iterable[Any]) -> Level | None:
    """The innermost `vmap` over any of the arguments, if the class has a rule for it."""
    if cls.vmap is None or not ACTIVE.levels:
        return None
    found = {number for t in args for x in _tensors(t) for number in numbers(x._layout)}
    level = next((level for level in reversed(ACTIVE.levels) if level.number in found), None)
    if level is not None and cls.generate_vmap_rule:
        raise refuse(
            RuntimeError,
            f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden vmap staticmethod. Please set "
            "generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity. For more details, please see "
            "https://pytorch.org/docs/main/notes/extending.func.html",
        )
    return level


def by_rule(cls: Any, level: Level, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What the rule gives for arguments that show their examples as dim 0; it runs outside that `vmap`."""
    shown = [_each(a, lambda t: leave(t, level.number, 0, level.size) if _inside(t, level) else t) for a in args]
    in_dims = tuple(_each(a, lambda t: 0 if _inside(t, level) else None, None) for a in args)
    before = ACTIVE.levels
    _go_to(before[: before.index(level)])
    try:
        got = cls.vmap(VmapInfo(level.size, level.randomness), in_dims, *shown, **kwargs)
    finally:
        _go_to(before)
    two = "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure compatible with the output. "
    if not isinstance(got, tuple):
        raise RuntimeError(f"{two}Got a {type(got)} instead")
    if len(got) != 2:
        raise RuntimeError(f"{two}Got {len(got)} returns instead")
    output, out_dims = got
    if not isinstance(output, (tuple, list)):
        return _hidden(output, out_dims, level)
    dims = out_dims if isinstance(out_dims, (tuple, list)) else [out_dims] * len(output)
    if len(dims) != len(output):
        raise refuse(
            RuntimeError,
            f"The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. Expected out_dims={out_dims} to be "
            "compatible with the structure of `output`.",
            received=f"{len(dims)} dims for {len(output)} results",
        )
    return tuple(_hidden(o, dim, level) for o, dim in zip(output, dims))


def _go_to(levels: list[Level]) -> None:
    ACTIVE.levels, MODE.vmap = levels, bool(levels)
    sync()


def _inside(t: Any, level: Level) -> bool:
    return level.number in numbers(t._layout)


def _tensors(a: Any) -> Iterable[Any]:
    if isinstance(a, Tensor):
        yield a
    elif isinstance(a, (tuple, list)):
        for x in a:
            yield from _tensors(x)


def _each(a: Any, change: Callable[[Any], Any], *other: Any) -> Any:
    """The argument with its tensors changed, also in tuples and lists; for anything else `other`, or itself."""
    if isinstance(a, Tensor):
        return change(a)
    if isinstance(a, (tuple, list)):
        items = [_each(x, change, *other) for x in a]
        return tuple(items) if isinstance(a, tuple) else items
    return other[0] if other else a


def _hidden(out: Any, dim: int | None, level: Level) -> Any:
    """A result with the dim of its examples hidden again."""
    if not isinstance(out, Tensor) or dim is None:
        return out
    if not -out.ndim <= dim < out.ndim or out.shape[dim] != level.size:
        raise refuse(
            RuntimeError,
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple.",
            received=f"a result of shape {tuple(out.shape)} with its examples in dim {dim}",
            expected=f"{level.size} examples in that dim, or None",
        )
    return enter(out, level.number, dim % out.ndim)
