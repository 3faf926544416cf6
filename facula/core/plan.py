"""`Plan`: what a call with these layouts does. Built once, then run by emitted code (or, step by step, by the Python twin)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import facula.core.objects as objects
import facula.core.tape as tape

from ..base.device import META
from ..base.dtypes import uint8
from ..base.errors import OutOfMemoryError, refuse
from ..base.narrow import is_sequence, is_tuple
from ..base.settings import SETTINGS
from ..kernel.launch import In, Number, Out, Schedule, Work
from ..runtime import allocator
from .batching import DYNAMIC
from .launching import code, cost, is_long, start
from .layout import Layout, layout
from .modes import MODE
from .native import fields as F
from .placing import PLACES, common_device
from .tape import Rule

FEW_BYTES = 1 << 15


class Plan:
    """One way to serve a call. `operands` of a run are the call's tensors, flattened, then its numbers."""

    __slots__ = ("__weakref__", "addresses", "keep", "mutates", "note", "op", "rule", "schedule", "wrap")

    def __init__(self, op: Any, rule: Rule | None, schedule: Schedule | None, wrap: Any = None) -> None:
        self.op, self.rule, self.schedule, self.wrap = op, rule, schedule, wrap
        self.addresses: dict[tuple[int, ...], int] = {}  # native form per order of arguments
        self.keep: list[Any] = []
        self.mutates = False
        self.note = ""

    def run(self, operands: Sequence[Any]) -> Any:
        raise NotImplementedError

    def native(self, places: tuple[int, ...]) -> int:
        """Address of the native form whose operand i is argument places[i]; 0 when only Python can run this plan."""
        return 0

    @property
    def rowable(self) -> bool:
        """Whether the plan table may point at it."""
        return True


