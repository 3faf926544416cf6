"""Connectionist temporal classification: the forward and backward recursions over a sequence's places, a work item for each sequence.

    ctc(x, targets, most)            Out: loss (N,), alpha (N, T, row(most))                In: x, targets, begins, times, lengths
    ctc_backward(x, targets, most)   Out: gx (T, N, C)              In: g, x, targets, begins, times, lengths, loss, alpha
x: (T, N, C) contiguous log-probabilities; targets: int64, those of sequence n from `begins[n]` on; begins, times, lengths: (N,) int64, checked
by the caller; `most`: the longest target. Places are labels with blanks around them, 2 * length + 1 of them: s odd is label s // 2.

    alpha(t, s) = log of (e^alpha(t-1, s) + e^alpha(t-1, s-1) + e^alpha(t-1, s-2)) + x(t, label s)        over a blank between labels that differ
    beta(t, s)  = log of (e^beta(t+1, s)  + e^beta(t+1, s+1)  + e^beta(t+1, s+2))  + x(t, label s)

in double precision; alpha is kept in x's type. Both begin with a probability of 1 one place outside. Graves et al. 2006.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base.dtypes import DTYPES, dtype
from ..runtime.ir import Function, Module, Value, vector
from . import elementary, lanes
from .launch import In, Kernel, Launch, Operand, Out, Schedule, Word, Work
from .rows import sweep as rows

EDGE = 16  # doubles on each side of a row of places, so that whole vectors may run over its ends
LONG = 5_000_000  # places and classes that one item goes through (about 50 ms), so that Ctrl-C is seen in time
ROWS = 5  # of places: two steps, emissions, skips, shares
INF = float("inf")


def row(most: int) -> int:
    """Elements of a row of places: whole vectors of every target."""
    return -(-(2 * most + 1) // 16) * 16


class Sequence:
    """The words and buffers of one sequence, common to both recursions."""

    def __init__(self, f: Function, d: dtype, item: Value, tensors: list[Value], sizes: list[Value]) -> None:
        x, targets, begins, times, lengths, space = tensors
        self.f, self.d, self.item = f, d, item
        self.steps, self.batch, self.classes, self.blank, self.width = sizes
        self.times, self.length = f.load("i64", times, item), f.load("i64", lengths, item)
        self.targets, self.x = f.at(targets, f.load("i64", begins, item), "i64"), x
        self.places = self.length * 2 + 1
        self.n = f.module.target.lanes // 2
        self.kind = vector(self.n, "double")
        pitch = self.width + 2 * EDGE
        space = f.at(space, item * (pitch * ROWS + sizes[2] + EDGE), "double")
        self.pitch, self.rows = pitch, [f.at(space, pitch * k + EDGE, "double") for k in range(ROWS)]
        self.sums = f.at(space, pitch * ROWS, "double")  # a sum for each class
        self.emissions, self.skips, self.shares = self.rows[2:]

    def label(self, s: Value) -> Value:
        """The class of an odd place."""
        return self.f.load("i64", self.targets, s >> 1)

    def log_prob(self, t: Value, c: Value) -> Value:
        x = lanes.load_one(self.f, self.d, self.x, (t * self.batch + self.item) * self.classes + c)
        return self.f.cast("fpext", x, "double")

    def fill(self, at: Value, value: float) -> None:
        """A whole row with its edges."""
        start = self.f.at(at, -EDGE, "double")
        with self.f.range(0, self.pitch, self.n) as i:
            self.f.store(self.f.const(self.kind, value), start, i)

    def prepare(self, virtual: Value, cell: Value) -> None:
        """Empty rows; 0 where a place may be reached from two before, -inf elsewhere; the virtual first step has all in one cell."""
        f = self.f
        for at in self.rows:
            self.fill(at, -INF)
        f.store(f.const("double", 0.0), virtual, cell)
        f.store(f.const("double", 0.0), self.skips, 1)
        f.store(f.const("double", 0.0), self.skips, self.places)
        with f.range(3, self.places, 2) as s:
            free = self.label(s).ne(self.label(s - 2))
            f.store(f.select(free, f.const("double", 0.0), -INF), self.skips, s)

    def emit_step(self, t: Value) -> None:
        """Log-probabilities of all places at a time."""
        f, blank = self.f, self.log_prob(t, self.blank)
        with f.range(0, self.places, 2) as s:
            f.store(blank, self.emissions, s)
        with f.range(1, self.places, 2) as s:
            f.store(self.log_prob(t, self.label(s)), self.emissions, s)

    def advance(self, old: Value, new: Value, way: int, use: Callable[[Value, Value, Value], None]) -> None:
        """One step of a recursion that comes from places s - way and s - 2 way; `use(s, sums, emissions)` sees each vector."""
        f = self.f
        with f.range(0, self.places, self.n) as s:
            skip = f.load(self.kind, self.skips, s if way > 0 else s + 2)
            a, b = f.load(self.kind, old, s), f.load(self.kind, old, s - way)
            c = f.load(self.kind, old, s - 2 * way) + skip
            top = f.select(a > b, a, b)
            top = f.select(top > c, top, c)
            base = f.select(top > -INF, top, 0.0)
            total = elementary.exp(f, a - base) + elementary.exp(f, b - base) + elementary.exp(f, c - base)
            e = f.load(self.kind, self.emissions, s)
            got = elementary.log_sum(f, total) + base + e
            f.store(got, new, s)
            use(s, got, e)

    def alpha(self, base: Value, t: Value) -> Value:
        return self.f.at(base, (self.item * self.steps + t) * self.width, self.d.llvm)


def emit_forward(m: Module, name: str, d: dtype) -> None:
    """Times p0 .. p1 - 1; the loss is that of the times so far."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        loss, alphas, *tensors = f.words(words, *["ptr"] * 8)
        *sizes, p0, p1 = f.words(words, *["i64"] * 7, start=8)
        with f.range(lo, hi) as item:
            q = Sequence(f, d, item, tensors, sizes)
            with f.when(p0.eq(0)):
                q.prepare(q.rows[0], f.i64(-1))
            with f.range(p0, f.smin(q.times, p1)) as t:
                odd = (t & 1).ne(0)
                old, new = f.select(odd, q.rows[1], q.rows[0]), f.select(odd, q.rows[0], q.rows[1])
                q.emit_step(t)
                kept = q.alpha(alphas, t)

                def keep(s: Value, a: Value, _: Value, kept: Value = kept) -> None:
                    f.store(f.cast("fptrunc", a, vector(q.n, d.llvm)), kept, s)

                q.advance(old, new, 1, keep)
                f.store(f.const("double", -INF), q.rows[0], -1)
            last = f.select((q.times & 1).ne(0), q.rows[1], q.rows[0])
            a, b = f.load("double", last, q.length * 2), f.load("double", last, q.length * 2 - 1)
            top = f.select(a > b, a, b)
            base = f.splat(f.select(top > -INF, top, 0.0), q.n)
            total = elementary.exp(f, f.splat(a, q.n) - base) + elementary.exp(f, f.splat(b, q.n) - base)
            value = f.extract(elementary.log_sum(f, total) + base, 0)
            none = f.select(q.length.eq(0), f.const("double", 0.0), -INF)  # no time at all emits the empty sequence and nothing else
            value = 0.0 - f.select(q.times.eq(0), none, value)
            lanes.store_one(f, d, f.cast("fptrunc", value, d.llvm), loss, item)


