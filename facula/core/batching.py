"""Hidden dims: how `vmap` runs one call for many examples.

A tensor inside `vmap` is an ordinary tensor whose layout has `batch` entries: dims that the program does not see. Plans are found by layout
as everywhere. Pointwise operators loop over hidden dims as over any other, views keep them, composites need nothing. Every other block says
how it takes one more dim (`batching`, `batch`); without that it runs once per example. Derivatives are recorded on what the program sees, so
they are batched by the same road.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import facula.core.objects as objects

from ..base.errors import refuse
from ..base.narrow import is_sequence
from ..base.size import Size
from ..kernel.launch import Array
from ..spec.registry import ops
from .layout import Batch, Layout, layout, row_major, wrap_dim
from .modes import MODE, sync


# -- levels: one per vmap that is running, or whose results' history is still alive
class Level:
    """One `vmap`: the number of its hidden dim, how many examples, what random draws do ("error", "different", "same"), and whether a
    gradient is asked for inside."""

    def __init__(self, size: int, randomness: str) -> None:
        self.size, self.randomness, self.differentiates = size, randomness, False
        try:
            self.number = heapq.heappop(_FREE)
        except IndexError:
            self.number = next(_NEXT)
        LEVELS[self.number] = self

    def __del__(self) -> None:
        heapq.heappush(_FREE, self.number)


_FREE: list[int] = []  # numbers are used again, lowest first, so that plans are found again
_NEXT = itertools.count(1)
LEVELS: weakref.WeakValueDictionary[int, Level] = weakref.WeakValueDictionary()


class _Active(threading.local):
    def __init__(self) -> None:
        self.levels: list[Level] = []


ACTIVE = _Active()  # the levels that this thread is in, the innermost last


def held(t: Any, number: int) -> Any:
    """`t`, whose history keeps the level's number in use."""
    level = LEVELS.get(number)
    if t._node is not None and level is not None:
        t._node.more["level"] = level
    return t


# -- tensors with their history: into a level and out of it (ops/examples.py)
def enter(t: Any, number: int, dim: int) -> Any:
    """The tensor with dim `dim` hidden."""
    return held(ops.enter_examples(t, number, dim), number)


def leave(t: Any, number: int, dim: int, n: int) -> Any:
    """The tensor whose `n` examples are seen as dim `dim`."""
    return held(ops.leave_examples(t, number, dim, n), number)


def lift(t: Any, number: int, n: int) -> Any:
    """The tensor as each example's own, with the same value."""
    return held(ops.lift_examples(t, number, n), number)


def moves(t: Any, number: int) -> bool:
    """Whether each example has a place of its own."""
    return any(k == number and stride for k, _, stride in t._layout.batch)


# -- layouts
def numbers(x: Layout) -> tuple[int, ...]:
    """The levels whose dims are hidden in a layout."""
    return tuple(number for number, _, _ in x.batch)


def extents(layouts: Sequence[Layout]) -> dict[int, int]:
    """How many examples each level of these layouts has."""
    return {number: n for x in layouts for number, n, _ in x.batch}


def roomy(shape: Sequence[int], levels: dict[int, int]) -> Batch:
    """Hidden dims of new memory with a place for every example, outermost first."""
    ordered = sorted(levels.items())
    return tuple((number, n, s) for (number, n), s in zip(ordered, row_major((*(n for _, n in ordered), *shape))))


def merged(shape: Sequence[int], layouts: Sequence[Layout]) -> Batch:
    """Hidden dims of a new result of these operands, outermost first; stride 0 where all operands repeat one example."""
    found = extents(layouts)
    moving = {number for x in layouts for number, _, stride in x.batch if stride}
    strides = {number: s for number, _, s in roomy(shape, {k: n for k, n in found.items() if k in moving})}
    return tuple((number, n, strides.get(number, 0)) for number, n in sorted(found.items()))


