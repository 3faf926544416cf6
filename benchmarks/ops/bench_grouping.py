"""Unique slices.  python -m benchmarks.ops.bench_grouping [--reference PYTHON] [--cpu-time]"""

from __future__ import annotations

from benchmarks.kernel.compare import Case, main
from benchmarks.ops.programs import program

INTEGERS = ((100, 3, 4), (100_000, 2, 300), (100_000, 8, 2), (10_000, 64, 3))  # rows, columns, values


def cases() -> list[Case]:
    out = []
    both = "return_inverse=True, return_counts=True"
    for n, k, high in INTEGERS:
        setup = f"x = torch.randint(0, {high}, ({n}, {k}))"
        out.append(program(f"unique {n}x{k} int64", setup, f"torch.unique(x, dim=0, {both})", 8 * n * (2 * k + 2)))
    out.append(program("unique 20000x4 float32", "x = torch.randn(20000, 4)", "torch.unique(x, dim=0)", 4 * 20000 * 8))
    setup = "x = torch.randint(0, 100, (100000, 4)).sort(0)[0]"
    out.append(program("unique_consecutive 100000x4 int64", setup, f"torch.unique_consecutive(x, dim=0, {both})", 8 * 100000 * 10))
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
