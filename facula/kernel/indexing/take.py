"""Reading through indices: rows (embedding, index_select), elements (gather), and NumPy's advanced indexing, by one kernel.

Limit: bytes written plus bytes read, at the bandwidth of a copy for rows of a few cache lines; single elements from a table beyond the
caches cost its latency over the misses that a core has in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from ...runtime.ir import Function, Module, Value
from ..access import vector_bytes
from ..coalesce import Geometry, merge, sort
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word
from ..pointwise.emit import Odometer
from .loops import Place, advanced, along, read_index

if TYPE_CHECKING:
    import numpy as np

RUN_BYTES = 65536  # of a run of work
UNROLL = 4


def index_get(out: Operand, source: Operand, indices: Sequence[Operand], dims: Sequence[int], place: int | None = None) -> Schedule:
    """out = source[..., indices, ...] (see `loops.advanced`). Inputs: source, then the indices, int32 or int64, checked before."""
    return _take(out, source, advanced(out.shape, source, indices, dims, place))


def index_select(out: Operand, source: Operand, index: Operand, dim: int) -> Schedule:
    """out[..., i, ...] = source[..., index[i], ...]."""
    return _take(out, source, advanced(out.shape, source, [index], [dim], dim % max(len(source.shape), 1)))


def take_rows(out: Operand, source: Operand, index: Operand) -> Schedule:
    """out[*i] = source[index[*i]]: embedding. Rows that are contiguous are copied as bytes."""
    return index_select(out, source, index, 0)


def gather(out: Operand, source: Operand, index: Operand, dim: int) -> Schedule:
    """out[i][j] = source[i][index[i][j]] for dim 1, and so on; out has the index's shape."""
    return _take(out, source, along(source, index, dim))


