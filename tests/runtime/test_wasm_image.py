"""Relocatable wasm objects: what is refused, and that numbers are written as the format wants them."""

from __future__ import annotations

import pytest

from facula.base.target import AARCH64, WASM32
from facula.kernel import llvm
from facula.runtime import wasm_image
from facula.runtime.images import Unlinkable
from facula.runtime.ir import Module, Value


def module(name: str = "facula_scratch") -> Module:
    m = Module(WASM32)
    m.external(name)
    with m.function("f", "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, *_):
        f.store(f.load("float", Value(f, "ptr", m.constant("table", "float", [1.0, 2.0])), lo), words)
        f.store(f.load("i64", Value(f, "ptr", "@" + name)), words, 1)
    return m


def test_numbers() -> None:
    assert wasm_image.leb(624485) == bytes.fromhex("e58e26") and wasm_image.leb(0) == b"\0"
    assert wasm_image.sleb(-123456) == bytes.fromhex("c0bb78") and wasm_image.sleb(64) == b"\xc0\0"
    for x in (0, 1, -1, 2**31 - 1, -(2**31), 2**32 - 1):
        r = wasm_image._Reader(wasm_image._five(x))
        assert (r.s() - x) % 2**32 == 0 and r.at == 5


def test_a_module_says_what_it_has() -> None:
    image = wasm_image.link(llvm.object_code(module().text(), WASM32), {"facula_scratch": 1024}, 1 << 16, 1 << 15)
    assert image.exports == ("f",) and not image.outside and image.end == (1 << 16) + 8


def test_refusals() -> None:
    with pytest.raises(LookupError, match="elsewhere"):
        wasm_image.link(llvm.object_code(module("elsewhere").text(), WASM32), {}, 1 << 16, 1 << 15)
    with pytest.raises(Unlinkable, match="not a wasm object"):
        wasm_image.link(llvm.object_code(Module(AARCH64).text(), AARCH64), {}, 0, 0)
    with pytest.raises(Unlinkable, match="not a relocatable object"):
        wasm_image.link(b"\0asm\1\0\0\0", {}, 0, 0)
    m = module()
    m.globals["state"] = "@state = internal global i64 5"
    with m.function("g", "ptr words") as (f, words):
        f.store(f.load("i64", Value(f, "ptr", "@state")), words)
        f.store(f.i64(1), Value(f, "ptr", "@state"))
    with pytest.raises(Unlinkable, match="writable segment"):
        wasm_image.link(llvm.object_code(m.text(), WASM32), {"facula_scratch": 0}, 0, 0)
