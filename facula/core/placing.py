"""Where tensors are made: this thread's default device, the device of an operator's operands, and the refusal of devices that this build lacks.

The body of an operator makes its tensors where its operands are: whoever runs a body (`core/function.py`, `core/door.py`, `core/planner.py`,
`core/tape.py`) does so with `at(...)`, and what says nothing about devices (`ops.zeros(n)`) follows. While no other device than the CPU was
ever named, nobody asks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import facula.core.objects as objects

from ..base.device import CPU, META, absent, device
from ..base.device import device as Device
from ..base.errors import refuse
from ..base.narrow import is_sequence
from .modes import MODE, sync


class _Places:
    """`several`: whether any device but the CPU was named in this process."""

    several = False


PLACES = _Places()


def placed(where: Any = None, copying: bool = False) -> device:
    """The device of a new tensor: the one that was asked for, this thread's default for None. Refuses what this build lacks."""
    where = MODE.device if where is None else device(where)
    if where is None or where.type == "cpu":
        return CPU
    PLACES.several = True
    if where.type != "meta":
        raise absent(where, copying)
    return META


class at:
    """Within the block, tensors that are made without a device of their own are made there."""

    __slots__ = ("before", "where")

    def __init__(self, where: device) -> None:
        self.where = None if where is CPU else where

    def __enter__(self) -> None:
        self.before = MODE.device
        _default(self.where)

    def __exit__(self, *exc: object) -> None:
        _default(self.before)


def _default(where: device | None) -> None:
    MODE.device = where
    PLACES.several = PLACES.several or where is not None
    sync()


def here() -> device:
    """This thread's default."""
    return MODE.device or CPU


def everyone(values: Iterable[Any]) -> Iterable[Any]:
    """The tensors among arguments, and in lists of them."""
    for v in values:
        if isinstance(v, objects.Tensor):
            yield v
        elif is_sequence(v):
            yield from (x for x in v if isinstance(x, objects.Tensor))


def body_device(op: Any, values: Iterable[Any], asked: Any) -> device | None:
    """Where an operator's body makes tensors: on the device that was asked for, else where its operands are; None: nobody says."""
    if asked is CPU:
        return CPU
    if asked is not None:
        if not isinstance(asked, (str, device, int)) or isinstance(asked, bool):
            return None
        where = {"cpu": CPU, "meta": META}.get(device(asked).type)
        if where is None and not op.tensors:
            raise absent(device(asked), copying=any(p.type == "any" for p in op.schema.params))
        return where
    if not op.tensors and "device" in op.schema.index:  # a constructor: data that happens to be a tensor does not decide
        return None
    where = common_device([t._layout for t in everyone(values)], refusing=False)
    if where is META and op.block.needs_values:
        raise without_values(op)
    return where


def frame(op: Any, values: Iterable[Any], asked: Any) -> at | None:
    """What a body is to run in, when this thread's default is not where it makes its tensors."""
    where = body_device(op, values, asked)
    return None if where is None or where is here() else at(where)


def common_device(layouts: Sequence[Any], refusing: bool = True) -> device | None:
    """The device of all of these; numbers in tensors (0-dim, on the CPU) go with any. RuntimeError where two differ; None without tensors."""
    if not PLACES.several and layouts:
        return CPU
    found = None
    for x in layouts:
        if x is None or (not x.ndim and x.device is CPU):
            continue
        if found is None:
            found = x.device
        elif x.device is not found and refusing:
            raise apart(x.device, found)
    return CPU if found is None and layouts else found


def apart(this: device, expected: device) -> RuntimeError:
    """The refusal of operands on two devices."""
    return refuse(
        RuntimeError,
        f"Tensor on device {this} is not on the expected device {expected}!",
        received=f"tensors on {expected} and on {this}",
        expected="all of them on one device (0-dim tensors on the CPU go with any)",
        hint=f"x.to('{META}')",
    )


def no_values(kind: type[Exception], sentence: str) -> Exception:
    """The refusal of what needs the values of a meta tensor."""
    return refuse(kind, sentence, received="a meta tensor, which has a shape and no values", expected="a tensor with values")


def without_values(op: Any) -> Exception:
    """The refusal of an operator whose results, or the way to them, depend on values."""
    sentence = (
        f"aten::{op.name}: attempted to run this operator with Meta tensors, but there was no fake impl or Meta kernel registered. You may have run into "
        "this message while using an operator with PT2 compilation APIs (torch.compile/torch.export); in order to use this operator with those APIs you'll "
        "need to add a fake impl. Please see the following for next steps:  https://pytorch.org/tutorials/advanced/custom_ops_landing_page.html"
    )
    return no_values(NotImplementedError, op.block.needs_values if isinstance(op.block.needs_values, str) else sentence)


def known(*tensors: Any) -> bool:
    """Whether these have values that can be looked at: what a check of values asks first."""
    return not PLACES.several or not any(t._layout.device is META for t in tensors)


def run_at(where: device, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, making its tensors there."""

    def run(*args: Any) -> Any:
        with at(where):
            return function(*args)

    return run


# -- what users reach
def get_default_device() -> device:
    """Where tensors are made when nobody says."""
    where = here()
    if where.type in ("cuda", "xpu", "mtia") and where.index is None:
        raise absent(where)
    return where


def set_default_device(device: Any) -> None:
    """Where tensors are made from now on, in this thread, when nobody says; None is the CPU."""
    where = None if device is None else Device(device)
    _default(None if where is None or where.type == "cpu" else where)


def get_device_module(device: Any = None) -> Any:
    """The module of a device's type: torch.cpu, torch.cuda, ..."""
    kind = "cpu" if device is None else Device(device).type
    try:
        return importlib.import_module(f"{__name__.partition('.')[0]}.{kind}")
    except ModuleNotFoundError:
        raise refuse(RuntimeError, f"Invalid device module '{device}'", received=kind) from None


def _enter(self: device) -> device:
    MODE.outside.append(MODE.device)
    _default(None if self.type == "cpu" else self)
    return self


def _exit(self: device, *exc: object) -> None:
    _default(MODE.outside.pop())


device.__enter__, device.__exit__ = _enter, _exit  # type: ignore[attr-defined]
