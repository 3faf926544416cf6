"""Optimizer steps over a hundred tensors.  python -m benchmarks.kernel.bench_optimizer [--reference PYTHON]"""

from __future__ import annotations

from benchmarks.kernel.compare import Case, aligned, main
from facula.base.dtypes import float32
from facula.kernel.optimizer import ADAM, SGD, Table, step, tensors_of

COUNT = 100


def cases() -> list[Case]:
    out = []
    for n in (1000, 100_000):
        for rule, flags, torch in (
            (ADAM, {"decoupled"}, "AdamW(ps, fused=True)"),
            (SGD, {"momentum"}, "SGD(ps, lr=0.01, momentum=0.9, fused=True)"),
        ):
            table = Table(rule, float32, [n] * COUNT, frozenset(flags))
            arrays = {t: [abs(aligned(n)) for _ in range(COUNT)] for t in tensors_of(rule, table.flags)}
            for t, column in arrays.items():
                table.tensors(t, [a.ctypes.data for a in column])
            for scalar in rule.scalars:
                table.scalar(scalar, [1.0] * COUNT)
            setup = (
                f"ps = [torch.nn.Parameter(torch.randn({n})) for _ in range({COUNT})]\n"
                f"for p in ps: p.grad = torch.randn({n})\no = torch.optim.{torch}"
            )

            def run(table: Table = table, arrays: dict = arrays) -> None:  # holds the arrays
                step(table, rest1=0.1, beta2=0.999, rest2=0.001, eps=1e-8, shrink=1.0, lr=0.0, momentum=0.9, undamped=1.0)

            moved = COUNT * n * 4 * (2 * len(arrays) - 1)
            out.append(Case(f"{rule.name} {COUNT} x {n}", None, [], [], (), moved, setup, "o.step()", run))
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
