"""Programs: a recorded sequence of calls, fused, as launches that one native call walks. Found again by the recording's signature."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.settings import SETTINGS
from ..core import objects
from ..core.expression import Expression
from ..core.launching import code, cost, is_long
from ..core.layout import Layout
from ..core.native import fields as F
from ..core.plan import KernelPlan
from ..kernel.bounds.record import Storage, ranges_of
from ..kernel.compiler import start
from ..kernel.launch import In, Launch, Number, Out, Schedule, Work
from .fuse import MOST_INPUTS, MOST_OUTPUTS, Group
from .record import SPARE, Recorder

LAUNCH = 40  # nanoseconds of a launch
IN_CACHE, IN_MEMORY, CACHE = 200, 20, 1 << 18  # bytes in a nanosecond when fewer than CACHE are touched, and otherwise


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: number of its block, bytes from where that block was first seen, layout."""

    block: int
    distance: int
    layout: Layout


@dataclass
class Call:
    """A call that waited: its plan, where it reads and writes, and its first word in the queue."""

    plan: KernelPlan
    ins: list[Place]
    outs: list[Place]
    words: int
    reads: list[int] = field(default_factory=list)  # slots
    writes: list[int] = field(default_factory=list)

    def word_of(self, number: int) -> int:
        """Where in the queue the value of a number stands."""
        at = self.words
        for _, launch in self.plan.launches:
            for w in launch.words:
                if isinstance(w, Number) and w.index == number:
                    return at
                at += 1
        raise LookupError(f"{self.plan.op} has no word for number {number}")


@dataclass
class Recording:
    """What waits in a queue, decoded. A slot is a version of a value: writing to a place makes a new slot."""

    calls: list[Call]
    signature: list[int]
    alive: list[bool]  # per block: whether anybody holds it after the run; true of what was there before
    words: int
    places: list[Place] = field(default_factory=list)  # per slot
    keep: list[bool] = field(default_factory=list)  # per slot: whether it must be in memory after the run
    last_use: dict[int, int] = field(default_factory=dict)  # slot -> call

    @classmethod
    def of(cls, recorder: Recorder) -> Recording:
        count = recorder.count
        signature = list(recorder.arrays["signature"][: count("signature_n")])
        rows = recorder.arrays["blocks"][: count("blocks_n") * F.BLOCK_ROW]
        calls: list[Call] = []
        at = words = blocks = 0
        while at < len(signature):
            n = signature[at + 1]
            plan = _object(ctypes.c_int64.from_address(signature[at] + 8 * F.PLAN["owner"]).value)
            ins = [Place(b, d, _object(lay)) for b, d, lay in zip(*(iter(signature[at + 2 : at + 2 + 3 * n]),) * 3)]
            blocks = max([blocks, *(p.block + 1 for p in ins)])
            outs = []
            for lay, _, how, operand in plan.outs:
                outs.append(Place(blocks, 0, lay) if how == F.OUT_NEW else ins[operand])
                blocks += how == F.OUT_NEW
            calls.append(Call(plan, ins, outs, words))
            at, words = at + 2 + 3 * n, words + ctypes.c_int64.from_address(signature[at] + 8 * F.PLAN["words_n"]).value
        out = cls(calls, signature, [bool(x) for x in rows[3 :: F.BLOCK_ROW]], words)
        out._number()
        return out

    def _number(self) -> None:
        """Give every version of a place its slot, and find out which must be in memory after the run."""
        current: dict[Place, int] = {}
        seen: dict[int, set[Place]] = {}

        def slot(place: Place, fresh: bool) -> int:
            if fresh or place not in current:
                current[place] = len(self.places)
                self.places.append(place)
                seen.setdefault(place.block, set()).add(place)
            return current[place]

        for i, call in enumerate(self.calls):
            call.reads = [slot(p, False) for p in call.ins]
            call.writes = [slot(p, True) for p in call.outs]
            self.last_use |= dict.fromkeys(call.reads, i)
        # seen in two ways, a block is read through memory
        self.keep = [self.alive[p.block] or len(seen[p.block]) > 1 for p in self.places]


def _object(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value


@dataclass
class Step:
    """Launches that stand for some calls."""

    what: str
    calls: list[int]
    launches: Sequence[Launch]
    ins: list[int] = field(default_factory=list)  # slots, of a fused step
    outs: list[int] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)  # (call, number)