def loops(outs: Sequence[Layout], layouts: Sequence[Layout], shape: tuple[int, ...], expanded: Callable[..., Array]) -> Any:
    """(results, operands) of a pointwise nest as arrays: hidden dims first."""
    moving = {number: n for number, n, stride in outs[0].batch if stride}
    lead = tuple(moving.values())

    def array(x: Layout, plain: Any) -> Array:
        own = {number: stride for number, _, stride in x.batch}
        return Array(plain.dtype, (*lead, *plain.shape), (*(own.get(k, 0) for k in moving), *plain.strides))

    return [array(o, o) for o in outs], [array(x, expanded(x, shape)) for x in layouts]


def check_holds(target: Layout, sources: Sequence[Layout], title: str) -> None:
    """RuntimeError when a write would put many examples where there is room for one."""
    own = {number for number, n, stride in target.batch if stride or n == 1}
    for x in sources:
        for number, _, stride in x.batch:
            if stride and number not in own:
                raise refuse(
                    RuntimeError,
                    f"vmap: {title}(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has more elements than "
                    f"`self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a vmap.",
                    received=f"a target of shape {tuple(target.shape)} that all examples share",
                    expected="a target that has a place for every example",
                    hint=f"use the out-of-place operator instead of {title}",
                )


# -- tensors, without history
def expose(t: Any, number: int) -> Any:
    """The tensor with the hidden dim in front of its own."""
    x = t._layout
    n, stride, rest = _entry(x, number)
    return objects.alias(objects.Tensor, t, layout((n, *x.shape), x.dtype, (stride, *x.strides), x.device, rest), 0)


def example(t: Any, number: int, k: int) -> Any:
    """The k-th example; the tensor itself when it has no such hidden dim."""
    x = t._layout
    if number not in numbers(x):
        return t
    _, stride, rest = _entry(x, number)
    return objects.alias(objects.Tensor, t, layout(x.shape, x.dtype, x.strides, x.device, rest), k * stride * x.dtype.itemsize)


def hide(t: Any, number: int) -> Any:
    """The tensor with its first dim hidden."""
    x = t._layout
    batch = tuple(sorted((*x.batch, (number, x.shape[0], x.strides[0]))))
    return objects.alias(objects.Tensor, t, layout(x.shape[1:], x.dtype, x.strides[1:], x.device, batch), 0)


def lifted(t: Any, number: int, n: int) -> Any:
    """The tensor as the same value for every example."""
    x = t._layout
    batch = tuple(sorted((*x.batch, (number, n, 0))))
    return objects.alias(objects.Tensor, t, layout(x.shape, x.dtype, x.strides, x.device, batch), 0)


def bare(t: Any) -> Any:
    """The tensor with all hidden dims in front, for a look at all its values."""
    for number in reversed(numbers(t._layout)):
        t = expose(t, number)
    return t


def _entry(x: Layout, number: int) -> tuple[int, int, Batch]:
    """(extent, stride, the other entries)."""
    n, stride = next((n, s) for k, n, s in x.batch if k == number)
    return n, stride, tuple(e for e in x.batch if e[0] != number)


LOOKED = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please try to rewrite what you're doing "
    "with other operations."
)
CHOSEN = "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that yet"
DYNAMIC = "vmap: We do not support batching operators that can output dynamic shape."


def refuse_look(t: Any, what: str, sentence: str = LOOKED) -> None:
    """RuntimeError when `t` stands for many examples, whose values Python cannot be told as one."""
    if any(stride for _, _, stride in t._layout.batch):
        raise refuse(
            RuntimeError,
            sentence,
            received=f"{what} of a tensor that stands for {[n for _, n, _ in t._layout.batch]} examples",
            hint="torch.where chooses per example",
        )


# -- rules
class Examples:
    """What a block's `batch` is told: how many examples, and which arguments differ between them (those come with the examples' dim in front)."""

    def __init__(self, n: int, names: frozenset[str]) -> None:
        self.n, self.names = n, names

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def all(self, x: Any, name: str) -> Any:
        """The argument with the examples' dim in front, repeated (without a copy) if it is the same for all."""
        return x if x is None or name in self.names else x.unsqueeze(0).expand(self.n, *x.shape)


