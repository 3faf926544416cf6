"""Gradient of the weight of a 3 x 3 convolution of stride 1 by minimal filtering, F(3 x 3, 2 x 2): the other end of winograd.py.

The weight's gradient is a correlation of the image with the result's gradient: 3 x 3 results from patches d of 4 x 4 and "filters" g of 2 x 2.

    gw[o, c] = A3^T [ sum over tiles of (G2 g G2^T) * (B^T d B) ] A3

Sums over tiles are 16 products [channels, tiles] x [tiles, outputs]. Rows of the register tile are channels, read by broadcast; vectors run along
outputs: the four elements of a tile are transposed before they are transformed.
"""

from __future__ import annotations

from ...runtime.ir import Module, Names
from ...runtime.pool_code import scratch
from .product import MASKS, View
from .tile import Shape, emit_tile, shape_for
from .winograd import APART, BT, CHANNELS, sandwich

G2 = ((1, 0), (0.5, 0.5), (0.5, -0.5), (0, 1))
A3T = ((1, 1, 1, 0), (0, 1, -1, 0), (0, 1, 1, -1))

TILES = 96  # contracted at a time: patches and gradients of a block stay in L2
PITCH = TILES + 16
BLOCK = 64  # channels and outputs of an item
PATCHES, TURNED, PRODUCTS = BLOCK * PITCH + APART, TILES * BLOCK + APART, BLOCK * BLOCK + APART  # elements from one of the 16 to the next

SIDE = (
    "entries",
    "taps",
    "shifts",
    "w_shifts",
    "h_shifts",
    "d_shifts",
    "depth",
    "height",
    "width",
    "period",
    "source_step",
    "row_step",
    "result_step",
)
POINTERS = ("entries", "taps", "shifts")
WORDS = {
    "x": "ptr", "g": "ptr", "part": "ptr", "channels": "i64", "outputs": "i64", "images": "i64", "x_together": "i64", "image_block": "i64",
    "x_image": "i64", "x_plane": "i64", "g_image": "i64", "g_plane": "i64", "pixels": "i64",
    "channel_block": "i64", "channel_blocks": "i64", "output_block": "i64", "output_blocks": "i64",
    **{f"{side}_{name}": "ptr" if name in POINTERS else "i64" for side in "xg" for name in SIDE},
}  # fmt: skip


class _Side(Names):
    """The words of one operand under the names that a View reads."""

    def __init__(self, w: Names, side: str) -> None:
        for name in SIDE:
            setattr(self, name, getattr(w, f"{side}_{name}"))


def emit_gradient(m: Module, name: str, element: str, rows: int, x_read: tuple[int, int], g_read: tuple[int, int]) -> None:
    """Items: blocks of images x blocks of channels x blocks of outputs. `x_read` and `g_read`: pace and pieces (geometry.Table)."""
    shape = shape_for(element, m.target)
    tile = emit_tile(m, shape, rows, 1, PITCH)
    _emit_patches(m, shape, x_read)
    _emit_turned(m, shape, g_read)
    _emit_back(m, shape)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        w = Names(f, words, WORDS)
        patches = scratch(f, worker)
        turned = f.at(patches, 16 * PATCHES, element)
        products = f.at(turned, 16 * TURNED, element)
        room = f.at(products, 16 * PRODUCTS, element)
        with f.range(lo, hi) as item:
            rest, o0 = item.udiv(w.output_blocks), item.urem(w.output_blocks) * w.output_block
            c0, block = rest.urem(w.channel_blocks) * w.channel_block, rest.udiv(w.channel_blocks)
            channels, outputs = f.smin(w.channel_block, w.channels - c0), f.smin(w.output_block, w.outputs - o0)
            image_end = f.smin(w.images, (block + 1) * w.image_block)
            add = f.var("i64", 0)
            with f.range(block * w.image_block, image_end, w.x_together) as image:
                total = f.smin(w.x_together, image_end - image) * w.pixels
                x = f.at(w.x, image * w.x_image + c0 * w.x_plane, element)
                g = f.at(w.g, image * w.g_image + o0 * w.g_plane, element)
                with f.range(0, total, TILES) as q:
                    k = f.smin(total - q, TILES)
                    f.call("void", "patches", words, x, patches, room, q, k, channels)
                    f.call("void", "turned", words, g, turned, room, q, k, outputs)
                    with f.range(0, 16) as xi, f.range(0, outputs, shape.width) as o, f.range(0, channels, rows) as r:
                        a = f.at(patches, xi * PATCHES + r * PITCH, element)
                        b = f.at(turned, xi * TURNED + o * TILES, element)
                        c = f.at(products, xi * PRODUCTS + r * BLOCK + o, element)
                        sizes = (f.i64(BLOCK), k, f.smin(outputs - o, shape.width), f.smin(channels - r, rows), add.v)
                        f.call("void", tile, a, b, c, *sizes, x)
                    add.v = f.i64(1)
            part = f.at(w.part, (block * (9 * w.channels) + c0) * w.outputs + o0, element)
            f.call("void", "back", words, products, part, channels, outputs)


