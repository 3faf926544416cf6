"""Loops over time: at each step the product of a state with a weight, and an elementwise body on what comes out.

    recurrence(dtype, sequence, stages)    a stage for each product of a step: the gates, and a projection
T steps, B sequences, longest first; step t has `starts[t + 1] - starts[t]` of them, or B each. Rows of time lie one step after the other.
A work item takes some sequences through all steps: nobody waits for others, and the weight is packed once. Where there are too few
sequences to share, items are columns of one step instead. Each sum runs along the state's elements in order, so cuts change no bit.

    step of an item    rows [ state before ] --copy--> [ A ]      for each 2 vectors of units:
                                                                  D (rows, gates, 2 vectors) = A @ packed weight;  body(D, operands)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..base.dtypes import DTYPES, dtype
from ..runtime import host
from ..runtime.ir import SIZE, Function, Module, Term, Value
from ..runtime.pool import reserve
from ..runtime.pool_code import SCRATCH, scratch
from . import lanes
from .gemm.blocked import padded_words
from .gemm.kinds import Kind, kind_named, kind_of
from .gemm.micro import emit_table, height_slot, widths
from .gemm.pack import UNROLL, emit_pack, panel_stride
from .launch import Kernel, Launch, Schedule, Word, Work
from .scalar import Scalar, emit, parse
from .scalar.text import text

DEPTH = 256  # elements of a state that a tile sums at a time: a panel of the weight (32 KiB) then serves all rows from L1
ROWS = 16  # sequences of an item: two tiles of 8 rows, which read the weight at 8 operations a byte
FEW = 12  # sequences up to which the columns of a step are shared, not the sequences
SHARE = 1_000_000  # operations of a step worth handing to another thread (4 us)
LONG = 2_000_000_000  # operations of an item (20 ms), so that Ctrl-C is seen in time


# -- operands of a body, and what they are at a step
@dataclass(frozen=True)
class Now:
    """Rows of time, `pitch` elements apart."""

    where: Word
    pitch: int


@dataclass(frozen=True)
class Fixed:
    """The same row at every step; nothing (0) reads as zeros."""

    where: Word


@dataclass(frozen=True)
class Carried:
    """A row for each sequence that every step replaces, whose first step reads `start` (0: zeros)."""

    where: Word
    start: Word = 0


@dataclass(frozen=True)
class Start:
    """A row for each sequence that its first step reads; later ones read zeros."""

    where: Word


Operand = Now | Fixed | Carried | Start
WORDS = {"Now": 2, "Fixed": 1, "Carried": 2, "Start": 1}


@dataclass(frozen=True)
class State:
    """The rows that a product reads: of the step before (`start` at a sequence's first one), or of this step. `kept`: where they are copied to."""

    rows: Now
    size: int
    before: bool = True
    start: Word = 0
    kept: Word = 0


@dataclass(frozen=True)
class Weight:
    """(gates * units, size of the state), strides of the units and of the state in elements."""

    where: Word
    unit_stride: int
    state_stride: int


@dataclass(frozen=True)
class Stage:
    """body(product of each gate, ins) -> outs, for each of `units`."""

    state: State
    weight: Weight
    gates: int
    units: int
    body: Sequence[Scalar]
    ins: Sequence[Operand]
    outs: Sequence[Now | Carried]


@dataclass(frozen=True)
class Sequences:
    """`starts`: the address of int64 (steps + 1,), 0 where every step has all of the batch."""

    steps: int
    batch: int
    reverse: bool
    starts: Word = 0


# -- emission
@dataclass(frozen=True)
class Form:
    """What is static about a stage; operands by the names of their classes."""

    before: bool
    gates: int
    body: str
    ins: tuple[str, ...]
    outs: tuple[str, ...]


COMMON = ("p0", "p1", "steps", "batch", "reverse", "each", "blocks")  # after `starts`
STATE = ("rows", "start", "kept", "packed")
SIZES = ("pitch", "size", "units")


class Reader:
    """The words of a stage, and the state of an item while it runs."""

    def __init__(self, f: Function, kind: Kind, form: Form, words: Value, place: int) -> None:
        self.f, self.kind, self.form = f, kind, form
        self.rows, self.start, self.kept, self.packed = f.words(words, *["ptr"] * len(STATE), start=place)
        place += len(STATE)
        self.pitch, self.size, self.units = f.words(words, *["i64"] * len(SIZES), start=place)
        place += len(SIZES)
        self.operands: list[tuple[str, list[Value]]] = []
        for name in (*form.ins, *form.outs):
            types = ["ptr", "i64" if name == "Now" else "ptr"][: WORDS[name]]
            self.operands.append((name, f.words(words, *types, start=place)))
            place += WORDS[name]
        self.end = place
        self.padded = padded_words(kind, self.size)
        self.lda = self.padded + kind.lanes  # rows a power of two apart would share sets of L1

    def is_null(self, p: Value) -> Value:
        return self.f.cast("ptrtoint", p, "i64").eq(0)

    def at(self, base: Value, index: Value) -> Value:
        return self.f.at(base, index, self.kind.source)

    def pointers(self, row: Value, first: Value, fresh: Value, zeros: Value) -> list[tuple[Value, Value]]:
        """(address, elements from row to row) of each operand: `row` in time, `first` of the sequences."""
        f = self.f
        found: list[tuple[Value, Value]] = []
        for i, (name, words) in enumerate(self.operands):
            if name == "Now":
                found.append((self.at(words[0], row * words[1]), words[1]))
                continue
            base = words[0]
            if name == "Carried" and i < len(self.form.ins):
                base = f.select(fresh, words[1], base)
            if name == "Start":
                base = f.select(fresh, base, f.const("ptr", 0))
            none, step = self.is_null(base), f.i64(0) if name == "Fixed" else self.units
            found.append((f.select(none, zeros, self.at(base, first * step)), f.select(none, f.i64(0), step)))
        return found


def emit_steps(m: Module, name: str, d: str, forms: tuple[Form, ...]) -> None:
    """Items (block of sequences, block of columns), through the steps p0 .. p1 - 1 in the order of time."""
    kind = kind_named(d, m.target)
    emit_table(m, kind)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        starts, p0, p1, steps, batch, reverse, each, blocks = f.words(words, "ptr", *["i64"] * len(COMMON))
        stages: list[Reader] = []
        place = 1 + len(COMMON)
        for form in forms:
            stages.append(Reader(f, kind, form, words, place))
            place = stages[-1].end
        zeros = scratch(f, worker)
        widest = f.i64(0)
        for s in stages:
            widest = f.smax(widest, f.smax(s.size, s.units))
        room = (widest + 2 * kind.lanes) & -kind.lanes
        with f.range(0, room, kind.lanes) as i:
            f.store(f.const(kind.vec, 0), f.at(zeros, i, kind.acc))
        A = f.at(zeros, room, kind.acc)

        def begins(t: Value) -> Value:
            """First row of step t."""
            at = f.var("i64", t * batch)
            with f.otherwise(f.cast("ptrtoint", starts, "i64").eq(0)):
                at.v = f.load("i64", starts, t)
            return at.v

        with f.range(lo, hi) as item:
            column, first = item.urem(blocks), item.udiv(blocks) * each
            last = f.smin(first + each, batch)
            with f.range(p0, p1) as p:
                t = f.select(reverse.ne(0), steps - 1 - p, p)
                row = begins(t)
                here = f.smin(last, begins(t + 1) - row)
                row_before, met = f.var("i64", 0), f.var("i64", 0)
                with f.when(p > 0):
                    u = t + f.select(reverse.ne(0), f.i64(1), f.i64(-1))
                    row_before.v = begins(u)
                    met.v = begins(u + 1) - row_before.v
                middle = f.smax(first, f.smin(here, met.v))
                for s in stages:
                    with f.range(0, 2) as part:  # sequences that go on, then those that begin
                        fresh = part.ne(0)
                        b0, b1 = f.select(fresh, middle, first), f.select(fresh, here, middle)
                        with f.when(b0 < b1):
                            _stage(s, A, zeros, (row, row_before.v, b0, b1 - b0), fresh, (column, blocks))


def _stage(s: Reader, A: Value, zeros: Value, place: tuple[Value, Value, Value, Value], fresh: Value, columns: tuple[Value, Value]) -> None:
    """One stage of one step for n sequences from b0 on."""
    f, kind = s.f, s.kind
    row, row_before, b0, n = place
    source, pitch, some = s.at(s.rows, (row + b0) * s.pitch), s.pitch, f.const("i1", 1)
    if s.form.before:
        begin = s.at(s.start, b0 * s.size)
        some = ~(fresh & s.is_null(s.start))
        source = f.select(some, f.select(fresh, begin, s.at(s.rows, (row_before + b0) * s.pitch)), zeros)
        pitch = f.select(some, f.select(fresh, s.size, s.pitch), f.i64(0))
    _copy(s, source, pitch, A, n, s.at(s.kept, (row + b0) * s.size), ~s.is_null(s.kept) & columns[0].eq(0))
    D = f.at(A, (n + 1) * s.lda, kind.acc)
    pointers = s.pointers(row + b0, b0, fresh, zeros)
    panels = (s.units + (kind.columns - 1)).udiv(kind.columns)
    share = (panels + (columns[1] - 1)).udiv(columns[1])
    heights = (n + (kind.rows - 1)).udiv(kind.rows)
    mr = f.smin(((n + heights - 1).udiv(heights) + 1) & -2, kind.rows)
    ldd = s.form.gates * kind.columns
    with f.range(columns[0] * share, f.smin(panels, (columns[0] + 1) * share)) as c:
        j = c * kind.columns
        width = f.smin(s.units - j, kind.columns)
        _fetch(s, pointers, j, n)
        with f.when(some):
            _product(s, A, D, c, panels, width, n, mr)
        with f.otherwise(some), f.range(0, n * ldd, kind.lanes) as i:
            f.store(f.const(kind.vec, 0), f.at(D, i, kind.acc))
        with f.range(0, n) as r:
            at = [f.at(p, r * step + j, kind.source) for p, step in pointers]
            whole = width.eq(kind.columns)
            with f.when(whole):
                for v in range(kind.vectors):
                    _body(s, f.at(D, r * ldd + v * kind.lanes, kind.acc), at, v * kind.lanes, None)
            with f.otherwise(whole), f.range(0, width, kind.lanes) as v:
                _body(s, f.at(D, r * ldd + v, kind.acc), at, v, width - v)


def _copy(s: Reader, source: Value, pitch: Value, A: Value, n: Value, kept: Value, keeps: Value) -> None:
    """n rows of the state to scratch memory, padded with zeros, and to where they are kept."""
    f, kind, d = s.f, s.kind, DTYPES["float32" if s.kind.acc == "float" else "float64"]
    whole = s.size & -kind.lanes
    with f.range(0, n) as r:
        x, to, keep = s.at(source, r * pitch), f.at(A, r * s.lda, kind.acc), s.at(kept, r * s.size)
        with f.when(s.size < s.padded), f.range(s.padded - UNROLL, s.padded) as i:
            f.store(f.const(kind.acc, 0), f.at(to, i, kind.acc))
        with f.range(0, whole, kind.lanes) as i:
            f.store(f.load(kind.vec, x, i), f.at(to, i, kind.acc))
        with f.when(whole < s.size):
            f.store(lanes.load(f, d, kind.lanes, x, whole, s.size - whole), f.at(to, whole, kind.acc))
        with f.when(keeps):
            with f.range(0, whole, kind.lanes) as i:
                f.store(f.load(kind.vec, f.at(to, i, kind.acc)), keep, i)
            with f.when(whole < s.size):
                lanes.store(f, d, f.load(kind.vec, f.at(to, whole, kind.acc)), keep, whole, s.size - whole)


def _fetch(s: Reader, pointers: list[tuple[Value, Value]], j: Value, n: Value) -> None:
    """Rows of time on their way to L2 while the product runs: pieces so short and so far apart that nothing else fetches them ahead."""
    f, kind = s.f, s.kind
    line = 64 // SIZE[kind.acc]
    with f.range(0, n) as r:
        for i, ((p, step), (name, _)) in enumerate(zip(pointers, s.operands)):
            if name == "Now":
                for v in range(0, kind.columns, line):
                    f.prefetch(p, r * step + j + v, write=int(i >= len(s.form.ins)), level=2, elem=kind.source)


def _product(s: Reader, A: Value, D: Value, c: Value, panels: Value, width: Value, n: Value, mr: Value) -> None:
    """D (n, gates, columns) = A @ the panels of column c."""
    f, kind = s.f, s.kind
    vectors, ldd = (width + (kind.lanes - 1)).udiv(kind.lanes), s.form.gates * kind.columns
    stride = panel_stride(kind, kind.columns, s.padded)
    for g in range(s.form.gates):
        panel = f.at(s.packed, (panels * g + c) * stride, kind.word)
        with f.range(0, s.padded, DEPTH) as k, f.range(0, n, mr) as i:
            index, _ = height_slot(f, kind, f.smin(n - i, mr))
            f.call(
                "void", "tile", index * len(widths(kind)) + vectors - 1,
                f.at(A, i * s.lda + k, kind.word), f.at(panel, k * kind.columns, kind.word), f.at(D, i * ldd + g * kind.columns, kind.acc),
                f.i64(ldd), s.lda, f.i64(1), f.i64(kind.columns), f.smin(s.padded - k, DEPTH), f.cast("zext", k.ne(0), "i64"),
            )  # fmt: skip


def _body(s: Reader, D: Value, at: list[Value], v: Term, left: Value | None) -> None:
    """The body on one vector of units."""
    f, kind, d = s.f, s.kind, DTYPES["float32" if s.kind.acc == "float" else "float64"]
    count = len(s.form.ins)
    products = [f.load(kind.vec, f.at(D, g * kind.columns, kind.acc)) for g in range(s.form.gates)]
    operands = [lanes.load(f, d, kind.lanes, p, v, left) for p in at[:count]]
    for p, x in zip(at[count:], emit(parse(s.form.body), f, [*products, *operands])):
        assert isinstance(x, Value)
        lanes.store(f, d, x, p, v, left)


def emit_weight(m: Module, name: str, d: str) -> None:
    """Items (gate, panel): the weight as panels [size of the state][columns]."""
    kind = kind_named(d, m.target)
    pack = emit_pack(m, kind, kind.columns)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        weight, packed, units, size, unit_stride, state_stride = f.words(words, "ptr", "ptr", *["i64"] * 4)
        panels = (units + (kind.columns - 1)).udiv(kind.columns)
        padded = padded_words(kind, size)
        with f.range(lo, hi) as item:
            j = item.urem(panels) * kind.columns
            source = f.at(weight, (item.udiv(panels) * units + j) * unit_stride, kind.source)
            to = f.at(packed, item * panel_stride(kind, kind.columns, padded), kind.word)
            f.call("void", pack, to, source, unit_stride, state_stride, f.smin(units - j, kind.columns), f.i64(kind.columns), size, padded)


# -- schedule
def recurrence(kind: dtype, sequences: Sequences, stages: Sequence[Stage], workspace: int = 0) -> Schedule:
    """All stages of all steps; packed weights lie in the workspace from `workspace` on. float32 and float64."""
    x = kind_of(kind, host.target())
    T, B = sequences.steps, sequences.batch
    if not T * B:
        return Schedule(())
    size = SIZE[x.word]
    launches: list[Launch] = []
    packed: list[Work] = []
    for s in stages:
        panels = -(-s.units // x.columns)
        padded = -(-s.state.size // UNROLL) * UNROLL
        at, nbytes = -(-workspace // 64) * 64, s.gates * panels * panel_stride(x, x.columns, padded) * size
        words: tuple[Word, ...] = (s.weight.where, Work(at), s.units, s.state.size, s.weight.unit_stride, s.weight.state_stride)
        launches.append(
            Launch(Kernel(emit_weight, (kind.name,)), words, s.gates * panels, max(1, 16384 // (x.columns * padded)), 2 * nbytes)
        )
        packed.append(Work(at))
        workspace = at + nbytes
    flops = [2 * s.gates * s.units * s.state.size for s in stages]  # of a row
    rows = cut(x, B, stages)
    shared = B <= FEW and B * max(flops) >= 2 * SHARE
    spans = [(p, p + 1) for p in range(T)] if shared else spread(T, rows * sum(flops))
    for p0, p1 in spans:
        groups = [[i] for i in range(len(stages))] if shared else [list(range(len(stages)))]
        for group in groups:
            blocks = min(-(-stages[group[0]].units // x.columns), B * flops[group[0]] // SHARE or 1) if shared else 1
            words = (sequences.starts, p0, p1, T, B, int(sequences.reverse), rows, blocks)
            for i in group:
                words += words_of(stages[i], packed[i])
            kernel = Kernel(emit_steps, (kind.name, tuple(form_of(stages[i]) for i in group)))
            work = (p1 - p0) * B * sum(flops[i] for i in group)
            launches.append(Launch(kernel, words, -(-B // rows) * blocks, 1, work // 8, work))
    note = "recurrence: columns of each step" if shared else f"recurrence: {rows} sequences an item"
    return Schedule(tuple(launches), workspace, (note,))


def cut(kind: Kind, batch: int, stages: Sequence[Stage]) -> int:
    """Sequences of an item: about ROWS, as equal as can be, as many as scratch memory holds."""
    rows = -(-batch // max(1, round(batch / ROWS)))
    each = max(s.state.size + 4 * kind.lanes + s.gates * kind.columns for s in stages) * SIZE[kind.acc]
    zeros = max(max(s.state.size, s.units) for s in stages) * SIZE[kind.acc] + (1 << 12)
    reserve(zeros + 3 * each)
    return min(rows, max(1, (SCRATCH - zeros) // each - 2))


def spread(steps: int, flops: int) -> list[tuple[int, int]]:
    """Runs of steps whose work in one item is not too LONG."""
    most = max(1, LONG // max(1, flops))
    return [(p, min(steps, p + most)) for p in range(0, steps, most)]


def form_of(s: Stage) -> Form:
    names = tuple(type(x).__name__ for x in s.ins), tuple(type(x).__name__ for x in s.outs)
    return Form(s.state.before, s.gates, text(list(s.body)), *names)


def words_of(s: Stage, packed: Word) -> tuple[Word, ...]:
    out: list[Word] = [s.state.rows.where, s.state.start, s.state.kept, packed, s.state.rows.pitch, s.state.size, s.units]
    for x in (*s.ins, *s.outs):
        out += [x.where, x.pitch] if isinstance(x, Now) else [x.where, x.start] if isinstance(x, Carried) else [x.where]
    return tuple(out)
