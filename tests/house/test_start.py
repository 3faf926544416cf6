"""What starting does not load."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, facula
assert "facula.core" not in sys.modules, "import facula loads a room"
x = facula.ones(3, requires_grad=True)
(x * 2).sum().backward()
print(*[name for name in ("numpy", "scipy", "ml_dtypes", "llvmlite", "facula.nn", "facula.optim", "facula.io") if name in sys.modules])
"""


def test_a_warm_start_loads_neither_llvm_nor_numpy() -> None:
    for _ in range(2):  # the first may compile
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
