"""Inclusive scans: cumulative sums, products, maxima and minima with their places, log-sum-exps.

Limit: bytes read and written at the bandwidth of a copy; a long row that is cut into pieces is read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from ...base.dtypes import bool_, complex128, dtype, int64, uint8
from ..access import BROADCAST, INDEX, STRIDED, kind_of
from ..coalesce import Geometry, merge, sort
from ..launch import Array, In, Kernel, Launch, Operand, Out, Schedule, Word, Work
from ..pointwise.emit import Port
from ..pointwise.nest import WORDS, grounded, number_types, number_words
from ..reduction.reducer import Reducer, highest, lowest, reducer
from ..scalar import Scalar, atan2, cast, complex_, cos, exp, imag, interpret, isnan, log1p, real, simplify, sin, text, where
from .emit import COLUMNS, emit_scan

if TYPE_CHECKING:
    import numpy as np

PIECE = 32768  # elements that a row is cut into when there are few rows
FEW = 16  # rows, or blocks of columns, below which long ones are cut
LONG = 1 << 24  # elements of a block of columns that is cut, for signals: lanes are busy, and pieces are read twice
RUN = 8192  # elements of a run of work


def scan(
    outputs: Sequence[Operand], inputs: Sequence[Operand], dim: int, reducer: Reducer, numbers: Sequence[str] = (), ordered: bool = False
) -> Schedule:
    """outputs[..., i, ...] = finish of the combination of elements 0..i along `dim`; all operands have one shape.

    `combine(a, b)` gets a from earlier places than b; `ordered`: b is always one element. `index()` in `lift` is the place along `dim`; the
    count that `finish` gets is its size.
    """
    shape = tuple(inputs[0].shape) or (1,)
    everything = [Array(o.dtype, shape, tuple(o.strides) or (1,)) for o in (*outputs, *inputs)]
    if any((tuple(o.shape) or (1,)) != shape for o in (*outputs, *inputs)):
        raise ValueError(f"scan wants operands of one shape, not {[tuple(o.shape) for o in (*outputs, *inputs)]}")
    if 0 in shape:
        return Schedule(())
    dim %= len(shape)
    n = len(outputs)
    kinds = tuple(numbers) or number_types((*reducer.lift, *reducer.finish))
    state = [Array(d, (), ()) for d in (*reducer.state, int64)]
    finish = grounded([cast(s, o.dtype.compute) for s, o in zip(reducer.finish, outputs)], state, kinds)
    bodies = (text(reducer.initial), text(grounded(reducer.lift, inputs, kinds)), text(simplify(list(reducer.combine))), text(finish))
    everything.append(Array(int64, shape, tuple(int(d == dim) for d in range(len(shape)))))
    kept, along = _loops(everything, dim, n)
    length, rows = shape[dim], kept.elements
    across = kept.strides[n][-1]
    columns = ordered or (0 < across < along[n] and kept.shape[-1] >= 4)
    ports: list[Port] = []
    for o, (a, steps) in enumerate(zip(everything, kept.strides)):
        kind = kind_of(steps[-1] if columns else along[o], kept.shape[-1] if columns else length)
        ports.append((a.dtype.name, INDEX if o == len(everything) - 1 else STRIDED if kind == BROADCAST and o < n else kind))
    words: list[Word] = [*(Out(k) for k in range(n)), *(In(k) for k in range(len(inputs))), 0]
    traffic = sum(prod(shape) * a.dtype.itemsize for a in everything[:-1])

    def launch(form: str, total: int, grain: int, piece: int, pieces: int, slots: Sequence[Word]) -> Launch:
        strides = [s for steps, step in zip(kept.strides, along) for s in (*steps, step)]
        all_: list[Word] = [*words, *slots, *kept.shape, length, *strides, piece, pieces, *number_words(kinds)]
        static = (form, *bodies, tuple(ports[:n]), tuple(ports[n:]), kinds, kept.rank)
        return Launch(Kernel(emit_scan, static), tuple(all_), total, max(1, grain), traffic, prod(shape))

    none: list[Word] = [0] * len(reducer.state)
    width = min(kept.shape[-1], COLUMNS) if columns else 1
    items = rows // kept.shape[-1] * -(-kept.shape[-1] // COLUMNS) if columns else rows
    form, prefix = ("columns", "columns ") if columns else ("rows", "")
    if ordered or items >= FEW or length * width < (LONG if columns else 4 * PIECE):
        return Schedule((launch(form, items, RUN // (length * width), length, 1, none),), notes=(f"scan {form}",))
    piece = max(1, PIECE // width)
    pieces = -(-length // piece)
    slots: list[Word] = []
    size = 0
    for d in reducer.state:
        slots.append(Work(size))
        size += -(-rows * pieces * d.itemsize // 64) * 64
    steps = (
        launch(prefix + "total", items * pieces, 1, piece, pieces, slots),
        launch(prefix + "carry", rows, 1, piece, pieces, slots),
        launch(prefix + "follow", items * pieces, 1, piece, pieces, slots),
    )
    return Schedule(steps, size, notes=(f"scan {form} in {pieces} pieces",))


def _loops(operands: Sequence[Array], dim: int, outs: int) -> tuple[Geometry, list[int]]:
    """Kept loops of all operands (sorted by the first input), and each one's stride along `dim`."""
    stay = [d for d in range(len(operands[0].shape)) if d != dim]
    turned = [*operands[outs:], *operands[:outs]]
    loops = merge(sort(Geometry(tuple(operands[0].shape[d] for d in stay), tuple(tuple(o.strides[d] for d in stay) for o in turned))))
    if loops.rank == 0:
        loops = Geometry((1,), tuple((0,) for _ in turned))
    m = len(operands) - outs
    return Geometry(loops.shape, (*loops.strides[m:], *loops.strides[:m])), [o.strides[dim] for o in operands]


