"""Pooling over one to three spatial dims: maximum, average, adaptive, unpooling, and their gradients.

Operands are contiguous; leading dims are planes. Maxima take floating and integer types, averages floating ones; half precision computes in
float32 and is rounded once. Every function returns a Schedule; `target` is the instruction set, this machine's by default. A maximum can note
where it came from in two ways: "index", int64, PyTorch's flat index in the plane; or "tap", uint8, the tap of the window (at most 256 taps),
which is an eighth of the memory and enough for the gradient.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...base.target import Target
from ...runtime import host
from ...runtime.ir import SIZE
from ...runtime.pool import reserve
from ..launch import In, Kernel, Launch, Operand, Out, Schedule, Word, bits, unsigned
from . import fractional as fr
from . import gradients as gr
from . import lanes as ln
from . import planes as pl
from . import windows as wn

if TYPE_CHECKING:
    import numpy as np

BOARD = 3 << 19  # bytes of scratch memory for the rows of a band
WIDE = 128  # columns of a box from which one sum would be waited for
Three = tuple[int, int, int]


def max_pool(
    out: Operand, x: Operand, *, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], note: str = "",
    target: Target | None = None,
) -> Schedule:  # fmt: skip
    """out (*, *R) = maxima of windows of x (*, *S). In 0 x; Out 0 out, Out 1 what `note` says, out's shape. ceil_mode is out's shape.
    NaN wins."""
    p = _pool(out, x, kernel, stride, padding, dilation)
    if note == "tap" and math.prod(p.kernel) > 256:
        raise NotImplementedError(f"a window of {math.prod(p.kernel)} taps does not fit one byte; use note='index'")
    return _windows(p, "max", note, target or host.target(), None, True)


def avg_pool(
    out: Operand, x: Operand, *, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], count_include_pad: bool = True,
    divisor_override: int | None = None, target: Target | None = None,
) -> Schedule:  # fmt: skip
    """out (*, *R) = means of windows of x (*, *S). In 0 x; Out 0 out."""
    p = _pool(out, x, kernel, stride, padding, (1,) * len(kernel))
    return _windows(p, "avg", "", target or host.target(), divisor_override, count_include_pad)


def fractional_max_pool(out: Operand, x: Operand, *, kernel: Sequence[int], order: Sequence[int]) -> Schedule:
    """Maxima of windows of x (*, *S) at random places. In 0 x, In 1 numbers (*, n) of x's type, of which `order` says whose dim each is; Out 0
    out (*, *R), Out 1 int64 flat indices."""
    one = (1,) * len(kernel)
    p = _pool(out, x, kernel, one, (0,) * len(kernel), one)
    reserve(8 * sum(p.out))
    words: dict[str, Word] = {
        "x": In(0), "samples": In(1), "y": Out(0), "codes": Out(1), "count": len(kernel), **dict(zip(("at_d", "at_h", "at_w"), _three(order, 0))),
        "depth": p.size[0], "height": p.size[1], "width": p.size[2], "out_depth": p.out[0], "out_height": p.out[1], "out_width": p.out[2],
        "kd": p.kernel[0], "kh": p.kernel[1], "kw": p.kernel[2],
    }  # fmt: skip
    elements = math.prod(p.out) * math.prod(p.kernel)
    return _schedule(Kernel(fr.emit_fractional, (p.dtype.name,)), fr.WORDS, words, p.planes, elements, p.dtype.itemsize)


def max_pool_backward(
    gx: Operand, g: Operand, *, kernel: Sequence[int] = (), stride: Sequence[int] = (), padding: Sequence[int] = (), dilation: Sequence[int] = (),
    note: str = "index", spatial: int = 0,
) -> Schedule:  # fmt: skip
    """gx (*, *S) from g (*, *R). In 0 g, In 1 what the forward noted. With "index" (also of adaptive pooling) `spatial` replaces the window."""
    spatial = spatial or len(kernel)
    if note == "tap":
        p = _pool(g, gx, kernel, stride, padding, dilation)
        return _scatter(p.planes, p.dtype, p.size, p.out, "tap", "add", p)
    return _by_index(gx, g, spatial, "add")


def max_unpool(out: Operand, x: Operand, *, spatial: int) -> Schedule:
    """out (*, *S), zeros but out[plane][index] = x. In 0 x (*, *R), In 1 int64 indices of its shape; indices outside the plane are skipped."""
    return _by_index(out, x, spatial, "put")


def max_unpool_backward(gx: Operand, g: Operand, *, spatial: int) -> Schedule:
    """gx (*, *R) = g[plane][index]. In 0 g (*, *S), In 1 int64 indices of gx's shape; `spatial` dims are pooled."""
    planes, size, count = math.prod(g.shape[: len(g.shape) - spatial]), math.prod(g.shape[-spatial:]), math.prod(gx.shape[-spatial:])
    words: dict[str, Word] = {"source": In(0), "codes": In(1), "to": Out(0), "size": size, "count": count}
    return _schedule(Kernel(pl.emit_take, (g.dtype.llvm,)), pl.TAKE_WORDS, words, planes, size, 2 * g.dtype.itemsize + 8)


