"""Milliseconds of compiling a kernel, and of loading a hundred of them in a fresh process.

python -m benchmarks.runtime.bench_cache
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time

from facula.kernel import compiler
from facula.kernel.launch import Kernel
from facula.runtime.ir import Module

WARM = """
import time
start = time.perf_counter()
from facula.kernel import compiler
from benchmarks.runtime.bench_cache import hundred
imported = time.perf_counter()
compiler.identity(hundred()[0], compiler.host.target())
known = time.perf_counter()
for kernel in hundred():
    compiler.address(kernel)
done = time.perf_counter()
assert compiler.counts["compiled"] == 0
print((imported - start) * 1e3, (known - imported) * 1e3, (done - known) * 1e3)
"""


def emit_polynomial(m: Module, name: str, degree: int) -> None:
    """A pointwise body of `degree` multiply-adds, four vectors at a time."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        x, y = f.words(words, "ptr", "ptr")
        kind = f"<{m.target.lanes} x float>"
        with f.range(lo, hi, 4 * m.target.lanes) as i:
            for part in range(4):
                v = f.load(kind, x, i + part * m.target.lanes)
                total = v
                for k in range(degree):
                    total = f.fma(total, v, f.const(kind, 1 / (k + 1)))
                f.store(total, y, i + part * m.target.lanes)


def hundred() -> list[Kernel]:
    return [Kernel(emit_polynomial, (degree,)) for degree in range(1, 101)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FACULA_CACHE"] = os.path.join(folder, "one")
        compiler.address(Kernel(emit_polynomial, (0,)))  # imports LLVM
        times = []
        for kernel in hundred()[5:30]:
            start = time.perf_counter()
            compiler.address(kernel)
            times.append(time.perf_counter() - start)
        print(f"compile, link, keep and load a pointwise kernel: {min(times) * 1e3:.2f} to {max(times) * 1e3:.2f} ms")
        os.environ["FACULA_CACHE"] = os.path.join(folder, "many")
        start = time.perf_counter()
        count = compiler.prebuild(hundred())
        print(f"prebuild of {count} kernels on all cores: {time.perf_counter() - start:.2f} s")
        rows = []
        for _ in range(7):
            out = subprocess.run([sys.executable, "-c", WARM], check=True, capture_output=True, text=True, env=dict(os.environ)).stdout
            rows.append([float(x) for x in out.split()])
        imported, known, loaded = (min(column) for column in zip(*rows, strict=True))
        print(f"fresh process: imports {imported:.1f} ms, digest of sources {known:.2f} ms, 100 kernels from disk {loaded:.2f} ms")


if __name__ == "__main__":
    importlib.import_module("benchmarks.runtime.bench_cache").main()  # a kernel's key names its emitter's module: the same one everywhere