class KernelPlan(Plan):
    """Allocate, launch, record. `outs`: (layout, bytes, how, operand) per result. On the meta device results have no memory and nothing is launched."""

    __slots__ = ("how", "launches", "outs", "shapes_only", "tensors", "unnamed", "writes")

    def __init__(
        self,
        op: Any,
        outs: Sequence[tuple[Layout, int, int, int]],
        schedule: Schedule,
        tensors: int,
        rule: Rule | None = None,
        wrap: Any = None,
    ) -> None:
        self.shapes_only = any(layout.device is META for layout, _, _, _ in outs)
        schedule = Schedule(()) if self.shapes_only else schedule
        super().__init__(op, rule, schedule, wrap)
        self.tensors = tensors  # how many operands are tensors; numbers follow
        self.outs = tuple(outs)
        self.mutates = any(how in (F.OUT_ARGUMENT, F.OUT_APART) for _, _, how, _ in outs)
        written = (w.index for launch in schedule.launches for w in launch.words if isinstance(w, In) and w.written)
        self.writes = writes = frozenset(written)  # operands
        self.unnamed = bool(writes - {operand for _, _, how, operand in outs if how != F.OUT_NEW})  # written, and no results
        hidden = any(lay.batch for lay, *_ in outs)
        # integers of few bytes mostly become indices and masks, whose values are looked at
        counted = not self.mutates and not writes and all(not lay.dtype.is_floating_point and not lay.dtype.is_complex for lay, *_ in outs)
        soon = counted and (not tensors or sum(nbytes for _, nbytes, *_ in outs) <= FEW_BYTES)
        self.how = F.AT_ONCE if hidden or getattr(getattr(op, "block", None), "at_once", False) else F.SOON if soon else 0
        self.how |= F.WRITES if writes or (hidden and self.mutates) else 0
        self.how |= F.FUSES if hasattr(op, "body") and not self.mutates else 0
        self.launches = [(code(launch), launch) for launch in schedule.launches if launch.total > 0]

    def run(self, operands: Sequence[Any]) -> Any:
        recorder = MODE.recorder
        return self.now(operands) if recorder is None or self.shapes_only else recorder.call(self, operands)

    def now(self, operands: Sequence[Any]) -> Any:
        """Run it, whether or not calls are recorded."""
        for i in self.writes:
            check_writable(operands[i], self.op.name)
        address = self.native(tuple(range(len(operands)))) if objects.NATIVE else 0
        if address and not MODE.slow:
            got = objects.run(address, 0, *operands)
            if got is not None:
                if MODE.inference:
                    self.mark(got if is_tuple(got) else (got,))
                return got
        return self._step(operands)

    def mark(self, outs: Sequence[Any]) -> None:
        """New results are inference tensors."""
        for out, spec in zip(outs, self.outs):
            if spec[2] == F.OUT_NEW:
                out._flags |= F.INFERENCE

    def _step(self, operands: Sequence[Any]) -> Any:
        """The Python twin of the emitted run."""
        outs: list[Any] = []
        for layout, nbytes, how, operand in self.outs:  # noqa: F402
            if how == F.OUT_NEW:
                outs.append(memory_for(layout, nbytes))
                continue
            outs.append(operands[operand])
            if how != F.OUT_QUIET:
                objects.bump(operands[operand])
                operands[operand]._viewed = objects.version(operands[operand])
        assert self.schedule is not None
        work = allocate_bytes(self.schedule.workspace) if self.schedule.workspace else None
        tensors, numbers = operands[: self.tensors], operands[self.tensors :]
        for address, launch in self.launches:
            start(launch, self.schedule, address, outs, tensors, numbers, work._address if work is not None else 0)
        if self.rule is not None:
            tape.attach(tape.record(self.rule, operands, outs), [o if s[2] == F.OUT_NEW else None for o, s in zip(outs, self.outs)])
        if MODE.inference:
            self.mark(outs)
        if len(outs) == 1:
            return outs[0]
        return self.wrap(*outs) if self.wrap else tuple(outs)

    @property
    def rowable(self) -> bool:
        return not self.shapes_only

    def native(self, places: tuple[int, ...]) -> int:
        return 0 if SETTINGS.check_bounds else self.noted(places)  # the launches of checked kernels go through Python

    def noted(self, places: tuple[int, ...]) -> int:
        """Address of the native form by which a recorder notes a call; 0 when it cannot wait."""
        found = self.addresses.get(places)
        if found is None:
            found = self.addresses[places] = self._build(places)
        return found

    def _build(self, places: tuple[int, ...]) -> int:
        """The plan as emitted code reads it (fields.PLAN)."""
        if self.shapes_only:
            return 0
        complex_numbers = any(isinstance(w, Number) and w.part for _, launch in self.launches for w in launch.words)
        if len(self.outs) > 15 or complex_numbers:
            return 0
        template: list[int] = []
        patches: list[int] = []
        launches: list[int] = []
        for address, launch in self.launches:
            launches += (address, len(template), launch.total, launch.grain, is_long(launch))
            for word in launch.words:
                patch = self._patch(word, places)
                if patch:
                    patches += (len(template), *patch)
                template.append(word if isinstance(word, int) else 0)
        if len(template) > F.PLAN_WORDS_MAX:
            return 0
        outs: list[int] = []
        for layout, nbytes, how, operand in self.outs:  # noqa: F402
            floats = layout.dtype.is_floating_point or layout.dtype.is_complex
            differentiable = self.rule is not None and floats and (how == F.OUT_NEW or bool(self.how & F.RECORDS))
            outs += (id(layout), nbytes if how == F.OUT_NEW else places[operand], how, int(differentiable))
        return self._struct(places, F.KIND_KERNEL, outs, len(self.outs), template, patches, launches)

    def _patch(self, word: Any, places: tuple[int, ...]) -> tuple[int, int] | None:
        if isinstance(word, In):
            return F.PATCH_IN | places[word.index] << 8, word.offset
        if isinstance(word, Out):
            return F.PATCH_OUT | word.index << 8, word.offset
        if isinstance(word, Work):
            return F.PATCH_WORK, word.offset
        if isinstance(word, Number):
            kind = {"float": F.PATCH_FLOAT, "double": F.PATCH_DOUBLE, "i64": F.PATCH_INT}[word.type]
            return kind | places[self.tensors + word.index] << 8, 0
        return None

    def _struct(
        self,
        places: tuple[int, ...],
        kind: int,
        outs: list[int],
        n: int,
        template: list[int],
        patches: list[int],
        launches: list[int],
        source: int = 0,
        delta: int = 0,
    ) -> int:
        rule = self.rule
        saved = [(places[i] << 1) if not is_result else (i << 1 | 1) for is_result, i in rule.save] if rule else []
        edges = [places[i] for i in rule.edges] if rule else [places[i] for i in range(self.tensors)] if self.mutates else []

        def array(words: list[int]) -> int:
            block = (ctypes.c_int64 * max(1, len(words)))(*words)
            self.keep.append(block)
            return ctypes.addressof(block)

        fields = {
            "kind": kind, "outs_n": n, "words_n": len(template), "patches_n": len(patches) // 3, "launches_n": len(launches) // 5,
            "workspace": self.schedule.workspace if self.schedule else 0, "words": array(template), "patches": array(patches), "launches": array(launches),
            "outs": array(outs) if kind == F.KIND_KERNEL else outs[0], "rule": id(rule) if rule else 0, "saved_n": len(saved), "saved": array(saved),
            "edges_n": len(edges), "edges": array(edges), "wrap": id(self.wrap) if self.wrap else 0, "source": source, "delta": delta,
            "owner": id(self), "reads_n": self.tensors, "reads": array([places[i] for i in range(self.tensors)]), "how": self.how,
            "cost": sum(int(cost(launch)) for _, launch in self.launches),
        }  # fmt: skip
        return array([fields.get(name, 0) for name in F.PLAN])


