"""Values from one tensor into another, with conversion: the kernel below copy_, to, contiguous and clone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import facula.core.objects as objects

from ..base.device import META
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..kernel.launch import In, Launch, Out, Schedule
from ..kernel.pointwise import pointwise
from ..kernel.scalar import Scalar, cast, input, real
from .batching import check_holds, loops, merged
from .expression import PLANS, expanded
from .layout import Layout, layout
from .native import fields as F
from .placing import no_values
from .plan import KernelPlan, Plan, run


def converted(source: DType, target: DType) -> Scalar:
    """The body that turns an element of one type into another."""
    x = input(0, source.compute)
    if source.is_complex and not target.is_complex:
        x = real(x)
    return x if x.dtype is target.compute else cast(x, target.compute)


def copy_into(target: Any, source: Any) -> None:
    """target[...] = source; shapes broadcast; memory that overlaps is read first. Counts as a write."""
    if tuple(source.shape) != tuple(target.shape):
        check_expand(source._layout, tuple(target.shape))
    if source._block == target._block and source._address == target._address and source._layout is target._layout:
        return
    if source._block == target._block and _overlap(source, target):
        source = fresh_copy(source)
    if source._layout.device is not target._layout.device and source._layout.device is META:
        raise no_values(NotImplementedError, "Cannot copy out of meta tensor; no data!")
    if target._layout.device is META:
        objects.bump(target)
        return
    run(copy_plan(target._layout, source._layout), [target, source])


def fill_in(target: Any, source: Any) -> None:
    """target[...] = source, where the target is memory that was made for a result, or part of it: nobody has seen it, so its version stays."""
    if target._layout.device is not META:
        run(copy_plan(target._layout, source._layout, F.OUT_QUIET), [target, source])


def copy_plan(lay: Layout, source: Layout, how: int = F.OUT_ARGUMENT) -> Plan:
    """Operand 1 is written into operand 0, which is the result in this way."""
    key = (copy_plan, lay, source, how)
    plan = PLANS.get(key)
    if plan is None:
        body = (converted(source.dtype, lay.dtype),)
        check_holds(lay, [source], "copy_")
        outs, ins = loops([lay], [source], tuple(lay.shape), expanded)
        schedule = pointwise(outs, ins, body)
        plan = PLANS[key] = KernelPlan("copy", [(lay, 0, how, 0)], replace(schedule, launches=_moved(schedule, 0, 1)), 2)
    return plan


def copies_plan(targets: tuple[Layout, ...], sources: tuple[Layout, ...], others: int = 0) -> Plan:
    """Of 2 n operands, operand n + i is written into operand i. What is written is shared with none of them, nor with the `others` behind."""
    key = (copies_plan, targets, sources, others)
    plan = PLANS.get(key)
    if plan is None:
        n = len(targets)
        launches: list[Launch] = []
        for i, (target, source) in enumerate(zip(targets, sources)):
            outs, ins = loops([target], [source], tuple(target.shape), expanded)
            launches += _moved(pointwise(outs, ins, (converted(source.dtype, target.dtype),)), i, n + i)
        specs = [(target, 0, F.OUT_APART, i) for i, target in enumerate(targets)]
        plan = PLANS[key] = KernelPlan("copy", specs, Schedule(tuple(launches)), 2 * n + others)
    return plan


def _moved(schedule: Schedule, target: int, source: int) -> tuple[Launch, ...]:
    """The launches of a copy of operand 0 into result 0, with other numbers."""

    def other(w: Any) -> Any:
        return In(source, w.offset) if isinstance(w, In) else Out(target, w.offset) if isinstance(w, Out) else w

    return tuple(replace(x, words=tuple(map(other, x.words))) for x in schedule.launches)


def _overlap(a: Any, b: Any) -> bool:
    return a._address < b._address + b._layout.nbytes and b._address < a._address + a._layout.nbytes


def check_expand(source: Layout, shape: tuple[int, ...]) -> None:
    """RuntimeError unless the source expands to `shape`."""
    lead = len(shape) - source.ndim
    if lead < 0 and any(n != 1 for n in source.shape[:-lead]):
        raise refuse(
            RuntimeError,
            f"The expanded size of the tensor ({shape[0] if shape else 1}) must match the existing size ({source.shape[0]}) at non-singleton dimension 0."
            f"  Target sizes: {list(shape)}.  Tensor sizes: {list(source.shape)}"
            if len(shape)
            else f"output with shape {list(shape)} doesn't match the broadcast shape {list(source.shape)}",
        )
    for i, n in enumerate(source.shape):
        at = lead + i
        if at >= 0 and n not in (1, shape[at]):
            raise refuse(
                RuntimeError,
                f"The expanded size of the tensor ({shape[at]}) must match the existing size ({n}) at non-singleton dimension {at}.  "
                f"Target sizes: {list(shape)}.  Tensor sizes: {list(source.shape)}",
                received=f"shape {tuple(source.shape)}",
                expected=f"a shape that expands to {shape}",
            )


def fresh_copy(source: Any, strides: tuple[int, ...] | None = None, dtype: DType | None = None) -> Any:
    """The values in memory of their own: contiguous, or with these strides."""
    return run(copy_of(source._layout, dtype or source.dtype, strides), [source])


def copy_of(own: Layout, dtype: DType, strides: tuple[int, ...] | None = None) -> Plan:
    """The plan of `fresh_copy`."""
    key = (copy_of, own, strides, dtype)
    plan = PLANS.get(key)
    if plan is None:
        lay = layout(own.shape, dtype, strides, own.device, merged(own.shape, [own]))
        outs, ins = loops([lay], [own], tuple(own.shape), expanded)
        schedule = pointwise(outs, ins, (converted(own.dtype, lay.dtype),))
        plan = PLANS[key] = KernelPlan("copy", [(lay, lay.nbytes, F.OUT_NEW, 0)], schedule, 1)
    return plan


__all__ = ["check_expand", "converted", "copy_into", "fill_in", "fresh_copy"]
