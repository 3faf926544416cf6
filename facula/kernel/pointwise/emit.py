"""Emission of elementwise kernels: an odometer over outer loops, a vectorised inner loop, and tiles for transposed inputs.

Words: addresses of the operands (outputs, then inputs), the loops' sizes, each operand's strides (elements), the length of a block of the
innermost loop, the numbers. Rank 1: a work item is an element. Otherwise an item is one block of one row, or one tile:

    row     [ U vectors | U vectors | ... | V | V | masked V ]      U loads of every operand, then the body, then U stores
    tile    turned inputs: T x T elements through n x n register transposes into a buffer on the stack, then T rows as above
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...base.dtypes import DTYPES, dtype
from ...runtime.ir import SIZE, Function, Module, Value, Var, vector
from ..access import (
    BROADCAST,
    CONTIGUOUS,
    INDEX,
    REVERSED,
    STRIDED,
    TURNED,
    Memory,
    bits_type,
    load,
    load_part,
    narrowed,
    store,
    store_part,
    widened,
)
from ..scalar import Scalar, emit, parse
from ..scalar.memory import cut_to_bfloat16
from .cost import keeps_bfloat16, lanes_of, unroll_of, used_inputs

AHEAD = (
    128  # columns that a tile's source is fetched ahead into L2 (into L1 gains nothing): 5.2 ms become 3.2 at 2000 x 4000, a copy's time
)
FETCH = 4096  # bytes that a stream reads ahead into L2: 10M of exp take 1.6 ms for 1.86, of a copy 1.51; hardware stops at each page
Port = tuple[str, str]  # (dtype, class of the inner loop): what is static about an operand


def tile_of(ports: Sequence[Port]) -> tuple[int, int]:
    """Rows and columns of a tile: the buffers of all turned inputs stay within half of a first-level cache. Without any, a few rows that touch
    the same lines are walked together."""
    turned = [DTYPES[d].itemsize for d, kind in ports if kind == TURNED]
    if not turned:
        return 8, 256
    return (64, 64) if max(turned) <= 4 and len(turned) == 1 else (32, 32)


@dataclass
class Row:
    """The state of an inner loop: how each operand is found, and the body."""

    f: Function
    outs: tuple[Port, ...]
    ins: tuple[Port, ...]
    body: tuple[Scalar, ...]
    numbers: list[Any]
    lanes: int
    unroll: int
    stream: bool

    def run(self, pointers: list[Value], steps: list[Value], lo: Value, hi: Value) -> None:
        """Elements lo..hi-1 of a row that starts at `pointers`; `steps` are bytes (an index counts elements)."""
        f, n = self.f, self.lanes
        used = used_inputs(self.body)
        fixed = {i: self._loaded(i, pointers, steps, lo, None) for i, (_, kind) in enumerate(self.ins) if kind == BROADCAST and i in used}
        if self.stream:
            size = DTYPES[self.outs[0][0]].itemsize
            here = f.cast("ptrtoint", self._at(self.outs[0], pointers[0], steps[0], lo), "i64")
            head = f.smin(((0 - here) & (n * size - 1)).udiv(size), hi - lo)
            with f.when(head > 0):
                self._part(fixed, pointers, steps, lo, head)
            lo = lo + head
        span = n * self.unroll
        main = lo + (hi - lo).udiv(span) * span
        with f.range(lo, main, span) as i:
            self._whole(fixed, pointers, steps, i, self.unroll)
        rest = main
        if self.unroll > 1 and (not f.module.target.masked or any(k == STRIDED for _, k in (*self.outs, *self.ins))):
            rest = lo + (hi - lo).udiv(n) * n
            with f.range(main, rest, n) as i:
                self._whole(fixed, pointers, steps, i, 1)
        with f.range(rest, hi, n) as i:
            self._part(fixed, pointers, steps, i, hi - i)

    def _at(self, port: Port, pointer: Value, step: Value, i: Value) -> Value:
        if port[1] == BROADCAST:
            return pointer
        return self.f.bytes(pointer, i * (step if port[1] == STRIDED else DTYPES[port[0]].itemsize * (-1 if port[1] == REVERSED else 1)))

    def _loaded(self, i: int, pointers: list[Value], steps: list[Value], at: Value, left: Value | None) -> Any:
        """Register value of input `i` from element `at` on."""
        f, n, port = self.f, self.lanes, self.ins[i]
        k = len(self.outs) + i
        d, kind = DTYPES[port[0]], port[1]
        if kind == INDEX:
            first, step = (f.cast("trunc", v, d.llvm) for v in (pointers[k] + at * steps[k], steps[k]))
            return f.splat(first, n) + f.lanes(vector(n, d.llvm), list(range(n))) * f.splat(step, n)
        kind = "contiguous" if kind == TURNED else kind
        here = self._at(port, pointers[k], steps[k], at)
        stride = steps[k] // d.itemsize if kind == STRIDED else None
        raw = load(f, d, n, here, kind, stride) if left is None else load_part(f, d, n, here, kind, left, stride)
        return widened(f, raw, d)

    def _results(self, fixed: dict[int, Any], loaded: dict[int, Any]) -> list[Memory]:
        unread = self.f.const(vector(self.lanes, "i64"), 0)
        values = [fixed.get(i, loaded.get(i, unread)) for i in range(len(self.ins))]
        results = emit(self.body, self.f, values, self.numbers)
        return [self._short(self._wide(r), d, root) for r, (d, _), root in zip(results, self.outs, self.body)]

    def _short(self, value: Memory, d: str, root: Scalar) -> Memory:
        """A result as it lies in memory."""
        if d == "bfloat16" and isinstance(value, Value) and keeps_bfloat16(root, [name for name, _ in self.ins]):
            return cut_to_bfloat16(self.f, value)
        return narrowed(self.f, value, DTYPES[d])

    def _wide(self, value: Memory) -> Memory:
        """A result that depends on no tensor may be a single value."""
        if isinstance(value, tuple):
            return self._vector(value[0]), self._vector(value[1])
        return self._vector(value)

    def _vector(self, value: Value) -> Value:
        return value if value.type[0] == "<" else self.f.splat(value, self.lanes)

    def _whole(self, fixed: dict[int, Any], pointers: list[Value], steps: list[Value], i: Value, unroll: int) -> None:
        used = used_inputs(self.body)
        at = [i + u * self.lanes for u in range(unroll)]
        loaded = [{k: self._loaded(k, pointers, steps, a, None) for k in used if k not in fixed} for a in at]
        if self.stream:
            self._fetch(pointers, at)
        results = [self._results(fixed, values) for values in loaded]
        for a, row in zip(at, results):
            for o, value in enumerate(row):
                d, kind = DTYPES[self.outs[o][0]], self.outs[o][1]
                here = self._at(self.outs[o], pointers[o], steps[o], a)
                store(self.f, d, value, here, kind, steps[o] // d.itemsize if kind == STRIDED else None, self.stream)

    def _fetch(self, pointers: list[Value], at: list[Value]) -> None:
        for k in used_inputs(self.body):
            d, kind = self.ins[k]
            if kind == CONTIGUOUS:
                for a in at:
                    self.f.prefetch(self.f.bytes(pointers[len(self.outs) + k], a * DTYPES[d].itemsize), FETCH, level=2, elem="i8")

    def _part(self, fixed: dict[int, Any], pointers: list[Value], steps: list[Value], i: Value, left: Value) -> None:
        used = used_inputs(self.body)
        loaded = {k: self._loaded(k, pointers, steps, i, left) for k in used if k not in fixed}
        for o, value in enumerate(self._results(fixed, loaded)):
            d, kind = DTYPES[self.outs[o][0]], self.outs[o][1]
            here = self._at(self.outs[o], pointers[o], steps[o], i)
            store_part(self.f, d, value, self.lanes, here, kind, left, steps[o] // d.itemsize if kind == STRIDED else None)


class Odometer:
    """Counters of outer loops and the operands' byte offsets under them, set by division once and then carried."""

    def __init__(self, f: Function, sizes: list[Value], steps: list[list[Value]], start: Value) -> None:
        """`steps[o][d]`: bytes that operand `o` moves per count of loop `d`."""
        self.f, self.sizes, self.steps = f, sizes, steps
        rest = start
        counts: list[Value] = []
        for d in range(len(sizes) - 1, 0, -1):
            next_ = rest.udiv(sizes[d])
            counts.insert(0, rest - next_ * sizes[d])
            rest = next_
        self.counts: list[Var] = [f.var("i64", c) for c in ([rest, *counts] if sizes else [])]
        self.offsets: list[Var] = []
        for operand in steps:
            offset = f.i64(0)
            for count, step in zip(self.counts, operand):
                offset = offset + count.v * step
            self.offsets.append(f.var("i64", offset))

    def advance(self, d: int | None = None) -> None:
        """The next item: the last loop counts on, a full loop carries into the one outside."""
        f = self.f
        d = len(self.sizes) - 1 if d is None else d
        if d < 0:
            return
        now = self.counts[d].v + 1
        self.counts[d].v = now
        for offset, operand in zip(self.offsets, self.steps):
            offset.v = offset.v + operand[d]
        if d:
            with f.when(now.eq(self.sizes[d])):
                self.counts[d].v = 0
                for offset, operand in zip(self.offsets, self.steps):
                    offset.v = offset.v - operand[d] * self.sizes[d]
                self.advance(d - 1)


