"""Constructors that take Python's numbers, or lists of them: of such data a key holds types and lengths, so one row serves all values."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import facula.core.chains as chains
import facula.core.objects as objects

from ..base.device import CPU
from .expression import PLANS
from .layout import Layout
from .native import fields as F
from .plan import Plan

LISTED = 1 << 16  # numbers that are read at once, without a look at signals


class DataPlan(Plan):
    """A tensor of one layout, with these flags, from the numbers in argument `place`."""

    __slots__ = ("flags", "layout", "place")

    def __init__(self, layout: Layout, flags: int, place: int) -> None:
        super().__init__(None, None, None)
        self.layout, self.flags, self.place = layout, flags, place

    def native(self, places: tuple[int, ...]) -> int:
        found = self.addresses.get(())
        if found is None:
            lay = self.layout
            dims = (ctypes.c_int64 * max(1, lay.ndim))(*lay.shape)
            fields = {"kind": F.KIND_DATA, "source": self.place, "delta": lay.nbytes, "outs": id(lay), "how": self.flags}
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
        if len(arguments) <= place or type(arguments[place]) not in (list, tuple, float, int, bool):
            return traced(arguments, names)
        got = run(arguments, names)
        n = len(arguments) - len(names or ())
        if place < n and isinstance(got, objects.Tensor) and _plain(got):
            key = (DataPlan, got._layout, got._flags, place)
            plan = PLANS.get(key) or PLANS.setdefault(key, DataPlan(got._layout, got._flags, place))
            objects.insert(entry, names, n, arguments, plan, plan.native(()))
        else:
            objects.insert(entry, names, n, arguments, None, F.ROW_NEVER)
        return got

    return again


def _plain(t: Any) -> bool:
    """Whether emitted code can make such a tensor."""
    lay = t._layout
    usual = lay.dtype.name in F.DATA_TYPES and lay.contiguous and lay.device is CPU and not lay.batch
    return usual and type(t) is objects.Tensor and t._node is None and lay.ndim <= F.DATA_DIMS and 0 < math.prod(lay.shape) <= LISTED
