"""Time schedules beside PyTorch's functions: milliseconds, GB/s of operands moved, the share of the roofline, and the ratio.

A case gives our schedule with its arrays, and PyTorch's program as text (set-up; call): it runs in a Python of its own that has PyTorch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.kernel.bench_gemm import peak
from benchmarks.kernel.bench_memory import copy_time
from facula.kernel import compiler
from facula.kernel.launch import Schedule
from facula.runtime import host, pool

REFERENCE = """
import json, sys, time, torch
F = torch.nn.functional
threads, clock, cases = json.loads(sys.argv[1])
torch.set_num_threads(threads)
now = getattr(time, clock)
out = {}
for name, (setup, call) in cases.items():
    scope = {"torch": torch, "F": F}
    exec(setup, scope)
    code = compile(call, name, "exec")
    exec(code, scope)
    low, end = 1e9, time.perf_counter() + 0.5
    while time.perf_counter() < end:
        t = now(); exec(code, scope); low = min(low, now() - t)
    out[name] = low
print(json.dumps(out))
"""


@dataclass
class Case:
    """`bytes`: what a perfect kernel moves. `run` replaces the schedule where a step is not one."""

    name: str
    schedule: Schedule | None
    outs: Sequence[np.ndarray]
    ins: Sequence[np.ndarray]
    numbers: Sequence[Any]
    bytes: int
    setup: str
    call: str
    run: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.run:
            self.run()
        elif self.schedule:
            compiler.run(self.schedule, self.outs, self.ins, self.numbers)


def aligned(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Normal numbers on a 64-byte boundary, as the allocator gives memory."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = np.zeros(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    x = block[start : start + size].view(dtype).reshape(shape)
    x[...] = np.random.default_rng(0).standard_normal(shape)
    return x


def best(call: Callable[[], None], clock: Callable[[], float], seconds: float = 0.5) -> float:
    call()
    low, end = 1e9, time.perf_counter() + seconds
    while time.perf_counter() < end:
        t = clock()
        call()
        low = min(low, clock() - t)
    return low


def roofline(case: Case, peak: float) -> float:
    """Seconds that a perfect kernel needs: for its bytes, or for its operations at `peak` GFLOP/s."""
    flops = sum(launch.flops for launch in case.schedule.launches) if case.schedule else 0
    return max(copy_time(case.bytes, host.target()), flops / peak / 1e9)


def main(title: str, cases: Callable[[], list[Case]]) -> None:
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--reference", help="a Python that has PyTorch")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--cpu-time", action="store_true", help="the calling thread's own time: one thread, on a machine that is busy")
    options = parser.parse_args()
    chosen = [c for c in cases() if not options.only or any(o in c.name for o in options.only)]
    clock = "thread_time" if options.cpu_time else "perf_counter"
    for threads in options.threads:
        theirs: dict[str, float] = {}
        if options.reference:
            job = json.dumps([threads, clock, {c.name: (c.setup, c.call) for c in chosen}])
            theirs = json.loads(
                subprocess.run([options.reference, "-W", "ignore", "-c", REFERENCE, job], capture_output=True, text=True, check=True).stdout
            )
        pool.set_num_threads(threads)
        top = peak(host.target(), threads)
        print(f"FMA peak {top:.0f} GFLOP/s; roofline: the longer of a copy of as many bytes and the operations at that peak")
        for c in chosen:
            ours = best(c, getattr(time, clock))
            line = f"{c.name:34} {threads} thread{'s' if threads > 1 else ' '} {ours * 1e3:8.3f} ms  {c.bytes / ours / 1e9:6.1f} GB/s"
            line += f"  {roofline(c, top) / ours:4.0%} of roofline"
            if c.name in theirs:
                line += f"  torch {theirs[c.name] * 1e3:8.3f} ms  x{theirs[c.name] / ours:.1f}"
            print(line, flush=True)