def emit_pointwise(
    module: Module, name: str, body: str, outs: tuple[Port, ...], ins: tuple[Port, ...], numbers: tuple[str, ...], rank: int, form: str
) -> None:
    """`form`: flat (rank 1), rows, blocks (of long rows) or tiles; with `stream`, as in "flat stream", stores pass the caches by."""
    roots = parse(body)
    ports = (*outs, *ins)
    lanes = lanes_of(roots, [DTYPES[d] for d, _ in ports], module.target.lanes)
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        base = f.words(words, *("i64" if kind == INDEX else "ptr" for _, kind in ports))
        sizes = f.words(words, *["i64"] * rank, start=len(ports))
        place = len(ports) + rank
        steps: list[list[Value]] = []
        for d, kind in ports:
            unit = 1 if kind == INDEX else DTYPES[d].itemsize
            steps.append([s * unit for s in f.words(words, *["i64"] * rank, start=place)])
            place += rank
        block = f.words(words, "i64", start=place)[0]
        values = read_numbers(f, words, place + 1, numbers, roots, lanes)
        row = Row(f, outs, ins, roots, values, lanes, unroll_of(roots), "stream" in form)
        if form.startswith("flat"):
            row.run(base, [s[0] for s in steps], lo, hi)
        elif form.startswith("tiles"):
            _tiles(row, base, sizes, steps, lo, hi)
        else:
            _rows(row, base, sizes, steps, block if form.startswith("blocks") else None, lo, hi)
        if "stream" in form:
            fence(f)