class ViewPlan(Plan):
    """The result shares the storage of operand 0."""

    __slots__ = ("delta", "layout")

    def __init__(self, op: Any, layout: Layout, delta: int, rule: Rule | None = None) -> None:
        super().__init__(op, rule, None)
        self.layout, self.delta = layout, delta

    def run(self, operands: Sequence[Any]) -> Any:
        return view_of(operands[0], self.layout, self.delta, self.rule, operands)

    def native(self, places: tuple[int, ...]) -> int:
        found = self.addresses.get(places)
        if found is None:
            found = self.addresses[places] = native_views(self, [(self.layout, self.delta)], 0, places)
        return found


class ViewsPlan(Plan):
    """A tuple of views of operand 0, under one node. `views`: layout and bytes from its first element, of each."""

    __slots__ = ("views",)

    def __init__(self, op: Any, views: Sequence[tuple[Layout, int]], rule: Rule | None = None) -> None:
        super().__init__(op, rule, None)
        self.views = views

    def run(self, operands: Sequence[Any]) -> Any:
        outs = [view_of(operands[0], layout, delta, None, operands) for layout, delta in self.views]
        if self.rule is not None:
            tape.attach(tape.record(self.rule, operands, outs), outs)
        return tuple(outs)

    def native(self, places: tuple[int, ...]) -> int:
        if len(self.views) > 15:
            return 0
        found = self.addresses.get(places)
        if found is None:
            found = self.addresses[places] = native_views(self, self.views, id(None), places)
        return found


def native_views(plan: Plan, views: Sequence[tuple[Layout, int]], wrap: int, places: tuple[int, ...]) -> int:
    """Address of the native form of views of operand 0; `wrap` is 0 for one that is the result itself, None's address for a tuple."""
    rule = plan.rule
    edges = [places[i] for i in rule.edges] if rule else []
    saved = [(places[i] << 1) if not is_result else (i << 1 | 1) for is_result, i in rule.save] if rule else []
    lists = {"outs": [word for layout, delta in views for word in (id(layout), delta, 0, 1)], "saved": saved, "edges": edges}
    arrays = {name: (ctypes.c_int64 * max(1, len(words)))(*words) for name, words in lists.items()}
    values = dict.fromkeys(F.PLAN, 0) | {name: ctypes.addressof(words) for name, words in arrays.items()}
    values |= {"kind": F.KIND_VIEW, "outs_n": len(views), "saved_n": len(saved), "edges_n": len(edges)}
    values |= {"rule": id(rule) if rule else 0, "source": places[0], "wrap": wrap}
    block = (ctypes.c_int64 * len(F.PLAN))(*(values[name] for name in F.PLAN))
    plan.keep += [*arrays.values(), block]
    return ctypes.addressof(block)


