"""Checked kernels: an access outside of what its launch may touch is not done and is named; the switch; clean operators under it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facula.kernel import compiler
from facula.kernel.bounds import instrument
from facula.kernel.bounds.record import Range
from facula.kernel.launch import Kernel
from facula.kernel.random.mt19937 import State
from facula.runtime import host
from facula.runtime.ir import Function, Module, Value
from facula.runtime.pool_code import scratch, scratch_place

ROOT = Path(__file__).parents[2]
PARAMETERS = "ptr words, i64 lo, i64 hi, i64 worker"
LANES = 16
EDGE = 8  # elements of the guard on each side


# -- kernels with one access; their words: x, y, n
def read_at(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    f.store(f.load("float", x, n + index), y)


def write_at(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    f.store(f.load("float", x), y, n + index)


def vector_at(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    f.store(f.load("<8 x float>", x, n + index), y)


def masked_read(f: Function, x: Value, y: Value, n: Value, lanes: int) -> None:
    f.store(f.load(f"<{LANES} x float>", x, 0, f.mask(LANES, n + lanes)), y, 0, f.mask(LANES, n))


def masked_write(f: Function, x: Value, y: Value, n: Value, lanes: int) -> None:
    f.store(f.load(f"<{LANES} x float>", x, 0, f.mask(LANES, n)), y, 0, f.mask(LANES, n + lanes))


def gathered(f: Function, x: Value, y: Value, n: Value, lane: int) -> None:
    """One index of a gather is n (or below it), the others are 0."""
    index = f.insert(f.const("<4 x i64>", 0), n + lane, 2)
    places = f.op("<4 x ptr>", f"getelementptr float, ptr {x.text}, {index}")
    every = f.const("<4 x i1>", 1)
    got = f.call("<4 x float>", "llvm.masked.gather.v4f32.v4p0", places, Value(f, "i32", "4"), every, f.const("<4 x float>", 0))
    f.store(got, y)


def scattered(f: Function, x: Value, y: Value, n: Value, lane: int) -> None:
    index = f.insert(f.lanes("<4 x i64>", [0, 1, 2, 3]), n + lane, 2)
    places = f.op("<4 x ptr>", f"getelementptr float, ptr {y.text}, {index}")
    f.call("void", "llvm.masked.scatter.v4f32.v4p0", f.load("<4 x float>", x), places, Value(f, "i32", "4"), f.const("<4 x i1>", 1))


def atomic(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    f.op("i32", f"atomicrmw add ptr {f.at(y, n + index).text}, i32 1 seq_cst")


def filled(f: Function, x: Value, y: Value, n: Value, more: int) -> None:
    f.call("void", "llvm.memset.p0.i64", y, f.const("i8", 1), (n + more) * 4, f.const("i1", 0))


def copied(f: Function, x: Value, y: Value, n: Value, more: int) -> None:
    f.call("void", "llvm.memcpy.p0.p0.i64", y, x, (n + more) * 4, f.const("i1", 0))


def on_the_stack(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    line = f.array("float", 9)
    f.store(f.load("float", x), line, n + (index + 4))  # n is 5
    f.store(f.load("float", line, n + (index + 4)), y)


def in_a_table(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    table = Value(f, "ptr", f.module.constant("table", "float", [1, 2, 3, 4, 5]))
    f.store(f.load("float", table, n + index), y)


def in_scratch(f: Function, x: Value, y: Value, n: Value, index: int) -> None:
    room = scratch(f, f.args[3])
    size = f.i64(1) << (scratch_place(f) & 63)
    f.store(f.load("float", x), room, n - 5 + (size.udiv(4) + index))


ACCESSES = {a.__name__: a for a in (
    read_at, write_at, vector_at, masked_read, masked_write, gathered, scattered, atomic, filled, copied, on_the_stack, in_a_table, in_scratch,
)}  # fmt: skip
INSIDE = {"vector_at": -8, "masked_read": 0, "masked_write": 0, "filled": 0, "copied": 0}  # of the others the last element is n - 1
OUTSIDE = {"vector_at": -7, "masked_read": 1, "masked_write": 1, "filled": 1, "copied": 1}


def emit(m: Module, name: str, access: str, index: int, inner: bool) -> None:
    """The access, in the kernel or in a function that it calls."""

    def body(f: Function, words: Value) -> None:
        x, y, n = f.words(words, "ptr", "ptr", "i64")
        ACCESSES[access](f, x, y, n, index)

    if inner:
        with m.function("inner", PARAMETERS, internal=True) as (f, words, *_):
            body(f, words)
    with m.function(name, PARAMETERS) as (f, *args):
        if inner:
            f.call("void", "inner", *args)
        else:
            body(f, args[0])


def emit_write_to_input(m: Module, name: str) -> None:
    with m.function(name, PARAMETERS) as (f, words, *_):
        x, y = f.words(words, "ptr", "ptr")
        f.store(f.load("float", y), x)


def launch(kernel: Kernel, n: int, items: int = 1) -> np.ndarray:
    """x of n elements between guards, then y of n; only they may be touched."""
    memory = np.full((2, EDGE + n + EDGE), 7.0, np.float32)
    memory[:, EDGE : EDGE + n] = np.arange(1, 2 * n + 1).reshape(2, n)
    x, y = (memory.ctypes.data + memory.strides[0] * row + 4 * EDGE for row in (0, 1))
    ranges = [Range("the storage of input 0", x, 4 * n, False), Range("the storage of output 0", y, 4 * n, True)]
    try:
        compiler.start(kernel, [x, y, n], ranges, items, 1, False)
    finally:
        assert (memory[:, :EDGE] == 7).all() and (memory[:, EDGE + n :] == 7).all()
    return memory[:, EDGE : EDGE + n]


def room(access: str) -> int:
    return 8 if access == "vector_at" else 5


@pytest.mark.parametrize("inner", [False, True], ids=["kernel", "inner"])
@pytest.mark.parametrize("access", ACCESSES)
def test_the_last_element_is_inside(access: str, inner: bool) -> None:
    launch(Kernel(emit, (access, INSIDE.get(access, -1), inner)), room(access))


@pytest.mark.parametrize("inner", [False, True], ids=["kernel", "inner"])
@pytest.mark.parametrize("access", ACCESSES)
def test_one_past_the_end_is_refused(access: str, inner: bool) -> None:
    kernel = Kernel(emit, (access, OUTSIDE.get(access, 0), inner))
    wrong = r"kernel .*test_bounds\.emit\('\w+', .* a (read|write) of \d+ bytes at 0x\w+ leaves the memory of its launch: `.*test_bounds\.py:\d+"
    with pytest.raises(RuntimeError, match=wrong):
        launch(kernel, room(access))


@pytest.mark.parametrize("access", ["read_at", "write_at"])
def test_one_before_the_beginning_is_refused(access: str) -> None:
    with pytest.raises(RuntimeError, match=f"a {access[:-3]} of 4 bytes") as caught:
        launch(Kernel(emit, (access, -6, False)), 5)
    assert caught.value.received.startswith("bytes -4 to -1 of the storage of ")  # type: ignore[attr-defined]
    assert caught.value.expected.endswith("put 0 has 20 bytes")  # type: ignore[attr-defined]


def test_what_is_only_read_is_not_written() -> None:
    with pytest.raises(RuntimeError, match="a write of 4 bytes") as caught:
        launch(Kernel(emit_write_to_input), 5)
    assert caught.value.expected == "the storage of input 0 has 20 bytes, and is only read"  # type: ignore[attr-defined]


def test_all_accesses_are_counted_and_the_results_inside_stand() -> None:
    with pytest.raises(RuntimeError) as caught:
        launch(Kernel(emit, ("read_at", 3, False)), 5, items=100)
    assert "and 99 more such accesses" in caught.value.received  # type: ignore[attr-defined]


def test_words_past_the_kernels_own_are_refused() -> None:
    def emit(m: Module, name: str) -> None:
        with m.function(name, PARAMETERS) as (f, words, *_):
            f.store(f.load("float", words, 6), f.words(words, "ptr", "ptr")[1])

    with pytest.raises(RuntimeError, match="a read of 4 bytes") as caught:
        launch(Kernel(emit), 5)
    assert "bytes 24 to 27 of the kernel's words" in caught.value.received  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [lambda f: f.call("void", "qsort", f.args[0]), lambda f: f.call("void", "llvm.unheard.of", f.args[0])])
def test_accesses_that_nobody_knows_are_refused(body: Callable[[Function], None]) -> None:
    m = Module(host.target())
    with m.function("k", PARAMETERS) as (f, *_):
        body(f)
    with pytest.raises(ValueError, match=r"no bounds check is known for what @(qsort|llvm\.unheard\.of) does to memory"):
        instrument.instrument(m)


def test_what_is_not_a_kernel_is_refused() -> None:
    m = Module(host.target())
    with m.function("k", "ptr words, i64 n"):
        pass
    with pytest.raises(ValueError, match="@k is not a kernel"):
        instrument.instrument(m)


def test_a_generators_state_says_how_large_it_is() -> None:
    assert State(1).address.nbytes >= 64 + 624 * 4


PROGRAM = """
import sys
import facula
from facula.core.plan import execute
from facula.kernel.launch import In, Kernel, Launch, Out, Schedule

