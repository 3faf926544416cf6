"""Matrix products: GFLOP/s and share of the machine's FMA peak, next to PyTorch and NumPy.

    python -m benchmarks.kernel.bench_gemm [--reference PYTHON] [--threads 1 2] [--only square batched skinny tiny half compile]

`--reference` is a Python with PyTorch; its figures come from a process of its own, in the same run. Figures are the best of many runs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import time
from collections.abc import Callable, Sequence

import numpy as np

from facula.base.dtypes import bfloat16, dtype
from facula.base.target import TARGETS, Target
from facula.kernel import compiler
from facula.kernel.gemm import matmul
from facula.kernel.launch import In, Kernel, Out, Schedule, Work
from facula.runtime import host, native, pool
from facula.runtime.ir import Module
from facula.testing.operands import operand

SQUARES = (64, 128, 256, 512, 1000, 1024, 2048)
BATCHES = ((96, 128, 64, 128), (256, 64, 64, 64), (512, 32, 32, 32))  # count, M, K, N
TINY = ((4, 16, 16), (8, 8, 8), (1, 64, 64), (16, 64, 32))  # M, K, N
ODD = ((1024, 768, 3072), (64, 784, 128), (128, 64, 10), (20, 400, 2000), (10, 60000, 128), (4096, 4096, 64), (32, 4096, 4096))


def emit_repeat(m: Module, name: str) -> None:
    """All launches of a schedule `count` times, without Python in between. Words: count, launches, then kernel, words, total, grain of each."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, *_):
        count, launches = f.words(words, "i64", "i64")
        with f.range(0, count), f.range(0, launches) as i:
            row = f.at(words, i * 4 + 2, "i64")
            kernel, args, total, grain = f.words(row, "ptr", "ptr", "i64", "i64")
            m.external("facula_parallel")
            f.do("%ignored = call i32 @facula_parallel(" + ", ".join(map(str, (kernel, args, total, grain, f.i64(0)))) + ")")


def emit_peak(m: Module, name: str, dots: bool) -> None:
    """Each item: 100,000 turns of independent multiply-adds in registers, on float32 or on bfloat16 pairs."""
    L, chains = m.target.lanes, 16 if m.target.registers == 32 else 12
    vec = f"<{L} x float>"
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out = f.words(words, "ptr")[0]
        with f.range(lo, hi):
            x = f.load(vec, out)
            acc = [f.var(vec, 0) for _ in range(chains)]
            pair = f.cast("bitcast", x, f"<{2 * L} x bfloat>")
            with f.range(0, 100_000):
                for a in acc:
                    a.v = f.call(vec, f"llvm.x86.avx512bf16.dpbf16ps.{32 * L}", a.v, pair, pair) if dots else f.fma(x, x, a.v)
            for i, a in enumerate(acc):
                f.store(a.v, out, 64 + i * L)


