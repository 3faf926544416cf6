"""The building blocks of attention: products of square blocks (64 x 64) that lie in the caches, and the packing that puts tensors into blocks.

Blocks are row-major in the compute type and padded with zeros to whole vectors, so products need no masks. `product` is a GEMM on register
tiles of TILE rows x 2 vectors; on blocks that the causal mask cuts it skips the tiles that are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...base.dtypes import DTYPES, dtype
from ...base.target import Target
from ...runtime.ir import SIZE, Function, Module, Value, vector
from .. import lanes

BLOCK, LARGER = 64, 96  # queries and keys of a block; the larger one where all of a short sequence fits it
PACK = "ptr source, i64 stride, i64 rows, i64 n, ptr target"
FAR = 1 << 40  # a shift that skips nothing


@dataclass(frozen=True)
class Shape:
    """What is fixed in a compiled kernel: dtype, head sizes padded to whole vectors, how the mask is stored ("", "bool" or a dtype)."""

    d: dtype
    head: int
    value: int
    mask: str = ""
    block: int = BLOCK

    def kind(self, target: Target) -> tuple[int, str, str]:
        """(lanes, element, vector)."""
        one = self.d.compute.llvm
        width = target.lanes * 4 // SIZE[one]
        return width, one, vector(width, one)


def padded(n: int, target: Target, d: dtype) -> int:
    width = target.lanes * 4 // d.compute.itemsize
    return -(-n // width) * width


def product(m: Module, name: str, shape: Shape, a_row: int, a_k: int, columns: int, skip: str) -> None:
    """`name`(A, B, C, rows, cols, depth, shift, add): C[r][c] (+)= sum over k of A[r * a_row + k * a_k] B[k][c] for the first `cols` of
    `columns` columns (rounded up to tiles).

    `shift` is first query - first key of a causal pair of blocks (FAR: no skipping); with it `skip` names what is needed: "cols" columns
    c <= r + shift, "to" k <= r + shift, "from" k >= r - shift."""
    target = m.target
    width, one, kind = shape.kind(target)
    tile = 8 if target.registers == 32 else 4
    params = "ptr A, ptr B, ptr C, i64 rows, i64 cols, i64 depth, i64 shift, i64 add"
    with m.function(name, params, internal=True) as (f, A, B, C, rows, cols, depth, shift, add), f.range(0, rows, tile) as row:
        reach = f.smin(row + tile + shift, FAR)
        last = f.smin(cols, reach) if skip == "cols" else cols
        start = f.smax(row - shift, 0) if skip == "from" else f.i64(0)
        stop = f.smin(depth, reach) if skip == "to" else depth
        left = f.bytes(A, row * (a_row * SIZE[one]))

        def cell(column: Value, vectors: int, row: Value = row, start: Value = start, stop: Value = stop, left: Value = left) -> None:
            acc = [[f.var(kind, 0.0) for _ in range(vectors)] for _ in range(tile)]
            with f.range(start, stop, 4) as k:
                right, a = f.at(B, k * columns + column, one), f.at(left, k * a_k, one)
                for u in range(4):
                    b = [f.load(kind, right, u * columns + v * width) for v in range(vectors)]
                    for r in range(tile):
                        x = f.splat(f.load(one, a, r * a_row + u * a_k), width)
                        for v in range(vectors):
                            acc[r][v].v = f.fma(x, b[v], acc[r][v].v)
            out = f.at(C, row * columns + column, one)
            for old in (0, 1):
                with f.when(add.eq(old)):
                    for r in range(tile):
                        for v in range(vectors):
                            at = r * columns + v * width
                            x = acc[r][v].v
                            f.store(x + f.load(kind, out, at) if old else x, out, at)

        two = 2 * width
        with f.range(0, last - width, two) as column:
            cell(column, 2)
        done = f.smax((last + (width - 1)) & -two, 0)
        with f.when(done < last):
            cell(done, 1)


def pack_rows(m: Module, shape: Shape, columns: int) -> str:
    """A function (source, row stride, rows, n, target): a block of rows of `columns` in the compute type, zero outside rows x n."""
    name = f"pack_rows_{columns}"
    if name in m.defined:
        return name
    d = shape.d
    width, one, kind = shape.kind(m.target)
    with m.function(name, PACK, internal=True) as (f, source, stride, rows, n, target), f.range(0, shape.block) as row:
        to, at = f.at(target, row * columns, one), f.at(source, row * stride, d.llvm)
        inside = f.select(row < rows, n, 0)
        whole = inside & -width
        with f.range(0, whole, width) as c:
            f.store(lanes.load(f, d, width, at, c), to, c)
        with f.when(whole < inside):
            f.store(lanes.load(f, d, width, at, whole, inside - whole), to, whole)
        with f.range((inside + (width - 1)) & -width, columns, width) as c:
            f.store(f.const(kind, 0.0), to, c)
    return name


def pack_turned(m: Module, shape: Shape, columns: int) -> str:
    """A function (source, row stride, rows, n, target): the block transposed, `columns` rows, zero outside."""
    name = f"pack_turned_{columns}"
    if name in m.defined:
        return name
    d = shape.d
    width, one, _ = shape.kind(m.target)
    with m.function(name, PACK, internal=True) as (f, source, stride, rows, n, target):
        stage = f.array(one, width * width)
        with f.range(0, shape.block, width) as r, f.range(0, columns, width) as c:
            whole = f.cast("zext", (r + width) <= rows, "i8") & f.cast("zext", (c + width) <= n, "i8")
            with f.when(whole.ne(0)):
                for i in range(width):
                    f.store(lanes.load(f, d, width, f.at(source, (r + i) * stride + c, d.llvm)), stage, i * width)
            with f.when(whole.eq(0)), f.range(0, width) as i:
                inside = f.select((r + i) < rows, n - c, 0)
                at = f.at(source, f.select(inside > 0, (r + i) * stride + c, 0), d.llvm)
                f.store(lanes.load(f, d, width, at, 0, inside), f.at(stage, i * width, one))
            block = f.transpose([f.load(vector(width, one), stage, i * width) for i in range(width)])
            for i, x in enumerate(block):
                f.store(x, f.at(target, (c + i) * shape.block + r, one))
    return name


def masked_scores(
    f: Function, shape: Shape, row: Value, mask: Value, scale: Value, valid: Value, left: Value
) -> tuple[list[Value], list[Value]]:
    """A row of a block's raw products as scores: scaled, with the mask's row added, -inf from lane `valid` on; and which lanes come before it.
    `left`: keys of the mask's row."""
    width, _, kind = shape.kind(f.module.target)
    out: list[Value] = []
    inside: list[Value] = []
    ids = f.lanes(vector(width, "i32"), range(width))
    edge = f.splat(f.cast("trunc", f.smin(f.smax(valid, 0), shape.block), "i32"), width)
    for h in range(0, shape.block, width):
        x = f.load(kind, row, h) * f.splat(scale, width)
        if shape.mask:
            x = _with_mask(f, shape, x, mask, h, left - h)
        inside.append((ids + h) < edge)
        out.append(f.select(inside[-1], x, f.const(kind, float("-inf"))))
    return out, inside


def _with_mask(f: Function, shape: Shape, x: Value, mask: Value, h: int, left: Value) -> Value:
    width, _, kind = shape.kind(f.module.target)
    slot = f.var(kind, 0.0)

    def read(inside: Value | None) -> Value:
        if shape.mask == "bool":
            if inside is None:
                flags = f.load(vector(width, "i8"), mask, h)
            else:
                stage = f.array("i8", width)
                f.store(f.const(vector(width, "i8"), 0), stage)
                with f.range(0, f.smin(inside, width)) as k:
                    f.store(f.load("i8", f.bytes(mask, h), k), stage, k)
                flags = f.load(vector(width, "i8"), stage)
            return f.select(flags.ne(0), x, f.const(kind, float("-inf")))
        value = lanes.load(f, DTYPES[shape.mask], width, mask, h, inside)
        if value.type != kind:
            value = f.cast("fpext" if kind.endswith("double>") else "fptrunc", value, kind)
        return x + value

    whole = left >= width
    with f.when(whole):
        slot.v = read(None)
    with f.otherwise(whole):
        slot.v = read(left)
    return slot.v
