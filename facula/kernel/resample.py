"""Resampling of planes on a grid: nearest, linear and cubic interpolation over one to three dims, and their gradients.

Interpolation is separable: along each dim an output is a weighted sum of a few inputs, and tables list which. An item is a band of output rows: rows
of the source are first combined to one row in scratch memory, whole vectors at a time; then every output picks its neighbours from that row. The
gradient is the same kernel with the tables transposed, so nothing is scattered.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..base.target import Target
from ..runtime import host
from ..runtime.ir import SIZE, Function, Module, Value, vector
from ..runtime.pool import reserve
from ..runtime.pool_code import scratch
from .lanes import load_first, narrow, store_first
from .launch import In, Kernel, Launch, Operand, Out, Schedule, Word
from .pooling import lanes as ln

if TYPE_CHECKING:
    import numpy as np

WORDS = {
    "x": "ptr", "y": "ptr", "depth": "i64", "height": "i64", "width": "i64", "out_depth": "i64", "out_height": "i64", "out_width": "i64",
    "index_d": "ptr", "index_h": "ptr", "index_w": "ptr", "weight_d": "ptr", "weight_h": "ptr", "weight_w": "ptr",
    "taps_d": "i64", "taps_h": "i64", "taps_w": "i64", "padded": "i64", "band": "i64", "bands": "i64",
}  # fmt: skip
BAND = 8  # output rows of an item
MODES = ("nearest", "nearest-exact", "linear", "cubic")


def resample(
    out: Operand, x: Operand, *, spatial: int, mode: str, align_corners: bool = False, scales: Sequence[float | None] | None = None,
    target: Target | None = None,
) -> Schedule:  # fmt: skip
    """out (*, *R) from x (*, *S), both contiguous: `spatial` last dims are resampled. In 0 x. `scales`: the user's factors, where they (and not
    the sizes' ratio) define the grid. Half precision computes in float32."""
    return _schedule(out, x, spatial, mode, align_corners, scales, False, target)


def resample_backward(
    gx: Operand, g: Operand, *, spatial: int, mode: str, align_corners: bool = False, scales: Sequence[float | None] | None = None,
    target: Target | None = None,
) -> Schedule:  # fmt: skip
    """gx (*, *S) from g (*, *R). In 0 g."""
    return _schedule(gx, g, spatial, mode, align_corners, scales, True, target)


@functools.lru_cache(512)
def taps(size: int, result: int, mode: str, align_corners: bool, scale: float | None, double: bool) -> tuple[np.ndarray, np.ndarray]:
    """(indices, weights), each [result][taps]. Grids are computed in the arithmetic's precision, as PyTorch does."""
    import numpy as np

    real: Any = np.float64 if double else np.float32
    o = np.arange(result, dtype=real)
    ratio = real(1 / scale) if scale else real(size) / real(result)
    if mode.startswith("nearest"):
        index = np.floor((o + real(0.5 if mode == "nearest-exact" else 0)) * ratio).astype(np.int64)
        return np.minimum(index, size - 1)[:, None], np.ones((result, 1), real)
    if align_corners:
        at = o * (real(size - 1) / real(result - 1) if result > 1 else real(0))
    else:
        at = (o + real(0.5)) * ratio - real(0.5)
    if mode == "linear":
        at = np.maximum(at, real(0))
        first = np.minimum(np.floor(at).astype(np.int64), size - 1)
        t = np.clip(at - first.astype(real), 0, 1).astype(real)
        return np.stack([first, np.minimum(first + 1, size - 1)], 1), np.stack([1 - t, t], 1)
    first = np.floor(at).astype(np.int64)
    t = (at - first.astype(real)).astype(real)
    return np.clip(first[:, None] + np.arange(-1, 3), 0, size - 1), np.stack([_far(t + 1), _near(t), _near(1 - t), _far(2 - t)], 1).astype(
        real
    )


