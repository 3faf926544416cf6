"""Time of every function: in the first-level cache on one thread, and on 10 million elements on all threads.

    python -m benchmarks.kernel.bench_vector_math            # all
    python -m benchmarks.kernel.bench_vector_math exp tanh

Columns: ns per 16 elements in cache (a vector of AVX-512 in float32) for float32, float64 and NumPy's float32; ms for 10 million float32, and
a copy's time of the same size over it (1: bound by memory).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.kernel.bench_gemm import Job, best
from benchmarks.kernel.bench_memory import aligned
from facula.base.dtypes import dtype, float32, float64
from facula.kernel import scalar
from facula.kernel.pointwise import pointwise
from facula.kernel.vector_math.measure import BINARY, BOUNDS, uniform
from facula.runtime import host, pool
from facula.testing.operands import operand

RANGES = {"log": (0.1, 9), "log2": (0.1, 9), "log10": (0.1, 9), "sqrt": (0.1, 9), "rsqrt": (0.1, 9), "log1p": (-0.9, 9), "acosh": (1, 9)}
RANGES |= {"lgamma": (0.1, 20), "digamma": (0.1, 20), "pow": (0.1, 4), **dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-0.99, 0.99))}
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "pow": "power"}
NUMPY |= {"copy": "positive", "atan2": "arctan2"}
LARGE = 10_000_000


def arguments(name: str, kind: dtype, count: int) -> list[np.ndarray]:
    return [aligned(uniform(kind, *RANGES.get(name, (-4, 4)), count)[:count]) for _ in range(2 if name in BINARY else 1)]


def seconds(name: str, body: Callable[..., Any], kind: dtype, count: int) -> float:
    ins = arguments(name, kind, count)
    out = aligned(np.empty_like(ins[0]))
    schedule = pointwise([operand(out)], [operand(x) for x in ins], scalar.trace(body, [kind] * len(ins)))
    return best(Job(schedule, [out], ins, host.target()), 0.5 if count == LARGE else 0.1)


def in_cache(name: str, body: Callable[..., Any], kind: dtype) -> float:
    """ns per 16 elements, without what a launch costs."""
    few, many = 256, 8192 // kind.itemsize
    return (seconds(name, body, kind, many) - seconds(name, body, kind, few)) / (many - few) * 16e9


def rival(name: str) -> float:
    """ns per 16 elements of NumPy's float32 function, NaN where it has none."""
    function = getattr(np, NUMPY.get(name, name), None)
    if not isinstance(function, np.ufunc):
        return float("nan")
    ins = arguments(name, float32, 1 << 14)
    out = np.empty_like(ins[0])
    return best(lambda count: [function(*ins, out=out) for _ in range(count)], 0.05) / out.size * 16e9


def row(name: str, body: Callable[..., Any], threads: int, copy: float = 0.0) -> float:
    """Prints a line -> seconds for the large array."""
    pool.set_num_threads(1)
    near = in_cache(name, body, float32), in_cache(name, body, float64), rival(name)
    pool.set_num_threads(threads)
    large = seconds(name, body, float32, LARGE)
    print(f"{name:12s}", *(f"{x:8.2f}" for x in near), f"{large * 1e3:8.2f} {(copy or large) / large:8.2f}", flush=True)
    return large


def main(names: list[str]) -> None:
    threads = pool.get_num_threads()
    print(f"{'':12s} {'float32':>8s} {'float64':>8s} {'numpy32':>8s} {'10M ms':>8s} {'of copy':>8s}")
    copy = row("copy", lambda x: x, threads)
    for name in names or BOUNDS:
        row(name, getattr(scalar, name), threads, copy)


if __name__ == "__main__":
    main(sys.argv[1:])
