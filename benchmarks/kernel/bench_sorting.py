"""Sorting with indices and top-k.  python -m benchmarks.kernel.bench_sorting [--reference PYTHON]"""

from __future__ import annotations

import numpy as np

from benchmarks.kernel.compare import Case, aligned, main
from facula.kernel import sorting
from facula.testing.operands import operand

SORTS = (
    (1, 1_000_000, "float32"),
    (1, 1_000_000, "int64"),
    (1, 1_000_000, "float64"),
    (1, 10_000_000, "float32"),
    (4096, 256, "float32"),
    (65536, 16, "float32"),
)
TOPS = ((256, 50_000, 50), (1024, 1000, 5), (64, 32000, 1), (1, 10_000_000, 50), (1, 10_000_000, 100_000))


def cases() -> list[Case]:
    out = []
    for count, n, d in SORTS:
        x = np.random.default_rng(0).integers(0, 1000, (count, n)) if d == "int64" else aligned(count, n, dtype=d)
        torch = f"torch.randint(0, 1000, ({count}, {n}))" if d == "int64" else f"torch.randn({count}, {n}, dtype=torch.{d})"
        outs = [np.empty_like(x), np.empty(x.shape, np.int64)]
        out.append(
            Case(
                f"sort {count}x{n} {d}",
                sorting.sort(operand(x)),
                outs,
                [x],
                (),
                2 * x.nbytes + outs[1].nbytes,
                f"x = {torch}",
                "torch.sort(x)",
            )
        )
    for count, n, k in TOPS:
        x = aligned(count, n)
        outs = [np.empty((count, k), np.float32), np.empty((count, k), np.int64)]
        setup = f"x = torch.randn({count}, {n})"
        out.append(Case(f"topk {k} of {count}x{n}", sorting.topk(operand(x), k), outs, [x], (), x.nbytes, setup, f"torch.topk(x, {k})"))
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
