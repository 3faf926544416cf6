"""Reduction over the elements of two rows of one matrix, for all pairs of rows: one result of each, row by row above the diagonal.

The matrix is first turned, so that lanes run along the second row of a pair and results need no folding. A tile of 4 rows by two vectors of
others stays in registers while their elements pass. Limit: arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...base.dtypes import DTYPES, dtype
from ...runtime.ir import Function, Module, Value
from ..access import CONTIGUOUS, element_at, load, load_one, load_part, narrowed, store, store_one, store_part, widened
from ..launch import Array, In, Kernel, Launch, Operand, Out, Schedule, Work, rebased
from ..pointwise.cost import lanes_of, weight
from ..pointwise.nest import copy, number_types, number_words
from ..scalar import emit, parse, text
from .nest import RUN, fitted, interpret_reduce
from .reader import read_numbers
from .reducer import Reducer
from .state import Folding, Held, State

if TYPE_CHECKING:
    import numpy as np

ROWS = 4  # of a tile
VECTORS = 2  # of other rows in a tile
BLOCK = 64  # elements that are combined one after another before they go to the total: the error grows with their number


def reduce_pairs(out: Operand, x: Operand, reducer: Reducer) -> Schedule:
    """out (N (N - 1) / 2,) = reducer over the elements of rows i < j of x (N, D), as its two inputs. Both contiguous."""
    n, depth = x.shape
    if n < 2:
        return Schedule(())
    kinds = number_types((*reducer.lift, *reducer.finish))
    r = fitted([out], [x, x], reducer, kinds)
    turned = copy(Array(x.dtype, (depth, n), (n, 1)), Array(x.dtype, (depth, n), (1, depth)))
    first = rebased(turned, [Work(0)], [In(0)], -(-n * depth * x.dtype.itemsize // 64) * 64)
    static = (text(r.initial), text(r.lift), text(r.combine), text(r.finish), x.dtype.name, out.dtype.name, kinds)
    total, elements = -(-n // ROWS), n * n * depth // 2
    launch = Launch(
        Kernel(emit_pairs, static), (Out(0), In(0), Work(0), n, depth, *number_words(kinds)), total, max(1, RUN * total // max(elements, 1)),
        elements * x.dtype.itemsize, int(elements * max(1.0, weight(r.lift) + weight(r.combine))),
    )  # fmt: skip
    return Schedule((*first.launches, launch), first.workspace, (*first.notes, f"reduce pairs of {n} rows of {depth}"))


class _Tile:
    """States of ROWS rows from `row` on with `vectors` vectors of others."""

    def __init__(self, f: Function, fold: Folding, lift: Any, lanes: int, kind: dtype, numbers: Sequence[Any]) -> None:
        self.f, self.fold, self.lift, self.lanes, self.kind = f, fold, lift, lanes, kind
        self.numbers = [f.splat(v, lanes) for v in numbers]

    def states(self, x: Sequence[Value], others: Value, n: Value, depth: Value, vectors: int, left: Value | None) -> list[list[State]]:
        """`x`: where the rows begin; `others`: the first element of the first other row; of one vector only `left` lanes may exist."""
        f, fold, lanes, kind = self.f, self.fold, self.lanes, self.kind
        start = fold.start(lanes)
        totals = [[Held(f, start) for _ in range(vectors)] for _ in x]
        sums = [[Held(f, start) for _ in range(vectors)] for _ in x]
        with f.range(0, depth, BLOCK) as block:
            with f.range(block, f.smin(depth, block + BLOCK)) as d:
                b: list[Any] = []
                for v in range(vectors):
                    at = element_at(f, kind, others, d * n + v * lanes)
                    raw = load(f, kind, lanes, at, CONTIGUOUS) if left is None else load_part(f, kind, lanes, at, CONTIGUOUS, left)
                    b.append(widened(f, raw, kind))
                for row, line in zip(x, sums):
                    a = widened(f, load(f, kind, lanes, element_at(f, kind, row, d), "broadcast"), kind)
                    for held, other in zip(line, b):
                        held.v = fold.together(held.v, list(emit(self.lift, f, [a, other], self.numbers)))
            for total, line in zip(totals, sums):
                for whole, part in zip(total, line):
                    whole.v = fold.together(whole.v, part.v)
                    part.v = start
        return [[held.v for held in line] for line in totals]


def emit_pairs(
    module: Module, name: str, initial: str, lift: str, combine: str, finish: str, kind_name: str, out_name: str, numbers: tuple[str, ...]
) -> None:
    """Words: out, x, x turned, rows, their elements, numbers. Item: ROWS rows."""
    roots, start, kind, to = parse(lift), parse(initial), DTYPES[kind_name], DTYPES[out_name]
    lanes = lanes_of((*roots, *start), [kind, to], module.target.lanes)
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, x, turned, n, depth = f.words(words, "ptr", "ptr", "ptr", "i64", "i64")
        values = read_numbers(f, words, numbers, 5)
        tile = _Tile(f, Folding(f, start, parse(combine)), roots, lanes, kind, values)

        def put(row: Value, column: Value, s: State, left: Value) -> None:
            """The results of a row with a vector of others, those behind it."""
            v = narrowed(f, emit(parse(finish), f, [*s, f.splat(depth, lanes)], tile.numbers)[0], to)
            before = ((row * (n * 2 - row - 1)) >> 1) - row - 1  # results of earlier rows, and columns that have none
            here = element_at(f, to, out, before + column)
            with f.when((column > row) & (left >= lanes)):
                store(f, to, v, here, CONTIGUOUS)
            with f.when((column > row) & (left < lanes)):
                store_part(f, to, v, lanes, here, CONTIGUOUS, left)
            with f.when(column <= row):
                stage = f.array(to.llvm, lanes)
                store(f, to, v, stage, CONTIGUOUS)
                with f.range(row + 1 - column, f.smin(left, lanes)) as k:
                    store_one(f, to, load_one(f, to, element_at(f, to, stage, k)), element_at(f, to, here, k))

        with f.range(lo, hi) as item:
            first = item * ROWS
            rows = [element_at(f, kind, x, f.smin(first + r, n - 1) * depth) for r in range(ROWS)]

            def all_of(column: Value, vectors: int, left: Value | None) -> None:
                states = tile.states(rows, element_at(f, kind, turned, column), n, depth, vectors, left)
                for r, line in enumerate(states):
                    for v, s in enumerate(line):
                        put(first + r, column + v * lanes, s, f.i64(lanes) if left is None else left)

            whole = first + 1 + (n - first - 1).udiv(lanes * VECTORS) * (lanes * VECTORS)
            with f.range(first + 1, whole, lanes * VECTORS) as column:
                all_of(column, VECTORS, None)
            with f.range(whole, n, lanes) as column:
                all_of(column, 1, f.smin(n - column, lanes))


# -- definition
def interpret_pairs(out: np.ndarray[Any, Any], x: np.ndarray[Any, Any], reducer: Reducer, numbers: Sequence[Any] = ()) -> None:
    """The same with NumPy."""
    import numpy as np

    i, j = np.triu_indices(len(x), 1)
    interpret_reduce([out], [x[i], x[j]], [1], reducer, numbers)
