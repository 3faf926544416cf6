"""From operands and a body to a schedule: which loops, which form, which runs of work.

Limit: bytes of all operands at the bandwidth of a copy; for heavy bodies their vector instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from ...base.dtypes import bfloat16, complex64, complex128, float32, float64, int16, int64
from ..access import BROADCAST, CONTIGUOUS, INDEX, REVERSED, STRIDED, TURNED, kind_of
from ..coalesce import Geometry, coalesce, contiguous
from ..launch import Array, Counter, In, Kernel, Launch, Number, Operand, Out, Schedule, Word
from ..residency import passes_caches
from ..scalar import Scalar, cast, const, input, interpret, number, simplify, substitute, text
from ..scalar.node import order
from .cost import run_of, used_inputs, weight
from .emit import Port, emit_pointwise, tile_of

if TYPE_CHECKING:
    import numpy as np

LONG_ROW = 32768  # rows longer than this are cut into blocks, so that few long rows still feed all threads
WORD = (1 << 64) - 1  # words are unsigned; a negative stride wraps
LONG = 32  # a loop of these steps is long enough: the innermost of such is taken
SHORT = 8  # dims shorter than this are not worth a transposing tile


def pointwise(
    outputs: Sequence[Operand], inputs: Sequence[Operand], body: Sequence[Scalar], numbers: Sequence[str] = (), *, in_place: bool = False
) -> Schedule:
    """outputs[k][i] = body[k] of inputs[...][i], for every index i of the one shape that all operands have (stride 0 = broadcast).

    `numbers[j]` is the word type of `scalar.number(j)`: "float", "double" or "i64", and "float+float" or "double+double" for a complex
    number; by default what the leaf's dtype wants. `in_place`: an output is an input (with the same strides), so it is in the caches.
    An input may be a `Counter`: places along the dims, counted on instead of divided out of a linear index. It stands behind the tensors.
    """
    shape = tuple(outputs[0].shape)
    if any(tuple(o.shape) != shape for o in (*outputs, *inputs)):
        raise ValueError(f"pointwise wants operands of one shape, not {[tuple(o.shape) for o in (*outputs, *inputs)]}")
    if 0 in shape:
        return Schedule(())
    kinds = tuple(numbers) or number_types(body)
    roots, operands = _signs(*fitted(outputs, inputs, body, kinds))
    geometry = coalesce(operands)
    form, geometry, ports = _form(geometry, operands, len(outputs), used_inputs(roots))
    run = run_of(roots, [o.dtype for o in operands])
    total, grain, block = _items(form, geometry, ports, run)
    traffic = sum(_bytes(o) for o in (*outputs, *inputs))
    if not in_place and passes_caches(traffic) and _streams(ports[: len(outputs)], geometry):
        form += " stream"
    head: list[Word] = [
        *(Out(k) for k in range(len(outputs))),
        *(o.start & WORD if isinstance(o, Counter) else In(k) for k, o in enumerate(operands[len(outputs) :])),
        *geometry.shape,
        *(s & WORD for steps in geometry.strides for s in steps),
        block,
    ]
    kernel = Kernel(emit_pointwise, (text(roots), ports[: len(outputs)], ports[len(outputs) :], kinds, geometry.rank, form))
    launch = Launch(kernel, (*head, *number_words(kinds)), total, grain, traffic, int(prod(shape) * max(1.0, weight(roots))))
    return Schedule((launch,), notes=(f"pointwise {form} rank {geometry.rank}: {', '.join(f'{d} {k}' for d, k in ports)}",))


def copy(out: Operand, source: Operand) -> Schedule:
    """out = source, converted: also transposition, contiguous(), a change of memory format."""
    return pointwise([out], [source], [cast(input(0, source.dtype), out.dtype)])


def flip(out: Operand, source: Operand, dims: Sequence[int]) -> Schedule:
    """out = source with the order of the indices of `dims` turned round: read from the last element back."""
    gone = {d % len(source.shape) for d in dims} if source.shape else set[int]()
    back = tuple(-s if d in gone else s for d, s in enumerate(source.strides))
    last = sum((n - 1) * s for d, (n, s) in enumerate(zip(source.shape, source.strides)) if d in gone) * source.dtype.itemsize
    schedule = copy(out, Array(source.dtype, tuple(source.shape), back))

    def moved(word: Word) -> Word:
        return In(word.index, last) if isinstance(word, In) else word

    return replace(schedule, launches=tuple(replace(x, words=tuple(map(moved, x.words))) for x in schedule.launches))


def fill(out: Operand, value: int | float | complex | None = None) -> Schedule:
    """Every element of out = the constant, or number argument 0."""
    return pointwise([out], [], [number(0, out.dtype) if value is None else const(value, out.dtype.compute)])


def fitted(
    outputs: Sequence[Operand], inputs: Sequence[Operand], body: Sequence[Scalar], kinds: Sequence[str]
) -> tuple[tuple[Scalar, ...], list[Operand]]:
    """The body from and to the types that the operands have in memory, and the operands with the linear index, if it is read, as one more."""
    operands: list[Operand] = [*outputs, *inputs]
    if any(n.op == "index" for n in order(list(body))):
        operands.append(Counter(int64, tuple(outputs[0].shape), contiguous(outputs[0].shape)))
    return tuple(grounded([cast(b, o.dtype.compute) for b, o in zip(body, outputs)], inputs, kinds)), operands


def _signs(roots: tuple[Scalar, ...], operands: list[Operand]) -> tuple[tuple[Scalar, ...], list[Operand]]:
    """Where only the sign of a bfloat16 changes, the change of that bit: nothing is widened."""
    changes, leaf = list[str](), roots[0]
    while leaf.op in ("neg", "abs"):
        changes.append(leaf.op)
        (leaf,) = leaf.args
    if not changes or leaf.op != "input" or len(operands) != 2 or any(o.dtype is not bfloat16 for o in operands):
        return roots, operands
    x = input(0, int16)
    for change in reversed(changes):
        x = x ^ -0x8000 if change == "neg" else x & 0x7FFF
    return (x,), [Array(int16, tuple(o.shape), tuple(o.strides)) for o in operands]


def grounded(body: Sequence[Scalar], inputs: Sequence[Operand], kinds: Sequence[str]) -> list[Scalar]:
    """The body over leaves of the types that memory and words have; the linear index becomes one more input."""
    swap: dict[Scalar, Scalar] = {}
    for leaf in order(list(body)):
        if leaf.op == "index":
            swap[leaf] = input(len(inputs), int64)
        elif leaf.op == "input":
            swap[leaf] = cast(input(leaf.place, inputs[leaf.place].dtype), leaf.dtype)
        elif leaf.op == "number":
            swap[leaf] = cast(number(leaf.place, WORDS[kinds[leaf.place]]), leaf.dtype)
    return simplify(substitute(list(body), swap))


WORDS = {"i64": int64, "float": float32, "double": float64, "float+float": complex64, "double+double": complex128}


def number_types(body: Sequence[Scalar]) -> tuple[str, ...]:
    """Word types of the number leaves, in the order of their indices."""
    found = {n.place: n.dtype for n in order(list(body)) if n.op == "number"}
    out: list[str] = []
    for k in range(max(found, default=-1) + 1):
        d = found.get(k)
        real = "i64" if d is None or not (d.is_complex or d.is_floating_point) else "double" if d.real.itemsize == 8 else "float"
        out.append(f"{real}+{real}" if d is not None and d.is_complex else real)
    return tuple(out)


def number_words(kinds: Sequence[str]) -> list[Word]:
    return [Number(j, t, part) for j, kind in enumerate(kinds) for part, t in enumerate(kind.split("+"))]


def _form(geometry: Geometry, operands: Sequence[Operand], outs: int, used: frozenset[int]) -> tuple[str, Geometry, tuple[Port, ...]]:
    """Name of the form, the loops in the order it wants, and each operand's class in the innermost one."""
    if geometry.rank == 0:
        geometry = Geometry((1,), tuple((1,) for _ in operands))
    turned, geometry = _turned(geometry, operands, outs, used)
    across = _lengthened(geometry)
    geometry = across or geometry
    kinds: list[str] = []
    for o, steps in enumerate(geometry.strides):
        kind = TURNED if o in turned else REVERSED if o >= outs and steps[-1] == -1 else kind_of(steps[-1], geometry.shape[-1])
        kinds.append(INDEX if isinstance(operands[o], Counter) else STRIDED if kind == BROADCAST and o < outs else kind)
    ports = tuple((o.dtype.name, kind) for o, kind in zip(operands, kinds))
    form = "tiles" if turned or across else "flat" if geometry.rank == 1 else "blocks" if geometry.shape[-1] > LONG_ROW else "rows"
    return form, geometry, ports


