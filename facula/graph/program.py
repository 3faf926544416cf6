"""Programs: a recorded sequence of calls, fused, as launches that one native call walks. Found again by the shape of the recording."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

from ..base.settings import SETTINGS
from ..core import objects
from ..core.expression import Expression
from ..core.launching import code, filled, is_long, start
from ..core.native import fields as F
from ..kernel.launch import Launch
from .fuse import MOST_INPUTS, MOST_OUTPUTS, Group
from .record import Entry

HELD = 3  # references to a result that nobody but the recording holds: its entry's list, the loop's variable, the call's argument


class Step:
    """Launches with the slots their operands are found in, and the numbers' places (call, index)."""

    __slots__ = ("addresses", "calls", "inputs", "keep", "launches", "numbers", "outputs", "schedule", "what")

    def __init__(
        self, what: str, schedule: Any, outputs: list[int], inputs: list[int], numbers: list[tuple[int, int]], calls: list[int]
    ) -> None:
        self.what, self.schedule, self.outputs, self.inputs, self.numbers, self.calls = what, schedule, outputs, inputs, numbers, calls
        self.launches: list[Launch] = [x for x in schedule.launches if x.total > 0]
        self.addresses = [code(x) for x in self.launches]
        self.keep = getattr(schedule, "keep", ())


