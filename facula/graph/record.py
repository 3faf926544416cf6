"""Recording: the user's Python runs, kernels wait. Calls are noted where they would be launched; memory is allocated at once.

Emitted code notes the calls (core/native/recording.py), by the same plans and the same road as without a recording. Whatever needs a value
(item, print, NumPy, a branch) runs what waits first, if what waits makes it. Checks of index values look at them before the call that uses
them is noted, so that an error comes from the line that made it, and nothing after that line has happened.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from ..base.settings import SETTINGS
from ..core import objects
from ..core.modes import MODE, sync
from ..core.native import fields as F
from ..core.plan import KernelPlan, allocate_bytes

SPARE = 1 << 16  # words of fused kernels behind those of the calls


class Recorder:
    """The queue of a thread; `flush` runs it as one program."""

    def __init__(self, run: Callable[[Recorder], None]) -> None:
        self.run = run
        self.fields = (ctypes.c_int64 * len(F.QUEUE))()
        sizes = {
            "entries": F.ENTRIES_MAX,
            "blocks": F.BLOCKS_MAX * F.BLOCK_ROW,
            "signature": F.QUEUE_WORDS_MAX,
            "words": F.QUEUE_WORDS_MAX + SPARE,
        }
        self.arrays = {name: (ctypes.c_int64 * n)() for name, n in sizes.items()}
        for name, array in self.arrays.items():
            self.fields[F.QUEUE[name]] = ctypes.addressof(array)
        self.address = ctypes.addressof(self.fields)
        self.queue = self.address  # what emitted code notes calls in, 0 for nothing
        self.work: Any = None  # memory that all calls may use for themselves
        self.held: set[Any] = set()  # what calls that wait read beside tensors
        objects.drop(self.address)

    def count(self, name: str) -> int:
        return self.fields[F.QUEUE[name]]

    def call(self, plan: KernelPlan, operands: Sequence[Any]) -> Any:
        """Everything but the launch; a call that emitted code cannot note is run, after those that wait."""
        address = plan.noted(tuple(range(len(operands))))
        if address and self.queue and not (SETTINGS.check_bounds and plan.how & (F.AT_ONCE | F.SOON)):
            self.make_room(plan.schedule.workspace if plan.schedule else 0)
            for _ in range(2):
                got = objects.run(address, self.queue, *operands)
                if got is not None:
                    if MODE.inference:
                        plan.mark(got if isinstance(got, tuple) else (got,))
                    return got
                self.flush()
        self.flush()
        return plan.now(operands)

    def make_room(self, workspace: int) -> None:
        """At least so many bytes of workspace for the calls from here on."""
        if workspace > self.count("work_bytes"):
            self.held.add(self.work)  # calls that wait go on with theirs
            self.work = allocate_bytes(workspace)
            self.fields[F.QUEUE["work"]], self.fields[F.QUEUE["work_bytes"]] = self.work._address, workspace

    def knows(self, reads: Sequence[Any], writes: Sequence[Any]) -> bool:
        """Whether what waits makes one of `reads`, or has to do with one of `writes`."""
        waiting, queue = objects.waiting, self.address
        return any(waiting(queue, t) == 2 for t in reads) or any(waiting(queue, t) for t in writes)

    def hold(self, thing: Any) -> None:
        """A call is about to wait that reads `thing`, which its owner fills in now: no other that reads it may wait."""
        if thing in self.held:
            self.flush()
        self.held.add(thing)

    def stop(self) -> None:
        """From here on calls run at once, until the next recording."""
        self.flush()
        self.queue = 0
        sync()

    def finish(self) -> None:
        """Run what waits, and be ready for another recording. This thread records nothing."""
        try:
            self.run(self)
        finally:
            if self.held:
                self.held.clear()
            self.queue = self.address

    def flush(self) -> None:
        """Run what waits; meanwhile nothing is recorded."""
        if not self.count("entries_n"):
            return
        before, MODE.recorder = MODE.recorder, None
        if not objects.enter(0):
            sync()
        try:
            self.run(self)
        finally:
            self.held.clear()
            MODE.recorder = before
            if not objects.enter(self.queue if before is self else 0):
                sync()
