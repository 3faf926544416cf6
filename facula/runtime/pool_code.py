"""The emitted side of the worker pool: fork-join over runs of work items, the workers' loop, and where a kernel finds its scratch memory.

A region is open or closed. Its gate is one word: bit 32 says open, the low half counts the workers inside. A worker that wakes late finds
the gate closed and goes back to wait, so a region ends when its runs are done, not when the slowest thread has woken up.

Runs are shared by place: each thread has a part of them, one after the other, and the same part in the next region of that size, so it meets
what it has in its own caches, and reads on where the hardware is already fetching. Who is through with a part takes runs from the ends of others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from .ir import Function, Module, Term, Value

# Fields of the state at @facula_pool, in bytes; what different threads write lies on different cache lines.
GATE = 0  # i64
EPOCH = 64  # i32, a futex: counts the regions
ASLEEP = 128  # i32: workers in the kernel's wait queue (or on the way there)
TOTAL, GRAIN, KERNEL, WORDS, WAITING, PARTS = 256, 264, 272, 280, 288, 296  # the job; WAITING i32: the caller sleeps on the gate
LOCK, WANTED, RUNNING, GENERATION, STARTER, SPIN, OUTSIDE = 320, 328, 336, 344, 352, 360, 368
PART, PART_BYTES, PARTS_MAX = 512, 64, 56  # i64 each: the runs that nobody took are numbers from the low half to the high one
POOL_BYTES = PART + PARTS_MAX * PART_BYTES

# Fields of the state at @facula_scratch.
SCRATCH_PLACE, SCRATCH_SLOTS = (
    0,
    8,
)  # an address, whose lowest six bits are the binary logarithm of a slot's size: one word changes both at once
SCRATCH = 4 << 20  # bytes of scratch memory that a slot has always: a kernel that needs more says so to `pool.reserve`

# What `worker` is in a kernel: 0 for a caller that keeps the interpreter's lock, 1-15 for callers without it while the pool is busy,
# 16 for the caller that leads the pool, 17 and more for the pool's threads.
LEADER = 16
OUTSIDERS = (1 << LEADER) - 2  # the slots 1-15 as bits

OPEN = 1 << 32
MOST_RUNS = OPEN // 4  # that are shared; numbers of runs have half a word
SIGNAL_NS = 20_000_000
FUTEX = {"x86_64": 202, "aarch64": 98}
WAIT, WAKE = 128, 129  # FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE


def scratch(f: Function, worker: Value) -> Value:
    """Address of the worker's own scratch memory: SCRATCH bytes, 2 MiB aligned, valid until the kernel returns, contents undefined."""
    place = scratch_place(f)
    return f.cast("inttoptr", (place & -64) + (worker << (place & 63)), "ptr")


def scratch_place(f: Function) -> Value:
    """The word that tells where scratch memory lies and how large a slot is."""
    f.module.external("facula_scratch")
    return f.op("i64", "load i64, ptr @facula_scratch, align 8")


Job = tuple[Value, Value, Value]  # kernel, items, items of a run


class _Pool:
    """Words of the pool's state, seen from a function being written."""

    def __init__(self, f: Function) -> None:
        f.module.external("facula_pool")
        self.f, self.state = f, Value(f, "ptr", "@facula_pool")

    def at(self, offset: Term) -> Value:
        return self.f.bytes(self.state, offset)

    def get(self, offset: Term, type_: str = "i64") -> Value:
        align = 4 if type_ == "i32" else 8
        return self.f.op(type_, f"load atomic {type_}, ptr {self.at(offset).text} acquire, align {align}")

    def set(self, offset: Term, value: Value) -> None:
        self.f.do(f"store atomic {value}, ptr {self.at(offset).text} release, align {4 if value.type == 'i32' else 8}")

    def change(self, how: str, offset: Term, value: Term, type_: str = "i64") -> Value:
        """Atomic read-modify-write -> the old value."""
        return self.f.op(type_, f"atomicrmw {how} ptr {self.at(offset).text}, {self.f.const(type_, value)} seq_cst")

    def swap(self, offset: Term, old: Term, new: Term, type_: str = "i64") -> tuple[Value, Value]:
        """Compare and exchange -> (old value, whether it was done)."""
        f = self.f
        a, b = f.const(type_, old), f.const(type_, new)
        kind = f"{{ {type_}, i1 }}"
        pair = f.op(kind, f"cmpxchg ptr {self.at(offset).text}, {a}, {b} seq_cst seq_cst")
        return f.op(type_, f"extractvalue {pair}, 0"), f.op("i1", f"extractvalue {pair}, 1")

    def futex(self, offset: int, how: int, value: Value, timeout: Value | None = None) -> None:
        f = self.f
        f.module.declare("syscall", "i64", "i64", "...")
        number = FUTEX[f.module.target.triple.partition("-")[0]]
        wide = value if value.type == "i64" else f.cast("zext", value, "i64")
        limit = timeout.text if timeout else "null"
        f.op("i64", f"call i64 (i64, ...) @syscall(i64 {number}, {self.at(offset)}, i64 {how}, {wide}, ptr {limit}, ptr null, i64 0)")

    def breathe(self) -> None:
        """Tell the core that this is a waiting loop."""
        if self.f.module.target.triple.startswith("x86"):
            self.f.call("void", "llvm.x86.sse2.pause")
        else:
            self.f.call("void", "llvm.aarch64.hint", self.f.const("i32", 1))


