"""The register tile: `rows` x `vectors` accumulators that stay in registers while k goes by.

        b0      b1        two vectors of pixels, read once per k
a0   [ acc00 | acc01 ]    a_r is one number, broadcast; on AVX-512 14 rows x 2 vectors = 28 accumulators,
a1   [ acc10 | acc11 ]    2 registers for b and 1 for the broadcast
...
"""

from __future__ import annotations

from dataclasses import dataclass

from ...base.target import Target
from ...runtime.ir import SIZE, Module, Value, vector

UNROLL = 4


@dataclass(frozen=True)
class Shape:
    """Vectors of `lanes` elements; a tile of up to `rows` x `vectors` of them."""

    element: str  # float or double
    lanes: int
    rows: int
    vectors: int

    @property
    def vec(self) -> str:
        return vector(self.lanes, self.element)

    @property
    def width(self) -> int:
        """Pixels of a panel."""
        return self.lanes * self.vectors

    @property
    def size(self) -> int:
        return SIZE[self.element]


def shape_for(element: str, target: Target) -> Shape:
    return Shape(element, target.lanes * 4 // SIZE[element], target.tile_rows, target.tile_vectors)


def height(rows: int, most: int) -> int:
    """Rows of equal panels: 64 rows are 5 x 13, not 4 x 14 and 8."""
    panels = max(1, -(-rows // most))
    return max(1, -(-rows // panels))


def emit_tile(m: Module, shape: Shape, rows: int, a_step: int, a_row: int, bias: bool = False) -> str:
    """`tile(A, B, C, ldc, k, cols, count, add, bias)`: C (+)= sum over p < k of A[p * a_step + r * a_row] * B[p * width + j], for r < count and
    j < cols. `add` 0: C is written, starting from bias[r]."""
    name, vec, width, lanes = "tile", shape.vec, shape.width, shape.lanes
    signature = "ptr A, ptr B, ptr C, i64 ldc, i64 k, i64 cols, i64 count, i64 add, ptr bias"
    with m.function(name, signature, internal=True) as (f, A, B, C, ldc, k, cols, count, add, biases):
        for r in range(rows):
            for v in range(shape.vectors):
                f.prefetch(C, ldc * r + v * lanes, elem=shape.element)  # planes a power of two apart miss when they are stored
        acc = [[f.var(vec, 0.0) for _ in range(shape.vectors)] for _ in range(rows)]

        def step(a: Value, b: Value, u: int) -> None:
            right = [f.load(vec, b, u * width + v * lanes) for v in range(shape.vectors)]
            for r in range(rows):
                left = f.splat(f.load(shape.element, a, u * a_step + r * a_row), lanes)
                for v, x in enumerate(right):
                    acc[r][v].v = f.fma(left, x, acc[r][v].v)

        whole = k & -UNROLL
        with f.range(0, whole, UNROLL) as p:
            a, b = f.at(A, p * a_step, shape.element), f.at(B, p * width, shape.element)
            for u in range(UNROLL):
                step(a, b, u)
        with f.range(whole, k) as p:
            step(f.at(A, p * a_step, shape.element), f.at(B, p * width, shape.element), 0)
        masks = [f.mask(lanes, cols - v * lanes) for v in range(shape.vectors)]
        nothing = f.const(f"<{lanes} x i1>", 0)
        old = [f.select(add.ne(0), mask, nothing) for mask in masks]
        for r in range(rows):
            with f.when(count > r):
                row = f.at(C, ldc * r, shape.element)
                first = f.splat(f.load(shape.element, biases, r), lanes) if bias else f.const(vec, 0.0)
                for v in range(shape.vectors):
                    kept = f.load(vec, row, v * lanes, old[v], first)
                    f.store(acc[r][v].v + kept, row, v * lanes, masks[v])
    return name