def batched(op: Any, bound: Sequence[Any], call: Callable[..., Any]) -> Any:
    """One call of an op on tensors with hidden dims, by its block's rule; nothing is recorded."""
    tensors = [t for v in bound for t in (v if is_sequence(v) else (v,)) if isinstance(t, objects.Tensor)]
    number = max(k for t in tensors for k in numbers(t._layout))
    entries = [e for t in tensors for e in t._layout.batch if e[0] == number]
    n = entries[0][1]
    before, MODE.grad = MODE.grad, False
    sync()
    try:
        if not any(stride for _, _, stride in entries):  # the same for all examples
            return _each_result(call(op, *_picked(bound, number, 0)), lambda t: lifted(t, number, n))
        got = _by_rule(op, bound, number, n, call)
        if got is NotImplemented:
            got = _one_by_one(op, bound, number, n, call)
        return _each_result(got, lambda t: hide(t, number))
    finally:
        MODE.grad = before
        sync()


def _each_result(got: Any, f: Callable[[Any], Any]) -> Any:
    if is_sequence(got):
        return tuple(f(t) for t in got)
    return f(got)


def _picked(bound: Sequence[Any], number: int, k: int) -> list[Any]:
    """The arguments of one example."""

    def one(v: Any) -> Any:
        if isinstance(v, objects.Tensor):
            return example(v, number, k)
        if isinstance(v, Layout) and v.batch:
            return layout(v.shape, v.dtype, v.strides, v.device, tuple(e for e in v.batch if e[0] != number))
        return [one(x) for x in v] if is_sequence(v) and not isinstance(v, Size) else v

    return [one(v) for v in bound]


def _by_rule(op: Any, bound: Sequence[Any], number: int, n: int, call: Callable[..., Any]) -> Any:
    block = op.block
    moving: list[Any] = []
    names: set[str] = set()
    for p, v in zip(op.schema.params, bound):
        if p.is_tensor and p.is_list and v is not None:
            if any(moves(t, number) for t in v if t is not None):
                names.add(p.name)
                v = [None if t is None else _front(t, number, n) for t in v]
            else:
                v = _picked(v, number, 0)
        elif isinstance(v, objects.Tensor):
            if moves(v, number):
                names.add(p.name)
                v = expose(v, number)
            else:
                v = example(v, number, 0)
        moving.append(v)
    examples = Examples(n, frozenset(names))
    if block.batch is not None:
        return block.batch(examples, *moving)
    words = block.batching.split()
    if not words:
        return NotImplemented
    return _RULES[words[0]](op, moving, examples, words[1:], call)


def _front(t: Any, number: int, n: int) -> Any:
    return expose(t, number) if moves(t, number) else (u := example(t, number, 0)).unsqueeze(0).expand(n, *u.shape)


def _as_front(op: Any, args: Sequence[Any], examples: Examples, words: Sequence[str], call: Callable[..., Any]) -> Any:
    """One more dim in front of every tensor; `dim`: dims in that argument move by one; `+size`: that shape gets the dim too."""
    given: list[Any] = []
    shaped = [len(v) for p, v in zip(op.schema.params, args) if f"+{p.name}" in words]
    ndim = shaped[0] if shaped else _rank(op, args, examples)
    scalar = ndim == 0 and bool(words)
    for p, v in zip(op.schema.params, args):
        if isinstance(v, objects.Tensor):
            v = examples.all(v, p.name)
            v = v.unsqueeze(-1) if scalar and v.ndim == 1 else v
        elif p.name in words:
            if v is None or (p.is_list and not len(v)):
                v = list(range(1, max(ndim, 1) + 1)) if p.is_list else None
            else:
                v = [wrap_dim(k, ndim) + 1 for k in v] if is_sequence(v) else wrap_dim(v, ndim) + 1
        elif f"+{p.name}" in words:
            v = (examples.n, *v)
        given.append(v)
    got = call(op, *given)
    return _each_result(got, lambda t: t.reshape(examples.n)) if scalar else got


def _rank(op: Any, args: Sequence[Any], examples: Examples) -> int:
    """The rank that one example of the first tensor has."""
    for p, v in zip(op.schema.params, args):
        for t in (v or ()) if p.is_list else (v,):
            if isinstance(t, objects.Tensor):
                return t.ndim - (p.name in examples)
    return 0


