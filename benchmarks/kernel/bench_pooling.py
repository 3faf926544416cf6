"""Pooling, forward and gradient: time and GB/s of operands moved, next to a copy of as many bytes and to PyTorch in the same run.

python -m benchmarks.kernel.bench_pooling [--reference PYTHON] [--threads 1 2] [--only max3x3_s2 ...]
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
from dataclasses import dataclass

import numpy as np

from benchmarks.kernel.bench_gemm import Job, best, operand
from facula.base.target import TARGETS, Target
from facula.kernel import pooling
from facula.runtime import host, pool


@dataclass(frozen=True)
class Case:
    """x (N, C, H, H), a square window; kernel 0 is adaptive to `stride` x `stride`."""

    how: str
    images: int
    channels: int
    size: int
    kernel: int
    stride: int
    padding: int = 0

    @property
    def result(self) -> int:
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1 if self.kernel else self.stride


CASES = {
    "max3x3_s2": Case("max", 32, 64, 112, 3, 2, 1),
    "max2x2": Case("max", 64, 32, 28, 2, 2),
    "max2x2_large": Case("max", 4, 32, 128, 2, 2),
    "max3x3_s1": Case("max", 8, 64, 56, 3, 1, 1),
    "max5x5_s1": Case("max", 8, 64, 28, 5, 1, 2),
    "avg2x2": Case("avg", 64, 32, 28, 2, 2),
    "avg3x3_s1": Case("avg", 8, 64, 56, 3, 1, 1),
    "max5x5_s1_large": Case("max", 4, 32, 128, 5, 1, 2),
    "max4x4": Case("max", 8, 64, 112, 4, 4),
    "avg8x8": Case("avg", 8, 64, 56, 8, 8),
    "avg16x16": Case("avg", 4, 32, 128, 16, 16),
    "global_avg": Case("avg", 32, 512, 7, 0, 1),
    "adaptive_6": Case("avg", 8, 256, 13, 0, 6),
}
WHAT = ("forward", "backward")


def jobs(c: Case, target: Target) -> tuple[Job, Job, int, tuple]:
    """Forward, backward, the bytes of operands that each moves, and what must stay alive."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((c.images, c.channels, c.size, c.size), dtype=np.float32)
    y = np.zeros((c.images, c.channels, c.result, c.result), np.float32)
    taps, g, gx = np.zeros(y.shape, np.uint8), rng.standard_normal(y.shape, dtype=np.float32), np.zeros_like(x)
    window = {"kernel": (c.kernel,) * 2, "stride": (c.stride,) * 2, "padding": (c.padding,) * 2}
    size = x.nbytes + y.nbytes
    if not c.kernel:
        forward = pooling.adaptive_avg_pool(operand(y), operand(x), spatial=2, target=target)
        backward = pooling.adaptive_avg_pool_backward(operand(gx), operand(g), spatial=2, target=target)
    elif c.how == "avg":
        forward = pooling.avg_pool(operand(y), operand(x), **window, target=target)
        backward = pooling.avg_pool_backward(operand(gx), operand(g), **window, target=target)
    else:
        forward = pooling.max_pool(operand(y), operand(x), **window, dilation=(1, 1), note="tap", target=target)
        backward = pooling.max_pool_backward(operand(gx), operand(g), **window, dilation=(1, 1), note="tap")
        size += taps.nbytes
        first = Job(forward, [y, taps], [x], target)
        first()
        return first, Job(backward, [gx], [g, taps], target), size, (forward, backward)
    return Job(forward, [y], [x], target), Job(backward, [gx], [g], target), size, (forward, backward)


REFERENCE = """
import json, sys, time, torch
threads, cases = json.loads(sys.argv[1])
torch.set_num_threads(threads)
F, A = torch.nn.functional, torch.ops.aten
def best(call):
    call(); t = time.perf_counter(); call()
    n = max(1, int(2e-3 / max(1e-8, time.perf_counter() - t)))
    low, end = 1e9, time.perf_counter() + 0.4
    while time.perf_counter() < end:
        t = time.perf_counter()
        for _ in range(n): call()
        low = min(low, (time.perf_counter() - t) / n)
    return low
for how, N, C, H, k, s, p in cases:
    x = torch.rand(N, C, H, H)
    if not k:
        f = lambda: F.adaptive_avg_pool2d(x, s)
        g = torch.rand_like(f())
        b = (lambda: A._adaptive_avg_pool2d_backward(g, x)) if s > 1 else (lambda: g.expand_as(x) / (H * H))
    elif how == "avg":
        f = lambda: F.avg_pool2d(x, k, s, p)
        g = torch.rand_like(f())
        b = lambda: A.avg_pool2d_backward(g, x, [k, k], [s, s], [p, p], False, True, None)
    else:
        f = lambda: A.max_pool2d_with_indices(x, [k, k], [s, s], [p, p])
        y, i = f()
        g = torch.rand_like(y)
        b = lambda: A.max_pool2d_with_indices_backward(g, x, [k, k], [s, s], [p, p], [1, 1], False, i)
    print(best(f), best(b))
"""


def reference(python: str, threads: int, cases: list[Case]) -> list[list[float]]:
    if not python:
        return [[float("nan")] * 2 for _ in cases]
    rows = [[c.how, c.images, c.channels, c.size, c.kernel, c.stride, c.padding] for c in cases]
    text = subprocess.run([python, "-c", REFERENCE, json.dumps([threads, rows])], check=True, capture_output=True, text=True).stdout
    return [list(map(float, line.split())) for line in text.splitlines()]


def show(names: list[str], threads: int, target: Target, python: str) -> None:
    print(
        f"{target.name}, {threads} threads; copy: NumPy's copy (one thread) of half as many bytes, so it moves as many; ratio: PyTorch's time / ours"
    )
    ratios = []
    for name, theirs in zip(names, reference(python, threads, [CASES[n] for n in names])):
        forward, backward, size, _alive = jobs(CASES[name], target)
        for what, call, other in zip(WHAT, (forward, backward), theirs):
            t = best(call, 0.3)
            source, to = np.zeros(size // 2, np.uint8), np.zeros(size // 2, np.uint8)
            copy = best(lambda n, a=source, b=to: [np.copyto(b, a) for _ in range(n)], 0.1)
            ratios.append(other / t)
            print(
                f"  {name:14} {what:8} {t * 1e3:8.3f} ms {size / t / 1e9:6.1f} GB/s (copy {copy * 1e3:7.3f} ms) torch {other * 1e3:8.3f} ms, "
                f"ratio {other / t:6.2f}",
                flush=True,
            )
    print(f"  geometric mean of ratios {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, least {min(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default="")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--target", default=host.target().name)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    options = parser.parse_args()
    for threads in options.threads:
        pool.set_num_threads(threads)
        show(options.only, threads, TARGETS[options.target], options.reference)


if __name__ == "__main__":
    main()
