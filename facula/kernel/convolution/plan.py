"""Schedules of convolutions: which kernels run, over what, with which words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import facula.kernel.convolution.depthwise as dw_kernels
import facula.kernel.convolution.panels as weight_panels
import facula.kernel.convolution.phases as phase_kernels
import facula.kernel.convolution.thin as thin_kernels
import facula.kernel.convolution.weight_gradient as wg
import facula.kernel.convolution.winograd as wino
import facula.kernel.convolution.winograd_gradient as wino_gradient

from ...base.target import Target
from ...runtime import host
from ...runtime.pool import reserve
from ..coalesce import contiguous
from ..launch import Kernel, Launch, Operand, Schedule, Word, Work, unsigned
from .geometry import Grid, Table, Three, table
from .product import DEPTH, MASKS, PANELS, WORDS, Form, emit_product
from .tile import Shape, height, shape_for

if TYPE_CHECKING:
    import numpy as np

COLUMNS = 448  # pixels of an item
ITEMS = 8  # items at least, where the outputs can be divided
PARTS = 8 << 20  # bytes of partial sums of a weight's gradient
FEW = 32  # channels and outputs from which minimal filtering pays
BUFFER = 1 << 20  # bytes of results that wait in scratch memory for being written in pieces


def whole(total: int, size: int) -> int:
    """Blocks of `size` that cover `total`."""
    return -(-total // size)


@dataclass(frozen=True)
class Problem:
    """A convolution in three dims; `w` is [outputs][channels per group][taps], as forward sees it."""

    element: str
    images: int
    groups: int
    outputs: int  # per group
    channels: int  # per group
    source: Three  # of the forward input
    result: Three  # of the forward output
    kernel: Three
    stride: Three
    padding: Three
    dilation: Three

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def plain(self) -> bool:
        """A product of a matrix with each pixel: 1 x 1, stride 1, no padding, one group."""
        return self.taps == 1 and self.stride == (1, 1, 1) and self.padding == (0, 0, 0) and self.groups == 1

    @property
    def flops(self) -> int:
        return 2 * self.images * self.groups * self.outputs * self.channels * math.prod(self.result) * self.taps


def problem(
    out: Operand, x: Operand, w: Operand, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Problem:
    """Shapes are trusted (the operator has checked them); ValueError when they are not those of a convolution."""
    n = len(x.shape) - 2
    if not 1 <= n <= 3 or len(w.shape) != n + 2 or len(out.shape) != n + 2:
        raise ValueError(f"convolution takes 1 to 3 spatial dims, not x {x.shape}, w {w.shape}, out {out.shape}")
    if x.shape[1] != w.shape[1] * groups or out.shape[1] != w.shape[0] or w.shape[0] % groups or x.shape[0] != out.shape[0]:
        raise ValueError(f"channels do not fit: x {x.shape}, w {w.shape}, out {out.shape}, groups {groups}")
    if len({x.dtype, w.dtype, out.dtype}) > 1 or x.dtype.compute.name not in ("float32", "float64"):
        raise NotImplementedError(
            f"convolution in {x.dtype}, {w.dtype} to {out.dtype}; it takes one of float32, float64, float16, bfloat16"
        )
    ones, zeros = (1,) * (3 - n), (0,) * (3 - n)

    def three(fill: tuple[int, ...], xs: Sequence[int]) -> Three:
        a, b, c = (*fill, *xs)
        return (a, b, c)

    return Problem(
        x.dtype.compute.llvm, x.shape[0], groups, w.shape[0] // groups, w.shape[1], three(ones, x.shape[2:]), three(ones, out.shape[2:]),
        three(ones, w.shape[2:]), three(ones, stride), three(zeros, padding), three(ones, dilation),
    )  # fmt: skip


def dense_planes(operand: Operand) -> bool:
    """Whether the elements of a plane follow each other; images and channels may lie anywhere."""
    space = operand.shape[2:]
    return 0 in operand.shape or all(n == 1 or s == c for n, s, c in zip(space, operand.strides[2:], contiguous(space)))


@dataclass(frozen=True)
class Side:
    """An image operand of a product: where it is, and elements from image to image and from plane to plane."""

    at: Word
    image: int
    plane: int


@dataclass(frozen=True)
class Weights:
    """The weight as a product sees it: strides from group to group, output to output and channel to channel."""

    at: Word
    group: int
    output: int
    channel: int


class Builder:
    """Collects launches, workspace and the arrays that stay alive with the schedule."""

    def __init__(self, target: Target | None) -> None:
        self.target = target or host.target()
        self.launches: list[Launch] = []
        self.workspace = 0
        self.keep: list[object] = []
        self.notes: list[str] = []

    def room(self, nbytes: int) -> Work:
        """Workspace, 64-byte aligned."""
        at = Work(self.workspace)
        self.workspace += whole(nbytes, 64) * 64
        return at

    def constant(self, array: np.ndarray) -> int:
        """Address of an array that lives as long as the schedule."""
        self.keep.append(array)
        return array.ctypes.data

    def launch(
        self, kernel: Kernel, types: dict[str, str], words: dict[str, Word], total: int, grain: int = 1, nbytes: int = 0, flops: int = 0
    ) -> None:
        if total > 0:
            self.launches.append(Launch(kernel, unsigned(words[name] for name in types), total, grain, nbytes, flops))

    def schedule(self) -> Schedule:
        return Schedule(tuple(self.launches), self.workspace, tuple(self.notes), tuple(self.keep))


def narrowed(shape: Shape, across: int) -> Shape:
    """Tiles of one vector where the last vectors of wider ones would be a large part of all, and empty."""
    vectors = whole(across, shape.lanes)
    return replace(shape, vectors=1) if vectors % shape.vectors and vectors <= 3 else shape


def depth_blocks(channels: int, taps: int) -> tuple[int, int]:
    """(channels, taps) of one pass: equal passes over at most DEPTH. The channels do not depend on the number of taps."""
    if channels >= DEPTH:
        return whole(channels, whole(channels, DEPTH)), 1
    passes = max(1, -(-taps // (DEPTH // max(1, channels))))
    return max(1, channels), max(1, whole(taps, passes))


def panels(
    b: Builder, p: Problem, outputs: int, channels: int, weights: Weights, orders: Sequence[np.ndarray], rows: int, shape: Shape
) -> list[Word]:
    """Lay the weights out in panels, in workspace: for each grid those of its taps (`orders`). No tap is in two grids, so each is read once."""
    import numpy as np

    count = whole(outputs, rows)
    sizes = [p.groups * count * rows * channels * len(order) for order in orders]
    room = b.room(sum(sizes) * shape.size)
    places, start = np.full((p.taps, 3), -1, np.int64), 0
    starts: list[Word] = []
    for order, size in zip(orders, sizes):
        places[order] = np.stack([np.arange(len(order)), np.full(len(order), len(order)), np.full(len(order), start)], 1)
        starts.append(Work(room.offset + start * shape.size))
        start += size
    words: dict[str, Word] = {
        "to": room, "weight": weights.at, "places": b.constant(places), "outputs": outputs, "channels": channels, "panels": count,
        "group_stride": weights.group, "output_stride": weights.output, "channel_stride": weights.channel,
        "channel_block": depth_blocks(channels, 1)[0], "kernel": p.taps,
    }  # fmt: skip
    total = p.groups * count if start else 0
    grain = max(1, 16384 // max(1, rows * channels * p.taps))
    b.launch(Kernel(weight_panels.emit_panels, (shape.element, rows)), weight_panels.WORDS, words, total, grain, 2 * start * shape.size)
    return starts


def phased(b: Builder, p: Problem, grid: Grid, x: Side) -> tuple[Grid, Side]:
    """A strided grid over planes that are first taken apart by the stride, in workspace. As given where that does not pay: at stride 2
    neighbouring taps share loads, so it takes many outputs."""
    import numpy as np

    if grid.step[2] < (2 if p.outputs >= 64 else 3) or not p.images:
        return grid, x
    size, grid = shape_for(p.element, b.target).size, replace(grid, phases=grid.step)
    parts, room = grid.parts, grid.room
    plane = (whole(len(parts) * math.prod(room), 16) | 1) * 16  # planes a power of two apart would share a few sets of the caches
    planes = p.images * p.groups * p.channels
    to = b.room(size * planes * plane)
    words: dict[str, Word] = {
        "x": x.at, "to": to, "parts": b.constant(np.array(parts, np.int64)), "plane": plane, "count": len(parts), "channels": p.groups * p.channels,
        "x_image": x.image, "x_plane": x.plane, "depth": p.source[0], "height": p.source[1], "width": p.source[2],
        "room_d": room[0], "room_h": room[1], "room_w": room[2], "step_d": grid.step[0], "step_h": grid.step[1], "step_w": grid.step[2],
    }  # fmt: skip
    pace = grid.step[2] if grid.step[2] <= phase_kernels.PACES else 0
    work = max(1, plane // max(room[0], 1))
    b.launch(
        Kernel(phase_kernels.emit_phases, (p.element, pace)),
        phase_kernels.WORDS,
        words,
        planes * room[0],
        max(1, 16384 // work),
        2 * size * planes * plane,
    )
    b.notes.append(f"{len(parts)} phase(s) of the stride apart")
    return grid, Side(to, p.groups * p.channels * plane, plane)


def product(
    b: Builder, p: Problem, grids: list[Grid], outputs: int, channels: int, x: Side, y: Side, weights: Weights, bias: Word | None
) -> None:
    """Matrix products over the pixels of grids, one launch: grids that interleave in the result are done together, while it is in the cache."""
    if sum(p.kernel) > MASKS:
        raise NotImplementedError(f"convolution kernels with {p.kernel} taps")
    shape = shape_for(p.element, b.target)
    grids = sorted((grid for grid in grids if grid.count), key=lambda grid: -grid.count)
    if not grids or not outputs or not p.images:
        return
    rows = height(outputs, shape.rows)
    images = table(grids[0], shape.lanes, shape.width, p.images, x.image, y.image).images
    tables = [table(grid, shape.lanes, shape.width, images, x.image, y.image) for grid in grids]
    direct = len(grids) == 1 and grids[0].contiguous and images == 1
    total = images * grids[0].count
    columns = min(COLUMNS // shape.width * shape.width, whole(total, shape.width) * shape.width)
    blocks = whole(total, columns)
    columns = whole(whole(total, blocks), shape.width) * shape.width
    count, items = whole(outputs, rows), whole(p.images, images) * p.groups * blocks
    output_blocks = min(count, max(1, whole(ITEMS, items) if items < ITEMS else 1))
    if not direct:
        output_blocks = max(output_blocks, whole(outputs * shape.width * PANELS * shape.size, BUFFER))
    output_block = whole(count, output_blocks) * rows
    output_blocks = whole(outputs, output_block)
    shared: dict[str, Word] = {
        "x": x.at, "y": y.at, "bias": 0 if bias is None else bias, "channels": channels, "outputs": outputs, "groups": p.groups,
        "images": p.images, "together": images, "x_image": x.image, "x_plane": x.plane, "y_image": y.image, "y_plane": y.plane,
        "columns": columns, "column_blocks": blocks, "output_block": output_block, "output_blocks": output_blocks,
    }  # fmt: skip
    words: dict[str, Word] = {"grids": len(grids)}
    laid = panels(b, p, outputs, channels, weights, [t.order for t in tables], rows, shape)
    for i, (grid, t) in enumerate(zip(grids, tables)):
        mine = shared | _grid_words(b, grid, t, channels) | {"panels": laid[i]}
        words.update({f"{name} {i}": mine[name] for name in WORDS})
    read, write = (min(paces) for paces in zip(*((t.read, t.write) for t in tables)))
    deep = grids[0].source[0] > 1 or p.kernel[0] > 1
    form = Form(p.element, rows, read, max(t.read_pieces for t in tables), -1 if direct else write, deep, bias is not None)
    flops = sum(2 * p.images * p.groups * outputs * channels * grid.count * len(grid.taps) for grid in grids)
    nbytes = shape.size * p.images * p.groups * (channels * math.prod(grids[0].source) + outputs * sum(grid.count for grid in grids))
    b.launch(Kernel(emit_product, (form,)), dict.fromkeys(words, ""), words, items * output_blocks * len(grids), len(grids), nbytes, flops)
    b.notes.append(
        f"implicit GEMM, {rows} x {shape.width} tile, reads at pace {read or 'any'}, {images} image(s) together, {len(grids)} grid(s)"
    )


def _grid_words(b: Builder, grid: Grid, t: Table, channels: int) -> dict[str, Word]:
    """The words that differ between grids of one product."""
    channel_block, tap_block = depth_blocks(channels, len(t.order))
    return {
        "entries": b.constant(t.entries), "taps": b.constant(t.taps), "shifts": b.constant(t.shifts),
        "w_shifts": t.shift_counts[0], "h_shifts": t.shift_counts[1], "d_shifts": t.shift_counts[2], "tap_count": len(t.order),
        "depth": grid.source[0], "height": grid.source[1], "width": grid.source[2], "pixels": grid.count, "period": t.period,
        "source_step": t.source_step, "row_step": t.row_step, "result_step": t.result_step,
        "channel_block": channel_block, "tap_block": tap_block,
    }  # fmt: skip


def weight_gradient(b: Builder, p: Problem, grid: Grid, x: Side, g: Side, gw: Word, output_stride: int) -> None:
    """Gradient of the weight: partial sums over blocks of images, then their sum."""
    shape = narrowed(shape_for(p.element, b.target), p.outputs)
    size = p.taps * p.channels * p.outputs * shape.size * p.groups  # of a partial sum, bytes
    blocks = max(1, min(p.images, ITEMS, PARTS // max(1, size)))
    t: Table = table(grid, shape.lanes, shape.lanes, whole(p.images, blocks), x.image, g.image)
    image_block = whole(whole(p.images, t.images), blocks) * t.images
    blocks = whole(p.images, image_block)
    if p.channels <= wg.ROWS:
        most = max(1, wg.ROWS // p.channels)
        tap_block, channel_block = whole(p.taps, whole(p.taps, most)), p.channels
    else:
        tap_block, channel_block = 1, whole(p.channels, whole(p.channels, wg.ROWS))
    channel_blocks = whole(p.channels, channel_block)
    units = whole(p.taps, tap_block) * channel_blocks
    output_blocks = whole(p.outputs, wg.OUTPUTS)
    output_block = whole(whole(p.outputs, output_blocks), shape.width) * shape.width
    output_blocks = whole(p.outputs, output_block)
    items = blocks * p.groups * output_blocks
    unit_block = -(-units // min(units, max(1, whole(ITEMS, items))))
    unit_blocks = whole(units, unit_block)
    part = b.room(size * blocks)
    words: dict[str, Word] = {
        "x": x.at, "g": g.at, "part": part, "entries": b.constant(t.entries), "taps": b.constant(t.taps),
        "shifts": b.constant(t.shifts), "w_shifts": t.shift_counts[0], "h_shifts": t.shift_counts[1], "d_shifts": t.shift_counts[2],
        "channels": p.channels, "outputs": p.outputs, "groups": p.groups, "tap_count": p.taps, "images": p.images,
        "together": t.images, "image_block": image_block, "x_image": x.image, "x_plane": x.plane, "g_image": g.image, "g_plane": g.plane,
        "depth": grid.source[0], "height": grid.source[1], "width": grid.source[2], "pixels": grid.count, "period": t.period,
        "source_step": t.source_step, "row_step": t.row_step, "result_step": t.result_step,
        "channel_block": channel_block, "channel_blocks": channel_blocks, "tap_block": tap_block, "units": units,
        "unit_block": unit_block, "unit_blocks": unit_blocks, "output_block": output_block, "output_blocks": output_blocks,
    }  # fmt: skip
    deep = grid.source[0] > 1 or p.kernel[0] > 1
    rows = height(min(tap_block * channel_block, p.taps * p.channels), shape.rows)
    form = wg.Form(p.element, rows, shape.vectors, t.read, t.read_pieces, t.write, t.write_pieces, deep)
    nbytes = shape.size * p.images * p.groups * (p.channels * math.prod(p.source) + p.outputs * grid.count)
    b.launch(Kernel(wg.emit_weight_gradient, (form,)), wg.WORDS, words, items * unit_blocks, 1, nbytes, p.flops)
    _sum(b, p, shape, part, blocks, gw, output_stride)
    b.notes.append(f"weight gradient over {blocks} block(s) of images, {rows} x {shape.width} tile")


def zero(b: Builder, p: Problem, gw: Word) -> None:
    """The gradient of a weight that met nothing."""
    words: dict[str, Word] = {"to": gw, "count": p.groups * p.outputs * p.channels * p.taps}
    b.launch(Kernel(wg.emit_zero, (p.element,)), wg.ZERO_WORDS, words, 1)


def _sum(b: Builder, p: Problem, shape: Shape, part: Word, blocks: int, gw: Word, output_stride: int) -> None:
    """Partial sums to the weight's gradient."""
    size = p.taps * p.channels * p.outputs * p.groups
    vectors, parts = whole(p.outputs, shape.lanes), whole(p.channels * p.taps, wg.ROW_PART)
    words: dict[str, Word] = {
        "to": gw, "part": part, "blocks": blocks, "block_stride": size, "outputs": p.outputs, "channels": p.channels,
        "tap_count": p.taps, "output_vectors": vectors, "row_parts": parts, "output_stride": output_stride,
    }  # fmt: skip
    b.launch(Kernel(wg.emit_sum, (p.element,)), wg.SUM_WORDS, words, p.groups * vectors * parts, 1, size * shape.size * (blocks + 1))