def _near(t: np.ndarray) -> np.ndarray:
    """Cubic convolution for distances up to 1; Keys 1981 with a = -0.75."""
    return ((-0.75 + 2) * t - (-0.75 + 3)) * t * t + 1


def _far(t: np.ndarray) -> np.ndarray:
    """From 1 to 2."""
    return ((-0.75 * t + 5 * 0.75) * t - 8 * 0.75) * t + 4 * 0.75


def transposed(index: np.ndarray, weight: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each input the outputs that used it; padded with weights of zero."""
    import numpy as np

    result, n = int(index.shape[0]), int(index.shape[1])
    source, output, w = index.reshape(-1), np.repeat(np.arange(result), n), weight.reshape(-1)
    order = np.argsort(source, kind="stable")
    source, output, w = source[order], output[order], w[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    most = int(place.max()) + 1 if len(place) else 1
    indices, weights = np.zeros((size, most), np.int64), np.zeros((size, most), weight.dtype)
    indices[source, place], weights[source, place] = output, w
    return indices, weights


@functools.lru_cache(256)
def _tables(size: int, result: int, mode: str, align: bool, scale: float | None, double: bool, back: bool, lanes: int, last: bool) -> Any:
    """A dim's tables for the kernel: [output][tap] of int64 and weights, or along the width [tap][output], int32, padded to vectors."""
    import numpy as np

    index, weight = taps(size, result, mode, align, scale, double)
    if back:
        index, weight = transposed(index, weight, size)
    if not last:
        return np.ascontiguousarray(index), np.ascontiguousarray(weight)
    extra = ((0, 0), (0, -len(index) % lanes))
    return np.ascontiguousarray(np.pad(index.T.astype(np.int32), extra)), np.ascontiguousarray(np.pad(weight.T, extra))


def _schedule(
    out: Operand, x: Operand, spatial: int, mode: str, align: bool, scales: Sequence[float | None] | None, back: bool, target: Target | None
) -> Schedule:
    d = x.dtype
    if mode not in MODES or not 1 <= spatial <= 3 or not d.is_floating_point:
        raise NotImplementedError(
            f"resampling of {d} over {spatial} dims by {mode!r}; it takes floating types, 1 to 3 dims, {', '.join(MODES)}"
        )
    target = target or host.target()
    kind = ln.compute(d)
    lanes = ln.lanes_of(kind, target)
    size, result = ((1,) * (3 - spatial) + tuple(o.shape[-spatial:]) for o in (x, out))
    factors = (None,) * (3 - spatial) + tuple(scales or (None,) * spatial)
    source, to = (result, size) if back else (size, result)  # of the interpolation itself
    if min(*size, *result) == 0 or 0 in out.shape:
        return Schedule(())
    reserve((size[2] + 2 * lanes) * SIZE[kind])
    made = [_tables(n, r, mode, align, f, kind == "double", back, lanes, i == 2) for i, (n, r, f) in enumerate(zip(source, to, factors))]
    bands = -(-result[1] // BAND)
    words: dict[str, Word] = {
        "x": In(0), "y": Out(0), "depth": size[0], "height": size[1], "width": size[2],
        "out_depth": result[0], "out_height": result[1], "out_width": result[2],
        **{f"index_{name}": table[0].ctypes.data for name, table in zip("dhw", made)},
        **{f"weight_{name}": table[1].ctypes.data for name, table in zip("dhw", made)},
        "taps_d": made[0][0].shape[1], "taps_h": made[1][0].shape[1], "taps_w": made[2][0].shape[0], "padded": made[2][0].shape[1],
        "band": BAND, "bands": bands,
    }  # fmt: skip
    total = math.prod(out.shape[: len(out.shape) - spatial]) * result[0] * bands
    grain = max(1, 16384 // (BAND * result[2]))
    nbytes = d.itemsize * (math.prod(x.shape) + math.prod(out.shape))
    launch = Launch(Kernel(emit_resample, (d.name,)), tuple(words[name] for name in WORDS), total, grain, nbytes)
    return Schedule((launch,), 0, (), tuple(made))


class _Names:
    """The kernel's words by name."""

    def __init__(self, f: Function, words: Value) -> None:
        for name, value in zip(WORDS, f.words(words, *WORDS.values())):
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Value:
        raise AttributeError(name)


def emit_resample(m: Module, name: str, dtype_name: str) -> None:
    """Items: planes x output depths x bands of output rows."""
    d = ln.named(dtype_name)
    kind = ln.compute(d)
    lanes = ln.lanes_of(kind, m.target)
    vec = vector(lanes, kind)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w, row = _Names(f, words), scratch(f, worker)
        with f.range(lo, hi) as item:
            first, rest = item.urem(w.bands) * w.band, item.udiv(w.bands)
            od, plane = rest.urem(w.out_depth), rest.udiv(w.out_depth)
            x = f.at(w.x, plane * (w.depth * w.height * w.width), d.llvm)
            with f.range(first, f.smin(w.out_height, first + w.band)) as oh:
                with f.range(0, w.width, lanes) as i:
                    f.store(f.const(vec, 0), row, i)
                with f.range(0, w.taps_d) as kd, f.range(0, w.taps_h) as kh:
                    td, th = od * w.taps_d + kd, oh * w.taps_h + kh
                    weight = f.load(kind, w.weight_d, td) * f.load(kind, w.weight_h, th)
                    with f.when(weight.ne(0.0)):
                        at = (f.load("i64", w.index_d, td) * w.height + f.load("i64", w.index_h, th)) * w.width
                        with f.range(0, w.width, lanes) as i:
                            here = ln.widen(f, d, load_first(f, d.llvm, lanes, f.at(x, at + i, d.llvm), w.width - i))
                            f.store(f.fma(here, f.splat(weight, lanes), f.load(vec, row, i)), row, i)
                to = f.at(w.y, ((plane * w.out_depth + od) * w.out_height + oh) * w.out_width, d.llvm)
                with f.range(0, w.out_width, lanes) as o:
                    total = f.var(vec, 0.0)
                    with f.range(0, w.taps_w) as k:
                        index = f.load(f"<{lanes} x i32>", w.index_w, k * w.padded + o)
                        weight = f.load(vec, w.weight_w, k * w.padded + o)
                        total.v = f.fma(_pick(f, kind, lanes, row, index, weight.ne(0.0)), weight, total.v)
                    store_first(f, narrow(f, d, total.v), f.at(to, o, d.llvm), w.out_width - o)


def _pick(f: Function, kind: str, lanes: int, row: Value, index: Value, used: Value) -> Value:
    """Elements of the row; lanes without weight are zero, whatever lies there."""
    at = f.op(f"<{lanes} x ptr>", f"getelementptr {kind}, ptr {row.text}, {index}")
    name = f"llvm.masked.gather.v{lanes}{'f64' if kind == 'double' else 'f32'}.v{lanes}p0"
    return f.call(vector(lanes, kind), name, at, Value(f, "i32", str(SIZE[kind])), used, f.const(vector(lanes, kind), 0))


def interpret_resample(
    x: np.ndarray, result: Sequence[int], *, mode: str, align_corners: bool = False, scales: Sequence[float | None] | None = None
) -> np.ndarray:
    """In NumPy, one dim after the other, in float64."""
    import numpy as np

    y, n = x.astype(np.float64), len(result)
    for dim, r in enumerate(result):
        axis = x.ndim - n + dim
        index, weight = taps(x.shape[axis], r, mode, align_corners, scales[dim] if scales else None, x.dtype == np.float64)
        line = np.moveaxis(y, axis, -1)
        y = np.moveaxis((line[..., index] * weight).sum(-1), -1, axis)
    return y
