"""Elements where a mask holds: counted first, so that the caller can allocate, then written, in row-major order.

The mask is walked in chunks of CHUNK row-major elements. `count_true` leaves, for each chunk, the number of hits before it, and the total
behind the last one; `nonzero` and `masked_select` start each chunk from there. 64 elements become the bits of a word, of which only those
that are set are walked. Limit: the mask's bytes read twice, the hits written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from ...base.dtypes import DTYPES, bool_, int64
from ...runtime.ir import Function, Module, Value, vector
from ..access import CONTIGUOUS, INDEX, load, load_one, widened
from ..coalesce import Geometry, contiguous, merge
from ..launch import Array, In, Kernel, Launch, Operand, Out, Schedule, Word
from ..pointwise.emit import Odometer
from ..scalar import cast, emit, input
from .take import move_element

CHUNK = 8192
WORD = 64  # elements whose hits are the bits of one word
RUN = 2  # chunks of a run of work


def chunks(mask: Operand) -> int:
    """Elements that the `counts` of `count_true` must have: one for each chunk, and the total as the last."""
    return -(-prod(mask.shape) // CHUNK) + 1


def count_true(counts: Operand, mask: Operand) -> Schedule:
    """counts (int64, contiguous, `chunks(mask)` of them): hits before each chunk, and in the last place their number. Nonzero counts as true."""
    n = chunks(mask) - 1
    loops = _loops([mask])
    words: list[Word] = [Out(0), In(0), *loops.shape, *loops.strides[0], loops.elements]
    count = Launch(
        Kernel(emit_count, (mask.dtype.name, loops.rank)), tuple(words), n, RUN, loops.elements * mask.dtype.itemsize, loops.elements
    )
    prefix = Launch(Kernel(emit_prefix), (Out(0), n), 1, 1, 16 * n, n)
    return Schedule((count, prefix) if n else (prefix,), notes=("count true",))


def masked_select(out: Operand, source: Operand, mask: Operand) -> Schedule:
    """out (1-dim, contiguous, as long as the total) = elements of `source` where `mask` holds. Inputs: source, mask, counts; one shape."""
    return _write(source, mask, "select", 1)


def masked_scatter(out: Operand, source: Operand, mask: Operand) -> Schedule:
    """Elements of `out` where `mask` holds = those of `source` (1-dim, contiguous, at least as many as hits), in order. Inputs: source, mask,
    counts; out and mask have one shape, the rest of `out` stays."""
    if 0 in mask.shape or 0 in source.shape:
        return Schedule(())
    loops = _loops([mask, out])
    size = source.dtype.itemsize
    words: list[Word] = [
        Out(0),
        In(1),
        In(0),
        In(2),
        *loops.shape,
        *loops.strides[0],
        *loops.strides[1],
        loops.elements,
        source.shape[0] - 1,
    ]
    n = chunks(mask) - 1
    kernel = Kernel(emit_scatter, (mask.dtype.name, size, loops.rank))
    return Schedule((Launch(kernel, tuple(words), n, RUN, loops.elements * (2 * size + 1), loops.elements),), notes=("masked scatter",))


def nonzero(out: Operand, mask: Operand) -> Schedule:
    """out (total, rank), int64, contiguous: the index of every hit. Inputs: mask, counts."""
    shape = tuple(mask.shape)
    return _write(Array(int64, shape, contiguous(shape)), mask, "place", len(shape))


def _write(source: Operand, mask: Operand, form: str, width: int) -> Schedule:
    if 0 in mask.shape or (form == "place" and width == 0):
        return Schedule(())
    loops = _loops([mask, source])
    first: list[Word] = [In(1), In(0), In(2)] if form == "select" else [In(0), 0, In(1)]
    words: list[Word] = [Out(0), *first, *loops.shape, *loops.strides[0], *loops.strides[1], loops.elements]
    words += [*mask.shape] if form == "place" else []
    size = source.dtype.itemsize
    static = (form, mask.dtype.name, size, loops.rank, width)
    n = chunks(mask) - 1
    launch = Launch(Kernel(emit_write, static), tuple(words), n, RUN, loops.elements * (size + mask.dtype.itemsize), loops.elements)
    return Schedule((launch,), notes=(f"masked {form}",))


def _loops(operands: Sequence[Operand]) -> Geometry:
    """Row-major loops: merged, never sorted."""
    loops = merge(Geometry(tuple(operands[0].shape), tuple(tuple(o.strides) for o in operands)))
    return loops if loops.rank else Geometry((1,), tuple((0,) for _ in operands))


class _Walk:
    """Row-major runs of a chunk: at most `limit` elements, within one innermost row."""

    def __init__(
        self, f: Function, sizes: list[Value], steps: list[list[Value]], kinds: Sequence[str], base: list[Value], total: Value
    ) -> None:
        self.f, self.sizes, self.steps, self.kinds, self.base, self.total = f, sizes, steps, kinds, base, total

    def run(self, chunk: Value, limit: int, visit: Any) -> None:
        """visit(pointers, steps, count) for the runs of one chunk, in order."""
        f = self.f
        start = chunk * CHUNK
        left = f.var("i64", f.smin(self.total - start, CHUNK))
        inner = self.sizes[-1]
        row = start.udiv(inner)
        column = f.var("i64", start - row * inner)
        meter = Odometer(f, self.sizes[:-1], [s[:-1] for s in self.steps], row)
        with f.loop() as done:
            f.leave(done, left.v.eq(0))
            n = f.smin(f.smin(inner - column.v, left.v), limit)
            here: list[Value] = []
            for p, o, s, kind in zip(self.base, meter.offsets, self.steps, self.kinds):
                offset = o.v + column.v * s[-1]
                here.append(p + offset if kind == INDEX else f.bytes(p, offset))
            visit(here, [s[-1] for s in self.steps], n)
            left.v = left.v - n
            column.v = column.v + n
            with f.when(column.v.eq(inner)):
                column.v = 0
                meter.advance()


def _holds(f: Function, dtype: str, pointer: Value) -> Value:
    """1 where the element counts as true, as i64."""
    d = DTYPES[dtype]
    hit = emit([cast(input(0, d), bool_)], f, [widened(f, load_one(f, d, pointer), d)], [])[0]
    assert isinstance(hit, Value)
    return f.cast("zext", hit, "i64")


def _word(f: Function, dtype: str, pointer: Value, step: Value, n: Value) -> Value:
    """Bit i: element i counts as true, of the first n (1..WORD); whole words of contiguous elements are compared as vectors."""
    d, word = DTYPES[dtype], f.var("i64", 0)
    word.v = 0
    whole = n.eq(WORD) & step.eq(d.itemsize)
    if d.is_complex:
        whole = f.const("i1", 0)
    else:
        with f.when(whole):
            x = widened(f, load(f, d, WORD, pointer, CONTIGUOUS), d)
            hits = emit([cast(input(0, d), bool_)], f, [x], [])[0]
            assert isinstance(hits, Value)
            word.v = f.cast("bitcast", hits, "i64")
    with f.when(whole.eq(0)), f.range(0, n) as i:
        word.v = word.v | (_holds(f, dtype, f.bytes(pointer, i * step)) << i)
    return word.v


def _hits(
    f: Function,
    dtype: str,
    mask: Value,
    step: Value,
    n: Value,
    put: Callable[[Value], None],
    full: tuple[Value, Callable[[Value], None]] | None = None,
) -> None:
    """put(i) for each of n elements that counts as true; `full`: whether, and how, a word that is all true is done at once."""
    with f.range(0, n, WORD) as first:
        left = f.var("i64", _word(f, dtype, f.bytes(mask, first * step), step, f.smin(n - first, WORD)))
        if full:
            with f.when(left.v.eq(-1) & full[0]):
                full[1](first)
                left.v = 0
        with f.loop() as done:
            f.leave(done, left.v.eq(0))
            put(first + f.call("i64", "llvm.cttz.i64", left.v, f.const("i1", 1)))
            left.v = left.v & (left.v - 1)


def emit_count(module: Module, name: str, dtype: str, rank: int) -> None:
    """Words: counts, mask, loop sizes, strides, elements. Item: a chunk; its hits go to the place behind its own."""
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, mask = f.words(words, "ptr", "ptr")
        sizes = f.words(words, *["i64"] * rank, start=2)
        steps = [s * DTYPES[dtype].itemsize for s in f.words(words, *["i64"] * rank, start=2 + rank)]
        total = f.words(words, "i64", start=2 + 2 * rank)[0]
        walk = _Walk(f, sizes, [steps], ["mask"], [mask], total)
        with f.range(lo, hi) as chunk:
            hits = f.var("i64", 0)

            def visit(here: list[Value], step: list[Value], n: Value) -> None:
                with f.range(0, n, WORD) as i:
                    word = _word(f, dtype, f.bytes(here[0], i * step[0]), step[0], f.smin(n - i, WORD))
                    hits.v = hits.v + f.call("i64", "llvm.ctpop.i64", word)

            walk.run(chunk, CHUNK, visit)
            f.store(hits.v, out, chunk + 1)


def emit_prefix(module: Module, name: str) -> None:
    """Words: counts, chunks. counts[0] becomes 0, each later one the sum so far."""
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, _hi, _):
        out, n = f.words(words, "ptr", "i64")
        f.store(f.i64(0), out)
        total = f.var("i64", 0)
        with f.range(1, n + 1) as i:
            total.v = total.v + f.load("i64", out, i)
            f.store(total.v, out, i)


def emit_write(module: Module, name: str, form: str, dtype: str, size: int, rank: int, width: int) -> None:
    """Words: out, mask, source, counts, loop sizes, strides of the mask and the source, elements, the mask's own shape (places). Item: a chunk."""
    source_kind = "source" if form == "select" else INDEX
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, mask, source, counts = f.words(words, "ptr", "ptr", "ptr" if form == "select" else "i64", "ptr")
        sizes = f.words(words, *["i64"] * rank, start=4)
        mask_steps = [s * DTYPES[dtype].itemsize for s in f.words(words, *["i64"] * rank, start=4 + rank)]
        unit = size if form == "select" else 1
        source_steps = [s * unit for s in f.words(words, *["i64"] * rank, start=4 + 2 * rank)]
        total = f.words(words, "i64", start=4 + 3 * rank)[0]
        shape = f.words(words, *["i64"] * width, start=5 + 3 * rank) if form == "place" else []
        walk = _Walk(f, sizes, [mask_steps, source_steps], ["mask", source_kind], [mask, source], total)
        with f.range(lo, hi) as chunk:
            at = f.var("i64", f.load("i64", counts, chunk))

            def visit(here: list[Value], step: list[Value], n: Value) -> None:
                def put(i: Value) -> None:
                    if form == "select":
                        move_element(f, size, f.bytes(here[1], i * step[1]), f.bytes(out, at.v * size))
                    else:
                        _unravel(f, here[1] + i * step[1], shape, f.bytes(out, at.v * (8 * width)))
                    at.v = at.v + 1

                def copy(first: Value) -> None:
                    with f.range(0, WORD * size, WORD) as k:
                        f.store(f.load(vector(WORD, "i8"), f.bytes(here[1], first * size + k)), f.bytes(out, at.v * size + k))
                    at.v = at.v + WORD

                _hits(f, dtype, here[0], step[0], n, put, (step[1].eq(size), copy) if form == "select" else None)

            walk.run(chunk, CHUNK, visit)