def _now(f: Function, room: Value) -> Value:
    """Nanoseconds of the monotonic clock; `room` is a timespec."""
    f.call("i32", "clock_gettime", f.const("i32", 1), room)
    return f.load("i64", room) * 1_000_000_000 + f.load("i64", room, 1)


def _spin(f: Function, p: _Pool, room: Value, ready: Callable[[], Value]) -> None:
    """Wait for `ready()` for as long as the state's SPIN (ns) allows."""
    end = _now(f, room) + p.get(SPIN)
    with f.loop() as done:
        with f.range(0, 32):
            f.leave(done, ready())
            p.breathe()
        f.leave(done, _now(f, room) > end)


def _run(f: Function, words: Value, job: Job, lo: Value, worker: Value) -> None:
    """Call the kernel for the run that starts at item `lo`; one call is exactly one run."""
    kernel, total, grain = job
    f.call_pointer("void", kernel, words, lo, lo + f.smin(total - lo, grain), worker)


def _dealt(f: Function, p: _Pool, total: Value, grain: Value) -> None:
    """The runs in parts, one for each thread."""
    runs = (total + grain - 1).udiv(grain)
    parts = f.smin(f.smin(p.get(WANTED), PARTS_MAX), runs)
    p.set(PARTS, parts)
    with f.range(0, parts) as k:
        p.set(PART + k * PART_BYTES, (runs * k).udiv(parts) | (runs * (k + 1)).udiv(parts) << 32)


def _left(part: Value) -> tuple[Value, Value]:
    """The first run of a part, and the one behind its last."""
    return part & (OPEN - 1), part >> 32


def _shared(f: Function, p: _Pool, worker: Value, words: Value, job: Job, after: Callable[[], None]) -> None:
    """Runs of the worker's own part from the front, then of others from the back."""
    grain, parts = job[2], p.get(PARTS)
    first = (worker - LEADER).urem(parts)
    with f.loop() as through:
        lo, hi = _left(p.change("add", PART + first * PART_BYTES, 1))
        f.leave(through, lo >= hi)
        _run(f, words, job, lo * grain, worker)
        after()
    with f.range(1, parts) as k:
        part = PART + (first + k).urem(parts) * PART_BYTES
        with f.loop() as empty:
            word = p.get(part)
            lo, hi = _left(word)
            f.leave(empty, lo >= hi)
            with f.when(p.swap(part, word, word - OPEN)[1]):
                _run(f, words, job, (hi - 1) * grain, worker)
                after()


def _dropped(f: Function, p: _Pool) -> None:
    """What nobody took yet is not run."""
    with f.range(0, p.get(PARTS)) as k:
        p.set(PART + k * PART_BYTES, f.i64(0))


def _join(f: Function, p: _Pool) -> Value:
    """Enter the region if it is open -> i1."""
    inside, gate = f.var("i1", 0), f.var("i64", p.get(GATE))
    with f.loop() as done:
        seen = gate.v
        f.leave(done, (seen & OPEN).eq(0))
        old, ok = p.swap(GATE, seen, seen + 1)
        inside.v = ok
        gate.v = old
        f.leave(done, ok)
    return inside.v