def avg_pool_backward(
    gx: Operand, g: Operand, *, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], count_include_pad: bool = True,
    divisor_override: int | None = None, target: Target | None = None,
) -> Schedule:  # fmt: skip
    """gx (*, *S) from g (*, *R). In 0 g."""
    p = _pool(g, gx, kernel, stride, padding, (1,) * len(kernel))
    quick = _average_gradient(p, target or host.target(), divisor_override, count_include_pad)
    if quick:
        return quick
    bounds = [window_bounds(*line, count_include_pad) for line in zip(p.size, p.out, p.kernel, p.stride, p.padding)]
    return _regions("spread", p, bounds, False, divisor_override or 0)


def adaptive_avg_pool(out: Operand, x: Operand, *, spatial: int, target: Target | None = None) -> Schedule:
    """Means of `spatial` last dims of x over boxes floor(i S / R) .. ceil((i + 1) S / R). In 0 x."""
    return _adaptive("avg", out, x, spatial, False, target)


def adaptive_max_pool(out: Operand, x: Operand, *, spatial: int, index: bool = True, target: Target | None = None) -> Schedule:
    """Maxima over the same boxes. In 0 x; Out 0 out, Out 1 int64 flat indices when `index`. The gradient is max_pool_backward by index."""
    return _adaptive("max", out, x, spatial, index, target)


def adaptive_avg_pool_backward(gx: Operand, g: Operand, *, spatial: int, target: Target | None = None) -> Schedule:
    """gx (*, *S) from g (*, *R). In 0 g."""
    p = _pool(g, gx, (1,) * spatial, (1,) * spatial, (0,) * spatial, (1,) * spatial)
    p, bounds = _flat(p)
    return _regions("spread", p, bounds, False, 0)


@dataclass(frozen=True)
class _Pool:
    """Sizes in three dims: `size` of the larger side's plane, `out` of the smaller side's."""

    dtype: Any
    planes: int
    size: Three
    out: Three
    kernel: Three
    stride: Three
    padding: Three
    dilation: Three


def _three(xs: Sequence[int], fill: int) -> Three:
    a, b, c = (*(fill,) * (3 - len(xs)), *xs)
    return (a, b, c)


