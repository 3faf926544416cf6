"""Which source element each output pixel meets under each tap of a window, as tables that a kernel walks.

A *grid* numbers the pixels of a result and says where each lies in its plane and where its window starts in the source's plane. A vector of
pixels reads one or a few *pieces* of a source row: memory that runs at the pace of the pixels. Pieces do not depend on the tap (a tap adds
one offset to all of them), nor on channel or image, so the table is small: one entry a vector. A large plane repeats after a few rows
(the *period*), and only these are in the table.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Three = tuple[int, int, int]

PIECES = 4  # of a vector; more are read lane by lane
OUTSIDE = -(1 << 30)  # coordinate of a lane without a pixel
FLAT = 784  # planes with fewer pixels are taken several images at a time: 7 x 7 = 49 pixels would cost 64
TABLE = 4096  # pixels in a table, about

# An entry, in 32-bit words: five fields of one word a lane, then the number of pieces with their offsets and lane masks, read and written.
W, H, D, SOURCE, RESULT = range(5)


def entry_words(lanes: int) -> int:
    """Words from one entry to the next."""
    return -(-(5 * lanes + 2 + 4 * PIECES) // 16) * 16


def read_pieces(lanes: int) -> int:
    """Word of an entry that counts the pieces read; PIECES offsets and PIECES masks follow."""
    return 5 * lanes


def written_pieces(lanes: int) -> int:
    return 5 * lanes + 1 + 2 * PIECES


@dataclass(frozen=True)
class Grid:
    """Pixels j of a result, three dims: pixel j lies at `origin + j * spread` in the result's plane and its window at `start + j * step` in the
    source's plane; a tap (index in the weight, shift) reads `start + j * step + shift`."""

    pixels: Three
    source: Three  # size of the source's plane
    result: Three  # size of the result's plane
    start: Three
    step: Three
    taps: tuple[tuple[int, Three], ...]
    origin: Three = (0, 0, 0)
    spread: Three = (1, 1, 1)
    phases: Three = (1, 1, 1)  # the step, where the source's planes have been taken apart by it (phases.py)

    @property
    def room(self) -> Three:
        """Size of a phase of the source's plane."""
        return _three(-(-n // s) for n, s in zip(self.source, self.phases))

    @property
    def parts(self) -> list[Three]:
        """The phases that some tap meets, in order."""
        return sorted({self.meets(shift)[0] for _, shift in self.taps})

    def meets(self, shift: Three) -> tuple[Three, Three]:
        """(phase, place in it) that a tap reads for the first pixel."""
        both = [divmod(a + t, s) for a, t, s in zip(self.start, shift, self.phases)]
        return _three(r for _, r in both), _three(q for q, _ in both)

    @property
    def count(self) -> int:
        return math.prod(self.pixels)

    @property
    def contiguous(self) -> bool:
        """Whether pixels follow each other in the result."""
        return self.pixels == self.result and self.spread == (1, 1, 1) and self.origin == (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Table:
    """A grid for vectors of `lanes` pixels, `images` planes at a time; the arrays belong to the schedules that use them."""

    entries: np.ndarray
    taps: np.ndarray  # [tap][4] of int64: offset in the source, places of the shifts along D, H, W in `shifts`
    shifts: np.ndarray  # distinct shifts of the taps along W, then H, then D; int64
    shift_counts: Three  # of them, in this order
    images: int
    period: int  # pixels after which entries repeat
    source_step: int  # what a period adds to offsets in the source, to the row, and to offsets in the result
    row_step: int
    result_step: int
    read: int  # distance of neighbours in the source: 1, 2, or 0 when there are too many pieces
    read_pieces: int  # of a vector at most, rounded up to 1, 2 or PIECES
    write: int  # distance of neighbours in the result
    write_pieces: int
    order: np.ndarray = field(repr=False)  # index of each tap in the weight


def forward_grid(source: Three, kernel: Three, stride: Three, padding: Three, dilation: Three, result: Three) -> Grid:
    """Pixels of a convolution's result."""
    taps: list[tuple[int, Three]] = []
    for index in range(math.prod(kernel)):
        place = (index // (kernel[1] * kernel[2]), index // kernel[2] % kernel[1], index % kernel[2])
        taps.append((index, _three(k * d for k, d in zip(place, dilation))))
    start = _three(-p for p in padding)
    return Grid(result, source, result, start, stride, tuple(taps))


def backward_grids(source: Three, kernel: Three, stride: Three, padding: Three, dilation: Three, result: Three) -> list[Grid]:
    """Pixels of a convolution's input (the result here), one grid for each remainder of its coordinates modulo the stride: in
    such a class the same taps meet every pixel, and neighbours read neighbours."""
    grids: list[Grid] = []
    for remainder in range(math.prod(stride)):
        origin = (remainder // (stride[1] * stride[2]), remainder // stride[2] % stride[1], remainder % stride[2])
        pixels = _three(-(-(q - a) // s) for q, a, s in zip(result, origin, stride))
        if min(pixels) <= 0:
            continue
        lines = [
            [(k, (a + p - k * d) // s) for k in range(n) if (a + p - k * d) % s == 0]
            for a, p, d, s, n in zip(origin, padding, dilation, stride, kernel)
        ]
        taps = tuple(
            (((kd * kernel[1]) + kh) * kernel[2] + kw, (d, h, w)) for kd, d in lines[0] for kh, h in lines[1] for kw, w in lines[2]
        )
        grids.append(Grid(pixels, source, result, (0, 0, 0), (1, 1, 1), taps, origin, stride))
    return grids


def _three(xs: Iterable[int]) -> Three:
    a, b, c = xs
    return (int(a), int(b), int(c))


@functools.lru_cache(512)
def table(grid: Grid, lanes: int, width: int, images: int, source_image: int, result_image: int) -> Table:
    """The table for at most `images` images; `width` pixels are a panel, so a period holds whole panels. The last two: elements from one
    image to the next. ValueError when offsets exceed 32 bits."""
    import numpy as np

    (_, oh, ow), count = grid.pixels, grid.count
    together, period, rows = 1, 0, 0
    if count < FLAT:
        together = max(1, min(images, TABLE // max(count, 1)))
    elif grid.pixels[0] == 1:
        period = math.lcm(ow, width)
        rows = period // ow
    total = together * count
    if not 0 < period < count:
        period, rows = -(-total // width) * width, 0
    q = np.arange(period, dtype=np.int64)
    image, p = q // max(count, 1), q % max(count, 1)
    place = np.stack([p // (oh * ow), p // ow % oh, p % ow])
    inside = (q < total) if not rows else np.ones(period, bool)
    start, step, origin, spread = (np.array(x)[:, None] for x in (grid.start, grid.step, grid.origin, grid.spread))
    begin, end = start + step * place, origin + spread * place
    plane = np.array([grid.room[1] * grid.room[2], grid.room[2], 1])
    apart, pace = grid.phases != (1, 1, 1), _three(n // s for n, s in zip(grid.step, grid.phases))
    target = np.array([grid.result[1] * grid.result[2], grid.result[2], 1])
    read_at, write_at = image * source_image + plane @ (place if apart else begin), image * result_image + target @ end
    last = max(0, min(total, period) - 1)
    read_at, write_at = np.where(inside, read_at, read_at[last]), np.where(inside, write_at, write_at[last])
    if max(int(np.abs(read_at).max()), int(np.abs(write_at).max())) + 4 * math.prod(grid.source) >= 1 << 31:
        raise ValueError("a group of planes exceeds 32-bit offsets")
    vectors = period // lanes
    entries = np.zeros((vectors, entry_words(lanes)), np.int32)
    view = entries[:, : 5 * lanes].reshape(vectors, 5, lanes)
    shape = (vectors, lanes)
    for slot, dim in ((W, 2), (H, 1), (D, 0)):
        view[:, slot] = np.where(inside, begin[dim], OUTSIDE).reshape(shape)
    view[:, SOURCE], view[:, RESULT] = read_at.reshape(shape), write_at.reshape(shape)
    read, most = _pieces(entries, read_pieces(lanes), read_at.reshape(shape), inside.reshape(shape), pace[2])
    write, parts = _pieces(entries, written_pieces(lanes), write_at.reshape(shape), inside.reshape(shape), grid.spread[2])
    distinct = [sorted({s[dim] for _, s in grid.taps}) for dim in (2, 1, 0)]
    w, h, d = distinct
    phases = grid.parts
    taps = [[_offset(grid, phases, s), len(w) + len(h) + d.index(s[0]), len(w) + h.index(s[1]), w.index(s[2])] for _, s in grid.taps]
    return Table(
        entries, np.array(taps, np.int64).reshape(-1, 4), np.array([*w, *h, *d], np.int64), _three(map(len, distinct)), together, period,
        rows * pace[1] * grid.room[2], rows * grid.step[1], rows * grid.spread[1] * grid.result[2], read, most, write, parts,
        np.array([i for i, _ in grid.taps], np.int64),
    )  # fmt: skip


def _offset(grid: Grid, parts: list[Three], shift: Three) -> int:
    """Elements from where an entry points to what a tap reads."""
    _, height, width = grid.room
    if grid.phases == (1, 1, 1):
        return (shift[0] * height + shift[1]) * width + shift[2]
    phase, (d, h, w) = grid.meets(shift)
    return parts.index(phase) * math.prod(grid.room) + (d * height + h) * width + w


def _pieces(entries: np.ndarray, at: int, where: np.ndarray, inside: np.ndarray, pace: int) -> tuple[int, int]:
    """Fill in the pieces of each vector -> (pace, pieces at most); pace 0 when some vector has too many pieces or neither 1 nor 2 fits."""
    import numpy as np

    if pace not in (1, 2):
        return 0, 1
    lanes: int = where.shape[1]
    lane = np.arange(lanes)
    base: np.ndarray = where - pace * lane
    new = (base[:, 1:] != base[:, :-1]) & inside[:, 1:]
    piece = np.concatenate([np.zeros((len(where), 1), np.int64), np.cumsum(new, 1)], 1)
    count = piece[:, -1] + 1
    most = int(count.max())
    if most > PIECES:
        return 0, 1
    entries[:, at] = count
    for s in range(PIECES):
        mine = (piece == s) & inside
        entries[:, at + 1 + s] = np.take_along_axis(base, mine.argmax(1)[:, None], 1)[:, 0]
        entries[:, at + 1 + PIECES + s] = (mine << lane).sum(1)
    return pace, min(n for n in (1, 2, PIECES) if n >= most)
