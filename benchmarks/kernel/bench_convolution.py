"""Convolutions, forward and both gradients: time, GFLOP/s of the definition, share of the FMA peak, next to PyTorch in the same run.

    python -m benchmarks.kernel.bench_convolution [--reference PYTHON] [--threads 1 2] [--only conv3x3_64 ...] [--what forward input weight]

`--reference` is a Python with PyTorch; its figures come from a process of its own. Figures are the best of many runs. Minimal filtering does
fewer multiplications than the definition counts, so its share may pass 100 %. `cold` is the time to compile what a case needs, without cache.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.kernel.bench_gemm import Job, best, operand, peak
from facula.base.target import TARGETS, Target
from facula.kernel import compiler, convolution
from facula.kernel.launch import Schedule
from facula.runtime import host, pool


@dataclass(frozen=True)
class Case:
    """x (N, C, H, H), or with `dims` of H, and a kernel as square; transposed: x is what the convolution's gradient starts from."""

    images: int
    channels: int
    size: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    dilation: int = 1
    dims: int = 2

    @property
    def result(self) -> int:
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def flops(self) -> int:
        return 2 * self.images * self.outputs * self.channels // self.groups * (self.result * self.kernel) ** self.dims


CASES = {
    "conv3x3_64": Case(32, 64, 56, 64, 3, 1, 1),
    "conv3x3_128": Case(32, 128, 28, 128, 3, 1, 1),
    "conv3x3_256": Case(32, 256, 14, 256, 3, 1, 1),
    "conv3x3_512": Case(32, 512, 7, 512, 3, 1, 1),
    "conv3x3_s2_64": Case(32, 64, 56, 128, 3, 2, 1),
    "conv3x3_s2_256": Case(32, 256, 14, 512, 3, 2, 1),
    "conv1x1_s2": Case(32, 64, 56, 128, 1, 2, 0),
    "conv1x1": Case(32, 256, 14, 1024, 1),
    "conv7x7_stem": Case(8, 3, 224, 64, 7, 2, 3),
    "cnn_1_32": Case(64, 1, 28, 32, 3, 1, 1),
    "cnn_32_64": Case(64, 32, 28, 64, 3, 1, 1),
    "digits_32_64": Case(64, 32, 8, 64, 3, 1, 1),
    "unet_3_32": Case(4, 3, 128, 32, 3, 1, 1),
    "unet_32_32": Case(4, 32, 128, 32, 3, 1, 1),
    "unet_64_128": Case(4, 64, 64, 128, 3, 1, 1),
    "unet_head": Case(4, 32, 128, 1, 1),
    "transposed2x2": Case(4, 32, 128, 64, 2, 2, 0),  # "input" is the transposed convolution 64 -> 32 to 128 x 128
    "depthwise3x3": Case(32, 128, 28, 128, 3, 1, 1, 128),
    "depthwise_s2": Case(32, 128, 28, 128, 3, 2, 1, 128),
    "grouped": Case(8, 128, 28, 128, 3, 1, 1, 32),
    "grouped_s2": Case(8, 128, 56, 128, 3, 2, 1, 32),
    "depthwise7x7": Case(8, 64, 56, 64, 7, 1, 3, 64),
    "dilated": Case(8, 64, 56, 64, 3, 1, 2, 1, 2),
    "aspp": Case(2, 256, 33, 64, 3, 1, 12, 1, 12),
    "alexnet_stem": Case(8, 3, 224, 64, 11, 4, 2),
    "patches16": Case(8, 3, 224, 768, 16, 16),
    "single_image": Case(1, 64, 56, 64, 3, 1, 1),
    "single_image_512": Case(1, 512, 7, 512, 3, 1, 1),
    "audio5": Case(8, 64, 1000, 64, 5, 1, 0, 1, 1, 1),
    "audio3_s2": Case(4, 512, 400, 512, 3, 2, 1, 1, 1, 1),
    "audio_depthwise": Case(8, 256, 400, 256, 31, 1, 15, 256, 1, 1),
    "video_16": Case(2, 16, 32, 16, 3, 1, 1, 1, 1, 3),
    "video_64": Case(1, 64, 14, 64, 3, 1, 1, 1, 1, 3),
    "video_s2": Case(1, 64, 28, 128, 3, 2, 1, 1, 1, 3),
}
WHAT = ("forward", "input", "weight")


