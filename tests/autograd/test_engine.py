"""The engine under load: long chains, many threads, interrupts, forks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

import facula as t

ROOT = Path(__file__).parents[2]


def run(code: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def test_chain_of_nodes_is_walked_and_freed_without_recursion() -> None:
    x = t.ones(1, requires_grad=True)
    y = x
    for _ in range(30_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    node = weakref.ref(y.grad_fn)
    del y
    gc.collect()
    assert node() is None


@pytest.mark.slow
def test_a_million_nodes() -> None:
    code = """
import facula as t
x = t.ones(1, requires_grad=True)
y = x
for _ in range(1_000_000):
    y = y * 1.0
y.backward()
print(x.grad.item())
z = x
for _ in range(1_000_000):
    z = z + x
del z
print("freed")
"""
    got = run(code, 250)
    assert got.stdout.split() == ["1.0", "freed"], got.stderr


def test_gradients_from_threads_are_not_lost() -> None:
    x = t.zeros(8, requires_grad=True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work() -> None:
        for _ in range(100):
            (x * 3.0).sum().backward()

    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
    finally:
        sys.setswitchinterval(before)
    assert x.grad.tolist() == [1800.0] * 8


def test_a_new_thread_starts_with_recording_on() -> None:
    x = t.ones(2, requires_grad=True)
    seen: list[bool] = []
    for _ in range(20):  # addresses of thread states are used again

        def off() -> None:
            t.set_grad_enabled(False)
            x * 2.0

        def look() -> None:
            seen.append((x * 2.0).requires_grad)

        for work in (off, look):
            th = threading.Thread(target=work)
            th.start()
            th.join()
    assert seen == [True] * 20
    assert (x * 2.0).requires_grad


def test_rows_of_the_plan_table_are_per_mode_when_threads_switch() -> None:
    x = t.ones(4, requires_grad=True)
    wrong: list[object] = []

    def work(grad: bool) -> None:
        for n in range(1, 200):
            with t.set_grad_enabled(grad):
                y = (x * float(n)).reshape(2, 2).narrow(0, 0, n % 2 + 1)
                if y.requires_grad is not grad:
                    wrong.append((grad, n))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(k % 2 == 0,)) for k in range(4)]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def test_a_cycle_through_a_hook_is_collected() -> None:
    def cycle() -> object:
        y = t.ones(2, requires_grad=True) * 2.0
        y.register_hook(lambda g: y.detach() * g)
        y.backward(t.ones(2))
        return weakref.ref(y)

    alive = cycle()
    gc.collect()
    assert alive() is None


def test_interrupt_during_a_long_operator() -> None:
    code = """
import facula as t, os, signal, threading, time
a = t.randn(3000, 3000)
a @ a[:, :8]
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
start = time.time()
try:
    for _ in range(200):
        a @ a
except KeyboardInterrupt:
    print("interrupted", time.time() - start < 20)
print((t.ones(3) + 1).tolist())
"""
    got = run(code)
    assert got.stdout.splitlines() == ["interrupted True", "[2.0, 2.0, 2.0]"], got.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_then_compute() -> None:
    code = """