# -- reducers that only scans have
def cummax_of(d: dtype) -> Reducer:
    """(largest so far, its last place); NaN stays."""
    return _extreme(d, lowest(d), lambda x, y: y >= x)


def cummin_of(d: dtype) -> Reducer:
    """(smallest so far, its last place); NaN stays."""
    return _extreme(d, highest(d), lambda x, y: y <= x)


def _extreme(d: dtype, start: int | float, better: Callable[[Scalar, Scalar], Scalar]) -> Reducer:
    kept = uint8 if d is bool_ else d.compute

    def combine(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        (x, i), (y, j) = a, b
        take = isnan(y) | (~isnan(x) & better(x, y)) if kept.is_floating_point else better(x, y)
        return where(take, y, x), where(take, j, i)

    return reducer([start, 0], [kept, int64], lambda x, i: (cast(x, kept), i), combine, inputs=[d], indexed=True)


def complex_logcumsumexp_of(d: dtype) -> Reducer:
    """log(sum(exp(z))) in complex numbers: m + log1p(exp(n - m)), m the one with the larger real part. The imaginary part goes on from m's and
    is not brought back into (-pi, pi], as in PyTorch, so it depends on the order; kept in complex128."""
    low, high, nan = float("-inf"), float("inf"), float("nan")

    def lift(z: Scalar) -> Scalar:
        return cast(complex_(real(z), where(real(z).__eq__(low), 0.0, imag(z))), complex128)

    def combine(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> Scalar:
        (x, u), (y, v) = ((real(s[0]), imag(s[0])) for s in (a, b))
        later = y >= x
        top, angle = where(later, y, x), where(later, v, u)
        size = exp(where(x.__eq__(y), 0.0, where(later, x - y, y - x)))
        turn = where(size.__eq__(0.0), 0.0, where(later, u - v, v - u))
        across, up = size * cos(turn), size * sin(turn)
        grown = log1p(across * (across + 2) + up * up) * 0.5
        none = top.__eq__(low)
        lost = isnan(a[0]) | isnan(b[0])
        size = where(lost, nan, where(none | top.__eq__(high), top, top + grown))
        return complex_(size, where(lost, nan, where(none, u, angle + atan2(up, across + 1))))

    return reducer([complex(low, 0)], [complex128], lift, combine, inputs=[d])


# -- definition
def interpret_scan(
    outputs: Sequence[np.ndarray[Any, Any]],
    inputs: Sequence[np.ndarray[Any, Any]],
    dim: int,
    reducer: Reducer,
    numbers: Sequence[Any] = (),
) -> None:
    """The same with NumPy, one place after the other."""
    import numpy as np

    from ..pointwise.nest import computed, operand

    kinds = number_types((*reducer.lift, *reducer.finish))
    values = [WORDS[kind].numpy.type(v) for kind, v in zip(kinds, numbers)]
    moved = [computed(np.moveaxis(np.atleast_1d(i), dim, 0)) for i in inputs]
    lift = grounded(reducer.lift, [operand(i) for i in inputs], kinds)
    state = [np.broadcast_to(np.asarray(s), moved[0].shape[1:]) for s in interpret(reducer.initial, [])]
    for i in range(moved[0].shape[0]):
        own = interpret(lift, [*(m[i] for m in moved), np.full(moved[0].shape[1:], i, np.int64)], values)
        state = interpret(reducer.combine, [*state, *own])
        done = interpret(reducer.finish, [*state, np.int64(moved[0].shape[0])], values)
        for out, value in zip(outputs, done):
            np.moveaxis(np.atleast_1d(out) if out.ndim == 0 else out, dim, 0)[i] = np.asarray(value).astype(out.dtype)