def _emit_patches(m: Module, shape: Shape, read: tuple[int, int]) -> None:
    """B^T d B for a block of tiles: [16][channel][PITCH]."""
    lanes, e = shape.lanes, shape.element
    with m.function("patches", "ptr words, ptr x, ptr to, ptr room, i64 q, i64 k, i64 channels", internal=True) as (
        f,
        words,
        x,
        to,
        room,
        q,
        k,
        channels,
    ):
        w = Names(f, words, WORDS)
        masks = f.array("i32", MASKS)
        with f.range(0, k, lanes) as p:
            view = View(f, shape, _Side(w, "x"), q + p, k - p)
            view.mask(0, False, masks)
            with f.range(0, channels, CHANNELS) as c0:
                count = f.smin(channels - c0, CHANNELS)
                with f.range(0, 16, 2) as t:
                    one, two = [view.window(0, *read, False, f.at(w.x_taps, t * 4 + 4 * i, "i64"), masks) for i in (0, 1)]
                    even, odd = [f.at(room, (t + i) * (CHANNELS * lanes), e) for i in (0, 1)]
                    one.planes_of_two(two, f.at(x, c0 * w.x_plane, e), w.x_plane, count, even, odd, lanes, w.x_width * 2)
                with f.range(0, count) as c:
                    here = f.at(room, c * lanes, e)
                    grid = [[f.load(shape.vec, here, (4 * a + b) * CHANNELS * lanes) for b in range(4)] for a in range(4)]
                    for a, row in enumerate(sandwich(f, BT, grid)):
                        for b, value in enumerate(row):
                            f.store(value, f.at(to, (c + c0) * PITCH + p + (4 * a + b) * PATCHES, e))


def _emit_turned(m: Module, shape: Shape, read: tuple[int, int]) -> None:
    """G2 g G2^T for a block of tiles: [16][outputs / width][tile][width]."""
    lanes, e = shape.lanes, shape.element
    with m.function("turned", "ptr words, ptr g, ptr to, ptr room, i64 q, i64 k, i64 outputs", internal=True) as (
        f,
        words,
        g,
        to,
        room,
        q,
        k,
        outputs,
    ):
        w = Names(f, words, WORDS)
        masks = f.array("i32", MASKS)
        with f.range(0, k, lanes) as p:
            view = View(f, shape, _Side(w, "g"), q + p, k - p)
            view.mask(0, False, masks)
            with f.range(0, outputs, lanes) as o:
                with f.range(0, 4, 2) as t:
                    one, two = [view.window(0, *read, False, f.at(w.g_taps, t * 4 + 4 * i, "i64"), masks) for i in (0, 1)]
                    even, odd = [f.at(room, (t + i) * (lanes * lanes), e) for i in (0, 1)]
                    one.planes_of_two(two, f.at(g, o * w.g_plane, e), w.g_plane, f.smin(outputs - o, lanes), even, odd, lanes)
                with f.range(0, 4) as t:  # [tap][output][tile] -> [tap][tile][output]
                    square = f.at(room, t * (lanes * lanes), e)
                    for i, x in enumerate(f.transpose([f.load(shape.vec, square, i * lanes) for i in range(lanes)])):
                        f.store(x, square, i * lanes)
                panel = o.udiv(shape.width) * shape.width
                column = f.at(to, panel * TILES + p * shape.width + (o - panel), e)
                with f.range(0, lanes) as i:
                    here = f.at(room, i * lanes, e)
                    grid = [[f.load(shape.vec, here, (2 * a + b) * lanes * lanes) for b in range(2)] for a in range(2)]
                    for a, row in enumerate(sandwich(f, G2, grid)):
                        for b, value in enumerate(row):
                            f.store(value, column, i * shape.width + (4 * a + b) * TURNED)


def _emit_back(m: Module, shape: Shape) -> None:
    """A3^T M A3: products [16][channel][BLOCK] -> part [tap][channel][output]."""
    lanes, e = shape.lanes, shape.element
    with m.function("back", "ptr words, ptr products, ptr part, i64 channels, i64 outputs", internal=True) as (
        f,
        words,
        products,
        part,
        channels,
        outputs,
    ):
        w = Names(f, words, WORDS)
        with f.range(0, channels) as c, f.range(0, outputs, lanes) as o:
            here, mask = f.at(products, c * BLOCK + o, e), f.mask(lanes, outputs - o)
            grid = [[f.load(shape.vec, here, (4 * a + b) * PRODUCTS) for b in range(4)] for a in range(4)]
            for a, row in enumerate(sandwich(f, A3T, grid)):
                for b, value in enumerate(row):
                    f.store(value, f.at(part, (w.channels * (3 * a + b) + c) * w.outputs + o, e), 0, mask)