def _as_folded(op: Any, args: Sequence[Any], examples: Examples, words: Sequence[str], call: Callable[..., Any]) -> Any:
    """The named tensors begin with a dim of their own that the kernel treats item by item: examples and items become one dim. `+size`: the
    first extent of that shape grows with it. Other tensors must be the same for all examples."""
    if not examples.names <= set(words):
        return NotImplemented
    given: list[Any] = []
    for p, v in zip(op.schema.params, args):
        if isinstance(v, objects.Tensor) and p.name in words:
            v = examples.all(v, p.name).flatten(0, 1)
        elif f"+{p.name}" in words:
            v = (examples.n * v[0], *v[1:])
        given.append(v)
    return _each_result(call(op, *given), lambda t: t.unflatten(0, (examples.n, -1)))


def _as_rows(op: Any, args: Sequence[Any], examples: Examples, words: Sequence[str], call: Callable[..., Any]) -> Any:
    """What is taken over all elements of an example is taken along a row by the named public function."""
    rows = args[0].reshape(examples.n, -1)
    got = getattr(ops, words[0])(rows, 1)
    return got[0] if words[1:] == ["first"] else got


_RULES: dict[str, Callable[..., Any]] = {"front": _as_front, "fold": _as_folded, "rows": _as_rows}


def by_example(op: Any, run: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A composite that looks at values, once per example of the innermost level; recorded as the composite itself is."""
    flat = [*args, *kwargs.values()]
    found = {k: n for v in flat for t in (v if is_sequence(v) else (v,)) if isinstance(t, objects.Tensor) for k, n, _ in t._layout.batch}
    if not found:
        return run(*args, **kwargs)
    number = max(found)
    n = found[number]

    def one(v: Any, k: int) -> Any:
        if isinstance(v, objects.Tensor) and number in numbers(v._layout):
            return leave(v, number, 0, n).select(0, k)
        return [one(x, k) for x in v] if is_sequence(v) and not isinstance(v, Size) else v

    rows = _rows(op, lambda k: by_example(op, run, [one(v, k) for v in args], {name: one(v, k) for name, v in kwargs.items()}), n)
    return _each_result(rows, lambda t: enter(t, number, 0))


STREAM: list[Any] = []  # (state, set state) of the random numbers that "same" repeats, put here by the floor that draws


def _one_by_one(op: Any, bound: Sequence[Any], number: int, n: int, call: Callable[..., Any]) -> Any:
    """One run per example; results are stacked."""
    return _rows(op, lambda k: call(op, *_picked(bound, number, k)), n)


def _rows(op: Any, run: Callable[[int], Any], n: int) -> Any:
    if not n:
        raise RuntimeError(f"vmap: {op.name} runs once per example and there is none, so the result's shape is not known")
    same = bool(ACTIVE.levels) and ACTIVE.levels[-1].randomness == "same"
    state = STREAM[0]() if same else None
    before = [level.randomness for level in ACTIVE.levels]
    for level in ACTIVE.levels:  # examples draw one after the other, as outside
        level.randomness = level.randomness if level.randomness == "error" else ""
    rows: list[Any] = []
    try:
        for k in range(n):
            if same:
                STREAM[1](state)
            rows.append(run(k))
    finally:
        for level, randomness in zip(ACTIVE.levels, before):
            level.randomness = randomness
    try:
        if is_sequence(rows[0]):
            return tuple(ops.stack(list(column)) for column in zip(*rows))
        return ops.stack(rows)
    except RuntimeError:
        raise refuse(
            RuntimeError,
            f"{DYNAMIC} Attempted to vmap over aten::{op.block.public or op.name}.",
            received=f"shapes {sorted({tuple(r.shape) for r in rows if isinstance(r, objects.Tensor)})}",
        ) from None


def reduced(g: Any, outs: Sequence[Layout], want: Layout) -> Any:
    """A gradient for an input that all examples share: summed over the examples that the call's results differ in."""
    shared = {k for o in outs for k in numbers(o)} - set(numbers(want))
    for number in shared & set(numbers(g._layout)):
        g = leave(g, number, 0, _entry(g._layout, number)[0]).sum(0)
    return g
