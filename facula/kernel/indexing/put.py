"""Writing through indices: index_put, scatter and their reductions, and the gradient of an embedding. Never an atomic.

Where two elements have one destination, they are taken in row-major order, whatever the number of threads: work is divided over dims that
index values do not reach (their slices are disjoint), and over blocks of columns of rows.

Limit: bytes of the destinations read and written plus the values read; reductions of single elements run at the latency of a load, the
operation and a store when neighbours hit one destination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ...base.dtypes import DTYPES
from ...runtime.ir import Function, Module, Value
from ..access import BROADCAST, CONTIGUOUS, STRIDED, kind_of, load, load_one, load_part, narrowed, store, store_one, store_part, widened
from ..coalesce import Geometry, merge
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, shifted
from ..pointwise import fill
from ..pointwise.cost import lanes_of
from ..pointwise.emit import Odometer
from ..scalar import Scalar, input, interpret, maximum, minimum, parse, text
from .loops import Place, advanced, along, read_index
from .take import flat_places

if TYPE_CHECKING:
    import numpy as np

PARTS = 8  # blocks that few rows are divided into
BLOCK = 256  # columns of an item
RUN = 8192  # elements of a run of work
SERIAL = 1 << 22  # elements that one item takes, one after the other, in a launch: at most some tenths of a second, then signals are seen
NEVER = 1 << 63  # as a word, the smallest i64: no index value

Combine = Callable[[Scalar, Scalar], Scalar]
REDUCTIONS: dict[str, Combine] = {
    "sum": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "amax": maximum,
    "amin": minimum,
}


def index_put(
    out: Operand, values: Operand, indices: Sequence[Operand], dims: Sequence[int], place: int | None = None, reduce: str | None = None
) -> Schedule:
    """out[..., indices, ...] = values, or combined with them by `reduce` (sum, prod, amax, amin). `values` has the indexed shape (strides may
    be 0). Inputs: values, then the indices, checked before; the output holds what is kept."""
    return _put(out, values, advanced(values.shape, out, indices, dims, place), reduce)


def scatter(out: Operand, values: Operand, index: Operand, dim: int, reduce: str | None = None) -> Schedule:
    """out[i][index[i][j]] = values[i][j] for dim 1, and so on, or combined by `reduce`; `values` may be larger than the index."""
    return _put(out, values, along(out, index, dim), reduce)


def embedding_backward(out: Operand, grad: Operand, index: Operand, skip: int | None = None) -> Schedule:
    """out = zeros, and grad[*i] added to out[index[*i]] for every i whose index is not `skip`. Inputs: grad, index."""
    cleared = fill(out, 0)
    added = _put(out, grad, advanced(grad.shape, out, [index], [0], 0), "sum", NEVER if skip is None else skip)
    return Schedule((*cleared.launches, *added.launches), notes=(*cleared.notes, *added.notes))


def _put(out: Operand, values: Operand, place: Place, reduce: str | None, skip: int = NEVER) -> Schedule:
    if 0 in place.shape:
        return Schedule(())
    plan = _arranged(out, values, place)
    body = "" if reduce is None else text([REDUCTIONS[reduce](input(0, out.dtype), input(1, out.dtype))])
    loops, outer, items = plan.loops, plan.parallel, plan.items
    kinds = tuple(kind_of(s[plan.lane], loops.shape[plan.lane]) for s in loops.strides[:2])
    kinds = tuple(STRIDED if k == BROADCAST and o == 0 else k for o, k in enumerate(kinds))
    static = (plan.form, out.dtype.name, body, kinds, tuple(i.dtype.name for i, _, _ in place.indices), outer, loops.rank)
    operands = [(Out(0), out.dtype), (In(0), out.dtype), *((In(1 + k), i.dtype) for k, (i, _, _) in enumerate(place.indices))]
    steps = [w for _, size, step in place.indices for w in (size, step)]
    launches: list[Launch] = []
    for start, sizes in _pieces(loops.shape[outer:], max(1, SERIAL // plan.columns)):
        begins = [sum(a * b for a, b in zip(start, s[outer:])) * d.itemsize for (_, d), s in zip(operands, loops.strides)]
        words: list[Word] = [shifted(w, begin) for (w, _), begin in zip(operands, begins)]
        words += [*loops.shape[:outer], *sizes, *(s for operand in loops.strides for s in operand), *steps, plan.block, skip]
        elements = prod(loops.shape[:outer]) * prod(sizes)
        each, traffic = max(1, elements // max(items, 1)), 3 * elements * out.dtype.itemsize
        launches.append(Launch(Kernel(emit_put, static), tuple(words), items, max(1, RUN // each), traffic, elements))
    return Schedule(tuple(launches), notes=(f"put {plan.form} {loops.shape}, {plan.parallel} parallel",))


def _pieces(shape: Sequence[int], most: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Loops cut, in order, into pieces of at most `most` elements: (where a piece starts, its sizes)."""
    inner = prod(shape[1:])
    if inner > most:
        for i in range(shape[0]):
            for start, sizes in _pieces(shape[1:], most):
                yield (i, *start), (1, *sizes)
        return
    step = max(1, most // max(1, inner))
    for i in range(0, shape[0], step):
        yield (i, *(0 for _ in shape[1:])), (min(step, shape[0] - i), *shape[1:])


@dataclass(frozen=True)
class _Plan:
    """Loops of out, values and indices: `parallel` dims outside, the serial ones inside; of the parallel ones the last may be the lanes."""

    form: str  # rows: one index a row of lanes; block: lanes with an index each; single: no lanes
    loops: Geometry
    parallel: int
    lane: int
    items: int
    block: int

    @property
    def columns(self) -> int:
        """Elements that an item writes for each element of the serial loops."""
        return 1 if self.form == "single" else min(self.block, self.loops.shape[self.lane])


def _arranged(out: Operand, values: Operand, place: Place) -> _Plan:
    strides = (place.plain, tuple(values.strides), *(i.strides for i, _, _ in place.indices))
    everything = Geometry(place.shape, strides)
    rank = len(place.shape)
    free = sorted((d for d in range(rank) if place.plain[d] and place.shape[d] > 1), key=lambda d: -place.plain[d])
    bound = [d for d in range(rank) if not place.plain[d] or place.shape[d] == 1]
    parallel, serial = merge(everything.moved(free)), merge(everything.moved(bound))
    if serial.rank == 0:
        serial = Geometry((1,), tuple((0,) for _ in strides))
    form = "single"
    if parallel.rank:
        if not any(s[-1] for s in parallel.strides[2:]):
            form = "rows"
        elif abs(parallel.strides[2][-1]) <= abs(serial.strides[2][-1]) or serial.shape[-1] == 1:
            form = "block"
    loops = Geometry((*parallel.shape, *serial.shape), tuple((*a, *b) for a, b in zip(parallel.strides, serial.strides)))
    if form == "single":
        return _Plan(form, loops, parallel.rank, -1, parallel.elements, 1)
    width = parallel.shape[-1]
    items = parallel.elements // width * -(-width // BLOCK)
    block = BLOCK
    if form == "rows" and items < PARTS and parallel.elements * serial.elements > 2 * RUN:
        line = max(1, 64 // out.dtype.itemsize)
        block = min(BLOCK, -(-width // (PARTS * line)) * line)  # whole cache lines, at most PARTS blocks of a row
        items = parallel.elements // width * -(-width // block)
    return _Plan(form, loops, parallel.rank, parallel.rank - 1, items, block)


def emit_put(
    module: Module, name: str, form: str, dtype: str, body: str, kinds: tuple[str, str], indices: tuple[str, ...], parallel: int, rank: int
) -> None:
    """Words: out, values, indices, loop sizes, strides in elements (out's plain ones, values, indices), for each index the indexed dim's size
    and stride, columns of a block, an index value to skip. Items: (outer parallel index, block of columns)."""
    d = DTYPES[dtype]
    widths = [d.itemsize, d.itemsize, *(DTYPES[i].itemsize for i in indices)]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        ports = 2 + len(indices)
        base = f.words(words, *["ptr"] * ports)
        sizes = f.words(words, *["i64"] * rank, start=ports)
        at = ports + rank
        steps: list[list[Value]] = []
        for w in widths:
            steps.append([s * w for s in f.words(words, *["i64"] * rank, start=at)])
            at += rank
        dims = [f.words(words, "i64", "i64", start=at + 2 * k) for k in range(len(indices))]
        block, skip = f.words(words, "i64", "i64", start=at + 2 * len(indices))
        writer = _Writer(f, d, parse(body) if body else (), kinds, indices, [(n, s * d.itemsize) for n, s in dims], skip)
        lanes = form != "single"
        outer = sizes[: parallel - 1] if lanes else sizes[:parallel]
        moves = [s[: len(outer)] for s in steps]
        width = sizes[parallel - 1]
        if lanes:
            outer = [*outer, (width + block - 1).udiv(block)]
            moves = [[*m, s[parallel - 1] * block] for m, s in zip(moves, steps)]
        meter = Odometer(f, outer, moves, lo)
        with f.range(lo, hi):
            start = [f.bytes(b, o.v) for b, o in zip(base, meter.offsets)]
            columns = f.smin(width - meter.counts[-1].v * block, block) if lanes else f.i64(1)
            total = f.i64(1)
            for n in sizes[parallel:-1]:
                total = total * n
            walk = Odometer(f, sizes[parallel:-1], [s[parallel:-1] for s in steps], f.i64(0))
            with f.range(0, total):
                line = [f.bytes(p, o.v) for p, o in zip(start, walk.offsets)]
                with f.range(0, sizes[-1]) as j:
                    here = [f.bytes(p, j * s[-1]) for p, s in zip(line, steps)]
                    if form == "rows":
                        writer.row(here, [s[parallel - 1] for s in steps], columns)
                    elif form == "block":
                        with f.range(0, columns) as c:
                            writer.one([f.bytes(p, c * s[parallel - 1]) for p, s in zip(here, steps)])
                    else:
                        writer.one(here)
                walk.advance()
            meter.advance()


class _Writer:
    """Writes one element, or one row of lanes, to where its index values point."""

    def __init__(
        self, f: Function, d: Any, body: tuple[Scalar, ...], kinds: tuple[str, str], indices: tuple[str, ...], dims: list[Any], skip: Value
    ) -> None:
        self.f, self.d, self.body, self.kinds, self.indices, self.dims, self.skip = f, d, body, kinds, indices, dims, skip
        self.lanes = lanes_of(body, [d], f.module.target.lanes)

    def target(self, pointers: Sequence[Value]) -> tuple[Value, Value]:
        """(byte offset, the first index value)."""
        f, offset = self.f, self.f.i64(0)
        first = offset
        for k, (name, p, (n, s)) in enumerate(zip(self.indices, pointers, self.dims)):
            i = read_index(f, name, p, n)
            offset = offset + i * s
            first = i if k == 0 else first
        return offset, first

    def combined(self, old: Any, new: Any) -> Any:
        from ..scalar import emit

        f, d = self.f, self.d
        return narrowed(f, emit(self.body, f, [widened(f, old, d), widened(f, new, d)], [])[0], d)

    def one(self, here: list[Value]) -> None:
        f, d = self.f, self.d
        offset, first = self.target(here[2:])
        with f.when(first.ne(self.skip)):
            out = f.bytes(here[0], offset)
            value = load_one(f, d, here[1])
            store_one(f, d, self.combined(load_one(f, d, out), value) if self.body else value, out)

    def row(self, here: list[Value], steps: list[Value], columns: Value) -> None:
        f = self.f
        offset, first = self.target(here[2:])
        with f.when(first.ne(self.skip)):
            out = f.bytes(here[0], offset)
            whole = columns.udiv(self.lanes) * self.lanes
            with f.range(0, whole, self.lanes) as c:
                self._vector(out, here[1], steps, c, None)
            with f.when(whole < columns):
                self._vector(out, here[1], steps, whole, columns - whole)

    def _vector(self, out: Value, values: Value, steps: list[Value], c: Value, left: Value | None) -> None:
        f, d, n = self.f, self.d, self.lanes
        at = [f.bytes(out, c * steps[0]), values if self.kinds[1] == BROADCAST else f.bytes(values, c * steps[1])]
        stride = [s.udiv(d.itemsize) for s in steps[:2]]

        def got(o: int) -> Any:
            if left is None:
                return load(f, d, n, at[o], self.kinds[o], stride[o])
            return load_part(f, d, n, at[o], self.kinds[o], left, stride[o])

        value = self.combined(got(0), got(1)) if self.body else got(1)
        if left is None:
            store(f, d, value, at[0], self.kinds[0] if self.kinds[0] != CONTIGUOUS else CONTIGUOUS, stride[0])
        else:
            store_part(f, d, value, n, at[0], self.kinds[0], left, stride[0])


# -- definition
def interpret_index_put(
    out: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    indices: Sequence[np.ndarray[Any, Any]],
    dims: Sequence[int],
    place: int | None = None,
    reduce: str | None = None,
) -> None:
    """The same with NumPy, one element after the other, into `out` (contiguous)."""
    flat = flat_places(out, indices, dims, place, values.shape)
    _one_by_one(out, values, flat, reduce)


def interpret_scatter(
    out: np.ndarray[Any, Any], values: np.ndarray[Any, Any], index: np.ndarray[Any, Any], dim: int, reduce: str | None = None
) -> None:
    import numpy as np

    shape: tuple[int, ...] = index.shape
    grid: list[np.ndarray[Any, Any]] = list(np.indices(shape))
    if index.ndim:
        grid[dim] = index
    whole: tuple[int, ...] = out.shape
    places = np.arange(int(out.size)).reshape(whole)
    flat: np.ndarray[Any, Any] = places[tuple(grid)] if out.ndim else np.zeros(shape, np.int64)
    _one_by_one(out, values[tuple(slice(0, n) for n in shape)], flat, reduce)


def _one_by_one(out: np.ndarray[Any, Any], values: np.ndarray[Any, Any], flat: np.ndarray[Any, Any], reduce: str | None) -> None:
    """In row-major order: first the first element of every destination, then the second of every destination, and so on."""
    import numpy as np

    from ..pointwise.nest import operand

    kind = operand(out).dtype
    target, places, given = out.reshape(-1), flat.reshape(-1), values.reshape(-1)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    turn = np.arange(places.size) - np.searchsorted(ordered, ordered)  # how many came before to the same destination
    for k in range(int(turn.max(initial=-1)) + 1):
        now = order[turn == k]
        new = given[now]
        if reduce is not None:
            pair = [v.astype(kind.compute.numpy) for v in (target[places[now]], new)]
            new = np.asarray(interpret([REDUCTIONS[reduce](input(0, kind), input(1, kind))], pair)[0]).astype(out.dtype)
        target[places[now]] = new
