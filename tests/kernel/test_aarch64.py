"""Kernels made for aarch64 give NumPy's answers, in an emulator."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from facula.base.target import AARCH64
from facula.kernel import emulate
from facula.kernel.launch import Kernel, Launch, Out, Schedule
from facula.runtime import host
from facula.runtime.ir import Module

pytest.importorskip("unicorn", reason="unicorn runs code for aarch64")


def _cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("emulated_cases", Path(__file__).with_name("emulated_cases.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _cases().CASES


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "target", lambda: AARCH64)
    CASES[name](AARCH64)


def _one_too_far(m: Module, name: str) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, _lo, hi, _worker):
        (out,) = f.words(words, "ptr")
        f.store(f.const("float", 1), out, hi)


def test_an_access_past_an_array_is_noticed() -> None:
    out = np.zeros(8, np.float32)
    with pytest.raises(emulate.OutsideAccess, match="_one_too_far"):
        emulate.run(Schedule((Launch(Kernel(_one_too_far), (Out(),), 8, 8),)), [out], [], target=AARCH64)