def emit_backward(m: Module, name: str, d: dtype) -> None:
    """The gradient by the inputs of a log_softmax, which is that of PyTorch: exp(x) minus each class's share of the paths, times g.
    The last p0 .. p1 - 1 of the times."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        gx, gs, losses, alphas, *tensors = f.words(words, *["ptr"] * 10)
        *sizes, p0, p1, zero_infinity = f.words(words, *["i64"] * 8, start=10)
        wide = lanes.width(f, d)
        with f.range(lo, hi) as item:
            q = Sequence(f, d, item, tensors, sizes)
            loss, g = lanes.load_one(f, d, losses, item), lanes.load_one(f, d, gs, item)
            with f.when(p0.eq(0)):
                q.prepare(q.rows[0], q.places)
                with f.range(0, q.classes) as c:
                    f.store(f.const("double", 0.0), q.sums, c)
            impossible = f.cast("zext", loss.eq(INF), "i8")
            live = f.select((impossible & f.cast("zext", zero_infinity.ne(0), "i8")).ne(0), 0, q.times)
            undefined = f.select(impossible.ne(0), f.const(d.llvm, float("nan")), 0.0)
            total = f.splat(f.cast("fpext", loss, "double"), q.n)

            def out(t: Value, q: Sequence = q) -> Value:
                return f.at(gx, (t * q.batch + q.item) * q.classes, d.llvm)

            with f.range(p0, f.smin(live, p1)) as back:
                t = live - 1 - back
                odd = (back & 1).ne(0)
                old, new = f.select(odd, q.rows[1], q.rows[0]), f.select(odd, q.rows[0], q.rows[1])
                q.emit_step(t)
                kept = q.alpha(alphas, t)

                def share(s: Value, b: Value, e: Value, kept: Value = kept) -> None:
                    both = f.cast("fpext", f.load(vector(q.n, d.llvm), kept, s), q.kind) + b
                    f.store(f.select(both > -INF, elementary.exp(f, both - e + total), 0.0), q.shares, s)

                q.advance(old, new, -1, share)
                f.store(f.const("double", -INF), q.rows[0], q.places)
                _gather(q)
                x, to = f.at(q.x, (t * q.batch + item) * q.classes, d.llvm), out(t)

                def gradient(i: Value, _: int, left: Value | None, x: Value = x, to: Value = to) -> None:
                    shares = f.cast("fptrunc", f.load(vector(wide, "double"), q.sums, i), vector(wide, d.llvm))
                    v = elementary.exp(f, lanes.load(f, d, wide, x, i, left)) - shares + f.splat(undefined, wide)
                    lanes.store(f, d, v * f.splat(g, wide), to, i, left)

                rows.sweep(f, q.classes, wide, gradient, 1)
                f.store(f.const("double", 0.0), q.sums, q.blank)
                with f.range(1, q.places, 2) as s:
                    f.store(f.const("double", 0.0), q.sums, q.label(s))
            with f.range(f.smax(live, p0), f.smin(q.steps, p1)) as t:
                to = out(t)
                rows.sweep(
                    f, q.classes, wide, lambda i, _, left, to=to: lanes.store(f, d, f.const(vector(wide, d.llvm), 0.0), to, i, left), 1
                )


def _gather(q: Sequence) -> None:
    """The places' shares, added for each class in order."""
    f = q.f
    blanks = f.var("double", 0.0)
    with f.range(0, q.places, 2) as s:
        blanks.v = blanks.v + f.load("double", q.shares, s)
    f.store(blanks.v, q.sums, q.blank)
    with f.range(1, q.places, 2) as s:
        c = q.label(s)
        f.store(f.load("double", q.sums, c) + f.load("double", q.shares, s), q.sums, c)