def _emit_worker(module: Module) -> None:
    """void facula_worker(i64 id, i64 generation): a thread's whole life."""
    with module.function("facula_worker", "i64 id, i64 generation") as (f, worker, generation):
        p, room = _Pool(f), f.array("i64", 2)
        seen = f.var("i32", p.get(EPOCH, "i32"))
        p.change("add", RUNNING, 1)
        with f.loop() as end:
            fresh = lambda: p.get(EPOCH, "i32").ne(seen.v)  # noqa: E731
            f.leave(end, p.get(GENERATION).ne(generation))
            _spin(f, p, room, fresh)
            with f.loop() as awake:
                f.leave(awake, fresh())
                p.change("add", ASLEEP, 1, "i32")
                p.futex(EPOCH, WAIT, seen.v)
                p.change("sub", ASLEEP, 1, "i32")
            seen.v = p.get(EPOCH, "i32")
            with f.when(_join(f, p)):
                job = (p.get(KERNEL, "ptr"), p.get(TOTAL), p.get(GRAIN))
                _shared(f, p, worker, p.get(WORDS, "ptr"), job, lambda: None)
                left = p.change("sub", GATE, 1)
                with f.when(left.eq(1)), f.when(p.get(WAITING, "i32").ne(0)):
                    p.futex(GATE, WAKE, f.i64(1))
        p.change("sub", RUNNING, 1)


def _announce(f: Function, p: _Pool, wanted: Value) -> None:
    """Tell the workers that something changed; wake as many sleepers as are wanted beyond the spinning ones."""
    p.change("add", EPOCH, 1, "i32")
    asleep = f.cast("zext", p.get(ASLEEP, "i32"), "i64")
    lacking = wanted - (p.get(RUNNING) - asleep)
    with f.when((asleep > 0) & (lacking > 0)):
        p.futex(EPOCH, WAKE, f.smin(lacking, 1 << 30))


def _emit_halt(module: Module) -> None:
    """void facula_halt(i64 wanted): end all workers and set how many threads there should be. Call it without the interpreter's lock."""
    with module.function("facula_halt", "i64 wanted") as (f, wanted):
        p = _Pool(f)
        with f.loop() as mine:
            f.leave(mine, p.swap(LOCK, 0, 1, "i32")[1])
            f.call("i32", "sched_yield")
        p.change("add", GENERATION, 1)
        with f.loop() as gone:
            f.leave(gone, p.get(RUNNING).eq(0))
            _announce(f, p, f.i64(1 << 30))
            f.call("i32", "sched_yield")
        p.set(WANTED, wanted)
        p.set(LOCK, f.const("i32", 0))


