"""Constructors that take Python's numbers, lists of them, or arrays: of such data a key holds types and lengths, so one row serves all values."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import facula.core.chains as chains
import facula.core.objects as objects

from ..base.device import CPU
from .copying import copy_of
from .expression import PLANS
from .layout import TRIM, Layout
from .native import fields as F
from .plan import Plan

LISTED = 1 << 16  # numbers that are read at once, without a look at signals


class DataPlan(Plan):
    """A tensor of one layout, with these flags, from the numbers in argument `place`, or (`flags` is None) on the memory of that array."""

    __slots__ = ("flags", "layout", "place")

    def __init__(self, layout: Layout, flags: int | None, place: int) -> None:
        super().__init__(None, None, None)
        self.layout, self.flags, self.place = layout, flags, place

    def native(self, places: tuple[int, ...]) -> int:
        found = self.addresses.get(())
        if found is None:
            lay = self.layout
            dims = (ctypes.c_int64 * max(1, lay.ndim))(*lay.shape)
            fields = {
                "kind": F.KIND_DATA,
                "source": self.place,
                "delta": lay.nbytes,
                "outs": id(lay),
                "how": self.flags or 0,
                "words_n": -1,
            }
            if self.flags is not None:
                fields |= {"outs_n": [*F.DATA_TYPES].index(lay.dtype.name), "words_n": lay.ndim, "words": ctypes.addressof(dims)}
            block = (ctypes.c_int64 * len(F.PLAN))(*(fields.get(name, 0) for name in F.PLAN))
            self.keep += [dims, block]
            found = self.addresses[()] = ctypes.addressof(block)
        return found


def public(function: Callable[..., Any], name: str, method: bool, place: int) -> Any:
    """`chains.public` of a constructor whose argument `place` may be data."""
    made = chains.public(function, name, method)
    if not objects.NATIVE:
        return made
    entry = getattr(made, "__func__", made).__self__
    entry.mask |= 1 << F.MASK_DATA | 1 << place
    entry.tracer = _tracer(entry, place)
    return made


def _tracer(entry: Any, place: int) -> Callable[[tuple[Any, ...], Any], Any]:
    """Serves the second call with a key; its values are not part of the key, so it must not be traced where data may stand."""
    run, traced = entry.handler, entry.tracer

    def again(arguments: tuple[Any, ...], names: Any) -> Any:
        data = arguments[place] if len(arguments) > place else None
        array = type(data) in ARRAYS
        if not array and type(data) not in (list, tuple, float, int, bool):
            return traced(arguments, names)
        got = run(arguments, names)
        n = len(arguments) - len(names or ())
        plan: Plan | None = None
        if place < n and type(got) is objects.Tensor and got._node is None:
            plan = _of_array(data, got, place) if array else _kept(got._layout, got._flags, place) if _usual(got) else None
        objects.insert(entry, names, n, arguments, plan, F.ROW_NEVER if plan is None else plan.native(()))
        return got

    return again


ARRAYS: set[type] = set()  # NumPy's class, once it was seen
FORMS: dict[tuple[Any, ...], Layout] = {}  # by element type, shape and strides of arrays that tensors were made on
TRIM.append(FORMS.clear)


def remember(array: Any, layout: Layout) -> None:
    """A tensor of this layout lies on this array's memory, and others may on the memory of arrays like it."""
    if not ARRAYS:
        kind: type = array.__class__
        ARRAYS.add(kind)
        objects.set_array(kind)
    FORMS[(array.dtype, array.shape, array.strides)] = layout


def _kept(layout: Layout, flags: int | None, place: int) -> DataPlan:
    key = (DataPlan, layout, flags, place)
    found = PLANS.get(key) or PLANS.setdefault(key, DataPlan(layout, flags, place))
    assert isinstance(found, DataPlan)
    return found


def _usual(t: Any) -> bool:
    """Whether emitted code can make such a tensor of numbers."""
    lay = t._layout
    plain = lay.dtype.name in F.DATA_TYPES and lay.contiguous and lay.device is CPU and not lay.batch
    return plain and lay.ndim <= F.DATA_DIMS and 0 < math.prod(lay.shape) <= LISTED


def _of_array(array: Any, got: Any, place: int) -> Plan | None:
    """What made `got` of an array: it lies on the array's memory, or is a copy of what does."""
    lay = FORMS.get((array.dtype, array.shape, array.strides))
    if lay is None or got._flags:
        return None
    borrowed = _kept(lay, None, place)
    if got._layout is lay and got._address == array.ctypes.data:
        return borrowed
    if not lay.dense or got._layout.device is not CPU or got._layout.batch:
        return None
    copy = copy_of(lay, got.dtype, got._layout.strides)
    key = (DataPlan, borrowed, copy)
    found = PLANS.get(key)
    if found is None:
        steps: list[chains.Step] = [(borrowed, _kept(lay, None, 0).native(()), 0, [(F.FROM_ARGUMENT, place)])]
        steps.append((copy, copy.native((0,)), 0, [(F.FROM_STEP, 0)]))
        found = PLANS[key] = made = chains.Chain(steps, (F.FROM_STEP, 1))
        made.alone = True  # the array may be written to before what waits has run
    return found
