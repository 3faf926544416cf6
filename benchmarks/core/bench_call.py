"""What a call costs: small operators, with and without recording, and a small forward and backward, beside PyTorch in one run.

    python -m benchmarks.core.bench_call [--reference PYTHON_WITH_TORCH] [--rounds 5]

Each library runs in a process of its own, in turn; the figure is the minimum over rounds. Limits: one table look-up, one allocation, one
launch and one object a call; nothing here touches memory worth counting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

PROGRAM = """
import importlib, json, sys, timeit
t = importlib.import_module(sys.argv[1])
F = importlib.import_module(sys.argv[1] + ".nn.functional")
x, y, g = t.ones(8), t.ones(8), t.ones(8, requires_grad=True)
m, w = t.ones(4, 16), t.ones(16, 16, requires_grad=True)
def step():
    h = m @ w
    h = h.tanh() * 0.5 + h.sigmoid()
    loss = ((h @ w).relu() ** 2).mean()
    loss.backward()
    w.grad = None
scope = dict(x=x, y=y, g=g, m=m, w=w, F=F, step=step)
cases = {"x + y, 8 floats": "x + y", "x + y, recorded": "x + g", "x * 0.5": "x * 0.5", "F.gelu(x)": "F.gelu(x)", "x.sum()": "x.sum()",
         "x.view(2, 4)": "x.view(2, 4)", "(4, 16) @ (16, 16)": "m @ w", "forward and backward, 9 calls": "step()"}
out = {}
for name, code in cases.items():
    n = 200 if "step" in code else 5000
    timer = timeit.Timer(code, globals=scope)
    timer.timeit(n // 10)
    out[name] = min(timer.repeat(7, n)) / n * 1e6
print(json.dumps(out))
"""


def measure(python: str, library: str) -> dict[str, float]:
    """Microseconds a call, by case."""
    done = subprocess.run([python, "-c", PROGRAM, library], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="a Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    peers = [(sys.executable, "facula")] + ([(arguments.reference, "torch")] if arguments.reference else [])
    best: dict[str, dict[str, float]] = {library: {} for _, library in peers}
    for _ in range(arguments.rounds):
        for python, library in peers:
            for name, value in measure(python, library).items():
                best[library][name] = min(value, best[library].get(name, 1e9))
    for name, ours in best["facula"].items():
        theirs = best.get("torch", {}).get(name)
        print(f"{name:32s} {ours:8.3f} us" + (f"   PyTorch {theirs:8.3f} us   ratio {theirs / ours:5.1f}" if theirs else ""))


if __name__ == "__main__":
    main()