def read_numbers(f: Function, words: Value, start: int, numbers: tuple[str, ...], roots: Sequence[Scalar], lanes: int) -> list[Any]:
    """Number arguments in their leaf's type, as vectors; a complex number takes two words."""
    out: list[Any] = []
    for kind in numbers:
        types = kind.split("+")  # "float+float": real and imaginary part
        parts = [f.splat(v, lanes) for v in f.words(words, *types, start=start)]
        start += len(types)
        out.append((parts[0], parts[1]) if len(parts) == 2 else parts[0])
    return out


def fence(f: Function) -> None:
    """Orders stores that passed the caches by before whatever tells others that they are done."""
    if "x86" in f.module.target.triple:
        f.call("void", "llvm.x86.sse.sfence")
    else:
        f.do("fence seq_cst")


def _moved(f: Function, base: list[Value], offsets: list[Value], ports: Sequence[Port]) -> list[Value]:
    return [b + o if kind == INDEX else f.bytes(b, o) for b, o, (_, kind) in zip(base, offsets, ports)]


def _rows(row: Row, base: list[Value], sizes: list[Value], steps: list[list[Value]], block: Value | None, lo: Value, hi: Value) -> None:
    f, ports = row.f, (*row.outs, *row.ins)
    outer, inner = sizes[:-1], sizes[-1]
    moves = [s[:-1] for s in steps]
    if block is not None:
        outer = [*outer, (inner + block - 1).udiv(block)]
        moves = [[*m, s[-1] * block] for m, s in zip(moves, steps)]
    meter = Odometer(f, outer, moves, lo)
    with f.range(lo, hi):
        length = inner if block is None else f.smin(block, inner - meter.counts[-1].v * block)
        row.run(_moved(f, base, [o.v for o in meter.offsets], ports), [s[-1] for s in steps], f.i64(0), length)
        meter.advance()