class _Region:
    """The pieces of `parallel` that need the same variables."""

    def __init__(self, f: Function, long: Value) -> None:
        self.f, self.p, self.room, self.limit = f, _Pool(f), f.array("i64", 2), f.array("i64", 2)
        self.long = f.var("i1", long.ne(0))
        self.state, self.failed = f.var("ptr", 0), f.var("i32", 0)
        self.since = f.var("i64", 0)

    def release(self) -> None:
        """Give the interpreter's lock to others."""
        self.since.v = _now(self.f, self.room)
        self.state.v = self.f.call("ptr", "PyEval_SaveThread")

    def signals(self, drop: Callable[[], None]) -> None:
        """Every SIGNAL_NS, when the interpreter's lock is not held: run Python's signal handlers; an exception drops what is left."""
        f = self.f
        with f.when(self.long.v):
            now = _now(f, self.room)
            with f.when(now - self.since.v > SIGNAL_NS):
                f.call("void", "PyEval_RestoreThread", self.state.v)
                with f.when(self.failed.v.eq(0)):
                    self.failed.v = f.call("i32", "PyErr_CheckSignals")
                self.state.v = f.call("ptr", "PyEval_SaveThread")
                self.since.v = _now(f, self.room)
                with f.when(self.failed.v.ne(0)):
                    drop()

    def together(self, words: Value, job: Job) -> None:
        """Lead the pool through the job; on return every worker has left."""
        f, p, (kernel, total, grain) = self.f, self.p, job
        for offset, value in ((TOTAL, total), (GRAIN, grain), (KERNEL, kernel), (WORDS, words)):
            p.set(offset, value)
        _dealt(f, p, total, grain)
        p.set(WAITING, f.const("i32", 0))
        p.change("xchg", GATE, OPEN)
        _announce(f, p, (total - 1) // grain)
        _shared(f, p, f.i64(LEADER), words, job, lambda: self.signals(lambda: _dropped(f, p)))
        p.change("and", GATE, OPEN - 1)
        empty = lambda: p.get(GATE).eq(0)  # noqa: E731
        with f.otherwise(empty()):
            _spin(f, p, self.room, empty)
            p.change("xchg", WAITING, 1, "i32")
            f.store(f.i64(0), self.limit)
            f.store(f.i64(SIGNAL_NS), self.limit, 1)
            with f.loop() as done:
                inside = p.get(GATE)
                f.leave(done, inside.eq(0))
                p.futex(GATE, WAIT, inside, self.limit)
                self.signals(lambda: None)

    def alone(self, words: Value, job: Job, slot: Value) -> None:
        f, (_, total, grain) = self.f, job
        lo = f.var("i64", 0)
        with f.loop() as stop:
            f.leave(stop, lo.v >= total)
            _run(f, words, job, lo.v, slot)
            lo.v = lo.v + f.smin(total - lo.v, grain)
            self.signals(lambda: None)
            f.leave(stop, self.failed.v.ne(0))


def _outside_slot(f: Function, p: _Pool) -> Value:
    """Take one of the slots 1-15 -> its number, 0 when none is free."""
    slot, seen = f.var("i64", 0), f.var("i64", p.get(OUTSIDE))
    with f.loop() as done:
        free = ~seen.v & OUTSIDERS
        f.leave(done, free.eq(0))
        bit = free & (0 - free)
        old, ok = p.swap(OUTSIDE, seen.v, seen.v | bit)
        seen.v = old
        with f.when(ok):
            slot.v = f.call("i64", "llvm.cttz.i64", bit, f.const("i1", 0))
        f.leave(done, ok)
    return slot.v


def _ready(f: Function, p: _Pool) -> None:
    """Start workers that are missing (first use, after fork, after a change of their number); a failure returns -1."""
    with f.when((p.get(RUNNING) + 1).ne(p.get(WANTED))):
        got = f.call("ptr", "PyObject_CallNoArgs", p.get(STARTER, "ptr"))
        with f.when(f.op("i1", f"icmp eq {got}, null")):
            f.ret(-1)
        f.call("void", "Py_DecRef", got)


def _emit_parallel(module: Module) -> None:
    """i32 facula_parallel(ptr kernel, ptr words, i64 total, i64 grain, i64 long), called with the interpreter's lock held."""
    parameters = "ptr kernel, ptr words, i64 total, i64 grain, i64 long"
    with module.function("facula_parallel", parameters, "i32") as (f, kernel, words, total, grain, long):
        p = _Pool(f)
        with f.when(total <= 0):
            f.ret(0)
        with f.when((total <= grain) & long.eq(0)):
            f.call_pointer("void", kernel, words, f.i64(0), total, f.i64(0))
            f.ret(0)
        f.ret(f.call("i32", "facula_region", kernel, words, total, f.smax(grain, 1), long))
    with module.function("facula_region", parameters, "i32", internal=True, attributes="nounwind noinline") as (
        f,
        kernel,
        words,
        total,
        grain,
        long,
    ):
        r, job = _Region(f, long), (kernel, total, grain)
        p = r.p
        lead, slot = f.var("i1", 0), f.var("i64", 0)
        with f.when((p.get(WANTED) > 1) & (total > grain) & ((total - 1).udiv(grain) < MOST_RUNS)):
            _ready(f, p)
            lead.v = p.swap(LOCK, 0, 1, "i32")[1]
        with f.when(r.long.v & ~lead.v):
            slot.v = _outside_slot(f, p)
            r.long.v = slot.v.ne(0)  # no slot: keep the interpreter's lock and with it slot 0
        with f.when(r.long.v):
            r.release()
        with f.when(lead.v):
            r.together(words, job)
            p.set(LOCK, f.const("i32", 0))
        with f.otherwise(lead.v):
            r.alone(words, job, slot.v)
            with f.when(slot.v.ne(0)):
                p.change("and", OUTSIDE, ~(f.i64(1) << slot.v))
        with f.when(r.long.v):
            f.call("void", "PyEval_RestoreThread", r.state.v)
        f.ret(r.failed.v)


def emit_pool(module: Module) -> None:
    """Write facula_parallel, facula_worker and facula_halt into the module."""
    with suppress(KeyError):
        FUTEX[module.target.triple.partition("-")[0]]
    _emit_parallel(module)
    _emit_worker(module)
    _emit_halt(module)