def _turned(geometry: Geometry, operands: Sequence[Operand], outs: int, used: frozenset[int]) -> tuple[frozenset[int], Geometry]:
    """Inputs whose unit stride lies in another loop than the outputs', and the loops with that one last but one."""
    last = geometry.rank - 1
    if geometry.rank < 2 or geometry.shape[last] < SHORT or any(s[last] != 1 for s in geometry.strides[:outs]):
        return frozenset(), geometry
    candidates: dict[int, list[int]] = {}
    for i in sorted(used):
        o = outs + i
        steps, size = geometry.strides[o], operands[o].dtype.itemsize
        if steps[last] > 1 and size <= 8 and not isinstance(operands[o], Counter):
            d = next((d for d in range(last) if steps[d] == 1 and geometry.shape[d] >= SHORT), None)
            if d is not None:
                candidates.setdefault(d, []).append(o)
    if not candidates:
        return frozenset(), geometry
    down = max(candidates, key=lambda d: len(candidates[d]))
    order_ = [d for d in range(last) if d != down] + [down, last]
    return frozenset(candidates[down]), geometry.moved(order_)


def _lengthened(geometry: Geometry) -> Geometry | None:
    """The loops with a long one innermost, where that is short and some operand is strided along it: a row of two elements that lie apart takes
    as long as a vector of them."""
    last = geometry.rank - 1
    if last < 1 or geometry.shape[last] >= SHORT or all(steps[last] in (0, 1) for steps in geometry.strides):
        return None
    long = max(range(last), key=lambda d: (min(geometry.shape[d], LONG), d))
    if geometry.shape[long] < 2 * SHORT:
        return None
    return geometry.moved([*(d for d in range(last) if d != long), last, long])