def filtered(p: Problem, outputs: int, channels: int) -> bool:
    """Whether minimal filtering is the faster way: 3 x 3, stride 1, enough channels to pay for the transforms."""
    plain = p.kernel == (1, 3, 3) and p.stride == p.dilation == (1, 1, 1) and p.source[0] == 1 and p.groups == 1
    lines_up = (
        max(p.padding) <= 2 and p.padding[0] == 0 and p.result[1:] == tuple(n + 2 * k - 2 for n, k in zip(p.source[1:], p.padding[1:]))
    )
    return plain and lines_up and p.element == "float" and FEW <= channels <= wino.MOST and outputs >= FEW and math.prod(p.result) >= 9


def winograd(b: Builder, p: Problem, backward: bool, x: Side, y: Side, weights: Weights, bias: Word | None) -> bool:
    """A 3 x 3 convolution of stride 1, or its gradient by the input, which is one with the taps in reverse. False where results are so narrow
    that a vector of tiles spans too many rows."""
    shape = shape_for(p.element, b.target)
    source, result = (p.result, p.source) if backward else (p.source, p.result)
    channels, outputs = (p.outputs, p.channels) if backward else (p.channels, p.outputs)
    pad = [2 - n if backward else n for n in p.padding[1:]]
    taps = tuple((i, (0, i // 4, i % 4)) for i in range(16))
    tiles = (1, -(-result[1] // 2), -(-result[2] // 2))
    grid = Grid(tiles, source, result, (0, -pad[0], -pad[1]), (1, 2, 2), taps, (0, 0, 0), (1, 2, 2))
    shape = narrowed(shape, p.images * grid.count)
    t = table(grid, shape.lanes, shape.width, p.images, x.image, y.image)
    if not t.write:
        return False
    rows = height(outputs, shape.rows)
    count = whole(outputs, rows)
    filters = b.room(16 * count * rows * channels * shape.size)
    words: dict[str, Word] = {
        "to": filters, "weight": weights.at, "outputs": outputs, "channels": channels, "output_stride": weights.output,
        "channel_stride": weights.channel,
    }  # fmt: skip
    b.launch(
        Kernel(wino.emit_filters, (p.element, rows, backward)), wino.FILTER_WORDS, words, count, 1, 25 * outputs * channels * shape.size
    )
    image_groups, total = whole(p.images, t.images), t.images * grid.count
    blocks = -(-total // min(total, 4 * shape.width))
    columns = whole(whole(total, blocks), shape.width) * shape.width
    blocks = whole(total, columns)
    items = image_groups * blocks
    output_block = -(-count // min(count, max(1, whole(ITEMS, items) if items < ITEMS else 1))) * rows
    output_blocks = whole(outputs, output_block)
    words = {
        "x": x.at, "filters": filters, "y": y.at, "bias": 0 if bias is None else bias, "entries": b.constant(t.entries), "taps": b.constant(t.taps),
        "shifts": b.constant(t.shifts), "w_shifts": t.shift_counts[0], "h_shifts": t.shift_counts[1], "d_shifts": t.shift_counts[2],
        "channels": channels, "outputs": outputs, "images": p.images, "together": t.images, "x_image": x.image, "x_plane": x.plane,
        "y_image": y.image, "y_plane": y.plane, "depth": 1, "height": source[1], "width": source[2], "out_height": result[1],
        "out_width": result[2], "pad_height": pad[0], "pad_width": pad[1], "pixels": grid.count, "period": t.period,
        "source_step": t.source_step, "row_step": t.row_step, "result_step": t.result_step, "columns": columns, "column_blocks": blocks,
        "output_block": output_block, "output_blocks": output_blocks,
    }  # fmt: skip
    flops = 32 * p.images * outputs * channels * grid.count
    nbytes = shape.size * p.images * (channels * math.prod(source) + outputs * math.prod(result))
    kernel = Kernel(wino.emit_winograd, (p.element, rows, shape.vectors, t.read, t.read_pieces, bias is not None))
    b.launch(kernel, wino.WORDS, words, items * output_blocks, 1, nbytes, flops)
    b.notes.append(f"minimal filtering F(2x2, 3x3), {rows} x {shape.width} tile, {t.images} image(s) together")
    return True


def depthwise_fits(p: Problem, gradient: bool) -> bool:
    """Whether the kernels of depthwise.py serve: one channel a group, small kernels, strides 1 and 2."""
    flat = p.kernel[0] == p.stride[0] == p.source[0] == 1 and p.padding[0] == 0
    strides = p.stride[1] == p.stride[2] <= 2 or gradient
    one = p.channels == 1 and (p.outputs == 1 or not gradient)
    return flat and strides and one and p.groups > 1 and math.prod(p.kernel) <= 49 and min(p.result) > 0


def _depthwise(
    b: Builder, p: Problem, what: str, source: tuple[int, int], result: tuple[int, int], pad: tuple[int, int], stride: int, spread: tuple[int, int],
    x: Side, y: Side, weight: Word, weight_stride: int, bias: Word | None,
) -> None:  # fmt: skip
    """`source` and `result`: planes; `spread`: distance of the source's elements, 1 without zeros between them."""
    shape = shape_for(p.element, b.target)
    _, kh, kw = p.kernel
    _, dh, dw = p.dilation
    pitch = -(-result[1] // shape.lanes) * shape.lanes * stride + (kw - 1) * dw + 3 * shape.lanes
    band = min(result[0], max(1, (dw_kernels.BOARD // (shape.size * pitch) - (kh - 1) * dh - 8) // stride))
    reserve(pitch * shape.size * ((dw_kernels.ROWS + band) * stride + (kh - 1) * dh + 1) + dw_kernels.BOARD)
    bands, flip = -(-result[0] // band), what == "input"
    words: dict[str, Word] = {
        "x": x.at, "w": weight, "y": y.at, "bias": 0 if bias is None else bias, "groups": p.groups, "images": p.images, "multiplier": p.outputs,
        "x_image": x.image, "x_plane": x.plane, "y_image": y.image, "y_plane": y.plane, "height": source[0], "width": source[1],
        "out_height": result[0], "out_width": result[1], "pad_height": pad[0], "pad_width": pad[1], "dilation_h": dh, "dilation_w": dw,
        "spread_h": spread[0], "spread_w": spread[1], "pitch": pitch, "band": band, "bands": bands, "weight_stride": weight_stride,
        "first": kh * kw - 1 if flip else 0, "step": -1 if flip else 1,
    }  # fmt: skip
    most = dw_kernels.ROWS if kh > 3 and b.target.registers >= 32 else dw_kernels.ROWS // 2
    together = min(most, 1 << (result[0] - 1).bit_length()) if dh == 1 and what != "weight" else 1
    form = dw_kernels.Form(p.element, (kh, kw), stride, dh == 1, spread != (1, 1), bias is not None, together)
    nbytes = shape.size * p.images * p.groups * (math.prod(source) + p.outputs * math.prod(result))
    emit = dw_kernels.emit_depthwise_weight if what == "weight" else dw_kernels.emit_depthwise
    total = p.groups if what == "weight" else p.images * p.groups * bands
    work = math.prod(p.result) * p.taps * (p.images if what == "weight" else 1)
    b.launch(Kernel(emit, (form,)), dw_kernels.WORDS, words, total, max(1, 65536 // work), nbytes, p.flops)
    b.notes.append(f"depthwise, {kh} x {kw} taps in registers, {bands} band(s) a plane")


def depthwise(b: Builder, p: Problem, what: str, x: Side, y: Side, weight: Word, weight_stride: int, bias: Word | None = None) -> None:
    """`what`: "forward" (x to y), "input" (x the result's gradient, y the input's), "weight" (x the input, y the result's gradient)."""
    large, small, pad = p.source[1:], p.result[1:], p.padding[1:]
    if what == "input":
        reach = tuple((k - 1) * d - n for k, d, n in zip(p.kernel[1:], p.dilation[1:], pad))
        _depthwise(b, p, what, small, large, (reach[0], reach[1]), 1, p.stride[1:], x, y, weight, weight_stride, bias)
    else:
        _depthwise(b, p, what, large, small, pad, p.stride[1], (1, 1), x, y, weight, weight_stride, bias)


def _side(b: Builder, side: str, t: Table, plane: Three) -> dict[str, Word]:
    values = (
        b.constant(t.entries), b.constant(t.taps), b.constant(t.shifts), *t.shift_counts, *plane, t.period, t.source_step, t.row_step, t.result_step,
    )  # fmt: skip
    return {f"{side}_{name}": value for name, value in zip(wino_gradient.SIDE, values)}


def winograd_gradient(b: Builder, p: Problem, x: Side, g: Side, gw: Word, output_stride: int) -> None:
    """Gradient of a 3 x 3 weight at stride 1."""
    shape, most = shape_for(p.element, b.target), wino_gradient.BLOCK
    tiles = (1, -(-p.result[1] // 2), -(-p.result[2] // 2))
    patches = tuple((i, (0, i // 4, i % 4)) for i in range(16))
    corners = tuple((i, (0, i // 2, i % 2)) for i in range(4))
    size = 9 * p.channels * p.outputs * shape.size
    blocks = max(1, min(p.images, ITEMS, PARTS // max(1, size)))
    images = whole(p.images, blocks)
    minus = (0, -p.padding[1], -p.padding[2])
    xt = table(Grid(tiles, p.source, p.result, minus, (1, 2, 2), patches), shape.lanes, shape.lanes, images, x.image, 0)
    gt = table(Grid(tiles, p.result, p.result, (0, 0, 0), (1, 2, 2), corners), shape.lanes, shape.lanes, images, g.image, 0)
    image_block = whole(whole(p.images, xt.images), blocks) * xt.images
    blocks = whole(p.images, image_block)
    channel_block = whole(p.channels, whole(p.channels, most))
    output_block = min(most // shape.width, whole(p.outputs, shape.width)) * shape.width
    channel_blocks, output_blocks = whole(p.channels, channel_block), whole(p.outputs, output_block)
    part = b.room(size * blocks)
    words: dict[str, Word] = {
        "x": x.at, "g": g.at, "part": part, "channels": p.channels, "outputs": p.outputs, "images": p.images, "x_together": xt.images,
        "image_block": image_block, "x_image": x.image, "x_plane": x.plane, "g_image": g.image, "g_plane": g.plane, "pixels": math.prod(tiles),
        "channel_block": channel_block, "channel_blocks": channel_blocks, "output_block": output_block, "output_blocks": output_blocks,
        **_side(b, "x", xt, p.source), **_side(b, "g", gt, p.result),
    }  # fmt: skip
    rows = height(channel_block, shape.rows)
    reads = ((t.read, t.read_pieces) for t in (xt, gt))
    kernel = Kernel(wino_gradient.emit_gradient, (p.element, rows, *reads))
    nbytes = shape.size * p.images * (p.channels * math.prod(p.source) + p.outputs * math.prod(p.result))
    flops = 32 * p.images * p.outputs * p.channels * math.prod(tiles)
    b.launch(kernel, wino_gradient.WORDS, words, blocks * channel_blocks * output_blocks, 1, nbytes, flops)
    _sum(b, p, shape, part, blocks, gw, output_stride)
    b.notes.append(f"weight gradient by minimal filtering F(3x3, 2x2) over {blocks} block(s) of images")


def thin_fits(p: Problem) -> bool:
    """Whether the kernels of thin.py serve: 1 x 1 with a few channels on one side."""
    return p.plain and 1 <= min(p.channels, p.outputs) <= thin_kernels.FEW


def thin(b: Builder, p: Problem, outputs: int, channels: int, x: Side, y: Side, weights: Weights, bias: Word | None) -> None:
    """1 x 1 forward, or the gradient of its input."""
    pixels = math.prod(p.result)
    blocks, size = whole(pixels, thin_kernels.PIXELS), 4 if p.element == "float" else 8
    words: dict[str, Word] = {
        "x": x.at, "w": weights.at, "y": y.at, "bias": 0 if bias is None else bias, "channels": channels, "outputs": outputs, "images": p.images,
        "pixels": pixels, "blocks": blocks, "x_image": x.image, "x_plane": x.plane, "y_image": y.image, "y_plane": y.plane,
        "output_stride": weights.output, "channel_stride": weights.channel,
    }  # fmt: skip
    side, few = ("outputs", outputs) if outputs <= thin_kernels.FEW else ("channels", channels)
    kernel = Kernel(thin_kernels.emit_thin, (p.element, few, side, bias is not None))
    nbytes = size * p.images * pixels * (outputs + channels)
    b.launch(kernel, thin_kernels.WORDS, words, p.images * blocks, max(1, 16384 // max(1, pixels)), nbytes, p.flops)
    b.notes.append(f"1 x 1 with few {side}, planes read in place")


def thin_weight(b: Builder, p: Problem, x: Side, g: Side, gw: Word, output_stride: int) -> None:
    """Gradient of a 1 x 1 weight; the side with more planes is shared out."""
    turned = p.outputs > p.channels
    wide, narrow = (g, x) if turned else (x, g)
    channels, outputs = max(p.channels, p.outputs), min(p.channels, p.outputs)
    strides = (1, output_stride) if turned else (output_stride, 1)
    size = 4 if p.element == "float" else 8
    words: dict[str, Word] = {
        "x": wide.at, "w": gw, "y": narrow.at, "bias": 0, "channels": channels, "outputs": outputs, "images": p.images,
        "pixels": math.prod(p.result), "blocks": 1, "x_image": wide.image, "x_plane": wide.plane, "y_image": narrow.image,
        "y_plane": narrow.plane, "output_stride": strides[0], "channel_stride": strides[1],
    }  # fmt: skip
    work = p.images * math.prod(p.result)
    nbytes = size * work * (channels + outputs)
    kernel = Kernel(thin_kernels.emit_thin_weight, (p.element, outputs))
    b.launch(kernel, thin_kernels.WORDS, words, channels, max(1, 16384 // max(1, work)), nbytes, p.flops)
    b.notes.append("1 x 1 weight gradient, planes read in place")
