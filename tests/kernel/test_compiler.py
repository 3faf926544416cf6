"""The road from a kernel to its address: memory, disk, LLVM; other targets; several processes."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facula.base.target import AARCH64, TARGETS, WASM32, X86_64_V3, X86_64_V4_BF16, Target
from facula.kernel import compiler
from facula.kernel.launch import In, Kernel, Launch, Number, Out, Schedule, Work
from facula.runtime import host, images
from facula.runtime.ir import Module


def emit_scale(m: Module, name: str, lanes: int) -> None:
    """y = x * s over whole vectors, then one by one."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        x, y, s = f.words(words, "ptr", "ptr", "float")
        whole = lo + (hi - lo) // lanes * lanes
        with f.range(lo, whole, lanes) as i:
            f.store(f.load(f"<{lanes} x float>", x, i) * f.splat(s, lanes), y, i)
        with f.range(whole, hi) as i:
            f.store(f.load("float", x, i) * s, y, i)


def emit_broken(m: Module, name: str) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, *_):
        f.do("this is not an instruction")


def scale(lanes: int = 8, n: int = 1001) -> Schedule:
    return Schedule((Launch(Kernel(emit_scale, (lanes,)), (In(0), Out(0), Number(0)), n, 100),))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, and no kernels in memory."""
    monkeypatch.setenv("FACULA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "_addresses", {})
    monkeypatch.setattr(compiler, "counts", {"disk": 0, "compiled": 0})
    yield tmp_path / "cache"


def test_memory_then_disk_then_llvm(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(emit_scale, (8,))
    first = compiler.address(kernel)
    assert compiler.address(Kernel(emit_scale, (8,))) == first and compiler.counts == {"disk": 0, "compiled": 1}
    assert compiler.address(Kernel(emit_scale, (4,))) != first and compiler.counts == {"disk": 0, "compiled": 2}
    monkeypatch.setattr(compiler, "_addresses", {})
    assert compiler.address(kernel) and compiler.counts == {"disk": 1, "compiled": 2}
    assert len(list(empty.glob("*.image"))) == 2


def test_run() -> None:
    x = np.linspace(-1, 1, 1001, dtype=np.float32)
    y = np.zeros_like(x)
    for long in (False, True):
        y[:] = 0
        compiler.run(scale(), [y], [x], (3.0,), long)
        np.testing.assert_array_equal(y, x * np.float32(3))


def test_words_of_every_kind() -> None:
    def emit(m: Module, name: str) -> None:
        with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, *_):
            out, work, f32, f64, imag, i64, const = f.words(words, "ptr", "ptr", "float", "double", "double", "i64", "i64")
            f.store(f64 + f.cast("fpext", f32, "double") + imag, work)
            f.store(f.load("double", work) + f.cast("sitofp", i64 + const, "double"), out)

    words = (Out(0, 8), Work(64), Number(0), Number(0, "double"), Number(1, "double", 1), Number(2, "i64"), -5)
    out = np.zeros(2)
    compiler.run(Schedule((Launch(Kernel(emit), words, 1, 1),), workspace=128), [out], [], (0.5, 2 + 3j, -7))
    assert list(out) == [0, 0.5 + 0.5 + 3 - 7 - 5]


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_entries_are_compiled_again(empty: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(emit_scale, (8,))
    compiler.address(kernel)
    (path,) = empty.glob("*.image")
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + b"\xcc" + whole[-39:] if damage is None else damage)
    monkeypatch.setattr(compiler, "_addresses", {})
    compiler.address(kernel)
    assert compiler.counts == {"disk": 0, "compiled": 2}
    assert path.read_bytes() == whole


def test_identity_depends_on_what_the_code_depends_on() -> None:
    kernel, host_target = Kernel(emit_scale, (8,)), host.target()
    names = {
        compiler.identity(kernel, host_target),
        compiler.identity(Kernel(emit_scale, (4,)), host_target),
        compiler.identity(Kernel(emit_broken, (8,)), host_target),
        compiler.identity(kernel, AARCH64),
        compiler.identity(kernel, host_target, "full"),
        compiler.identity(kernel, host_target, check=True),
    }
    assert len(names) == 6
    assert compiler.identity(kernel, host_target) == compiler.identity(Kernel(emit_scale, (8,)), host_target)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
def test_every_target_gives_objects(target: Target) -> None:
    kernel = Kernel(emit_scale, (target.lanes,))
    magic = {"wasm32": b"\0asm"}.get(target.name, b"\x7fELF")
    obj = compiler.object_code(kernel, target)
    assert obj.startswith(magic)
    if target is not WASM32:
        assert "emit_scale" in images.link(obj).exports
    vector = {"aarch64": "fmul\tv", "wasm32": "f32x4.mul", "x86-64-v3": "%ymm"}.get(target.name, "%zmm")
    assert vector in compiler.assembly(kernel, target)
    assert "fmul <" in compiler.llvm_text(kernel, target) and "alloca" not in compiler.llvm_text(kernel, target)
    assert "alloca" in compiler.llvm_text(kernel, target, optimised=False)


@pytest.mark.parametrize("target", [t for t in TARGETS.values() if host.runs(t)], ids=lambda t: t.name)
def test_every_target_of_this_machine_runs(empty: Path, target: Target) -> None:
    x, y = np.arange(37, dtype=np.float32), np.zeros(37, np.float32)
    words = (ctypes.c_int64 * 3)(x.ctypes.data, y.ctypes.data, int.from_bytes(np.float32(2).tobytes(), "little"))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    call(compiler.address(Kernel(emit_scale, (target.lanes,)), target))(ctypes.addressof(words), 0, 37, 0)
    np.testing.assert_array_equal(y, 2 * x)


def test_code_for_another_machine_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="cannot run code for wasm32"):
        compiler.address(Kernel(emit_scale, (4,)), WASM32)
    monkeypatch.setattr(host, "cpu_flags", lambda: host.V3_FLAGS)
    assert host.runs(X86_64_V3) == (os.uname().machine == "x86_64") and not host.runs(X86_64_V4_BF16)


def test_target_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from facula.runtime import host; print(host.target().name)"
    monkeypatch.delenv("FACULA_TARGET", raising=False)
    for name, want in (("x86-64-v3", "x86-64-v3\n"), ("", host.target.__wrapped__().name + "\n")):
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "FACULA_TARGET": name}, timeout=60
        )
        assert out.stdout == want
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "FACULA_TARGET": "vax"}, timeout=60
    )
    assert "FACULA_TARGET='vax' is not one of x86-64-v3" in out.stderr


def test_wrong_text_is_an_error_that_leaves_nothing(empty: Path) -> None:
    with pytest.raises(RuntimeError, match="expected instruction opcode"):
        compiler.address(Kernel(emit_broken))
    assert not list(empty.glob("*.image"))
    compiler.address(Kernel(emit_scale, (8,)))


def test_checked_code_is_another_kernel(empty: Path) -> None:
    kernel = Kernel(emit_scale, (8,))
    assert compiler.address(kernel) != compiler.address(kernel, check=True) and compiler.counts == {"disk": 0, "compiled": 2}
    plain, checked = (compiler.text(kernel, check=check)[1] for check in (False, True))
    assert "facula_bounds" not in plain and "facula_bounds" in checked


def test_symbols_of_the_caller_come_first(empty: Path) -> None:
    def emit(m: Module, name: str) -> None:
        m.external("counter")
        with m.function(name, "i64 x", "i64") as (f, x):
            new = f.op("i64", "load i64, ptr @counter, align 8") + x
            f.do(f"store {new}, ptr @counter, align 8")
            f.ret(new)
        with m.function(name + "_two", "i64 x", "i64") as (f, x):
            f.ret(f.call("i64", name, x * 2))

    cells = [ctypes.c_int64(n) for n in (0, 100)]
    for level in ("light", "full"):
        for cell in cells:
            at = compiler.functions(Kernel(emit), symbols={"counter": ctypes.addressof(cell)}, level=level)  # type: ignore[arg-type]
            assert len(at) == 2
            call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(next(a for name, a in at.items() if name.endswith("_two")))
            assert call(5) == cell.value
    assert [cell.value for cell in cells] == [20, 120]


def test_what_cannot_be_linked_is_loaded_by_llvm(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(obj: bytes) -> images.Image:
        raise images.Unlinkable("a test")

    monkeypatch.setattr(images, "link", refuse)
    x, y = np.arange(10, dtype=np.float32), np.zeros(10, np.float32)
    compiler.run(scale(n=10), [y], [x], (2.0,))
    np.testing.assert_array_equal(y, 2 * x)
    assert not list(empty.glob("*.image"))


CHILD = """
import importlib.util, sys, time
import numpy as np
from facula.kernel import compiler
spec = importlib.util.spec_from_file_location("kernels_of_a_test", {file!r})
kernels = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernels)
while time.time() < {start}:
    pass
