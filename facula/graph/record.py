"""Recording: the user's Python runs, kernels wait. Calls are noted where they would be launched; memory is allocated at once, in program order.

Blocks that are freed while a kernel waits may be handed out again: later kernels in the queue write them later, so the order of the queue
keeps what the program means. Whatever needs a value (item, print, NumPy, a branch) flushes the queue first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import objects, tape
from ..core.modes import MODE, sync
from ..core.native import fields as F
from ..core.plan import KernelPlan, allocate


class Entry:
    """One waiting call."""

    __slots__ = ("operands", "outs", "plan")

    def __init__(self, plan: KernelPlan, operands: Sequence[Any], outs: Sequence[Any]) -> None:
        self.plan, self.operands, self.outs = plan, list(operands), list(outs)


class Recorder:
    """The queue of a thread; `flush` runs it as one program."""

    def __init__(self, run: Any) -> None:
        self.entries: list[Entry] = []
        self.execute = run

    def call(self, plan: KernelPlan, operands: Sequence[Any]) -> Any:
        """Allocate, note, record on the tape: everything but the launch."""
        outs: list[Any] = []
        for layout, nbytes, how, operand in plan.outs:
            if how == F.OUT_ARGUMENT:
                out = operands[operand]
                objects.bump(out)
                out._viewed = objects.version(out)
            else:
                out = allocate(layout, nbytes)
            outs.append(out)
        # aliases: what the caller drops or rebinds must not change what waits
        self.entries.append(Entry(plan, operands, outs))
        if plan.rule is not None:
            tape.attach(tape.record(plan.rule, operands, outs), [o if s[2] == F.OUT_NEW else None for o, s in zip(outs, plan.outs)])
        if len(outs) == 1:
            return outs[0]
        return plan.wrap(*outs) if plan.wrap else tuple(outs)

    def flush(self) -> None:
        """Run what waits."""
        if not self.entries:
            return
        entries, self.entries = self.entries, []
        before, MODE.recorder = MODE.recorder, None
        sync()
        try:
            self.execute(entries)
        finally:
            MODE.recorder = before
            sync()
