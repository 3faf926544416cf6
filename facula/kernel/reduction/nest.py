"""From operands, dims and a reducer to a schedule.

Limit: the bytes of the inputs at the bandwidth of reading. A reduction to few results of many elements takes two kernels: partial states of
pieces whose size depends on the shape alone, then those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from ...base.dtypes import dtype, int64
from ..access import BROADCAST, CONTIGUOUS, INDEX, STRIDED, kind_of
from ..coalesce import Geometry, contiguous, merge, sort
from ..launch import Array, In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work, rebased
from ..pointwise.cost import weight
from ..pointwise.nest import WORDS, copy, grounded, number_types, number_words
from ..scalar import cast, input, interpret, number, simplify, substitute, text
from .emit import COLUMNS, WIDEST, Port, emit_reduce
from .reducer import Reducer
from .rows import BLOCK

if TYPE_CHECKING:
    import numpy as np

PIECE = 32768  # elements of a partial result, or more
PARTS = 64  # results (kept elements, or blocks of columns) below which a long reduction is cut
RUN = 16384  # elements of a run of work
MANY = 16  # rows that are worth folding together
SHORT = 128  # elements of a row that two accumulators take: more would only be folded away
FEW = 24  # a reduced loop this short is walked outside, if there is a longer kept one


def reduce(
    outputs: Sequence[Operand], inputs: Sequence[Operand], dims: Sequence[int], reducer: Reducer, numbers: Sequence[str] = ()
) -> Schedule:
    """outputs = reducer over `dims` of the inputs, which all have one (broadcast) shape; the outputs have that shape without `dims`.

    `numbers` as in `pointwise`. `reducer.lift` may be any body over the inputs (a fused prologue).
    """
    shape = tuple(inputs[0].shape)
    gone = sorted(d % len(shape) for d in dims) if shape else []
    rest = tuple(n for d, n in enumerate(shape) if d not in gone)
    if any(tuple(i.shape) != shape for i in inputs) or any(tuple(o.shape) != rest for o in outputs):
        raise ValueError(f"reduce wants inputs of one shape and outputs of {rest}, not {[tuple(o.shape) for o in (*inputs, *outputs)]}")
    if 0 in rest:
        return Schedule(())
    still = {d for d, n in enumerate(shape) if n > 1 and not any(i.strides[d] for i in inputs)}
    if still - set(gone):
        return _spread(outputs, inputs, gone, still - set(gone), reducer, numbers)
    if still and reducer.repeat:
        return _repeated(outputs, inputs, gone, still, reducer, numbers)
    kinds = tuple(numbers) or number_types((*reducer.lift, *reducer.finish))
    reducer = fitted(outputs, inputs, reducer, kinds)
    kept, reduced = _loops(outputs, inputs, gone)
    count = prod(shape[d] for d in gone)
    words: list[Word] = [*(Out(k) for k in range(len(outputs))), *(In(k) for k in range(len(inputs))), 0]
    plan = _Plan(tuple(o.dtype for o in outputs), tuple(i.dtype for i in inputs), words, kept, reduced, reducer, kinds, count)
    pieces, length = _cut(plan)
    if pieces == 1:
        return Schedule((plan.launch(1, length),), notes=(plan.note(),))
    return _twice(plan, pieces, length)


def _spread(
    outputs: Sequence[Operand], inputs: Sequence[Operand], gone: Sequence[int], still: set[int], reducer: Reducer, numbers: Sequence[str]
) -> Schedule:
    """Kept dims along which no input moves: one result of each, copied along them."""
    few = [_narrow(i, still) for i in inputs]
    rest = tuple(n for d, n in enumerate(few[0].shape) if d not in gone)
    place, offsets = 0, list[int]()
    for o in outputs:
        offsets.append(place)
        place += -(-prod(rest) * o.dtype.itemsize // 64) * 64
    small = [Array(o.dtype, rest, contiguous(rest)) for o in outputs]
    first = rebased(reduce(small, few, gone, reducer, numbers), [Work(x) for x in offsets], (), place)
    launches, notes = [*first.launches], [*first.notes]
    for k, (o, s, at) in enumerate(zip(outputs, small, offsets)):
        steps = tuple(0 if n != m else step for n, m, step in zip(rest, o.shape, s.strides))
        spread = rebased(copy(o, Array(o.dtype, tuple(o.shape), steps)), [Out(k)], [Work(at)])
        launches += spread.launches
        notes += spread.notes
    return Schedule(tuple(launches), max(first.workspace, place), tuple(notes))


def _repeated(
    outputs: Sequence[Operand], inputs: Sequence[Operand], gone: Sequence[int], still: set[int], reducer: Reducer, numbers: Sequence[str]
) -> Schedule:
    """Reduced dims along which no input moves: one element of each stands for all."""
    kinds = tuple(numbers) or number_types((*reducer.lift, *reducer.finish))
    place, size = len(kinds), len(reducer.state)
    times = prod(inputs[0].shape[d] for d in still)
    again = substitute(list(reducer.repeat), {input(size, int64): number(place, int64)})
    count = input(size, int64) * number(place, int64)
    swap = {input(k, d): s for k, (d, s) in enumerate(zip(reducer.state, again))} | {input(size, int64): count}
    whole = replace(reducer, finish=tuple(substitute(list(reducer.finish), swap)), repeat=())
    schedule = reduce(outputs, [_narrow(i, still) for i in inputs], gone, whole, (*kinds, "i64"))

    def fixed(w: Word) -> Word:
        return times if isinstance(w, Number) and w.index == place else w

    return replace(schedule, launches=tuple(replace(x, words=tuple(map(fixed, x.words))) for x in schedule.launches))


def _narrow(operand: Operand, dims: set[int]) -> Array:
    """The operand with one element along the dims."""
    return Array(operand.dtype, tuple(1 if d in dims else n for d, n in enumerate(operand.shape)), tuple(operand.strides))


@dataclass(frozen=True)
class _Plan:
    """One kernel: operands are outputs, inputs, and the linear index within the reduced dims as one more input."""

    outs: tuple[dtype, ...]
    ins: tuple[dtype, ...]
    words: list[Word]
    kept: Geometry  # outputs, inputs, index
    reduced: Geometry
    reducer: Reducer
    numbers: tuple[str, ...]
    count: int

    @property
    def form(self) -> str:
        """Lanes along the reduced loop if the first input that moves there is dense, else along the kept one."""
        along = next((s[-1] for s in self.reduced.strides[len(self.outs) : -1] if s[-1]), 0)
        across, width = self.kept.strides[len(self.outs)][-1], self.kept.shape[-1]
        moves = any(s[-1] for s in self.kept.strides[len(self.outs) : -1])
        if self.reduced.shape[-1] <= FEW and width >= 16 and self.reduced.elements <= 4 * FEW and moves:
            return "columns"
        return "columns" if 0 < across < along and width > 1 else "rows"

    @property
    def cut(self) -> int:
        """The reduced loop that pieces are runs of: the longest."""
        return max(range(self.reduced.rank), key=lambda d: self.reduced.shape[d])

    def ports(self) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        kept_lanes = self.form == "columns"
        kinds: list[str] = []
        for o in range(len(self.kept.strides)):
            loops = self.kept if kept_lanes else self.reduced
            kind = kind_of(loops.strides[o][-1], loops.shape[-1])
            kinds.append(STRIDED if kind == BROADCAST and o < len(self.outs) else kind)
        if not kept_lanes:
            kinds[: len(self.outs)] = [CONTIGUOUS] * len(self.outs)
        kinds[-1] = INDEX
        names = [d.name for d in (*self.outs, *self.ins, int64)]
        ports = tuple(zip(names, kinds))
        return ports[: len(self.outs)], ports[len(self.outs) :]

    def note(self) -> str:
        return f"reduce {self.form} {self.kept.shape} kept {self.reduced.shape} reduced"

    def launch(self, pieces: int, length: int, piece_strides: Sequence[int] = ()) -> Launch:
        outs, ins = self.ports()
        cut = self.cut
        length_ = self.reduced.shape[0]
        lines = self.form == "rows" and self.reduced.rank == pieces == 1 and length_ <= BLOCK and self.kept.elements >= MANY
        form = self.form if not lines else "short lines" if length_ < SHORT else "lines"
        r = self.reducer
        static = (
            form, text(r.initial), text(r.lift), text(r.combine), text(r.finish), outs, ins, self.numbers,
            (self.kept.rank, self.reduced.rank), cut,
        )  # fmt: skip
        words: list[Word] = [*self.words, *self.kept.shape, *self.reduced.shape]
        n = len(self.outs)
        for o in range(len(self.kept.strides)):
            words += self.kept.strides[o]
            words += [piece_strides[o] if piece_strides else 0] if o < n else self.reduced.strides[o]
        words += [length, pieces, self.count, *number_words(self.numbers)]
        width = self.kept.shape[-1]
        items = (self.kept.elements // width * -(-width // COLUMNS) if form == "columns" else self.kept.elements) * pieces
        elements = self.kept.elements * self.reduced.elements
        grain = max(1, RUN * items // max(elements, 1))
        grain = -(-grain // WIDEST) * WIDEST if lines else grain
        work = elements * max(1.0, weight(r.lift) + weight(r.combine))
        return Launch(Kernel(emit_reduce, static), tuple(words), items, grain, elements * sum(d.itemsize for d in self.ins), int(work))


def _loops(outputs: Sequence[Operand], inputs: Sequence[Operand], gone: Sequence[int]) -> tuple[Geometry, Geometry]:
    """Kept and reduced loops, each sorted by the first input's strides and merged; operands are outputs, inputs, index."""
    shape = tuple(inputs[0].shape)
    stay = [d for d in range(len(shape)) if d not in gone]
    inner = contiguous([shape[d] for d in gone])
    n = len(outputs)

    def arranged(dims: Sequence[int], outs: Sequence[Sequence[int]], index: Sequence[int]) -> Geometry:
        steps = [tuple(i.strides[d] for d in dims) for i in inputs]
        loops = Geometry(tuple(shape[d] for d in dims), (*steps, *(tuple(o) for o in outs), tuple(index)))
        loops = merge(sort(loops))
        if loops.rank == 0:
            loops = Geometry((1,), tuple((0,) for _ in loops.strides))
        m = len(inputs)
        return Geometry(loops.shape, (*loops.strides[m : m + n], *loops.strides[:m], loops.strides[-1]))

    kept = arranged(stay, [o.strides for o in outputs], [0] * len(stay))
    return kept, arranged(gone, [[0] * len(gone)] * n, inner)