def _sizes(x: Operand, most: int, blank: int) -> tuple[tuple[Word, ...], int]:
    """(the words of the sizes, bytes of workspace)."""
    T, N, C = x.shape
    pitch = row(most) + 2 * EDGE
    return (T, N, C, blank, row(most)), N * (pitch * ROWS + C + EDGE) * DTYPES["float64"].itemsize + 128


def _launches(kernel: Kernel, words: tuple[Word, ...], after: tuple[Word, ...], x: Operand, each: int) -> tuple[Launch, ...]:
    """Runs of times, of `each` places and classes."""
    T, N, _ = x.shape
    most = max(1, LONG // each)
    found: list[Launch] = []
    for p in range(0, T, most):
        work = N * min(most, T - p) * each
        found.append(Launch(kernel, (*words, p, min(T, p + most), *after), N, 1, 2 * work * x.dtype.itemsize, work * 60))
    return tuple(found)


def ctc(x: Operand, most: int, blank: int) -> Schedule:
    sizes, room = _sizes(x, most, blank)
    words = (Out(0), Out(1), *(In(k) for k in range(5)), Work(0), *sizes)
    return Schedule(_launches(Kernel(emit_forward, (x.dtype,)), words, (), x, row(most)), room)


def ctc_backward(x: Operand, most: int, blank: int, zero_infinity: bool) -> Schedule:
    sizes, room = _sizes(x, most, blank)
    words = (Out(0), In(0), In(6), In(7), *(In(k) for k in range(1, 6)), Work(0), *sizes)
    return Schedule(_launches(Kernel(emit_backward, (x.dtype,)), words, (int(zero_infinity),), x, row(most) + x.shape[2]), room)
