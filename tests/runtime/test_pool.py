"""The pool: every item done once, whoever calls, after fork, under signals, with any number of threads."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from facula.kernel.compiler import address
from facula.kernel.launch import Kernel
from facula.runtime import native, pool, state
from facula.runtime.ir import Module
from facula.runtime.pool_code import LEADER, OUTSIDE, RUNNING, SCRATCH, scratch

ITEMS = 500


def emit_mark(m: Module, name: str, work: int) -> None:
    """count[i] += 1 and who[i] = worker, after `work` turns per item that pass through the worker's scratch memory."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, worker):
        count, who = f.words(words, "ptr", "ptr")
        mine = scratch(f, worker)
        with f.range(lo, hi) as i:
            f.store(i, mine)
            with f.range(0, work) as turn:
                f.do(f"store volatile {turn}, ptr {f.at(mine, 1, 'i64').text}")
            at = f.load("i64", mine)  # somebody else's number if two callers shared a slot
            f.store(f.load("i64", count, at) + 1, count, at)
            f.store(worker, who, at)


def emit_runs(m: Module, name: str) -> None:
    """out[lo / grain] = hi - lo: a call is exactly one run."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        out, grain = f.words(words, "ptr", "i64")
        f.store(hi - lo, out, lo // grain)


def mark(work: int = 1000, grain: int = 3, long: bool = True, items: int = ITEMS) -> tuple[list[int], set[int]]:
    count, who = marked(work, grain, long, items)
    return count, set(who)


def marked(work: int, grain: int, long: bool, items: int) -> tuple[list[int], list[int]]:
    """How often each item was done, and by whom at last."""
    count, who = (ctypes.c_int64 * items)(), (ctypes.c_int64 * items)()
    words = (ctypes.c_int64 * 2)(ctypes.addressof(count), ctypes.addressof(who))
    native.parallel(address(Kernel(emit_mark, (work,))), ctypes.addressof(words), items, grain, long)
    return list(count), list(who)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = native.get_num_threads()
    yield
    native.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("long", [False, True])
def test_each_item_once(n: int, long: bool) -> None:
    native.set_num_threads(n)
    assert native.get_num_threads() == n
    for grain in (1, 7, ITEMS - 1, ITEMS, 10**12):
        count, who = mark(grain=grain, long=long)
        assert count == [1] * ITEMS
        assert len(who) <= n and max(who) < LEADER + n


def test_workers_take_part() -> None:
    native.set_num_threads(2)
    seen: set[int] = set()
    for _ in range(50):
        seen |= mark(work=20000)[1]
        if len(seen) == 2:
            return
    assert seen == {LEADER, LEADER + 1}


def test_a_thread_has_a_part_of_its_own() -> None:
    """From the front its owner, from the back who is through with the other part; nobody takes every other run."""
    native.set_num_threads(2)
    for _ in range(20):
        count, who = marked(2000, 1, True, ITEMS)
        assert count == [1] * ITEMS
        assert sum(a != b for a, b in zip(who, who[1:])) <= 3


@pytest.mark.parametrize("n", [1, 2])
def test_a_call_is_one_run_for_any_number_of_threads(n: int) -> None:
    native.set_num_threads(n)
    for total, grain in ((10, 3), (9, 3), (1, 3), (64, 1), (5, 100)):
        out = (ctypes.c_int64 * total)()
        words = (ctypes.c_int64 * 2)(ctypes.addressof(out), grain)
        native.parallel(address(Kernel(emit_runs)), ctypes.addressof(words), total, grain)
        assert list(out)[: -(-total // grain)] == [min(grain, total - lo) for lo in range(0, total, grain)]


def test_nothing_to_do() -> None:
    native.parallel(0, 0, 0, 1)
    native.parallel(0, 0, -5, 1, True)


def test_many_python_threads_at_once() -> None:
    """More callers than slots; each has scratch memory of its own, and the pool's callers stay correct."""
    native.set_num_threads(2)
    wrong: list[object] = []

    def work(i: int) -> None:
        for turn in range(12):
            count, _ = mark(work=300, grain=5, long=(i + turn) % 2 == 0)
            if count != [1] * ITEMS:
                wrong.append(count)

    callers = [threading.Thread(target=work, args=(i,)) for i in range(24)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert state.word("facula_pool", OUTSIDE).value == 0


def test_the_number_changes_between_and_during_regions() -> None:
    stop = threading.Event()
    wrong: list[object] = []

    def compute() -> None:
        while not stop.is_set():
            count, _ = mark(work=100)
            if count != [1] * ITEMS:
                wrong.append(count)

    caller = threading.Thread(target=compute)
    caller.start()
    for n in [1, 2, 4, 2, 3, 1, 2] * 3:
        native.set_num_threads(n)
        assert mark(work=10)[0] == [1] * ITEMS
    stop.set()
    caller.join()
    assert not wrong


def test_refused_numbers() -> None:
    for n in (0, -1):
        with pytest.raises(RuntimeError, match="expects a positive integer"):
            native.set_num_threads(n)
    with pytest.raises(TypeError, match="expects an int, but got str"):
        native.set_num_threads("2")  # type: ignore[arg-type]


def test_fork_starts_anew() -> None:
    native.set_num_threads(2)
    assert mark()[0] == [1] * ITEMS
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            code = 1
            try:
                fresh = state.word("facula_pool", RUNNING).value == 0
                code = 0 if fresh and mark()[0] == [1] * ITEMS and state.word("facula_pool", RUNNING).value == 1 else 2
            finally:
                os._exit(code)
        children.append(child)
        assert mark()[0] == [1] * ITEMS
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3


def test_fork_while_another_thread_computes() -> None:
    native.set_num_threads(2)
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            mark(work=2000)

    caller = threading.Thread(target=compute)
    caller.start()
    codes = []
    for _ in range(5):
        child = os.fork()
        if not child:
            code = 1
            try:
                code = 0 if all(mark(work=10)[0] == [1] * ITEMS for _ in range(3)) else 2
            finally:
                os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    caller.join()
    assert codes == [0] * 5


LONG = """
import importlib.util, sys, time
from facula.runtime import native
spec = importlib.util.spec_from_file_location("kernels_of_a_test", {file!r})
kernels = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernels)
mark, ITEMS = kernels.mark, kernels.ITEMS
native.set_num_threads({n})
mark()
print("running", flush=True)
try:
    mark(work=400_000, grain=1, items=20_000)  # about 10 s
    print("finished")
except KeyboardInterrupt:
    print("interrupted", mark()[0] == [1] * ITEMS, flush=True)
"""


def source(n: int) -> str:
    return LONG.format(file=__file__, n=n)


def script(n: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", source(n)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("n", [1, 2])
def test_interrupt_arrives_within_a_second(n: int) -> None:
    process = script(n)
    assert process.stdout and process.stdout.readline() == "running\n"
    time.sleep(0.3)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out == "interrupted True\n", err
    assert time.monotonic() - start < 1
    assert process.returncode == 0


def test_exit_while_a_daemon_thread_computes() -> None:
    code = "import threading; threading.Thread(target=mark, args=(400_000, 1, True, 20_000), daemon=True).start(); time.sleep(0.2)"
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", source(2).split("print(")[0] + code], check=True, timeout=20)
    assert time.monotonic() - start < 8


def test_handlers_run_during_a_region() -> None:
    seen: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        start = time.monotonic()
        while not seen and time.monotonic() - start < 5:
            mark(work=50_000, grain=1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen


def test_other_python_threads_run_during_a_long_region() -> None:
    ticks = [0]
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    native.set_num_threads(1)
    start = time.monotonic()
    mark(work=400_000, grain=1)
    took = time.monotonic() - start
    stop.set()
    ticker.join()
    assert ticks[0] > took * 100


def test_scratch_slots_do_not_meet() -> None:
    place = state.word("facula_scratch", 0).value
    assert (place & -64) % (2 << 20) == 0 and 1 << (place & 63) >= SCRATCH


def test_scratch_memory_grows_for_a_kernel_that_needs_more() -> None:
    size = 1 << (state.word("facula_scratch", 0).value & 63)
    pool.reserve(size)
    assert 1 << (state.word("facula_scratch", 0).value & 63) == size
    pool.reserve(size + 1)
    assert 1 << (state.word("facula_scratch", 0).value & 63) == 2 * size
    mark(work=10, grain=1)
    with pytest.raises(MemoryError, match="no address space for 4611686018427387904 bytes"):
        pool.reserve(1 << 62)


def test_default_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert pool._default_threads() == 3
    monkeypatch.setenv("FACULA_NUM_THREADS", "5")
    assert pool._default_threads() == 5
    monkeypatch.setenv("FACULA_NUM_THREADS", "many")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert pool._default_threads() >= 1