def _pool(
    small: Operand, large: Operand, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> _Pool:
    n = len(kernel)
    if not 1 <= n <= 3 or small.dtype is not large.dtype:
        raise ValueError(f"pooling takes 1 to 3 spatial dims and one dtype, not {n}, {small.dtype}, {large.dtype}")
    for operand in (small, large):
        _contiguous(operand)
    ln.compute(large.dtype)
    size, out = _three(large.shape[-n:], 1), _three(small.shape[-n:], 1)
    planes = math.prod(large.shape[: len(large.shape) - n])
    return _Pool(large.dtype, planes, size, out, _three(kernel, 1), _three(stride, 1), _three(padding, 0), _three(dilation, 1))


def _contiguous(operand: Operand) -> None:
    if 0 in operand.shape:
        return
    expected = 1
    for size, stride in zip(reversed(operand.shape), reversed(operand.strides)):
        if size > 1 and stride != expected:
            raise NotImplementedError(f"pooling takes contiguous operands, not strides {operand.strides}")
        expected *= size


def _schedule(
    kernel: Kernel,
    types: dict[str, str],
    words: dict[str, Word],
    total: int,
    work: int,
    nbytes: int,
    keep: tuple[Any, ...] = (),
    note: str = "",
) -> Schedule:
    """`work`: elements of an item, `nbytes` of an element."""
    if not total or not work:
        return Schedule((), keep=keep)
    launch = Launch(kernel, unsigned(words[name] for name in types), total, max(1, 32768 // work), nbytes * work * total)
    return Schedule((launch,), 0, (note,) if note else (), keep)


@functools.lru_cache(512)
def _window_tables(p: _Pool, how: str, include: bool, override: int, lanes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along W, H, D: the first tap inside the plane (max; int32 along W, else int64), or the divisor (avg; in the arithmetic's type)."""
    import numpy as np

    tables: list[np.ndarray] = []
    for dim, (n, r, k, s, pad, d) in enumerate(zip(p.size, p.out, p.kernel, p.stride, p.padding, p.dilation)):
        padded: int = -(-r // lanes) * lanes if dim == 2 else r
        begin = np.arange(padded) * s - pad
        if how == "max":
            tables.append(np.maximum(-(begin // d), 0).astype(np.int32 if dim == 2 else np.int64))
            continue
        end: np.ndarray = np.minimum(begin + k, n + pad)
        length: np.ndarray = end - begin if include else np.minimum(end, n) - np.maximum(begin, 0)
        if override:
            length = np.full(padded, override if dim == 0 else 1)
        tables.append((length if override else np.maximum(length, 1)).astype(np.float64 if p.dtype.name == "float64" else np.float32))
    d, h, w = tables
    return w, h, d


def _windows(p: _Pool, how: str, note: str, target: Target, override: int | None, include: bool) -> Schedule:
    if note != "tap" and p.dilation == (1, 1, 1) and (p.stride[2] > wn.PACES or p.out[2] == 1 < p.kernel[2]):
        lines = zip(p.size, p.out, p.kernel, p.stride, p.padding)
        return _regions(how, p, [window_bounds(*line, include) for line in lines], note == "index", override or 0)
    kind = ln.compute(p.dtype)
    lanes = ln.lanes_of(kind, target)
    w, h, d = keep = _window_tables(p, how, include, override or 0, lanes)
    (kd, kh, kw), (sd, sh, sw), (dd, dh, dw) = p.kernel, p.stride, p.dilation
    rows, columns, size = p.out[1], p.out[2], SIZE[kind]

    def pitch(n: int) -> int:
        return -(-n // lanes) * lanes * sw + (kw - 1) * dw + 3 * lanes

    def board(r: int, c: int) -> int:
        return (kd * ((r - 1) * sh + (kh - 1) * dh + 1) + 1) * pitch(c) * size

    while rows > 1 and board(rows, columns) > BOARD:
        rows = -(-rows // 2)
    while columns > lanes and board(rows, columns) > BOARD:
        columns = -(-columns // 2 // lanes) * lanes
    reserve(board(rows, columns) + 4096)
    bands_h, bands_w = -(-p.out[1] // max(rows, 1)), -(-p.out[2] // max(columns, 1))
    plane = (p.size[1] * p.size[2], p.size[2], 1)
    code = tuple(x * y for x, y in zip(plane, p.dilation)) if note == "index" else (kh * kw, kw, 1)
    words: dict[str, Word] = {
        "x": In(0), "y": Out(0), "codes": Out(1) if note else 0, "first_w": w.ctypes.data, "first_h": h.ctypes.data, "first_d": d.ctypes.data,
        "depth": p.size[0], "height": p.size[1], "width": p.size[2], "out_depth": p.out[0], "out_height": p.out[1], "out_width": p.out[2],
        "kd": kd, "kh": kh, "kw": kw, "sd": sd, "sh": sh, "sw": sw, "pd": p.padding[0], "ph": p.padding[1], "pw": p.padding[2],
        "dd": dd, "dh": dh, "dw": dw, "band_height": rows, "bands_h": bands_h, "band_width": columns, "bands_w": bands_w,
        "pitch": pitch(columns), "code_d": code[0], "code_h": code[1], "code_w": code[2],
    }  # fmt: skip
    form = wn.Form(
        how, p.dtype.name, kw if kw <= 3 else 0, sw if sw <= wn.PACES else 0, note, not note and kd * kh > 1 and math.prod(p.kernel) > 9
    )
    total = p.planes * p.out[0] * bands_h * bands_w if math.prod(p.out) else 0
    return _schedule(Kernel(wn.emit_windows, (form,)), wn.WORDS, words, total, max(1, rows * columns), 5 * p.dtype.itemsize, keep)


def _average_gradient(p: _Pool, target: Target, override: int | None, include: bool) -> Schedule | None:
    """By windows; None where a vector of them is far longer than a row, or a plane does not fit the scratch memory."""
    kind = ln.compute(p.dtype)
    lanes = ln.lanes_of(kind, target)
    stride = p.stride[2]
    border = (p.kernel[2] - 1) // stride + 1
    reach = -(-(p.size[2] + p.padding[2]) // stride)  # outputs that an element may look for
    pitch = -(-(border + max(p.out[2], reach) + 3 * lanes) // lanes) * lanes
    room = (
        (p.out[0] * p.out[1] + 2) * pitch * SIZE[kind]
        + (p.size[2] + p.padding[2] + (stride + 2) * lanes) * SIZE[kind]
        + 8 * math.prod(p.kernel[:2])
    )
    if stride > wn.PACES or (stride > 2 and 2 * p.size[2] < lanes * stride) or room > 2 * BOARD:
        return None
    w, h, d = keep = _window_tables(p, "avg", include, override or 0, lanes)
    words: dict[str, Word] = {
        "g": In(0), "to": Out(0), "divisor_w": w.ctypes.data, "divisor_h": h.ctypes.data, "divisor_d": d.ctypes.data,
        "depth": p.size[0], "height": p.size[1], "width": p.size[2], "out_depth": p.out[0], "out_height": p.out[1], "out_width": p.out[2],
        "kd": p.kernel[0], "kh": p.kernel[1], "kw": p.kernel[2], "sd": p.stride[0], "sh": p.stride[1],
        "pd": p.padding[0], "ph": p.padding[1], "pw": p.padding[2],
        "border": border, "pitch": pitch,
    }  # fmt: skip
    kernel = Kernel(gr.emit_gradient, (p.dtype.name, stride))
    return _schedule(kernel, gr.WORDS, words, p.planes, max(1, math.prod(p.size)), 2 * p.dtype.itemsize, keep)


@functools.lru_cache(256)
def _tap_offsets(p: _Pool) -> np.ndarray:
    """Offset of each tap from the window's corner in the plane."""
    import numpy as np

    lines = [np.arange(k) * d for k, d in zip(p.kernel, p.dilation)]
    a, b, c = np.meshgrid(*lines, indexing="ij")
    return ((a * p.size[1] + b) * p.size[2] + c).reshape(-1).astype(np.int64)


def _scatter(planes: int, d: Any, size: Three, out: Three, note: str, how: str, p: _Pool | None = None) -> Schedule:
    if d.compute is not d:
        reserve(4 * math.prod(size))  # sums of a plane
    words: dict[str, Word] = {
        "g": In(0), "codes": In(1), "to": Out(0), "offsets": 0, "size": math.prod(size), "out_depth": out[0], "out_height": out[1],
        "out_width": out[2], "step_d": 0, "step_h": 0, "step_w": 0, "corner": 0,
    }  # fmt: skip
    keep: tuple[Any, ...] = ()
    if p is not None and note == "tap":
        keep = (_tap_offsets(p),)
        (sd, sh, sw), (pd, ph, pw), (h, w) = p.stride, p.padding, p.size[1:]
        steps = {"step_d": sd * h * w, "step_h": sh * w, "step_w": sw, "corner": -((pd * h + ph) * w + pw), "offsets": keep[0].ctypes.data}
        words.update(steps)
    kernel = Kernel(pl.emit_scatter, (d.name, note, how))
    return _schedule(kernel, pl.SCATTER_WORDS, words, planes, math.prod(size), 2 * d.itemsize, keep)


def _by_index(large: Operand, small: Operand, spatial: int, how: str) -> Schedule:
    """Scatter by flat index: what counts is which dims are planes, and those are equal in both."""
    for operand in (large, small):
        _contiguous(operand)
    ln.compute(large.dtype)
    lead = max(len(large.shape) - spatial, 0)
    planes = math.prod(large.shape[:lead])
    return _scatter(
        planes, large.dtype, _three((math.prod(large.shape[lead:]),), 1), _three((math.prod(small.shape[lead:]),), 1), "index", how
    )


def window_bounds(n: int, r: int, k: int, s: int, pad: int, include: bool) -> np.ndarray:
    """(begin, end, divisor) of each of r windows along a dim of n, clipped to it."""
    import numpy as np

    begin = np.arange(r) * s - pad
    end = np.minimum(begin + k, n + pad)
    low, high = np.maximum(begin, 0), np.minimum(end, n)
    return np.stack([low, high, np.maximum(end - begin if include else high - low, 1)], 1).astype(np.int64)


def adaptive_bounds(n: int, r: int) -> np.ndarray:
    """(begin, end, length) of each of r boxes along a dim of n."""
    import numpy as np

    i = np.arange(r)
    begin, end = i * n // max(r, 1), -(-(i + 1) * n // max(r, 1))
    return np.stack([begin, end, end - begin], 1).astype(np.int64)


def _flat(p: _Pool) -> tuple[_Pool, list[np.ndarray]]:
    """Boxes of adaptive pooling; one box for a whole plane is one long row."""
    if p.out == (1, 1, 1):
        p = _Pool(p.dtype, p.planes, (1, 1, math.prod(p.size)), p.out, p.kernel, p.stride, p.padding, p.dilation)
    return p, [adaptive_bounds(n, r) for n, r in zip(p.size, p.out)]


def _adaptive(how: str, out: Operand, x: Operand, spatial: int, index: bool, target: Target | None) -> Schedule:
    p = _pool(out, x, (1,) * spatial, (1,) * spatial, (0,) * spatial, (1,) * spatial)
    if min(p.out) > 0 and p.out != (1, 1, 1) and all(n % r == 0 for n, r in zip(p.size, p.out)):  # boxes of one size are windows
        kernel = [n // r for n, r in zip(p.size, p.out)]
        same = _Pool(p.dtype, p.planes, p.size, p.out, _three(kernel, 1), _three(kernel, 1), p.padding, p.dilation)
        return _windows(same, how, "index" if index and how == "max" else "", target or host.target(), None, True)
    p, bounds = _flat(p)
    return _regions(how, p, bounds, index, 0)


def _regions(how: str, p: _Pool, bounds: list[np.ndarray], index: bool, override: int) -> Schedule:
    if how == "spread" and p.dtype.compute is not p.dtype:
        reserve(4 * math.prod(p.size))  # sums of a plane
    if how == "max" and math.prod(p.size) >> 31:
        raise NotImplementedError(f"planes of {p.size} for a maximum; places are counted in 32 bits")
    x, y = (Out(0), In(0)) if how == "spread" else (In(0), Out(0))
    words: dict[str, Word] = {
        "x": x, "y": y, "codes": Out(1) if index else 0, "bounds_d": bounds[0].ctypes.data, "bounds_h": bounds[1].ctypes.data,
        "bounds_w": bounds[2].ctypes.data, "depth": p.size[0], "height": p.size[1], "width": p.size[2],
        "out_depth": p.out[0], "out_height": p.out[1], "out_width": p.out[2], "override": bits(float(override), "double"),
    }  # fmt: skip
    wide = how == "avg" and int((bounds[2][:, 1] - bounds[2][:, 0]).max(initial=0)) >= WIDE
    kernel = Kernel(pl.emit_regions, (pl.Form(how, p.dtype.name, index, 4 if wide else 1),))
    total = p.planes if how == "spread" or math.prod(p.out) else 0
    return _schedule(kernel, pl.REGION_WORDS, words, total, max(1, math.prod(p.size)), 2 * p.dtype.itemsize, tuple(bounds))
