"""Which kernels compute a product, and how it is cut: by shape alone, so results never depend on the number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...base.target import Target
from ...runtime.ir import SIZE
from ...runtime.pool_code import SCRATCH
from ..launch import In, Kernel, Launch, Number, Operand, Out, Schedule, Word, Work, bits
from .blocked import CHUNK, emit_combine, emit_pack_b, emit_tiles
from .frame import BUFFERED, DIRECT, FIELDS, NUMBERS, PARTIAL
from .kinds import Kind, kind_of
from .pack import UNROLL, panel_stride
from .problem import Problem, oriented, panel_height, problem
from .skinny import emit_dots, emit_stream

# Depth of a block, bytes of one row of words: each pass over k reads and writes all of c, so deep blocks win although panels then outgrow
# L1 (1024 float32 against 256: 14-20 % at n >= 1024).
DEPTH_BYTES = 4096
BLOCK_ROWS = 112  # rows of a block of a: 112 x 1024 words stay in half of an L2 of 1 MiB
ALONE = 2_000_000  # operations up to which one core needs less than two fork-joins would save (8 us at 250 GFLOP/s)
SHARE = 1_000_000  # operations worth handing to another thread (4 us; a fork-join takes 0.5 us)
NEAR = 4096  # bytes between rows below which an operand is read in place; rows this far apart share too few sets of L1
L2_SHARE = 1 << 19  # bytes of b that stay in L2
FEW = 8  # rows up to which reading b takes longer than the products
# Bytes of b from which few rows do without tiles, for up to 2, 4 and 8 rows. Below, b[K][N] read in place runs from L2.
FROM_STREAM, FROM_DOTS = {2: 1 << 16, 4: 1 << 20, 8: 1 << 20}, {2: 1 << 14, 4: 1 << 14, 8: 1 << 16}

Scale = float | complex | Number


@dataclass
class Plan:
    """Words under construction: `set` by name, `words` in order."""

    kind: Kind
    p: Problem
    fields: dict[str, Word] = field(default_factory=dict[str, Word])

    def set(self, **values: Word) -> None:
        self.fields.update(values)

    def number(self, name: str) -> int:
        word = self.fields[name]
        assert isinstance(word, int)
        return word

    def words(self) -> tuple[Word, ...]:
        table = [x for dim in self.p.batch for x in dim]
        return (*(self.fields.get(name, 0) for name in FIELDS[:-1]), len(self.p.batch), *table)

    def launch(self, kernel: Kernel, total: int, grain: int = 1, moved: int | None = None) -> Launch:
        """The products' launch, or one that only moves that many bytes."""
        p = self.p
        if moved is not None:
            return Launch(kernel, self.words(), total, grain, moved)
        size = SIZE[self.kind.source] * self.kind.units
        return Launch(kernel, self.words(), total, grain, size * p.count * (p.M * p.K + p.K * p.N + p.M * p.N), p.flops * p.count)


def matmul(
    out: Operand, a: Operand, b: Operand, *, bias: Operand | None = None, alpha: Scale = 1.0, beta: Scale = 1.0,
    epilogue: str = "", numbers: Sequence[float | Number] = (), accumulate: bool = False, target: Target | None = None,
    reused: bool = False,
) -> Schedule:  # fmt: skip
    """out = [out +] epilogue(alpha * a @ b + beta * bias), rounded once.

    a: (*batch, M, K), b: (*batch, K, N), out: (*batch, M, N), of one dtype and any strides (0 broadcasts a batch dimension). bias, of the
    same dtype, broadcasts to out; beta = 0 ignores its values. alpha and beta are constants, or numbers given at each call. `epilogue` is
    scalar text (`kernel.scalar.text`) of one input, or of two: f(alpha * a @ b, beta * bias), in the dtype's compute type, with up to four
    `numbers`; only real floating dtypes take one. K = 0 counts as zeros. With `reused`, a schedule of two launches leaves what it makes of b
    in its workspace: where b stays the same, the second launch alone serves further products.
    Words refer to Out(0), In(0) = a, In(1) = b, In(2) = bias. RuntimeError when shapes do not fit.
    """
    from ...runtime import host

    target = target or host.target()
    if bias is not None and not isinstance(beta, Number) and beta == 0:
        bias = None
    kind = kind_of(out.dtype, target)
    if epilogue and (kind.units == 2 or kind.acc not in ("float", "double") or len(numbers) > len(NUMBERS)):
        raise ValueError(
            f"no epilogue on {out.dtype} with {len(numbers)} numbers: it takes a real floating dtype and at most {len(NUMBERS)}"
        )
    p = problem(out, a, b, bias)
    if p.count * p.M * p.N == 0:
        return Schedule(())
    plan = Plan(kind, oriented(p, kind))
    describe(plan, bias is not None, alpha, beta, accumulate, epilogue)
    plan.set(**{name: scalar(kind, x) for name, x in zip(NUMBERS, numbers)})
    static = (out.dtype.name, epilogue) if epilogue else (out.dtype.name,)
    few = skinny(plan, out.dtype.name, static)
    return few or blocked(plan, out.dtype.name, static, reused and not plan.p.turned)


