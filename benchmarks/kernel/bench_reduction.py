"""Reductions, scans and indexing: time, GB/s moved, next to a copy of as many bytes and PyTorch in the same run.

    python -m benchmarks.kernel.bench_reduction [--reference PYTHON] [--threads 1 2] [--only sum_rows ...]

A copy moves its bytes once in and once out; a reduction reads them only and may be faster than it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.kernel.bench_gemm import Job, operand
from benchmarks.kernel.bench_memory import Case, aligned, known, main
from facula.base.dtypes import float32
from facula.base.target import Target
from facula.kernel import indexing as at
from facula.kernel import reduction as r
from facula.kernel.scan import cummax_of, scan

SHAPE = (4096, 2048)


def values(shape: Sequence[int]) -> np.ndarray:
    return aligned(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def reduced(shape: tuple[int, ...], dims: tuple[int, ...], reducer: r.Reducer, torch: str, kinds: str = "f", numbers: tuple = ()) -> Case:
    def build(target: Target) -> tuple[Job, int]:
        x = values(shape)
        rest = tuple(n for d, n in enumerate(shape) if d not in dims)
        outs = [np.zeros(rest, kind) for kind in kinds]
        return Job(known(r.reduce([operand(o) for o in outs], [operand(x)], dims, reducer), numbers), outs, [x], target), x.nbytes

    return Case(build, f"x = torch.randn({shape})", torch)


def scanned(shape: tuple[int, ...], dim: int, reducer: r.Reducer, torch: str, kinds: str = "f") -> Case:
    def build(target: Target) -> tuple[Job, int]:
        x = values(shape)
        outs = [np.zeros(shape, kind) for kind in kinds]
        return Job(scan([operand(o) for o in outs], [operand(x)], dim, reducer), outs, [x], target), x.nbytes + sum(o.nbytes for o in outs)

    return Case(build, f"x = torch.randn({shape})", torch)


def rows(how: str, count: int, table: int, width: int, torch: str) -> Case:
    def build(target: Target) -> tuple[Job, int]:
        weight, index = values((table, width)), np.random.default_rng(1).integers(0, table, count)
        x = values((count, width))
        if how == "take":
            return Job(at.take_rows(operand(x), operand(weight), operand(index)), [x], [weight, index], target), 2 * x.nbytes
        schedule = at.embedding_backward(operand(weight), operand(x), operand(index))
        return Job(schedule, [weight], [x, index], target), 3 * x.nbytes + weight.nbytes

    return Case(
        build, f"w = torch.randn({table}, {width}); i = torch.randint(0, {table}, ({count},)); g = torch.randn({count}, {width})", torch
    )


def elements(how: str, dim: int, torch: str) -> Case:
    def build(target: Target) -> tuple[Job, int]:
        x, index = values(SHAPE), np.random.default_rng(1).integers(0, SHAPE[dim], SHAPE)
        out = np.zeros_like(x)
        call = at.gather(operand(out), operand(x), operand(index), dim) if how == "gather" else None
        call = call or at.scatter(operand(out), operand(x), operand(index), dim, "sum")
        return Job(call, [out], [x, index], target), 2 * x.nbytes + index.nbytes

    setup = f"x = torch.randn({SHAPE}); i = torch.randint(0, {SHAPE[dim]}, {SHAPE}); o = torch.zeros({SHAPE})"
    return Case(build, setup, torch)


def selected(torch: str) -> Case:
    def build(target: Target) -> tuple[Job, int]:
        x = values(SHAPE)
        mask = x > 0
        counts = np.zeros(at.chunks(operand(mask)), np.int64)
        Job(at.count_true(operand(counts), operand(mask)), [counts], [mask], target)(1)
        out = np.zeros(counts[-1], np.float32)
        return Job(
            at.masked_select(operand(out), operand(x), operand(mask)), [out], [x, mask, counts], target
        ), x.nbytes + mask.nbytes + out.nbytes

    return Case(build, f"x = torch.randn({SHAPE}); m = x > 0", torch)


total = r.sum_of(float32)
CASES = {
    "sum_rows": reduced(SHAPE, (1,), total, "x.sum(1)"),
    "sum_cols": reduced(SHAPE, (0,), total, "x.sum(0)"),
    "sum_all": reduced(SHAPE, (0, 1), total, "x.sum()"),
    "sum_middle": reduced((64, 512, 256), (1,), total, "x.sum(1)"),
    "sum_rows_of_10": reduced((800_000, 10), (1,), total, "x.sum(1)"),
    "sum_channels": reduced((32, 64, 64, 64), (0, 2, 3), total, "x.sum((0, 2, 3))"),
    "max_rows": reduced(SHAPE, (1,), r.max_of(float32), "x.amax(1)"),
    "argmax_rows": reduced(SHAPE, (1,), r.argmax_of(float32), "x.argmax(1)", "q"),
    "var_rows": reduced(SHAPE, (1,), r.moments_of(float32), "x.var(1)", numbers=(1.0,)),
    "var_cols": reduced(SHAPE, (0,), r.moments_of(float32), "x.var(0)", numbers=(1.0,)),
    "norm": reduced(SHAPE, (0, 1), r.norm_of(float32, 2), "x.norm()"),
    "logsumexp_rows": reduced(SHAPE, (1,), r.logsumexp_of(float32), "x.logsumexp(1)"),
    "cumsum_rows": scanned(SHAPE, 1, total, "x.cumsum(1)"),
    "cumsum_cols": scanned(SHAPE, 0, total, "x.cumsum(0)"),
    "cumsum_long": scanned((8_000_000,), 0, total, "x.cumsum(0)"),
    "cummax_rows": scanned(SHAPE, 1, cummax_of(float32), "x.cummax(1)", "fq"),
    "embedding": rows("take", 8192, 50_000, 512, "torch.nn.functional.embedding(i, w)"),
    "embedding_grad": rows("grad", 8192, 50_000, 512, "torch.ops.aten.embedding_dense_backward(g, i, 50000, -1, False)"),
    "embedding_64": rows("take", 65_536, 1000, 64, "torch.nn.functional.embedding(i, w)"),
    "embedding_64_grad": rows("grad", 65_536, 1000, 64, "torch.ops.aten.embedding_dense_backward(g, i, 1000, -1, False)"),
    "gather": elements("gather", 1, "x.gather(1, i)"),
    "scatter_add": elements("scatter", 1, "o.scatter_add_(1, i, x)"),
    "scatter_add_cols": elements("scatter", 0, "o.scatter_add_(0, i, x)"),
    "masked_select": selected("x[m]"),
}

if __name__ == "__main__":
    main(__doc__ or "", CASES)
