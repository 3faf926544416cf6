"""Kernels made for wasm32 give NumPy's answers, in an emulator."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from facula.base.target import WASM32
from facula.kernel import compiler, emulate
from facula.kernel.launch import In, Kernel, Launch, Out, Schedule
from facula.runtime import host
from facula.runtime.ir import Module

pytest.importorskip("wasmtime", reason="wasmtime runs code for wasm32")


def _cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("emulated_cases", Path(__file__).with_name("emulated_cases.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _cases().CASES


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "target", lambda: WASM32)
    kernels: list[Kernel] = []
    made = emulate._wasm_image
    monkeypatch.setattr(emulate, "_wasm_image", lambda kernel, target: kernels.append(kernel) or made(kernel, target))
    CASES[name](WASM32)
    # the target has no masked access; LLVM would make a branch for each lane
    texts = [compiler.text(kernel, WASM32)[1] for kernel in set(kernels)]
    assert texts and not any(f"llvm.masked.{access}" in text for text in texts for access in ("load", "store"))


def _half(m: Module, name: str, wide: bool) -> None:
    """Out(0), halves, from In(0), through the body that stands in for the missing instruction."""
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        to, source = f.words(words, "ptr", "ptr")
        with f.range(lo, hi) as i:
            f.store(f.cast("fptrunc", f.load("double" if wide else "float", source, i), "half"), to, i)


def _fused(m: Module, name: str, kind: str) -> None:
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        to, a, b, c = f.words(words, "ptr", "ptr", "ptr", "ptr")
        with f.range(lo, hi) as i:
            f.store(f.fma(f.load(kind, a, i), f.load(kind, b, i), f.load(kind, c, i)), to, i)


@pytest.mark.parametrize("wide", [False, True])
def test_narrowing_to_half_rounds_once(wide: bool) -> None:
    halves = np.arange(0x7C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    middle = (halves[:-2] + halves[1:-1]) / 2
    x = np.concatenate([halves, middle, np.nextafter(middle, 0), np.nextafter(middle, 1e9), [65519.99, 65520, 1e30, 1e-30, 2.0**-25]])
    x = np.concatenate([x, -x]).astype(np.float64 if wide else np.float32)
    out = np.empty(len(x), np.float16)
    emulate.run(Schedule((Launch(Kernel(_half, (wide,)), (Out(), In()), len(x), len(x)),)), [out], [x], target=WASM32)
    with np.errstate(over="ignore"):
        assert out.tobytes() == x.astype(np.float16).tobytes()


@pytest.mark.parametrize("kind", ["float", "double"])
def test_fused_multiply_add_rounds_once(kind: str) -> None:
    rng, d, digits = np.random.default_rng(0), np.float32 if kind == "float" else np.float64, 24 if kind == "float" else 53
    a, b = (rng.standard_normal(3000).astype(d) for _ in range(2))
    c = (-(a * b) * (1 + rng.integers(-3, 4, 3000) * 2.0**-digits) * rng.choice([1, 1e-9, 3e7], 3000)).astype(d)
    a[:6], b[:6], c[:6] = [0, np.inf, 1, np.nan, -0.0, 2], [1, 1, np.inf, 1, 1, 0.5], [-0.0, -np.inf, 1, 1, -0.0, -1]
    out = np.empty_like(a)
    words = (Out(), In(0), In(1), In(2))
    emulate.run(Schedule((Launch(Kernel(_fused, (kind,)), words, 3000, 3000),)), [out], [a, b, c], target=WASM32)
    for x, y, z, got in zip(a.tolist(), b.tolist(), c.tolist(), out.tolist()):
        if np.isfinite([x, y, z]).all():
            exact = Fraction(x) * Fraction(y) + Fraction(z)
            near = [d(got), np.nextafter(d(got), d(np.inf)), np.nextafter(d(got), d(-np.inf))]
            assert min(abs(Fraction(float(v)) - exact) for v in near) == abs(Fraction(got) - exact)
        else:
            assert got == x * y + z or np.isnan([got, x * y + z]).all()
    assert out[0] == 0 and np.signbit(out[4]) and not np.signbit(out[5])