def _take(out: Operand, source: Operand, place: Place) -> Schedule:
    if 0 in place.shape:
        return Schedule(())
    strides = (tuple(out.strides), place.plain, *(i.strides for i, _, _ in place.indices))
    loops = merge(sort(Geometry(place.shape, strides)))
    if loops.rank == 0:
        loops = Geometry((1,), tuple((0,) for _ in strides))
    steps = [s[-1] for s in loops.strides]
    form = "elements" if any(steps[2:]) else "rows" if steps[0] == 1 and steps[1] == 1 else "strided"
    flat = loops.rank == 1 and form == "elements"
    words: list[Word] = [Out(0), *(In(k) for k in range(1 + len(place.indices))), *loops.shape]
    words += [s for operand in loops.strides for s in operand]
    words += [w for _, size, step in place.indices for w in (size, step)]
    static = (form, out.dtype.itemsize, tuple(i.dtype.name for i, _, _ in place.indices), loops.rank)
    total = loops.shape[0] if flat else prod(loops.shape[:-1])
    each = out.dtype.itemsize * (1 if flat else loops.shape[-1])
    traffic = 2 * prod(place.shape) * out.dtype.itemsize
    launch = Launch(Kernel(emit_take, static), tuple(words), total, max(1, RUN_BYTES // max(each, 16)), traffic, prod(place.shape))
    return Schedule((launch,), notes=(f"take {form} {loops.shape}",))


def emit_take(module: Module, name: str, form: str, size: int, indices: tuple[str, ...], rank: int) -> None:
    """Words: out, source, indices, loop sizes, strides in elements (out, source's plain ones, indices), and for each index the indexed
    dim's size and stride. Items: elements if rank is 1 and every element has its own index, else outer loops."""
    ports = 2 + len(indices)
    widths = [size, size, *(4 if d == "int32" else 8 if d == "int64" else _width(d) for d in indices)]
    with module.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        base = f.words(words, *["ptr"] * ports)
        sizes = f.words(words, *["i64"] * rank, start=ports)
        at = ports + rank
        steps: list[list[Value]] = []
        for w in widths:
            steps.append([s * w for s in f.words(words, *["i64"] * rank, start=at)])
            at += rank
        dims = [f.words(words, "i64", "i64", start=at + 2 * k) for k in range(len(indices))]
        dims = [[n, s * size] for n, s in dims]

        def target(pointers: Sequence[Value]) -> Value:
            """Byte offset that the index values at `pointers` stand for."""
            offset = f.i64(0)
            for d, p, (n, s) in zip(indices, pointers, dims):
                offset = offset + read_index(f, d, p, n) * s
            return offset

        inner = [s[-1] for s in steps]
        if form == "elements" and rank == 1:
            _elements(f, size, base, inner, lo, hi, target)
            return
        meter = Odometer(f, sizes[:-1], [s[:-1] for s in steps], lo)
        with f.range(lo, hi):
            here = [f.bytes(b, o.v) for b, o in zip(base, meter.offsets)]
            if form == "elements":
                _elements(f, size, here, inner, f.i64(0), sizes[-1], target)
            else:
                source = f.bytes(here[1], target(here[2:]))
                if form == "rows":
                    copy_bytes(f, here[0], source, sizes[-1] * size, size)
                else:
                    with f.range(0, sizes[-1]) as i:
                        move_element(f, size, f.bytes(source, i * inner[1]), f.bytes(here[0], i * inner[0]))
            meter.advance()


def _width(d: str) -> int:
    from ...base.dtypes import DTYPES

    return DTYPES[d].itemsize


def bits_of(size: int) -> str:
    return {1: "i8", 2: "i16", 4: "i32", 8: "i64", 16: "<2 x i64>"}[size]


def move_element(f: Function, size: int, source: Value, out: Value) -> None:
    f.store(f.load(bits_of(size), source), out)


def _elements(
    f: Function, size: int, here: list[Value], inner: list[Value], lo: Value, hi: Value, target: Callable[[Sequence[Value]], Value]
) -> None:
    """One index value (or tuple of them) for each element: UNROLL loads in flight, then their stores."""
    main = lo + (hi - lo).udiv(UNROLL) * UNROLL
    for start, stop, step in ((lo, main, UNROLL), (main, hi, 1)):
        with f.range(start, stop, step) as i:
            found: list[Value] = []
            for u in range(step):
                j = i + u
                offset = target([f.bytes(p, j * s) for p, s in zip(here[2:], inner[2:])])
                found.append(f.load(bits_of(size), f.bytes(here[1], j * inner[1] + offset)))
            for u, value in enumerate(found):
                f.store(value, f.bytes(here[0], (i + u) * inner[0]))


def copy_bytes(f: Function, out: Value, source: Value, n: Value, unit: int) -> None:
    """`n` bytes, a multiple of `unit`: vectors, then a masked one or units."""
    width = vector_bytes(f)
    kind = f"<{width} x i8>"
    main = n.udiv(4 * width) * (4 * width)
    with f.range(0, main, 4 * width) as i:
        got = [f.load(kind, f.bytes(source, i + u * width)) for u in range(4)]
        for u, v in enumerate(got):
            f.store(v, f.bytes(out, i + u * width))
    whole = n.udiv(width) * width
    with f.range(main, whole, width) as i:
        f.store(f.load(kind, f.bytes(source, i)), f.bytes(out, i))
    if f.module.target.masked:
        with f.when(whole < n):
            mask = f.mask(width, n - whole)
            f.store(f.load(kind, f.bytes(source, whole), 0, mask), f.bytes(out, whole), 0, mask)
    else:
        with f.range(whole, n, unit) as i:
            move_element(f, unit, f.bytes(source, i), f.bytes(out, i))


# -- definition
def interpret_index_get(
    out: np.ndarray[Any, Any],
    source: np.ndarray[Any, Any],
    indices: Sequence[np.ndarray[Any, Any]],
    dims: Sequence[int],
    place: int | None = None,
) -> None:
    """The same with NumPy, into `out`."""
    out[...] = source.reshape(-1)[flat_places(source, indices, dims, place, out.shape)] if source.size else out


def interpret_gather(out: np.ndarray[Any, Any], source: np.ndarray[Any, Any], index: np.ndarray[Any, Any], dim: int) -> None:
    import numpy as np

    shape: tuple[int, ...] = index.shape
    grid: list[np.ndarray[Any, Any]] = list(np.indices(shape))
    if index.ndim:
        grid[dim] = index
    out[...] = source[tuple(grid)] if source.ndim else source


def flat_places(
    tensor: np.ndarray[Any, Any], indices: Sequence[np.ndarray[Any, Any]], dims: Sequence[int], place: int | None, shape: Sequence[int]
) -> np.ndarray[Any, Any]:
    """Row-major positions in `tensor` that an advanced index touches, in the result's shape."""
    import numpy as np

    dims = [d % tensor.ndim for d in dims]
    together = np.broadcast_shapes(*(i.shape for i in indices))
    rest = [d for d in range(tensor.ndim) if d not in dims]
    if place is None:
        place = dims[0] if dims == list(range(dims[0], dims[0] + len(dims))) else 0
    grid = np.indices(shape) if shape else np.zeros((0,), np.int64)
    flat = np.zeros(shape, np.int64)
    steps = [prod(tensor.shape[d + 1 :]) for d in range(tensor.ndim)]
    own = [*range(place), *range(place + len(together), len(shape))]
    for axis, d in zip(own, rest):
        flat += grid[axis] * steps[d]
    for index, d in zip(indices, dims):
        wide = np.broadcast_to(index, together).astype(np.int64)
        wide = np.where(wide < 0, wide + tensor.shape[d], wide)
        flat += wide.reshape((1,) * place + wide.shape + (1,) * (len(rest) - place)) * steps[d]
    return flat
