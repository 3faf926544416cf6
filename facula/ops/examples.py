"""Into and out of `vmap`: a dim is hidden, and seen again. Views; their history holds the level whose number they speak of."""

from __future__ import annotations

from ..core.batching import enter, extents, leave, moves
from ..core.layout import Layout
from ..core.result import View
from ..core.tensor import Tensor
from ..spec.block import Movement


def own(x: Tensor, *others: Tensor) -> Tensor:
    """`x` in memory that has a place for every example that the others differ in; `x` itself where it has."""
    for number, n in extents([t._layout for t in others]).items():
        x = in_own_places(x, number, n)
    return x


def in_own_places(x: Tensor, number: int, n: int) -> Tensor:
    """`x` with a place for each of `n` examples of a level."""
    return x if moves(x, number) else enter(leave(x, number, 0, n).contiguous(), number, 0)


class EnterExamples(Movement):
    """Dim `dim` is hidden as level `number`."""

    schema = "enter_examples(Tensor input, int number, int dim) -> Tensor"
    paths = ""

    @staticmethod
    def view(x: Layout, number: int, dim: int) -> View:
        batch = tuple(sorted((*x.batch, (number, x.shape[dim], x.strides[dim]))))
        return View((*x.shape[:dim], *x.shape[dim + 1 :]), (*x.strides[:dim], *x.strides[dim + 1 :]), batch=batch)

    @staticmethod
    def gradient(g: Tensor, input: Layout, number: int, dim: int) -> Tensor:
        return leave(g, number, dim, input.shape[dim])


class LeaveExamples(Movement):
    """The hidden dim `number`, of extent `n`, becomes dim `dim`; what is the same for all examples is repeated."""

    schema = "leave_examples(Tensor input, int number, int dim, int n) -> Tensor"
    paths = ""

    @staticmethod
    def view(x: Layout, number: int, dim: int, n: int) -> View:
        stride = next((s for k, _, s in x.batch if k == number), 0)
        batch = tuple(e for e in x.batch if e[0] != number)
        return View((*x.shape[:dim], n, *x.shape[dim:]), (*x.strides[:dim], stride, *x.strides[dim:]), batch=batch)

    @staticmethod
    def gradient(g: Tensor, input: Layout, number: int, dim: int) -> Tensor:
        if any(k == number for k, _, _ in input.batch):
            return enter(g, number, dim)
        return g.sum(dim)


class LiftExamples(Movement):
    """The same value for each of `n` examples of level `number`; its gradient differs between them."""

    schema = "lift_examples(Tensor input, int number, int n) -> Tensor"
    paths = ""

    @staticmethod
    def view(x: Layout, number: int, n: int) -> View:
        return View(x.shape, x.strides, batch=tuple(sorted((*x.batch, (number, n, 0)))))

    @staticmethod
    def gradient(g: Tensor) -> Tensor:
        return g  # the engine sums it over the examples: the input is shared by them