def describe(plan: Plan, biased: bool, alpha: Scale, beta: Scale, accumulate: bool, epilogue: str) -> None:
    """The words that do not depend on how the product is cut."""
    p, kind = plan.p, plan.kind
    for name in ("M", "N", "K", "am", "ak", "bk", "bn", "cm", "cn", "um", "un"):
        plan.set(**{name: getattr(p, name)})
    first, second = (In(1), In(0)) if p.turned else (In(0), In(1))
    plan.set(a=first, b=second, c=Out(0), bias=In(2) if biased else 0, use_bias=int(biased), add=int(accumulate), parts=1, depth=p.K)
    plan.set(plain=int(not (biased or epilogue or isinstance(alpha, Number) or alpha != 1)))
    plan.set(row_blocks=1, col_blocks=1, alpha=scalar(kind, alpha), beta=scalar(kind, beta))
    plan.set(alpha_imag=scalar(kind, alpha, 1), beta_imag=scalar(kind, beta, 1))


def scalar(kind: Kind, x: Scale, part: int = 0) -> Word:
    """A factor as a word of the accumulator's type (integers as i64)."""
    type_ = kind.acc if kind.acc in ("float", "double") else "i64"
    if isinstance(x, Number):
        return Number(x.index, type_, part) if part == 0 or kind.units == 2 else 0
    if type_ == "i64":
        return 0 if part else int(x.real)
    return bits(float(x.imag if part else x.real), type_)