def record_form(plan: Plan, rule: Rule, operands: int, outs: Sequence[Layout]) -> int:
    """Address of the native form of a node for results that lie behind `operands` operands."""
    lists = {
        "outs": [w for o in outs for w in (0, 0, 0, int(o.dtype.is_floating_point or o.dtype.is_complex))],
        "saved": [i << 1 | is_result for is_result, i in rule.save],
        "edges": list(rule.edges),
    }
    arrays = {name: (ctypes.c_int64 * max(1, len(words)))(*words) for name, words in lists.items()}
    values = dict.fromkeys(F.PLAN, 0) | {name: ctypes.addressof(words) for name, words in arrays.items()}
    values |= {"kind": F.KIND_RECORD, "rule": id(rule), "reads_n": operands, "outs_n": len(outs)}
    values |= {"saved_n": len(rule.save), "edges_n": len(rule.edges)}
    block = (ctypes.c_int64 * len(F.PLAN))(*(values[name] for name in F.PLAN))
    plan.keep += [rule, *arrays.values(), block]
    return ctypes.addressof(block)


class PythonPlan(Plan):
    """A Python function over the operands; its result is recorded with the rule."""

    __slots__ = ("body",)

    def __init__(
        self, op: Any, body: Callable[[Sequence[Any]], Any], rule: Callable[[Sequence[Any]], Rule | None] | None = None, wrap: Any = None
    ) -> None:
        super().__init__(op, None, None, wrap)
        self.body = body
        self.keep.append(rule)

    def run(self, operands: Sequence[Any]) -> Any:
        make_rule = self.keep[0]
        got = self.body(operands)
        if make_rule is not None:
            outs: list[Any] = list(got) if is_sequence(got) else [got]
            rule = make_rule(outs)
            if rule is not None:
                outs = [fresh(o, operands) for o in outs]
                tape.attach(tape.record(rule, operands, outs), outs)
                if MODE.trace is not None:
                    MODE.trace.recorded(rule, operands, outs)
                got = type(got)(outs) if is_sequence(got) else outs[0]
        return self.wrap(*got) if self.wrap and is_tuple(got) and not hasattr(got, "_fields") else got

    @property
    def rowable(self) -> bool:
        return False


def around(plan: Plan, operands: Sequence[Any]) -> Any:
    """A run with whatever hangs on the road: saved-tensor hooks, anomaly mode, explain."""
    got = plan.run(operands)
    for wrapper in AROUND:
        got = wrapper(plan, operands, got)
    return got


def run(plan: Plan, operands: Sequence[Any]) -> Any:
    """A run, with what hangs on the road when anything does."""
    return around(plan, operands) if MODE.slow else plan.run(operands)


AROUND: list[Callable[[Plan, Sequence[Any], Any], Any]] = []


def settle(reads: Sequence[Any] | None = None, writes: Sequence[Any] = ()) -> None:
    """Run what a recording holds back: memory is about to be looked at, or written, from outside. With tensors: only if it is theirs."""
    recorder = MODE.recorder
    if recorder is not None and (reads is None or recorder.knows(reads, writes)):
        recorder.flush()


def located() -> None:
    """Where a tensor lies in its storage, or how large that is, decides what a call does: layouts alone do not."""
    if MODE.trace is not None:
        MODE.trace.flush()


def exposed() -> None:
    """Memory is handed to somebody outside, who may look at it, or write to it, at any time: nothing of this recording waits any more."""
    if MODE.recorder is not None:
        MODE.recorder.stop()


def check_writable(t: Any, title: str) -> None:
    """What lies in pages that nobody may write to: a write would end the process."""
    if t._flags & F.READ_ONLY:
        raise refuse(
            RuntimeError,
            f"{title}(): the tensor lies in memory that cannot be written",
            received="memory of a read-only array or buffer, such as a file mapped for reading",
            hint="x.clone(), or map the file copy-on-write: mode='c'",
        )


def fresh(out: Any, operands: Sequence[Any]) -> Any:
    """A body that returned one of its arguments gives another tensor on the same storage, so that the argument's own history stays."""
    return objects.alias(objects.Tensor, out, out._layout, 0) if any(out is o for o in operands) else out


