"""FACULA_NATIVE=0: the Python twin of objects gives the same bits as emitted code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def printed(native: str, *command: str) -> str:
    environment = {**os.environ, "FACULA_NATIVE": native, "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command], env=environment, capture_output=True, text=True, check=True, timeout=280
    ).stdout


def test_programs() -> None:
    """All of programs.py, against what PyTorch printed."""
    assert printed("0", str(HERE / "programs.py"), "facula") == (HERE / "expected.txt").read_text()


TRAINING = """
import facula as t
t.manual_seed(0)
x, y = t.randn(16, 8), t.randint(4, (16,))
w1, b1, w2 = t.randn(8, 16).requires_grad_(), t.zeros(16).requires_grad_(), t.randn(16, 4).requires_grad_()
for step in range(5):
    h = t.nn.functional.gelu(x @ w1 + b1)
    loss = t.nn.functional.cross_entropy(t.nn.functional.layer_norm(h, (16,)) @ w2, y)
    loss.backward()
    with t.no_grad():
        for p in (w1, b1, w2):
            p -= 0.1 * p.grad
            p.grad = None
    print(loss.item().hex(), w1.sum().item().hex(), b1[3].item().hex())
c = t.randn(2, 3, 9, 9, requires_grad=True)
k = t.randn(4, 3, 3, 3, requires_grad=True)
out = t.nn.functional.max_pool2d(t.nn.functional.conv2d(c, k, padding=1).relu(), 2)
(out * out).mean().backward()
print(out.sum().item().hex(), c.grad.abs().sum().item().hex(), k.grad.sum().item().hex())
v, i = t.randn(5, 7).sort(1)
print(v.tolist(), i.tolist(), t.randn(4, 4, dtype=t.complex64).cumsum(0).tolist(), t.softmax(t.randn(3, 5), 1).tolist())
"""


def test_training_gives_the_same_bits() -> None:
    assert printed("0", "-c", TRAINING) == printed("1", "-c", TRAINING)