class Job:
    """A schedule with its addresses filled in."""

    def __init__(self, schedule: Schedule, outs: Sequence[np.ndarray], ins: Sequence[np.ndarray], target: Target) -> None:
        self.keep = (outs, ins, work := np.zeros(schedule.workspace // 8 + 16, np.int64))
        base = -(-work.ctypes.data // 64) * 64

        def word(w: object) -> int:
            place = (
                base
                if isinstance(w, Work)
                else outs[w.index].ctypes.data
                if isinstance(w, Out)
                else ins[w.index].ctypes.data
                if isinstance(w, In)
                else None
            )
            return int(w) if place is None else place + w.offset  # type: ignore[call-overload, attr-defined]

        self.words = [np.array([word(w) for w in launch.words], np.uint64) for launch in schedule.launches]
        rows = [[compiler.address(x.kernel, target), w.ctypes.data, x.total, x.grain] for x, w in zip(schedule.launches, self.words)]
        self.table = np.array([1, len(rows), *(x for row in rows for x in row)], np.uint64)
        at = compiler.address(Kernel(emit_repeat), target)
        self.run = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(at)

    def __call__(self, count: int = 1) -> None:
        self.table[0] = count
        self.run(self.table.ctypes.data, 0, 1, 0)


def best(call: Callable[[int], object], seconds: float = 0.5) -> float:
    """Smallest time of one repetition, in seconds. With one thread it is processor time, so that other work on the machine counts less."""
    clock = time.thread_time if pool.get_num_threads() == 1 else time.perf_counter
    call(1)
    start = clock()
    call(1)
    count = max(1, int(2e-3 / max(1e-8, clock() - start)))
    low, end = 1e9, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = clock()
        call(count)
        low = min(low, (clock() - start) / count)
    return low


def job(a: np.ndarray, b: np.ndarray, target: Target, d: dtype | None = None) -> Job:
    c = np.zeros((*a.shape[:-1], b.shape[-1]), a.dtype)
    return Job(matmul(operand(c, d), operand(a, d), operand(b, d), target=target), [c], [a, b], target)


def peak(target: Target, threads: int, dots: bool = False) -> float:
    """GFLOP/s of float32 (or bfloat16 pair) multiply-adds."""
    kernel = compiler.address(Kernel(emit_peak, (dots,)), target)
    out = np.ones(2048, np.float32)
    words = np.array([out.ctypes.data], np.uint64)
    chains = 16 if target.registers == 32 else 12
    t = best(lambda n: [native.parallel(kernel, words.ctypes.data, threads, 1) for _ in range(n)])
    return threads * 100_000 * chains * target.lanes * 2 * (1 + dots) / t / 1e9


REFERENCE = """
import json, sys, time, os
threads, shapes, half = json.loads(sys.argv[1])
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
import numpy as np, torch
torch.set_num_threads(threads)
clock = time.thread_time if threads == 1 else time.perf_counter
def best(call):
    call(); t = clock(); call()
    n = max(1, int(2e-3 / max(1e-8, clock() - t)))
    low, end = 1e9, time.perf_counter() + 0.4
    while time.perf_counter() < end:
        t = clock()
        for _ in range(n): call()
        low = min(low, (clock() - t) / n)
    return low
for count, M, K, N, turned in shapes:
    a = np.random.rand(*((count,) if count > 1 else ()), M, K).astype(np.float32)
    b = np.random.rand(*((count,) if count > 1 else ()), *((N, K) if turned else (K, N))).astype(np.float32)
    if turned: b = b.swapaxes(-1, -2)
    x, y, out = torch.from_numpy(a), torch.from_numpy(b), np.zeros((*a.shape[:-1], N), np.float32)
    if half: x, y = x.bfloat16(), y.bfloat16()
    z = x @ y
    print(best(lambda: torch.matmul(x, y, out=z)), best(lambda: np.matmul(a, b, out=out)) if not half else 0)
"""


def reference(python: str, threads: int, shapes: Sequence[tuple], half: bool = False) -> list[tuple[float, float]]:
    """Seconds of PyTorch and NumPy for (count, M, K, N, b transposed)."""
    if not python:
        return [(float("nan"), float("nan"))] * len(shapes)
    text = subprocess.run([python, "-c", REFERENCE, json.dumps([threads, shapes, half])], check=True, capture_output=True, text=True).stdout
    return [tuple(map(float, line.split())) for line in text.splitlines()]  # type: ignore[misc]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def show(title: str, shapes: Sequence[tuple], threads: int, target: Target, python: str, unit: str = "GFLOP/s") -> None:
    """One line a shape (count, M, K, N, b transposed): GFLOP/s of the peak, or GB/s of b."""
    top = peak(target, threads)
    print(f"{title}, {target.name}, {threads} threads, peak {top:.0f} GFLOP/s")
    for (count, M, K, N, turned), (torch_s, numpy_s) in zip(shapes, reference(python, threads, shapes)):
        lead = (count,) if count > 1 else ()
        a, b = normal(*lead, M, K), normal(*lead, *((N, K) if turned else (K, N)))
        t = best(job(a, b.swapaxes(-1, -2) if turned else b, target))
        work = 2 * count * M * N * K / 1e9 if unit == "GFLOP/s" else 4 * count * K * N / 1e9
        share = f"({work / t / top:4.0%} of peak) " if unit == "GFLOP/s" else ""
        name = f"{count} x " * (count > 1) + f"{M} x {K} @ {K} x {N}{' (b^T)' if turned else ''}"
        print(
            f"  {name:36} {t * 1e6:10.2f} us {work / t:7.1f} {unit} {share} torch {work / torch_s:6.1f}  numpy {work / numpy_s:6.1f}",
            flush=True,
        )


def half(threads: int, target: Target, python: str) -> None:
    import ml_dtypes

    top = peak(target, threads, target.bfloat16)
    print(f"bfloat16, {target.name}, {threads} threads, peak {top:.0f} Gop/s")
    shapes = [(1, n, n, n, False) for n in (128, 256, 512, 1024, 2048)]
    for (_, n, *_), (torch_s, _) in zip(shapes, reference(python, threads, shapes, True)):
        a = normal(n, n).astype(ml_dtypes.bfloat16)
        t = best(job(a, a, target, bfloat16))
        print(
            f"  {n:<6} {2e-9 * n**3 / t:7.0f} Gop/s ({2e-9 * n**3 / t / top:4.0%} of peak)  torch {2e-9 * n**3 / torch_s:.0f}", flush=True
        )


def cold(target: Target) -> None:
    """Seconds to emit and compile each kernel of the room."""
    from facula.kernel.gemm import blocked, skinny

    for d in ("float32", "float64", "bfloat16", "complex64", "int32"):
        for emit in (blocked.emit_tiles, blocked.emit_pack_b, blocked.emit_combine, skinny.emit_stream, skinny.emit_dots):
            if emit.__module__.endswith("skinny") and d in ("complex64", "int32"):
                continue
            start = time.perf_counter()
            text = compiler.text(Kernel(emit, (d,)), target)[1]
            middle = time.perf_counter()
            code = compiler.object_code(Kernel(emit, (d,)), target)
            print(
                f"  {d:10} {emit.__name__:14} emit {middle - start:.3f} s ({len(text) >> 10} KiB), with LLVM {time.perf_counter() - middle:.3f} s, {len(code) >> 10} KiB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default="")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--target", default=host.target().name)
    parser.add_argument("--only", nargs="*", default=["square", "odd", "batched", "skinny", "tiny", "half", "compile"])
    options = parser.parse_args()
    target, only, python = TARGETS[options.target], options.only, options.reference
    for threads in options.threads:
        pool.set_num_threads(threads)
        if "square" in only:
            show("square", [(1, n, n, n, False) for n in SQUARES], threads, target, python)
        if "odd" in only:
            show("odd", [(1, *shape, turned) for shape in ODD for turned in (False, True)], threads, target, python)
        if "batched" in only:
            show("batched", [(*shape, False) for shape in BATCHES], threads, target, python)
        if "tiny" in only:
            show("tiny", [(1, *shape, False) for shape in TINY], threads, target, python)
        if "skinny" in only:
            show(
                "few rows", [(1, m, 4096, 4096, turned) for m in (1, 2, 4, 8) for turned in (False, True)], threads, target, python, "GB/s"
            )
        if "half" in only:
            half(threads, target, python)
    if "compile" in only:
        cold(target)


if __name__ == "__main__":
    main()
