"""What the benchmarks of memory-bound kernels share: cases, PyTorch's times from a process of its own, and the table."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.kernel.bench_gemm import Job, best, operand
from facula.base.target import TARGETS, Target
from facula.kernel.launch import Number, Schedule, Word, bits
from facula.kernel.pointwise import copy
from facula.runtime import host, pool


@dataclass(frozen=True)
class Case:
    """`build` gives the job and the bytes it moves; `setup` and `torch` are the same in PyTorch."""

    build: Callable[[Target], tuple[Job, int]]
    setup: str
    torch: str


def known(schedule: Schedule, numbers: Sequence[float]) -> Schedule:
    """The schedule with its number words filled in."""

    def word(w: Word) -> Word:
        return bits(numbers[w.index], w.type) if isinstance(w, Number) else w

    return replace(schedule, launches=tuple(replace(x, words=tuple(map(word, x.words))) for x in schedule.launches))


def aligned(x: np.ndarray) -> np.ndarray:
    """A copy with the same strides' order at a multiple of 64 bytes, as tensors lie; NumPy's own large arrays start 16 bytes into a line."""
    order = sorted(range(x.ndim), key=lambda d: -x.strides[d])
    dense = x.transpose(order)
    room = np.empty(x.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    out = room[start : start + x.nbytes].view(x.dtype).reshape(dense.shape)
    out[...] = dense
    return out.transpose(np.argsort(order))


REFERENCE = """
import json, sys, time, torch
threads, cases = json.loads(sys.argv[1])
torch.set_num_threads(threads)
clock = time.thread_time if threads == 1 else time.perf_counter
for setup, call in cases:
    space = {"torch": torch}
    exec(setup, space)
    space["y"] = space["x"].clone() if "x" in space else None
    code = compile(call, "case", "eval")
    low, end = 1e9, time.perf_counter() + 0.4
    while time.perf_counter() < end or low == 1e9:
        t = clock(); eval(code, space); low = min(low, clock() - t)
    print(low)
"""


def reference(python: str, threads: int, cases: Sequence[Case]) -> list[float]:
    """Seconds; NaN without a Python that has PyTorch."""
    if not python:
        return [math.nan] * len(cases)
    rows = [[c.setup, c.torch] for c in cases]
    text = subprocess.run([python, "-c", REFERENCE, json.dumps([threads, rows])], check=True, capture_output=True, text=True).stdout
    return [float(line) for line in text.splitlines()]


def show(cases: Mapping[str, Case], threads: int, target: Target, python: str) -> None:
    print(f"{target.name}, {threads} threads; copy: one thread moving as many bytes past the caches; ratio: PyTorch's time / ours")
    ratios = []
    for (name, case), theirs in zip(cases.items(), reference(python, threads, list(cases.values()))):
        job, size = case.build(target)
        t, ideal = best(job, 0.3), copy_time(size, target)
        ratios.append(theirs / t)
        print(
            f"  {name:18} {t * 1e3:8.3f} ms {size / t / 1e9:6.1f} GB/s (copy {ideal * 1e3:7.3f} ms, share {ideal / t:5.0%})  "
            f"torch {theirs * 1e3:8.3f} ms, ratio {theirs / t:6.2f}",
            flush=True,
        )
    print(f"  geometric mean of ratios {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, least {min(ratios):.2f}")


def copy_time(size: int, target: Target) -> float:
    """Seconds that our own copy takes for `size` bytes in and out together."""

    source, out = (
        np.ones(size // 8, np.float32),
        np.ones(size // 8, np.float32),
    )  # zeros would be one page of the system, read again and again
    return best(Job(copy(operand(out), operand(source)), [out], [source], target), 0.1)


def main(about: str, cases: Mapping[str, Case]) -> None:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default="", help="a Python with PyTorch")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--target", default=host.target().name)
    parser.add_argument("--only", nargs="*", default=list(cases))
    options = parser.parse_args()
    for threads in options.threads:
        pool.set_num_threads(threads)
        show({name: cases[name] for name in options.only}, threads, TARGETS[options.target], options.reference)
