"""CTC loss, forward and backward.  python -m benchmarks.ops.bench_ctc [--reference PYTHON] [--cpu-time]"""

from __future__ import annotations

from benchmarks.kernel.compare import Case, main
from benchmarks.ops.programs import program

SIZES = ((50, 1, 28, 10), (150, 32, 50, 30), (400, 16, 5000, 60), (1000, 8, 100, 200))  # time, batch, classes, labels


def cases() -> list[Case]:
    out = []
    for t, n, c, s in SIZES:
        setup = (
            f"x = torch.randn({t}, {n}, {c}).log_softmax(2).requires_grad_(); y = torch.randint(1, {c}, ({n}, {s})); "
            f"lengths = torch.full(({n},), {t}), torch.full(({n},), {s})"
        )
        nbytes = 4 * t * n * (3 * c + 2 * (2 * s + 1))  # x twice, its gradient, alpha twice
        out.append(program(f"ctc {t}x{n}x{c} with {s} labels", setup, "x.grad = None; F.ctc_loss(x, y, *lengths).backward()", nbytes))
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