def schedule(case: Case, what: str, x: np.ndarray, w: np.ndarray, y: np.ndarray, target: Target) -> tuple[Schedule, list, list]:
    steps = {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}
    sizes = {name: (n,) * case.dims for name, n in steps.items()} | {"groups": case.groups, "target": target}
    if what == "forward":
        return convolution.forward(operand(y), operand(x), operand(w), **sizes), [y], [x, w]
    if what == "input":
        return convolution.backward_input(operand(x), operand(y), operand(w), **sizes), [np.zeros_like(x)], [y, w]
    return convolution.backward_weight(operand(w), operand(y), operand(x), **sizes), [np.zeros_like(w)], [y, x]


REFERENCE = """
import json, sys, time, torch
threads, what, cases = json.loads(sys.argv[1])
torch.set_num_threads(threads)
def best(call):
    call(); t = time.perf_counter(); call()
    n = max(1, int(2e-3 / max(1e-8, time.perf_counter() - t)))
    low, end = 1e9, time.perf_counter() + 0.4
    while time.perf_counter() < end:
        t = time.perf_counter()
        for _ in range(n): call()
        low = min(low, (time.perf_counter() - t) / n)
    return low
for N, C, H, O, k, s, p, G, d, D in cases:
    x, w = torch.rand(N, C, *[H] * D), torch.rand(O, C // G, *[k] * D)
    rest = [s] * D, [p] * D, [d] * D, False, [0] * D, G
    y = torch.convolution(x, w, None, *rest)
    back = lambda *m: torch.ops.aten.convolution_backward(y, x, w, None, *rest, [*m, False])
    calls = {"forward": lambda: torch.convolution(x, w, None, *rest), "input": lambda: back(True, False), "weight": lambda: back(False, True)}
    print(*[best(calls[name]) for name in what])
"""


def reference(python: str, threads: int, what: list[str], cases: list[Case]) -> list[list[float]]:
    """Seconds of PyTorch."""
    if not python:
        return [[float("nan")] * len(what) for _ in cases]
    rows = [[c.images, c.channels, c.size, c.outputs, c.kernel, c.stride, c.padding, c.groups, c.dilation, c.dims] for c in cases]
    text = subprocess.run([python, "-c", REFERENCE, json.dumps([threads, what, rows])], check=True, capture_output=True, text=True).stdout
    return [list(map(float, line.split())) for line in text.splitlines()]


def cold(one: Schedule, target: Target) -> float:
    """Seconds to emit and compile the schedule's kernels."""
    start = time.perf_counter()
    for kernel in {launch.kernel for launch in one.launches}:
        compiler.object_code(kernel, target)
    return time.perf_counter() - start


def show(names: list[str], what: list[str], threads: int, target: Target, python: str) -> None:
    top = peak(target, threads)
    print(f"{target.name}, {threads} threads, FMA peak {top:.0f} GFLOP/s; ratio: PyTorch's time / ours")
    ratios = []
    for name, theirs in zip(names, reference(python, threads, what, [CASES[n] for n in names])):
        c = CASES[name]
        rng = np.random.default_rng(0)
        x = rng.standard_normal((c.images, c.channels, *(c.size,) * c.dims), dtype=np.float32)
        w = rng.standard_normal((c.outputs, c.channels // c.groups, *(c.kernel,) * c.dims), dtype=np.float32)
        y = rng.standard_normal((c.images, c.outputs, *(c.result,) * c.dims), dtype=np.float32)
        for kind, other in zip(what, theirs):
            plan, outs, ins = schedule(c, kind, x, w, y, target)
            t = best(Job(plan, outs, ins, target), 0.4)
            ratios.append(other / t)
            speed, full = c.flops / t / 1e9, cold(plan, target)
            print(
                f"  {name:15} {kind:8} {t * 1e3:8.3f} ms {speed:6.0f} GFLOP/s ({speed / top:4.0%}) torch {other * 1e3:8.3f} ms, "
                f"ratio {other / t:5.2f}; cold {full * 1e3:4.0f} ms",
                flush=True,
            )
    print(f"  geometric mean of ratios {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, least {min(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default="")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--target", default=host.target().name)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--what", nargs="*", default=list(WHAT))
    options = parser.parse_args()
    for threads in options.threads:
        pool.set_num_threads(threads)
        show(options.only, options.what, threads, TARGETS[options.target], options.reference)


if __name__ == "__main__":
    main()