def _tiles(row: Row, base: list[Value], sizes: list[Value], steps: list[list[Value]], lo: Value, hi: Value) -> None:
    f, ports = row.f, (*row.outs, *row.ins)
    high, wide = tile_of(ports)
    down, across = sizes[-2:]
    outer = [*sizes[:-2], (down + high - 1).udiv(high), (across + wide - 1).udiv(wide)]
    meter = Odometer(f, outer, [[*s[:-2], s[-2] * high, s[-1] * wide] for s in steps], lo)
    buffers = {k: f.array(bits_type(DTYPES[d]), high * wide) for k, (d, kind) in enumerate(ports) if kind == TURNED}
    with f.range(lo, hi):
        rows = f.smin(down - meter.counts[-2].v * high, high)
        columns = f.smin(across - meter.counts[-1].v * wide, wide)
        here = _moved(f, base, [o.v for o in meter.offsets], ports)
        for k, buffer in buffers.items():
            turn(f, DTYPES[ports[k][0]], here[k], steps[k][-1], buffer, wide, rows, columns)
        with f.range(0, rows) as r:
            offsets = [r * (wide * DTYPES[d].itemsize) if k in buffers else r * steps[k][-2] for k, (d, _) in enumerate(ports)]
            starts = [buffers.get(k, p) for k, p in enumerate(here)]
            row.run(_moved(f, starts, offsets, ports), [s[-1] for s in steps], f.i64(0), columns)
        meter.advance()


def turn(f: Function, d: dtype, source: Value, step: Value, buffer: Value, wide: int, rows: Value, columns: Value) -> None:
    """buffer[r, c] = source[c * step bytes + r], for r < rows and c < columns of a buffer with `wide` columns, by n x n register transposes."""
    elem = bits_type(d)
    size = SIZE[elem]
    n = min(wide, f.module.target.lanes * 4 // max(size, 4))
    masked = f.module.target.masked
    whole_rows, whole_columns = (rows, columns) if masked else (rows.udiv(n) * n, columns.udiv(n) * n)
    last = columns - 1
    with f.range(0, whole_rows, n) as r:
        mask = f.mask(n, rows - r) if masked else None
        with f.range(0, whole_columns, n) as c:
            lines: list[Value] = []
            for k in range(n):
                at = f.bytes(source, (f.smin(c + k, last) if masked and k else c + k) * step + r * size)
                lines.append(f.load(vector(n, elem), at, 0, mask))
                f.prefetch(f.bytes(at, step * AHEAD), 0, level=2, elem="i8")
            for k, line in enumerate(f.transpose(lines)):
                f.store(line, buffer, (r + k) * wide + c)
    if masked:
        return
    with f.range(0, rows) as r, f.range(f.select(r < whole_rows, whole_columns, 0), columns) as c:
        f.store(f.load(elem, f.bytes(source, c * step + r * size)), buffer, r * wide + c)