def view_of(source: Any, layout: Layout, delta: int, rule: Rule | None, operands: Sequence[Any]) -> Any:
    """Another tensor on the source's storage, with its place in the history of views."""
    out = objects.alias(objects.Tensor, source, layout, delta)
    if MODE.inference or source._flags & F.INFERENCE:
        out._flags |= source._flags & F.INFERENCE
    out._flags |= source._flags & F.UNTRACKED
    root = source if source._root is None else source._root
    if not MODE.grad and (root._node is not None or root._flags & F.REQUIRES_GRAD):
        out._flags |= F.VIEWED_WITHOUT_GRAD | (F.VIEWED_IN_INFERENCE if MODE.inference else 0)
    if MODE.grad or out._flags & F.VIEWED_WITHOUT_GRAD:
        out._root, out._viewed = root, objects.version(out)
    if rule is not None:
        tape.attach(tape.record(rule, operands, [out]), [out])
    return out


def allocate(layout: Layout, nbytes: int | None = None) -> Any:
    """An uninitialised tensor."""
    out = memory_for(layout, nbytes)
    if MODE.trace is not None:
        MODE.trace.note(KernelPlan(None, [(layout, layout.nbytes if nbytes is None else nbytes, F.OUT_NEW, 0)], Schedule(()), 0), (), out)
    return out


def memory_for(layout: Layout, nbytes: int | None = None) -> Any:
    """`allocate`, of which no trace hears."""
    size = layout.nbytes if nbytes is None else nbytes
    out = objects.make(layout, size) if layout.device is not META else shape_only(layout, size)
    if out is None:
        raise OutOfMemoryError(
            f"[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate {size} bytes. "
            "Error code 12 (Cannot allocate memory)"
        )
    if MODE.inference:
        out._flags |= F.INFERENCE
    return out


def shape_only(layout: Layout, nbytes: int) -> Any:
    """A tensor without memory: its storage says how large it would be and lies at address 0."""
    return objects.adopt(objects.Tensor, layout, allocator.external(0, min(nbytes, allocator.GREATEST), None))


def allocate_bytes(n: int) -> Any:
    return memory_for(layout((n,), uint8))


def execute(schedule: Schedule, outs: Sequence[Any], tensors: Sequence[Any], numbers: Sequence[Any] = (), counted: bool = False) -> None:
    """Runs a schedule on tensors, outside any plan: for procedures that need a kernel's answer before they go on. Nothing runs on the meta device.
    `counted`: what is written has been somebody's tensor before, so its version moves; no other operand shares its memory."""
    if not (PLACES.several and common_device([t._layout for t in (*outs, *tensors)]) is META):
        if any(t._layout.batch for t in (*outs, *tensors)):
            raise RuntimeError(f"{DYNAMIC} Attempted to vmap over an operation that looks at its whole input at once.")
        if MODE.trace is not None:
            as_plan(schedule, outs, tensors, counted).run([*outs, *tensors, *numbers])
            return
        settle(tensors, outs)
        work = allocate_bytes(schedule.workspace) if schedule.workspace else None
        base = work._address if work is not None else 0
        for launch in schedule.launches:
            if launch.total > 0:
                start(launch, schedule, code(launch), outs, tensors, numbers, base)
    for out in outs if counted else ():
        objects.bump(out)
        out._viewed = objects.version(out)


def as_plan(schedule: Schedule, outs: Sequence[Any], tensors: Sequence[Any], counted: bool) -> KernelPlan:
    """The plan that does what `execute` is asked to; results come first among its operands."""
    n = len(outs)
    launches = tuple(
        replace(x, words=tuple(replace(w, index=w.index + n) if isinstance(w, In) else w for w in x.words)) for x in schedule.launches
    )
    specs = [(o._layout, 0, F.OUT_APART if counted else F.OUT_QUIET, i) for i, o in enumerate(outs)]
    plan = KernelPlan(None, specs, replace(schedule, launches=launches), n + len(tensors))
    plan.how |= F.AT_ONCE | F.WRITES
    return plan