def _items(form: str, geometry: Geometry, ports: Sequence[Port], run: int) -> tuple[int, int, int]:
    """(work items, items of a run, elements of a block)."""
    if form == "flat":
        return geometry.shape[0], run, 0
    inner = geometry.shape[-1]
    if form == "tiles":
        high, wide = tile_of(ports)
        tiles = prod(geometry.shape[:-2]) * -(-geometry.shape[-2] // high) * -(-inner // wide)
        return tiles, max(1, run // (high * wide)), 0
    if form == "blocks":
        block = -(-run // 1024) * 1024
        return prod(geometry.shape[:-1]) * -(-inner // block), 1, block
    return prod(geometry.shape[:-1]), max(1, run // max(inner, 16)), 0


def _streams(outs: Sequence[Port], geometry: Geometry) -> bool:
    """One contiguous output, in rows long enough for whole cache lines."""
    return len(outs) == 1 and outs[0][1] == CONTIGUOUS and geometry.shape[-1] >= 64


def _bytes(operand: Operand) -> int:
    """Bytes that lie behind an operand: a broadcast dim counts once."""
    return (
        0
        if isinstance(operand, Counter)
        else operand.dtype.itemsize * prod(n for n, s in zip(operand.shape, operand.strides) if s != 0 or n == 0)
    )


# -- definition
def interpret_pointwise(
    outputs: Sequence[np.ndarray[Any, Any]], inputs: Sequence[np.ndarray[Any, Any]], body: Sequence[Scalar], numbers: Sequence[Any] = ()
) -> None:
    """The same with NumPy, into `outputs`."""
    import numpy as np

    shape: tuple[int, ...] = outputs[0].shape
    kinds = number_types(body)
    roots, _ = fitted([operand(o) for o in outputs], [operand(i) for i in inputs], body, kinds)
    values = [WORDS[kind].numpy.type(v) for kind, v in zip(kinds, numbers)]
    leaves = [*(computed(np.broadcast_to(i, shape)) for i in inputs), np.arange(prod(shape), dtype=np.int64).reshape(shape)]
    for out, value in zip(outputs, interpret(roots, leaves, values)):
        out[...] = np.broadcast_to(np.asarray(value), shape).astype(out.dtype)


def operand(a: np.ndarray[Any, Any]) -> Array:
    """What a kernel is told of an array."""
    from ...base.dtypes import from_numpy

    kind = from_numpy(a.dtype)
    assert kind is not None, f"no dtype for {a.dtype}"
    return Array(kind, a.shape, tuple(s // max(a.itemsize, 1) for s in a.strides))


def computed(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements in the type that arithmetic on them is done in."""
    from ...base.dtypes import from_numpy

    kind = from_numpy(a.dtype)
    return a if kind is None else a.astype(kind.compute.numpy)
