"""State blocks and the runtime's own code."""

from __future__ import annotations

import subprocess
import sys

import pytest

import facula.kernel.compiler
from facula.base.target import AARCH64
from facula.kernel.launch import Kernel
from facula.runtime import images, native, state


def test_blocks_stay_where_they_are() -> None:
    for name in state.SIZES:
        assert state.block(name) == state.block(name) == native.symbol(name)
        assert state.block(name) % 4096 == 0
    word = state.word("facula_memory", state.SIZES["facula_memory"] - 8)
    word.value = -3
    assert state.word("facula_memory", state.SIZES["facula_memory"] - 8).value == -3
    word.value = 0


def test_every_named_function_is_exported() -> None:
    assert {native.address(name) for name in native.FUNCTIONS} <= set(state.exports().values())
    assert len({native.symbol(name) for name in native.SYMBOLS}) == len(native.SYMBOLS)
    with pytest.raises(KeyError):
        native.symbol("malloc")


def test_without_a_compiler() -> None:
    code = "from facula.runtime import native\ntry: native.address('facula_parallel')\nexcept RuntimeError as error: print(error)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "import facula.kernel.compiler first" in out


def test_memory_that_the_system_refuses() -> None:
    assert state.pages(1 << 60) == 0
    assert state.pages(1 << 20, align=2 << 20, huge=True) % (2 << 20) == 0


def test_the_runtime_compiles_for_other_machines() -> None:
    obj = facula.kernel.compiler.object_code(Kernel(state.emit_runtime), AARCH64)
    image = images.link(obj)
    assert set(native.FUNCTIONS) <= set(image.exports)
    assert {"facula_pool", "facula_memory", "syscall", "PyEval_SaveThread"} <= set(image.slots)