def fitted(outputs: Sequence[Operand], inputs: Sequence[Operand], r: Reducer, kinds: Sequence[str]) -> Reducer:
    """The reducer from and to the operands' types; the index is one more input."""
    state = [Array(d, (), ()) for d in (*r.state, int64)]
    finish = grounded([cast(s, o.dtype.compute) for s, o in zip(r.finish, outputs)], state, kinds)
    return replace(r, lift=tuple(grounded(r.lift, inputs, kinds)), combine=tuple(simplify(list(r.combine))), finish=tuple(finish))


def _cut(plan: _Plan) -> tuple[int, int]:
    """(pieces, length of the cut loop in one): one piece unless there are few results of many elements."""
    longest = plan.reduced.shape[plan.cut]
    width = plan.kept.shape[-1]
    columns = plan.form == "columns"
    items = plan.kept.elements // width * -(-width // COLUMNS) if columns else plan.kept.elements
    each = plan.reduced.elements * (min(width, COLUMNS) if columns else 1)  # elements of an item
    if items >= PARTS or each < 4 * PIECE:
        return 1, max(longest, 1)
    pieces = min(-(-each // (4 * PIECE if columns else PIECE)), longest)
    length = -(-longest // pieces)
    return -(-longest // length), length


def _twice(plan: _Plan, pieces: int, length: int) -> Schedule:
    """Partial states of all pieces into workspace, then the reduction of those."""
    r, kept = plan.reducer, plan.kept
    state = r.state
    results = kept.elements
    words: list[Word] = []
    offset = 0
    for d in state:
        words.append(Work(offset))
        offset += -(-results * pieces * d.itemsize // 64) * 64
    n = len(plan.outs)
    dense = contiguous(kept.shape)
    leaves = tuple(input(i, d) for i, d in enumerate(state))
    first = replace(
        plan,
        outs=state,
        words=[*words, *plan.words[n:]],
        kept=Geometry(kept.shape, ((dense,) * len(state)) + kept.strides[n:]),
        reduced=Geometry(plan.reduced.shape, (((0,) * plan.reduced.rank,) * len(state)) + plan.reduced.strides[n:]),
        reducer=replace(r, finish=leaves),
    )
    second = replace(
        plan,
        ins=state,
        words=[*plan.words[:n], *words, 0],
        kept=Geometry(kept.shape, (*kept.strides[:n], *((dense,) * len(state)), (0,) * kept.rank)),
        reduced=Geometry((pieces,), (*(((0,),) * n), *(((results,),) * len(state)), (0,))),
        reducer=replace(r, lift=leaves),
    )
    launches = (first.launch(pieces, length, [results] * len(state)), second.launch(1, pieces))
    return Schedule(launches, offset, notes=(f"{first.note()} in {pieces} pieces, then {second.note()}",))


# -- definition
def interpret_reduce(
    outputs: Sequence[np.ndarray[Any, Any]],
    inputs: Sequence[np.ndarray[Any, Any]],
    dims: Sequence[int],
    reducer: Reducer,
    numbers: Sequence[Any] = (),
) -> None:
    """The same with NumPy, halving: neighbours combine until one state is left."""
    import numpy as np

    from ..pointwise.nest import computed, operand

    shape = np.broadcast_shapes(*(i.shape for i in inputs))
    gone = sorted(d % len(shape) for d in dims) if shape else []
    stay = [d for d in range(len(shape)) if d not in gone]
    kinds = number_types((*reducer.lift, *reducer.finish))
    r = fitted([operand(o) for o in outputs], [operand(i) for i in inputs], reducer, kinds)
    values = [WORDS[kind].numpy.type(v) for kind, v in zip(kinds, numbers)]
    rest = tuple(shape[d] for d in stay)
    count = prod(shape[d] for d in gone)
    flat = [computed(np.broadcast_to(i, shape).transpose([*stay, *gone]).reshape(*rest, count)) for i in inputs]
    flat.append(np.broadcast_to(np.arange(count, dtype=np.int64), (*rest, count)))
    start = interpret(r.initial, [])
    state = [np.broadcast_to(np.asarray(s), (*rest, max(count, 1))) for s in start]
    if count:
        state = [np.broadcast_to(np.asarray(s), (*rest, count)) for s in interpret(r.lift, flat, values)]
    while state[0].shape[-1] > 1:
        n = state[0].shape[-1]
        odd = [s[..., n - 1 :] for s in state] if n % 2 else None
        merged = interpret(r.combine, [*(s[..., 0 : n - 1 : 2] for s in state), *(s[..., 1::2] for s in state)])
        state = [np.concatenate([m, o], -1) for m, o in zip(merged, odd)] if odd else merged
    last = [s[..., 0] for s in state]
    for out, value in zip(outputs, interpret(r.finish, [*last, np.int64(count)], values)):
        out[...] = np.broadcast_to(np.asarray(value), rest).astype(out.dtype)