def emit(m, name, past):
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        x, y = f.words(words, "ptr", "ptr")
        with f.range(lo, hi + past) as i:
            f.store(f.load("float", x, i) * 2.0, y, i)

def double(x, past):
    out = facula.zeros(6)
    execute(Schedule((Launch(Kernel(emit, (past,)), (In(0), Out(0)), 5, 5),)), [out], [x])
    return out

x = facula.arange(6.0)
print(double(x, 1).tolist())       # the storage has six elements
print(double(x[:5], 1).tolist())   # and they are its storage's, not the view's
try:
    double(facula.arange(5.0), 1)
except RuntimeError as error:
    print(error, error.received, error.expected, sep=" | ")
"""


def run(code: str, *arguments: str) -> str:
    out = subprocess.run(
        [sys.executable, *arguments], input=code, capture_output=True, text=True, timeout=280, cwd=ROOT,
        env={**os.environ, "FACULA_CHECK_BOUNDS": "1"},
    )  # fmt: skip
    assert not out.returncode, out.stdout[-3000:] + out.stderr[-3000:]
    return out.stdout


def test_the_switch(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    first, second, third = run("", str(program)).splitlines()
    assert first == second == "[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]"
    assert "a read of 4 bytes" in third and "program.py:11" in third
    assert third.endswith(" | bytes 20 to 23 of the storage of input 0 | the storage of input 0 has 20 bytes")


COMPILED = """
import facula
import facula.graph.program as program

memory = program._memory
f = facula.compile(lambda x: (x * 2 + 1).tanh() - x)
x = facula.arange(5.0)
print(f(x).tolist() == ((x * 2 + 1).tanh() - x).tolist())
program._memory = lambda recorder, block: (memory(recorder, block)[0], memory(recorder, block)[1] - 4)
try:
    f(x)
except RuntimeError as error:
    print(error, error.received, sep=" | ")
"""


def test_fused_kernels_are_checked() -> None:
    right, wrong = run(COMPILED, "-").splitlines()
    assert right == "True" and "emit_pointwise" in wrong and "of the storage of input 0" in wrong


FAMILIES = ("softmax", "scans", "masked", "extremes")


def test_declared_samples_stay_inside() -> None:
    """Samples of a few families; CONTRIBUTING says how the whole suite is run under the switch."""
    files = [f"tests/ops/test_{name}.py" for name in FAMILIES]
    got = run("", "-m", "pytest", "-p", "no:cacheprovider", "-k", "dtypes or compiled or gradient", *files)
    assert " passed" in got and "failed" not in got
