"""Ten million random numbers of every kind.  python -m benchmarks.kernel.bench_random [--reference PYTHON]"""

from __future__ import annotations

import numpy as np

from benchmarks.kernel.compare import Case, aligned, main
from facula.kernel import random
from facula.testing.operands import operand

N = 10_000_000
KEEP: list[random.State] = []  # kernels hold the state's address alone


def cases() -> list[Case]:
    state, x, whole = random.State(7), aligned(N), np.empty(N, np.int64)
    mask, y, perm = np.empty(N, np.uint8), aligned(N), np.empty(1_000_000, np.int64)
    at, setup = state.address, f"x = torch.empty({N}); i = torch.empty({N}, dtype=torch.int64)"
    keep = operand(x)
    out = [
        Case("randn", random.normal(keep), [x], [], (at, 0.0, 1.0), x.nbytes, setup, "x.normal_()"),
        Case("rand", random.uniform(keep), [x], [], (at, 0.0, 1.0), x.nbytes, setup, "x.uniform_()"),
        Case("bernoulli", random.bernoulli(keep), [x], [], (at, 0.5), x.nbytes, setup, "x.bernoulli_(0.5)"),
        Case("dropout", random.dropout(keep), [y, mask], [x], (at, 0.5, 0.5), 2 * x.nbytes, setup + "; x.normal_()", "F.dropout(x, 0.5)"),
        Case("randint", random.integers(operand(whole), False), [whole], [], (at, 100, 0), whole.nbytes, setup, "i.random_(100)"),
        Case("exponential", random.exponential(keep), [x], [], (at, 1.0), x.nbytes, setup, "x.exponential_()"),
        Case("log_normal", random.log_normal(keep), [x], [], (at, 0.0, 1.0), x.nbytes, setup, "x.log_normal_()"),
        Case("randperm 1M", random.permutation(operand(perm)), [perm], [], (at,), perm.nbytes, setup, "torch.randperm(1000000)"),
    ]
    KEEP.append(state)
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