x, y = np.arange(1001, dtype=np.float32), np.zeros(1001, np.float32)
for lanes in (1, 2, 4, 8):
    compiler.run(kernels.scale(lanes), [y], [x], (2.0,))
    assert (y == 2 * x).all()
print(compiler.counts)
"""


def child(start: float) -> subprocess.Popen[str]:
    code = CHILD.format(file=__file__, start=start)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_compile_the_same_kernels_at_once(empty: Path) -> None:
    both = [child(time.time() + 1) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert len(list(empty.glob("*.image"))) == 5 and not list(empty.glob(".*"))  # four kernels and the runtime
    out = child(0).communicate(timeout=60)[0]
    assert json.loads(out.replace("'", '"')) == {"disk": 5, "compiled": 0}


def test_fork_while_another_thread_compiles(empty: Path) -> None:
    stop, lanes = threading.Event(), iter(range(1, 10**6))

    def compile_on() -> None:
        while not stop.is_set():
            compiler.address(Kernel(emit_scale, (next(lanes) % 48 + 1,)))
            compiler._addresses.clear()

    worker = threading.Thread(target=compile_on)
    worker.start()
    codes = []
    for i in range(6):
        child = os.fork()
        if not child:
            code = 1
            try:
                signal.alarm(20)
                x, y = np.arange(10, dtype=np.float32), np.zeros(10, np.float32)
                compiler.run(scale(50 + i, 10), [y], [x], (2.0,))
                code = 0 if (y == 2 * x).all() else 2
            finally:
                os._exit(code)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    worker.join()
    assert codes == [0] * 6


def test_prebuild(empty: Path) -> None:
    kernels = [Kernel(emit_scale, (lanes,)) for lanes in (1, 2, 4, 8, 16)]
    assert compiler.prebuild([*kernels, kernels[0]], processes=2) == 5
    assert compiler.prebuild(kernels) == 0
    for kernel in kernels:
        compiler.address(kernel)
    assert compiler.counts == {"disk": 5, "compiled": 0}
    with pytest.raises(RuntimeError, match=r"(?s)1 of 2 kernels did not compile; the first: .*emit_broken.*expected instruction opcode"):
        compiler.prebuild([Kernel(emit_broken), Kernel(emit_scale, (3,))], processes=2)
    assert compiler.prebuild([Kernel(emit_scale, (5,))], processes=1) == 1