class Program:
    """What recordings of one signature run, as emitted code reads it (fields.PROGRAM)."""

    def __init__(self, recording: Recording, steps: list[Step]) -> None:
        self.steps = steps
        self.plans = [call.plan for call in recording.calls]  # with the layouts: what a signature names by address stays alive
        self.layouts = [p.layout for p in recording.places]
        rows: list[int] = []
        template: list[int] = []
        patches: list[int] = []
        for step in steps:
            if len(step.calls) == 1 and not step.outs:
                self._as_recorded(recording.calls[step.calls[0]], rows)
                continue
            for launch in step.launches:
                rows += (code(launch), recording.words + len(template), launch.total, launch.grain, is_long(launch))
                for w in launch.words:
                    if not isinstance(w, int):
                        patches += (len(template), *_source(w, step, recording))
                    template.append(w if isinstance(w, int) else 0)
        self.fits = len(template) <= SPARE
        arrays = {"signature": recording.signature, "alive": recording.alive, "rows": rows, "template": template, "patches": patches}
        counts = {"signature_n": len(recording.signature), "blocks_n": len(recording.alive), "rows_n": len(rows) // 5, "template_n": len(template),
                  "patches_n": len(patches) // 3}  # fmt: skip
        self.arrays = {name: (ctypes.c_int64 * max(1, len(x)))(*map(_signed, x)) for name, x in arrays.items()}
        self.fields = (ctypes.c_int64 * len(F.PROGRAM))(
            *(counts[name] if name in counts else ctypes.addressof(self.arrays[name]) for name in F.PROGRAM)
        )
        self.address = ctypes.addressof(self.fields)

    @property
    def work(self) -> float:
        """Roughly how long it runs, in nanoseconds."""
        return sum(cost(x) + LAUNCH for step in self.steps for x in step.launches)

    @property
    def saved(self) -> float:
        """Roughly what fusion saves of the calls as they are, in nanoseconds."""
        out = 0.0
        for step in self.steps:
            if step.outs:
                before = [x for c in step.calls for _, x in self.plans[c].launches]
                moved = sum(x.bytes for x in before)
                spared = moved - sum(x.bytes for x in step.launches)
                out += (len(before) - len(step.launches)) * LAUNCH + spared / (IN_CACHE if moved < CACHE else IN_MEMORY)
        return out

    def _as_recorded(self, call: Call, rows: list[int]) -> None:
        at = call.words
        for address, launch in call.plan.launches:
            rows += (address, at, launch.total, launch.grain, is_long(launch))
            at += len(launch.words)

    def explain(self) -> str:
        """One line per step: what, calls it stands for, kernels, bytes, work."""
        lines = []
        for step in self.steps:
            moved, work = sum(x.bytes for x in step.launches), sum(x.flops for x in step.launches)
            kernels = ", ".join(dict.fromkeys(x.kernel.emit.__qualname__.removeprefix("emit_") for x in step.launches))
            calls = f"{len(step.calls):3d} call{'s' if len(step.calls) != 1 else ' '}"
            lines.append(f"{step.what:60.60s} {calls} {moved / 1e6:9.3f} MB {work / 1e6:10.3f} MFLOP  {kernels}")
        return "\n".join(lines)


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 == 1 else x


def _source(w: Any, step: Step, recording: Recording) -> tuple[int, int]:
    """Where a fused kernel's word comes from: (block, distance), or (-1 - word of the queue, 0)."""
    if isinstance(w, Number):
        call, number = step.numbers[w.index]
        return ~recording.calls[call].word_of(number), 0
    assert isinstance(w, (In, Out))
    place = recording.places[(step.ins if isinstance(w, In) else step.outs)[w.index]]
    return place.block, place.distance + w.offset


PROGRAMS: dict[int, Program] = {}  # by the hash of a recording
ADDRESSES: dict[int, int] = {}  # the same for emitted code
WATCHERS: list[Callable[[Program], None]] = []  # told every program that runs


def execute(recorder: Recorder) -> None:
    """Run what waits: by the program of its signature, built when it is new."""
    if SETTINGS.check_bounds:
        return play_checked(recorder)
    key = objects.recorded(recorder.address) if WATCHERS else 0
    while not objects.play(recorder.address, ADDRESSES):
        _make(recorder)  # Python may collect garbage meanwhile: fewer results are alive then, and another program is wanted
        key = objects.recorded(recorder.address) if WATCHERS else 0
    if key:
        for seen in WATCHERS:
            seen(PROGRAMS[key])


def _make(recorder: Recorder) -> None:
    """Build the program of what waits."""
    key = objects.recorded(recorder.address)
    if len(PROGRAMS) > 1024:
        ADDRESSES.clear()
        PROGRAMS.clear()
    try:
        program = PROGRAMS[key] = build(Recording.of(recorder))
        ADDRESSES[key] = program.address
    except BaseException:
        objects.drop(recorder.address)
        raise


def play_checked(recorder: Recorder) -> None:
    """Run what waits launch by launch, from Python: each is told what it may touch."""
    words = recorder.arrays["words"]
    if not objects.recorded(recorder.address):
        return

    def storages(places: Sequence[Place]) -> Storage:
        return lambda i: _memory(recorder, places[i].block)

    try:
        recording = Recording.of(recorder)
        program = build(recording)
        for step in program.steps:
            if step.outs:
                ins, outs = ([recording.places[s] for s in slots] for slots in (step.ins, step.outs))
                schedule = Schedule(tuple(step.launches))
            else:
                call = recording.calls[step.calls[0]]
                ins, outs, schedule, at = call.ins, call.outs, call.plan.schedule or Schedule(()), call.words
            for launch in step.launches:
                if step.outs:
                    given = [w if isinstance(w, int) else _value(recorder, *_source(w, step, recording)) for w in launch.words]
                else:
                    given, at = words[at : at + len(launch.words)], at + len(launch.words)
                work = next((value - w.offset for w, value in zip(launch.words, given) if isinstance(w, Work)), 0)
                ranges = ranges_of(launch, schedule, storages(outs), storages(ins), work, ())
                start(launch.kernel, given, ranges, launch.total, launch.grain, bool(is_long(launch)))
        for seen in WATCHERS:
            seen(program)
    finally:
        objects.drop(recorder.address)


def _memory(recorder: Recorder, block: int) -> tuple[int, int]:
    """First byte and number of bytes of a recording's block."""
    at = recorder.arrays["blocks"][block * F.BLOCK_ROW]
    first, nbytes = (ctypes.c_int64.from_address(at + field).value for field in (F.BLOCK_DATA, F.BLOCK_BYTES))
    return first, nbytes


def _value(recorder: Recorder, source: int, distance: int) -> int:
    """A fused kernel's word, where `_source` found it."""
    return recorder.arrays["words"][~source] if source < 0 else recorder.arrays["blocks"][source * F.BLOCK_ROW + 1] + distance


def build(recording: Recording) -> Program:
    """Group neighbouring pointwise calls; everything else stands alone."""
    steps: list[Step] = []
    group: Group | None = None

    def close() -> None:
        nonlocal group
        if group is None:
            return
        end = group.calls[-1]
        wanted = [s for s in group.bodies if recording.keep[s] or recording.last_use.get(s, -1) > end]
        if wanted:
            names = "+".join(recording.calls[c].plan.op.name for c in group.calls)
            schedule = group.schedule(wanted, recording.places)
            launches = [x for x in schedule.launches if x.total > 0]
            steps.append(Step("fused " * (len(group.calls) > 1) + names, group.calls, launches, group.inputs, wanted, group.numbers))
        group = None

    for i, call in enumerate(recording.calls):
        if not fits(call, group, recording.places):
            close()
            if not fusable(call):
                name = getattr(call.plan.op, "name", str(call.plan.op))
                steps.append(Step(name, [i], [launch for _, launch in call.plan.launches]))
                continue
            group = Group(tuple(call.outs[0].layout.shape))
        assert group is not None
        group.add(i, call.plan.op, call.reads, call.writes)
    close()
    program = Program(recording, steps)
    if program.fits:
        return program
    return Program(recording, [Step(str(c.plan.op), [i], [x for _, x in c.plan.launches]) for i, c in enumerate(recording.calls)])


def fusable(call: Call) -> bool:
    """Pointwise, into new memory, without complex numbers."""
    op = call.plan.op
    return (
        isinstance(op, Expression)
        and all(spec[2] == F.OUT_NEW and not spec[0].batch for spec in call.plan.outs)
        and not any(t.is_complex for t in (*op.outputs, *op.numbers))
    )


def fits(call: Call, group: Group | None, places: Sequence[Place]) -> bool:
    """Whether the call can join the group: same shape and strides, and inside it is read element by element."""
    if group is None or not fusable(call):
        return False
    shape = tuple(call.outs[0].layout.shape)
    if shape != group.shape:
        return False
    strides = places[next(iter(group.bodies))].layout.strides
    if any(p.layout.strides != strides for p in call.outs):
        return False
    outside = [s for s in call.reads if s not in group.bodies]
    if any(tuple(places[s].layout.shape) != shape for s in call.reads if s in group.bodies):
        return False
    # memory written inside the group must not be what another operand shows in another way
    written = {places[s].block for s in group.bodies}
    if any(places[s].block in written for s in outside):
        return False
    return len(set(group.inputs) | set(outside)) <= MOST_INPUTS and len(group.bodies) + len(call.outs) <= 4 * MOST_OUTPUTS
