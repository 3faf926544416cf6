"""A schedule for operands of one order of dims, run on operands of another: copies in workspace, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .coalesce import contiguous
from .launch import Array, In, Operand, Out, Schedule, Word, Work, rebased
from .pointwise import pointwise
from .scalar import input


def row_major(operand: Operand) -> bool:
    """Whether the elements follow each other in the order of dims."""
    return all(n == 1 or s == c for n, s, c in zip(operand.shape, operand.strides, contiguous(operand.shape))) or 0 in operand.shape


def flat(operand: Operand) -> Array:
    """An operand of this type and shape that is row-major."""
    return Array(operand.dtype, operand.shape, contiguous(operand.shape))


def with_copies(schedule: Schedule, results: Sequence[Operand], operands: Sequence[Operand]) -> Schedule:
    """`schedule`, made for row-major results and operands, for these. Those that are row-major are used where they lie. Operands behind
    the given ones are not touched."""
    used = schedule.workspace

    def elsewhere(operand: Operand) -> Work:
        nonlocal used
        at = Work(-(-used // 64) * 64)
        used = at.offset + prod(operand.shape) * operand.dtype.itemsize
        return at

    ins: list[Word] = [In(i) if row_major(x) else elsewhere(x) for i, x in enumerate(operands)]
    outs: list[Word] = [Out(i) if row_major(x) else elsewhere(x) for i, x in enumerate(results)]
    before = [_copy(flat(x), x, at, In(i), used) for i, (x, at) in enumerate(zip(operands, ins)) if isinstance(at, Work)]
    after = [_copy(x, flat(x), Out(i), at, used) for i, (x, at) in enumerate(zip(results, outs)) if isinstance(at, Work)]
    if not before and not after:
        return schedule
    behind = 1 + max((w.index for x in schedule.launches for w in x.words if isinstance(w, In)), default=-1)
    inner = rebased(schedule, outs, [*ins, *(In(i) for i in range(len(ins), behind))])
    launches = tuple(launch for part in (*before, inner, *after) for launch in part.launches)
    workspace = max(part.workspace for part in (*before, *after))
    note = f"{len(before)} operand(s) and {len(after)} result(s) copied from one order of dims to another"
    return Schedule(launches, max(used, workspace), (*schedule.notes, note), schedule.keep)


def _copy(to: Operand, source: Operand, there: Word, here: Word, behind: int) -> Schedule:
    """Workspace of its own begins behind what is in use."""
    return rebased(pointwise([to], [source], (input(0, source.dtype.compute),)), [there], [here], -(-behind // 64) * 64)
