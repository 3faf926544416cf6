"""Time per element of every function, in cache and on 10 million elements, on one core.

    python -m benchmarks.kernel.bench_vector_math            # all
    python -m benchmarks.kernel.bench_vector_math exp tanh

Columns: float32 and float64 in cache (minimum of many runs), NumPy's time for the same, and float32 on 80 MB in ns and as a share of what a
plain copy of the same size reaches (1 means bound by memory).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from facula.base.dtypes import dtype, float32, float64
from facula.kernel import scalar
from facula.kernel.vector_math.measure import BINARY, BOUNDS, compiled, uniform

RANGES = {"log": (0.1, 9), "log2": (0.1, 9), "log10": (0.1, 9), "sqrt": (0.1, 9), "rsqrt": (0.1, 9), "log1p": (-0.9, 9), "acosh": (1, 9)}
RANGES |= {"lgamma": (0.1, 20), "digamma": (0.1, 20), "pow": (0.1, 4), **dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-0.99, 0.99))}


def best(run: Callable[[], Any], seconds: float = 0.05) -> float:
    """Seconds of the fastest run."""
    run()
    out, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        run()
        out = min(out, time.perf_counter() - start)
    return out


def times(name: str, body: Callable[..., Any], kind: dtype, count: int) -> float:
    """ns per element."""
    arrays = [uniform(kind, *RANGES.get(name, (-4, 4)), count) for _ in range(2 if name in BINARY else 1)]
    out = np.empty_like(arrays[0])
    run = compiled(body, kind, len(arrays))
    return best(lambda: run(out, *arrays), 0.3 if count > 1 << 20 else 0.03) / count * 1e9


def rival(name: str) -> float:
    """ns per element of NumPy's float32 function, NaN where it has none."""
    names = {
        "asin": "arcsin",
        "acos": "arccos",
        "atan": "arctan",
        "asinh": "arcsinh",
        "acosh": "arccosh",
        "atanh": "arctanh",
        "pow": "power",
    }
    function = getattr(np, names.get(name, name), None)
    if function is None or name in ("atan2", "i0"):
        return float("nan")
    arrays = [uniform(float32, *RANGES.get(name, (-4, 4)), 1 << 14) for _ in range(2 if name in BINARY else 1)]
    out = np.empty_like(arrays[0])
    return best(lambda: function(*arrays, out=out), 0.03) / out.size * 1e9


def main(names: list[str]) -> None:
    small, large = 1 << 14, 10_000_000 // 64 * 64
    copy = lambda x: x  # noqa: E731
    floor = times("copy", copy, float32, small), times("copy", copy, float64, small), times("copy", copy, float32, large)
    print(f"{'function':12s} {'float32':>8s} {'float64':>8s} {'numpy32':>8s} {'10M':>8s} {'of copy':>8s}   ns per element")
    print(f"{'copy':12s} {floor[0]:8.3f} {floor[1]:8.3f} {'':8s} {floor[2]:8.3f} {1.0:8.2f}")
    for name in names or BOUNDS:
        body = getattr(scalar, name)
        large_time = times(name, body, float32, large)
        print(
            f"{name:12s} {times(name, body, float32, small):8.3f} {times(name, body, float64, small):8.3f} {rival(name):8.3f} "
            f"{large_time:8.3f} {floor[2] / large_time:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