# -- few rows
def skinny(plan: Plan, dtype: str, static: tuple[str, ...]) -> Schedule | None:
    """`stream` or `dots`, then `combine`; None where tiles are better."""
    kind, p = plan.kind, plan.p
    if p.M > FEW and p.N <= FEW:
        p = p.turn()
    size = SIZE[kind.source]
    streams, dots = p.bn == 1 and p.N > 1, p.bk == 1 and p.ak == 1
    if p.M > FEW or kind.units > 1 or kind.acc not in ("float", "double") or not (streams or dots):
        return None
    if p.K * p.N * size < (FROM_STREAM if streams else FROM_DOTS)[min(m for m in FROM_DOTS if m >= p.M)]:
        return None
    if p is not plan.p:
        turn(plan, p)
    # One vector more than needed: rows of sums a power of two apart would evict each other in L1.
    width = (ceil_div(p.N, kind.lanes) + 1) * kind.lanes
    if streams:
        parts = max(1, min(32, p.K // 64, p.K * p.N * size >> 18))
        blocks, columns, kernel = 1, p.N, Kernel(emit_stream, (dtype,))
    else:
        columns = max(24, min(p.N, (1 << 18) // (p.K * size)) // 24 * 24)
        blocks = ceil_div(p.N, columns)
        parts = max(1, min(32, p.K >> 13)) if blocks < 8 else 1
        kernel = Kernel(emit_dots, (dtype,))
    depth = ceil_div(p.K, parts)
    depth = ceil_div(depth, kind.lanes) * kind.lanes
    parts = ceil_div(p.K, depth)
    plan.set(depth=depth, parts=parts, nc=columns, col_blocks=blocks, pm=p.M, pn=width, partial=Work(0))
    workspace = p.count * parts * p.M * width * SIZE[kind.acc]
    first = plan.launch(kernel, p.count * parts * blocks, max(1, SHARE // (2 * p.M * depth * columns)))
    return Schedule((first, combine(plan, static)), workspace, (f"gemm: {'rows' if streams else 'dots'} of b, {parts} parts of k",))


def turn(plan: Plan, p: Problem) -> None:
    """Let the plan compute the transposed product."""
    plan.p = p
    a, b = plan.fields["a"], plan.fields["b"]
    plan.set(a=b, b=a)
    for name in ("M", "N", "K", "am", "ak", "bk", "bn", "cm", "cn", "um", "un"):
        plan.set(**{name: getattr(p, name)})


def combine(plan: Plan, static: tuple[str, ...]) -> Launch:
    """The launch that adds the parts of k."""
    p, parts = plan.p, plan.number("parts")
    moved = p.count * p.M * p.N * (parts + 1) * SIZE[plan.kind.acc] * plan.kind.units
    grain = max(1, 65536 // (min(p.N, CHUNK) * parts))
    return plan.launch(Kernel(emit_combine, static), p.count * p.M * ceil_div(p.N, CHUNK), grain, moved)


# -- tiles
def blocked(plan: Plan, dtype: str, static: tuple[str, ...], reused: bool = False) -> Schedule:
    """Packed tiles: all in one item, a batch of such items, parts of a long k, or blocks with b packed once for all."""
    kind, p = plan.kind, plan.p
    word = SIZE[kind.word] * kind.units
    mr = panel_height(kind, p.M)
    deepest = DEPTH_BYTES // SIZE[kind.word] * kind.pack
    kc = balanced(p.K, deepest, UNROLL * kind.pack)
    plan.set(mr=mr, kc=kc)
    row_panels, col_panels = ceil_div(p.M, mr), ceil_div(p.N, kind.columns)
    words = kc // kind.pack
    whole_b = panel_stride(kind, kind.columns, words) * col_panels * SIZE[kind.word]
    tiles = Kernel(emit_tiles, static)
    small = p.flops <= (ALONE if p.count == 1 else 8 * ALONE) and p.M <= BLOCK_ROWS * 2 and whole_b <= SCRATCH // 4
    few_panels = p.M <= 128 and p.N >= 4 * p.M
    in_place(plan, row_panels, not reused and (small or few_panels or p.N * word < NEAR))
    near = plan.fields.get("free_b") == 1
    if not reused and small and not (near and p.count == 1 and p.flops > SHARE):
        block(plan, row_panels, col_panels, pack_b=not near)
        return Schedule((plan.launch(tiles, p.count, max(1, SHARE // max(1, p.flops))),), 0, ("gemm: one block a matrix",))
    if not reused and row_panels * col_panels * p.count <= 64 and p.K * kind.units >= 4096 * kind.pack:
        return split(plan, tiles, static, row_panels, col_panels)
    if near:
        return spread_out(plan, tiles, row_panels, col_panels)
    if few_panels and not reused:
        # b would be read once, written and read again; each item packs its own columns instead.
        most = max(1, SCRATCH // 4 // (panel_stride(kind, kind.columns, words) * SIZE[kind.word]))
        each = min(most, max(2, col_panels // 32, SHARE // max(1, 2 * p.M * p.K * kind.columns)))
        blocks = block(plan, row_panels, ceil_div(col_panels, ceil_div(col_panels, each)), pack_b=True)
        return Schedule((plan.launch(tiles, p.count * blocks),), 0, ("gemm: column blocks, b packed by each",))
    rows, cols = cut(kind, p, row_panels, col_panels)
    blocks = block(plan, rows, cols, pack_b=False)
    passes = ceil_div(p.K, kc) if p.K else 1
    group = max(1, min(8, col_panels * passes // 8))
    per_batch = passes * col_panels * panel_stride(kind, kind.columns, words)
    shared = all(dim[2] == 0 for dim in p.batch)
    plan.set(packed=Work(0), panels=col_panels, group=group, pack_batch=0 if shared else per_batch)
    copies = 1 if shared else p.count
    workspace = per_batch * copies * SIZE[kind.word]
    grain = max(1, 16384 // (group * kind.columns * kc))
    pack = plan.launch(Kernel(emit_pack_b, (dtype,)), copies * passes * ceil_div(col_panels, group), grain, 2 * workspace)
    note = f"gemm: {rows * mr} x {cols * kind.columns} blocks, b packed once ({workspace} bytes), {word} byte words"
    return Schedule((pack, plan.launch(tiles, p.count * blocks)), workspace, (note,))


def spread_out(plan: Plan, tiles: Kernel, row_panels: int, col_panels: int) -> Schedule:
    """b lies as the tiles want it, so blocks share nothing: one launch. Rows are cut first, since a column block packs a again."""
    p, mr = plan.p, plan.number("mr")
    work = 2 * mr * p.N * p.K  # of a panel of rows
    # A b beyond L2 is streamed again for each block: take more rows as long as 16 blocks are left to share.
    far = row_panels // 16 if p.K * p.N * SIZE[plan.kind.source] * plan.kind.units > L2_SHARE else 1
    rows = max(1, min(BLOCK_ROWS // mr, max(far, SHARE // work)))
    pieces = ceil_div(8, ceil_div(row_panels, rows))
    pieces = max(1, min(col_panels, pieces, rows * work // SHARE), ceil_div(p.N * plan.kind.units, 4096))
    blocks = block(plan, rows, ceil_div(col_panels, pieces), pack_b=False)
    return Schedule((plan.launch(tiles, p.count * blocks),), 0, ("gemm: blocks, b in place",))


def in_place(plan: Plan, row_panels: int, one_launch: bool) -> None:
    """Let micro-kernels read operands where they lie, if whole turns of the loop and whole tiles touch nothing outside and nothing converts.

    Worth it while a tile's rows of a and b's rows stay near each other: packing saves misses in L1 and the page tables otherwise.
    """
    kind, p = plan.kind, plan.p
    if kind.word != kind.source or p.K % UNROLL:
        return
    mr = plan.number("mr")
    size = kind.units * SIZE[kind.word]
    near = (p.am == 1 and p.ak * size < NEAR) or (p.ak == 1 and p.am * size < NEAR)
    plan.set(free_a=int(near and (p.M % mr or mr) in kind.heights))
    near = p.bk * size < NEAR or row_panels <= 2
    plan.set(free_b=int(one_launch and near and p.bn == 1 and p.N % kind.across == 0))


def balanced(k: int, most: int, step: int) -> int:
    """Depth of equal passes over k, a multiple of `step`."""
    passes = max(1, ceil_div(k, most))
    return max(step, ceil_div(ceil_div(k, passes), step) * step)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def block(plan: Plan, row_panels: int, col_panels: int, *, pack_b: bool, mode: int | None = None) -> int:
    """Blocks of this many panels: sets their words, lays out scratch memory, and counts the blocks of a matrix."""
    kind, p = plan.kind, plan.p
    mr, kc = plan.number("mr"), plan.number("kc")
    words = kc // kind.pack
    mc, nc = row_panels * mr, col_panels * kind.columns
    if mode is None:
        # Sums in the result itself: it must hold them exactly, in whole vectors, and a second pass must not meet a finished tile.
        one_pass = kc >= p.K
        pure = plan.fields["plain"] == 1
        direct = not kind.converts and p.cn == 1 and p.cm > 0 and (pure or (one_pass and not plan.fields["add"]))
        mode = DIRECT if direct else BUFFERED
    room_b = aligned((panel_stride(kind, kind.rows, words) * row_panels + kind.lanes) * SIZE[kind.word])
    room_d = room_b + aligned(panel_stride(kind, kind.columns, words) * col_panels * SIZE[kind.word] if pack_b else 0)
    size_d = (kind.rows * kind.columns if mode == DIRECT else (mc + kind.rows) * nc) * kind.units * SIZE[kind.acc]
    if room_d + size_d > SCRATCH:
        raise MemoryError(f"a block of {mc} x {nc} x {kc} takes {room_d + size_d} bytes of scratch memory, {SCRATCH} are there")
    rows, cols = ceil_div(p.M, mc), ceil_div(p.N, nc)
    plan.set(mc=mc, nc=nc, row_blocks=rows, col_blocks=cols, mode=mode, room_b=room_b, room_d=room_d)
    return rows * cols


def aligned(n: int) -> int:
    return (n + 127) & -64


def split(plan: Plan, tiles: Kernel, static: tuple[str, ...], row_panels: int, col_panels: int) -> Schedule:
    """A small result of a long k: each item sums a part of k over the whole result, `combine` adds the parts in order."""
    kind, p = plan.kind, plan.p
    mr = plan.number("mr")
    height = row_panels * kind.rows + col_panels * kind.columns
    deepest = max(256, SCRATCH // 4 // (height * kind.units * SIZE[kind.word])) * kind.pack
    step = UNROLL * kind.pack
    parts = max(1, min(32 // min(p.count, 32), p.K // (512 * kind.pack)))
    depth = ceil_div(ceil_div(p.K, parts), step) * step
    kc = balanced(depth, min(deepest, DEPTH_BYTES // SIZE[kind.word] * kind.pack), step)
    depth = ceil_div(depth, kc) * kc
    parts = ceil_div(p.K, depth)
    pm, pn = row_panels * mr + kind.rows, col_panels * kind.columns
    plan.set(kc=kc, depth=depth, parts=parts, pm=pm, pn=pn, partial=Work(0))
    blocks = block(plan, row_panels, col_panels, pack_b=True, mode=PARTIAL)
    workspace = p.count * parts * pm * pn * kind.units * SIZE[kind.acc]
    return Schedule((plan.launch(tiles, p.count * parts * blocks), combine(plan, static)), workspace, (f"gemm: {parts} parts of k",))


def cut(kind: Kind, p: Problem, row_panels: int, col_panels: int) -> tuple[int, int]:
    """Panels of a and of b in a block, least estimated loss: streaming b again for each row block, packing a again for each column block,
    and threads that wait for the last block."""
    mr = ceil_div(p.M, row_panels)
    best, found = float("inf"), (1, 1)
    most = max(1, min(row_panels, BLOCK_ROWS // mr))
    least = ceil_div(col_panels * kind.columns * kind.units, 2048)  # a block of sums must fit scratch memory
    for rows in range(1, most + 1):
        for pieces in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
            cols = ceil_div(col_panels, pieces * least)
            items = ceil_div(row_panels, rows) * ceil_div(col_panels, cols) * p.count
            loss = 0.6 / (rows * mr) + 5.0 / (cols * kind.columns) + 1.0 / items
            if loss < best:
                best, found = loss, (rows, cols)
    return found