class Program:
    """What a recording of this shape runs."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.workspace = max((s.schedule.workspace for s in steps), default=0)
        self.count = sum(len(s.launches) for s in steps)

    def run(self, tensors: Sequence[Any], entries: Sequence[Entry]) -> None:
        """Fill the words of every launch, then walk the table in one native call."""
        from ..core.plan import allocate_bytes

        work = allocate_bytes(self.workspace) if self.workspace else None
        base = work._address if work is not None else 0
        table = (ctypes.c_int64 * (5 * self.count))()
        keep = []
        row = 0
        for step in self.steps:
            outs, ins = [tensors[s] for s in step.outputs], [tensors[s] for s in step.inputs]
            numbers = [numbers_of(entries[c])[i] for c, i in step.numbers]
            for address, launch in zip(step.addresses, step.launches):
                if SETTINGS.check_bounds:
                    start(launch, step.schedule, address, outs, ins, numbers, base)
                    continue
                words = filled(launch, outs, ins, numbers, base)
                keep.append(words)
                table[row : row + 5] = address, ctypes.addressof(words), launch.total, launch.grain, is_long(launch)
                row += 5
        objects.replay(ctypes.addressof(table), row // 5)

    def explain(self) -> str:
        """One line per launch group: what, calls it stands for, bytes."""
        lines = []
        for step in self.steps:
            moved = sum(x.bytes for x in step.launches)
            work = sum(x.flops for x in step.launches)
            lines.append(
                f"{step.what:60.60s} {len(step.calls):3d} call{'s' if len(step.calls) != 1 else ' '} {moved / 1e6:9.3f} MB {work / 1e6:10.3f} MFLOP"
            )
        return "\n".join(lines)


def numbers_of(entry: Entry) -> list[Any]:
    return [o for o in entry.operands if not isinstance(o, objects.Tensor)]


PROGRAMS: dict[tuple[Any, ...], Program] = {}
LAST: list[Program] = []


def execute(entries: list[Entry]) -> None:
    """Run a recording: by the program of its shape, built when it is new."""
    tensors, slots, key = describe(entries)
    live = alive(entries, tensors, slots)
    full = (*key, tuple(live))
    program = PROGRAMS.get(full)
    if program is None:
        if len(PROGRAMS) > 1024:
            PROGRAMS.clear()
        program = PROGRAMS[full] = build(entries, tensors, slots, live)
    LAST[:] = [program]
    program.run(tensors, entries)


def place(t: Any) -> tuple[int, int, Any]:
    return t._block, t._address, t._layout


def describe(entries: Sequence[Entry]) -> tuple[list[Any], list[tuple[list[int], list[int]]], tuple[Any, ...]]:
    """Tensors by slot, per entry the slots of its operands and results, and the recording's shape: plans and slots.

    A slot is a version of a value: writing to a tensor makes a new slot.
    """
    tensors: list[Any] = []
    current: dict[tuple[int, int, Any], int] = {}
    rows: list[tuple[list[int], list[int]]] = []
    key: list[Any] = []

    def slot(t: Any, fresh: bool) -> int:
        at = place(t)
        if fresh or at not in current:
            current[at] = len(tensors)
            tensors.append(t)
        return current[at]

    for e in entries:
        ins = [slot(o, False) for o in e.operands if isinstance(o, objects.Tensor)]
        outs = [slot(o, True) for o in e.outs]
        rows.append((ins, outs))
        key += (id(e.plan), *ins, -1, *outs)
    return tensors, rows, tuple(key)


def alive(entries: Sequence[Entry], tensors: Sequence[Any], slots: Sequence[tuple[list[int], list[int]]]) -> list[bool]:
    """Per slot: whether it must be in memory after the run. Only a fresh result that nobody holds may stay unwritten."""
    live = [True] * len(tensors)
    seen: dict[int, int] = {}
    for t in tensors:
        seen[t._block] = seen.get(t._block, 0) + 1
    uses: dict[int, int] = {}
    for e in entries:
        for t in (*e.operands, *e.outs):
            if isinstance(t, objects.Tensor):
                uses[id(t)] = uses.get(id(t), 0) + 1
    for e, (_, outs) in zip(entries, slots):
        for k, s in enumerate(outs):
            if e.plan.outs[k][2] != F.OUT_NEW:
                continue
            t = e.outs[k]
            block = ctypes.c_int64.from_address(t._block + F.BLOCK_REFS).value
            held = sys.getrefcount(t) - uses[id(t)] - 3  # tensors[], the variable t, the argument
            if block == 1 and held <= 0:
                live[s] = False
    return live


def build(entries: Sequence[Entry], tensors: Sequence[Any], slots: Sequence[tuple[list[int], list[int]]], live: Sequence[bool]) -> Program:
    """Group neighbouring pointwise calls; everything else stands alone."""
    layouts = {i: t._layout for i, t in enumerate(tensors)}
    last_use: dict[int, int] = {}
    for i, (ins, _) in enumerate(slots):
        for s in ins:
            last_use[s] = i
    steps: list[Step] = []
    group: Group | None = None

    def close() -> None:
        nonlocal group
        if group is None:
            return
        end = group.calls[-1]
        wanted = [s for s in group.bodies if live[s] or last_use.get(s, -1) > end]
        if wanted:
            names = "+".join(entries[c].plan.op.name for c in group.calls)
            steps.append(Step(f"fused {names}", group.schedule(wanted, layouts), wanted, group.inputs, group.numbers, group.calls))
        group = None

    for i, (e, (ins, outs)) in enumerate(zip(entries, slots)):
        if not fits(e, ins, outs, layouts, group, tensors):
            close()
            if not fusable(e, outs, layouts):
                steps.append(
                    Step(
                        getattr(e.plan.op, "name", str(e.plan.op)),
                        e.plan.schedule,
                        outs,
                        ins,
                        [(i, k) for k in range(len(numbers_of(e)))],
                        [i],
                    )
                )
                continue
            group = Group(tuple(layouts[outs[0]].shape))
        assert group is not None
        group.add(i, e.plan.op, ins, outs)
    close()
    return Program(steps)


def fusable(e: Entry, outs: Sequence[int], layouts: dict[int, Any]) -> bool:
    """Pointwise, into new memory, without complex numbers."""
    op = e.plan.op
    return (
        isinstance(op, Expression)
        and all(spec[2] == F.OUT_NEW for spec in e.plan.outs)
        and not any(t.is_complex for t in (*op.outputs, *op.numbers))
    )


def fits(e: Entry, ins: Sequence[int], outs: Sequence[int], layouts: dict[int, Any], group: Group | None, tensors: Sequence[Any]) -> bool:
    """Whether the call can join the group: same shape and strides, and inside it is read element by element."""
    if group is None or not fusable(e, outs, layouts):
        return False
    shape = tuple(layouts[outs[0]].shape)
    if shape != group.shape:
        return False
    first = next(iter(group.bodies))
    if any(layouts[s].strides != layouts[first].strides for s in outs):
        return False
    inside = [s for s in ins if s in group.bodies]
    if any(tuple(layouts[s].shape) != shape for s in inside):
        return False
    # memory written inside the group must not be what another operand shows in another way
    written = {tensors[s]._block for s in group.bodies}
    if any(tensors[s]._block in written and s not in group.bodies for s in ins):
        return False
    # a new result may have been given a block that something in the group still reads
    read = {tensors[s]._block for s in group.inputs} | {tensors[s]._block for s in ins if s not in group.bodies}
    if any(tensors[s]._block in read or tensors[s]._block in written for s in outs):
        return False
    return (
        len(set(group.inputs) | {s for s in ins if s not in group.bodies}) <= MOST_INPUTS
        and len(group.bodies) + len(outs) <= 4 * MOST_OUTPUTS
    )