def emit_scatter(module: Module, name: str, dtype: str, size: int, rank: int) -> None:
    """Words: out, mask, source, counts, loop sizes, strides of the mask and out, elements, the source's last place. Item: a chunk."""
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, mask, source, counts = f.words(words, "ptr", "ptr", "ptr", "ptr")
        sizes = f.words(words, *["i64"] * rank, start=4)
        mask_steps = [s * DTYPES[dtype].itemsize for s in f.words(words, *["i64"] * rank, start=4 + rank)]
        out_steps = [s * size for s in f.words(words, *["i64"] * rank, start=4 + 2 * rank)]
        total, last = f.words(words, "i64", "i64", start=4 + 3 * rank)
        walk = _Walk(f, sizes, [mask_steps, out_steps], ["mask", "out"], [mask, out], total)
        with f.range(lo, hi) as chunk:
            at = f.var("i64", f.load("i64", counts, chunk))

            def visit(here: list[Value], step: list[Value], n: Value) -> None:
                def put(i: Value) -> None:
                    move_element(f, size, f.bytes(source, f.smin(at.v, last) * size), f.bytes(here[1], i * step[1]))
                    at.v = at.v + 1

                _hits(f, dtype, here[0], step[0], n, put)

            walk.run(chunk, CHUNK, visit)


def _unravel(f: Function, linear: Value, shape: list[Value], out: Value) -> None:
    """A row-major place as one index for each dim."""
    rest = linear
    for d in range(len(shape) - 1, 0, -1):
        above = rest.udiv(shape[d])
        f.store(rest - above * shape[d], out, d)
        rest = above
    f.store(rest, out)