import facula as t, os
a = t.randn(300, 300)
b = (a @ a).exp().sum()
pid = os.fork()
x = t.ones(300, 300, requires_grad=True)
((x @ x) * 2).sum().backward()
assert x.grad[0, 0].item() == 1200.0
if pid == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
print("both")
"""
    got = run(code)
    assert got.stdout == "both\n", got.stderr


def test_backward_inside_a_hook() -> None:
    x = t.ones(2, requires_grad=True)
    other = t.ones(2, requires_grad=True)

    def hook(g: object) -> None:
        with t.enable_grad():
            (other * 2.0).sum().backward()

    y = x * 3.0
    y.register_hook(hook)
    y.sum().backward()
    assert other.grad.tolist() == [2.0, 2.0]
    assert x.grad.tolist() == [3.0, 3.0]


def test_error_in_a_hook_leaves_modes_alone() -> None:
    x = t.ones(2, requires_grad=True)
    y = x * 3.0

    def hook(g: object) -> None:
        raise ValueError("mine")

    y.register_hook(hook)
    with pytest.raises(ValueError, match="mine"):
        y.sum().backward()
    assert t.is_grad_enabled()
    assert (x * 2.0).requires_grad


def leaf() -> t.Tensor:
    return t.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("place", "hook", "kind", "sentence"),
    [
        ("leaf", lambda g: t.ones(3), RuntimeError, "hook '<lambda>' has changed the size of value"),
        ("leaf", lambda g: g.double(), RuntimeError, r"has changed the type of value \(was torch.FloatTensor got torch.DoubleTensor\)"),
        ("leaf", lambda g: 3, TypeError, "expected Variable, but hook returned 'int'"),
        ("result", lambda g: t.ones(3), RuntimeError, "hook '<lambda>' has changed the size of value"),
        ("before", lambda g: (t.ones(3),), RuntimeError, "hook '<lambda>' has changed the size of value"),
        ("before", lambda g: (g[0], g[0]), RuntimeError, r"returned an incorrect number of values \(got 2, but expected 1\)"),
        ("before", lambda g: g[0], TypeError, "expected tuple, but hook returned 'Tensor'"),
        ("after", lambda a, b: a[0], TypeError, "expected tuple, but hook returned 'Tensor'"),
    ],
)
def test_hooks_keep_type_and_size(place: str, hook: Any, kind: type[Exception], sentence: str) -> None:
    """Sentences recorded from PyTorch 2.13."""
    x = leaf()
    y = x.exp()
    register = {"leaf": x.register_hook, "result": y.register_hook, "before": y.grad_fn.register_prehook, "after": y.grad_fn.register_hook}
    register[place](hook)
    with pytest.raises(kind, match=sentence):
        y.sum().backward()


def test_edges_stand_for_tensors() -> None:
    edge = t.autograd.graph.get_gradient_edge
    x = leaf()
    y = x * 2
    z = y.exp().sum()
    at_y, at_x = t.autograd.grad(z, [edge(y), edge(x)], retain_graph=True)
    assert t.equal(at_y, y.exp()) and t.equal(at_x, 2 * y.exp())
    z.backward(inputs=[edge(x)], retain_graph=True)
    t.autograd.backward(edge(z), retain_graph=True)
    assert t.equal(x.grad, 2 * at_x) and t.equal(t.autograd.grad(edge(y), x, t.ones(2))[0], t.full((2,), 2.0))


def test_the_gradient_of_a_result_is_asked_with_a_warning() -> None:
    y = leaf() * 2
    with pytest.warns(UserWarning, match="that is not a leaf Tensor is being accessed"):
        assert y.grad is None
    y.retain_grad()
    assert y.grad is None


class Doubled(t.autograd.Function):
    """Overwrites its input with twice of it."""

    returned = True

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x.mul_(2))
        return x if Doubled.returned else x + 1

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


def test_a_function_that_overwrites_a_view_is_part_of_its_base(monkeypatch: pytest.MonkeyPatch) -> None:
    x = t.ones(4, requires_grad=True)
    base = x.clone()
    part = base[:2]
    assert Doubled.apply(part) is part
    base.sum().backward(retain_graph=True)
    part.sum().backward()
    assert x.grad.tolist() == [4, 4, 1, 1]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in an in-place operation"):
        Doubled.apply(leaf())
    monkeypatch.setattr(Doubled, "returned", False)
    with pytest.raises(RuntimeError, match="Some elements marked as dirty during the forward method were not returned as output"):
        Doubled.apply(leaf().clone())


def test_only_what_is_asked_for_is_computed() -> None:
    x, w = t.randn(1, 2, 5, 5, requires_grad=True), t.randn(3, 2, 3, 3, requires_grad=True)
    y = t.nn.functional.conv2d(x, w)
    g = t.randn_like(y)
    both = t.autograd.grad(y, (x, w), g, retain_graph=True)
    for i, (asked, other) in enumerate((("convolution_input", "convolution_weight"), ("convolution_weight", "convolution_input"))):
        report = t.explain(t.autograd.grad, y, (x, w)[i], g, retain_graph=True)
        assert asked in report and other not in report
        assert t.equal(t.autograd.grad(y, (x, w)[i], g, retain_graph=True)[0], both[i])
