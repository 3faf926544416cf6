"""Nanoseconds of taking and giving back a block, in native code and from Python, beside malloc and NumPy.

python -m benchmarks.runtime.bench_allocator
"""

from __future__ import annotations

import ctypes
import timeit
from collections.abc import Callable

import numpy as np

from facula.kernel.compiler import functions
from facula.kernel.launch import Kernel
from facula.runtime import allocator
from facula.runtime.allocator_code import emit_memory
from facula.runtime.ir import Module


def emit_churn(m: Module, name: str) -> None:
    """Take and give a block, `times` times."""
    emit_memory(m)
    with m.function(name, "i64 nbytes, i64 times") as (f, nbytes, times), f.range(0, times):
        f.call("void", "facula_release", f.call("ptr", "facula_alloc", nbytes))


def ns(call: Callable[[], object], number: int, inner: int = 1) -> float:
    return min(timeit.repeat(call, number=number, repeat=15)) / number / inner * 1e9


def main() -> None:
    churn = ctypes.PYFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(functions(Kernel(emit_churn), level="full")["emit_churn"])
    for nbytes in (32, 4096, 100_000, 4 << 20, 64 << 20):
        print(f"{nbytes:10d} bytes: native take and give {ns(lambda n=nbytes: churn(n, 10000), 1, 10000):6.1f} ns")
    own, other = ns(lambda: allocator.release(allocator.allocate(48)), 5000), ns(lambda: np.empty(12), 5000)
    print(f"from Python: {own:6.0f} ns, np.empty(12) {other:6.0f} ns")
    source = np.ones(10_000_000, np.float32)

    def copy() -> None:
        block = allocator.allocate(source.nbytes)
        ctypes.memmove(allocator.data(block), source.ctypes.data, source.nbytes)
        allocator.release(block)

    allocator.empty_cache()
    first = timeit.timeit(copy, number=1)
    again, other = ns(copy, 3) / 1e6, ns(lambda: source.copy(), 3) / 1e6
    print(f"40 MB copied into a block: first {first * 1e3:.2f} ms, then {again:.2f} ms; NumPy {other:.2f} ms")
    print(allocator.memory_stats())


if __name__ == "__main__":
    main()
