"""Fork-join latency of the pool, beside OpenMP's, and how evenly work is shared.

python -m benchmarks.runtime.bench_pool
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

from facula.kernel import compiler
from facula.kernel.launch import Kernel
from facula.runtime import native
from facula.runtime.ir import Module
from facula.runtime.pool_code import _now


def emit_empty(m: Module, name: str) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker"):
        pass


def emit_meet(m: Module, name: str) -> None:
    """Each run waits until the other one has begun (at most a tenth of a millisecond): two threads must take part."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, *_):
        room = f.array("i64", 2)
        mine = f.op("i64", f"atomicrmw add {words}, i64 1 seq_cst")
        target, end = (mine | 1) + 1, _now(f, room) + 100_000
        with f.loop() as met:
            f.leave(met, f.op("i64", f"load atomic i64, {words} acquire, align 8") >= target)
            f.leave(met, _now(f, room) > end)


def emit_busy(m: Module, name: str) -> None:
    """About a quarter of a microsecond an item."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, _, lo, hi, _worker):
        place = f.array("i64", 1)
        with f.range(lo, hi), f.range(0, 1000) as i:
            f.do(f"store volatile {i}, {place}")


def emit_regions(m: Module, name: str) -> None:
    """Nanoseconds of each of `times` regions into `out`: facula_parallel, or GOMP_parallel when its address is given."""
    m.declare("facula_parallel", "i32", "ptr", "ptr", "i64", "i64", "i64")
    with m.function(name + "_empty_omp", "ptr data"):
        pass
    with m.function(name, "i64 times, ptr kernel, ptr omp, i64 runs, ptr words, ptr out") as (f, times, kernel, omp, runs, words, out):
        room = f.array("i64", 2)
        own = f.op("i1", f"icmp eq {omp}, null")
        with f.range(0, times) as i:
            start = _now(f, room)
            with f.when(own):
                f.call("i32", "facula_parallel", kernel, words, runs, f.i64(1), f.i64(0))
            with f.otherwise(own):
                f.do(f"call void {omp.text}(ptr @{name}_empty_omp, ptr null, i32 {native.get_num_threads()}, i32 0)")
            f.store(_now(f, room) - start, out, i)


def regions(kernel: Kernel, omp: int, runs: int, times: int = 20000) -> tuple[float, float]:
    """(fastest, median) nanoseconds of a region."""
    count = ctypes.c_int64()
    at = compiler.functions(Kernel(emit_regions))
    out = (ctypes.c_int64 * times)()
    arguments = [ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]
    call = ctypes.PYFUNCTYPE(None, *arguments)(at["emit_regions"])
    call(times, compiler.address(kernel), omp, runs, ctypes.addressof(count), ctypes.addressof(out))
    ordered = sorted(out)
    return ordered[0], ordered[times // 2]


def best(call: Callable[[], object], repeat: int = 30) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def gomp() -> int:
    """Address of GOMP_parallel in a libgomp that some installed package brings, 0 without one."""
    names = ["libgomp.so.1", *(str(p) for p in Path("/usr/lib").rglob("libgomp*.so*"))]
    for name in names:
        try:
            return ctypes.cast(ctypes.CDLL(name).GOMP_parallel, ctypes.c_void_p).value or 0
        except (OSError, AttributeError):
            continue
    return 0


def main() -> None:
    threads = native.get_num_threads()
    busy = compiler.address(Kernel(emit_busy))
    print(f"{threads} threads")
    empty, meet = Kernel(emit_empty), Kernel(emit_meet)
    rows = [
        ("inline, one run", empty, 0, 1),
        ("region, 2 runs that need one thread", empty, 0, 2),
        ("region, 2 runs that meet", meet, 0, 2),
    ]
    for name, kernel, omp, runs in [*rows, *([("OpenMP region", empty, gomp(), 2)] if gomp() else [])]:
        if kernel is meet and threads < 2:
            continue
        fastest, median = regions(kernel, omp, runs)
        print(f"{name:36s} fastest {fastest:7.0f} ns   median {median:7.0f} ns   (two clock reads included)")
    for items in (8, 40, 200, 4000):
        native.set_num_threads(1)
        alone = best(lambda n=items: native.parallel(busy, 0, n, 1))
        native.set_num_threads(threads)
        together = best(lambda n=items: native.parallel(busy, 0, n, 1))
        print(
            f"{items:5d} items: 1 thread {alone * 1e6:8.2f} us, {threads} threads {together * 1e6:8.2f} us, speed-up {alone / together:.2f}"
        )
    count, at, times = ctypes.c_int64(), compiler.address(meet), []
    for _ in range(30 if threads > 1 else 0):
        time.sleep(0.02)
        start = time.perf_counter()
        native.parallel(at, ctypes.addressof(count), 2, 1)
        times.append(time.perf_counter() - start)
    print(f"two runs that meet, after 20 ms of rest: {min(times, default=0) * 1e6:.0f} us")


if __name__ == "__main__":
    main()
