"""Running kernels of targets that this machine is not: aarch64 in Unicorn, wasm32 in Wasmtime. For tests and for looking at results.

run(schedule, outs=[y], ins=[x], numbers=(), target=AARCH64)

The schedule must have been made for the target (its nests ask `host.target()`). Arrays are copied in and results out. On aarch64 every
array ends where a page without memory begins, so an access past it raises OutsideAccess.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import math
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..base.target import Target
from ..runtime import images, wasm_image
from ..runtime.ir import Module
from ..runtime.pool_code import SCRATCH
from . import compiler, wasm_support
from .bounds.record import arrays, extent
from .launch import In, Kernel, Number, Out, Schedule, Word, Work, bits

if TYPE_CHECKING:
    import numpy as np

PAGE = 65536
CODE, STACK, STATE, TRAP, HEAP = 0x1000_0000, 0x2000_0000, 0x3000_0000, 0x4000_0000, 0x1_0000_0000  # addresses in the emulated machine
STACK_BYTES = 1 << 20


class OutsideAccess(Exception):
    """A kernel touched memory that belongs to nobody."""


class Machine(Protocol):
    """Memory and a processor."""

    def place(self, data: bytes) -> int:
        """Copy into the machine's memory -> address."""
        ...

    def fetch(self, address: int, n: int) -> bytes: ...

    def call(self, kernel: Kernel, words: bytes, lo: int, hi: int) -> None:
        """Work items lo..hi-1 as worker 0."""
        ...


def run(
    schedule: Schedule, outs: Sequence[np.ndarray], ins: Sequence[np.ndarray], numbers: Sequence[complex] = (), *, target: Target,
    blocks: Sequence[tuple[int, int]] = (),
) -> None:  # fmt: skip
    """Run a schedule on NumPy arrays. `blocks` are other memory, (address, bytes), whose addresses are among the numbers.

    ImportError without the emulator's package, OutsideAccess where a kernel leaves its arrays.
    """
    machine: Machine = _Wasm(target) if target.name == "wasm32" else _Arm(target)
    placed: dict[tuple[int, int], int] = {}

    def put(low: int, size: int) -> int:
        if (low, size) not in placed:
            placed[low, size] = machine.place(ctypes.string_at(low, size))
        return placed[low, size]

    def address(a: np.ndarray) -> int:
        low, size = extent(a)
        return put(low, size) + a.ctypes.data - low

    addresses = [address(a) for a in outs], [address(a) for a in ins]
    work = machine.place(bytes(schedule.workspace)) if schedule.workspace else 0
    moved = {a.ctypes.data: address(a) for a in arrays(schedule.keep)}
    elsewhere = {low: put(low, size) for low, size in blocks}
    numbers = [elsewhere.get(x, x) if isinstance(x, int) else x for x in numbers]
    for launch in schedule.launches:
        words = [moved.get(w, w) if isinstance(w, int) else _word(w, addresses, work, numbers) for w in launch.words]
        packed = struct.pack(f"<{len(words)}Q", *(w & (1 << 64) - 1 for w in words))
        for lo in range(0, launch.total, max(1, launch.grain)):
            machine.call(launch.kernel, packed, lo, min(launch.total, lo + max(1, launch.grain)))
    for (low, size), place in placed.items():
        after = machine.fetch(place, size)
        if after != ctypes.string_at(low, size):  # inputs too: some kernels write to a tensor that they also read
            ctypes.memmove(low, after, size)


def _word(word: Word, addresses: tuple[list[int], list[int]], work: int, numbers: Sequence[complex]) -> int:
    if isinstance(word, Work):
        return work + word.offset
    if isinstance(word, (Out, In)):
        return addresses[isinstance(word, In)][word.index] + word.offset
    assert isinstance(word, Number)
    value = numbers[word.index]
    part = value.imag if word.part else value.real
    return int(part) if word.type == "i64" else bits(float(part), word.type)


# -- aarch64
@functools.cache
def _arm_image(kernel: Kernel, target: Target) -> images.Image:
    return images.link(compiler.object_code(kernel, target))


class _Arm:
    """An aarch64 processor with a stack, scratch memory and the few functions of the C library that LLVM calls."""

    def __init__(self, target: Target) -> None:
        import unicorn  # of the test extra
        from unicorn import arm64_const as r

        self.target, self.r, self.unicorn = target, r, unicorn
        self.uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.reg_write(r.UC_ARM64_REG_CPACR_EL1, 3 << 20)  # floating point on
        self.heap, self.code, self.loaded = HEAP, CODE, dict[Kernel, int]()
        uc.mem_map(STACK, STACK_BYTES)
        uc.mem_map(STATE, PAGE)
        uc.mem_map(TRAP, PAGE)
        uc.mem_write(TRAP, bytes.fromhex("c0035fd6") * (PAGE // 4))  # ret
        self.scratch = self.place(bytes(SCRATCH))
        uc.mem_write(STATE, struct.pack("<QQ", self.scratch | SCRATCH.bit_length() - 1, 1))
        self.traps: list[str] = []
        uc.hook_add(unicorn.UC_HOOK_CODE, self._trap, begin=TRAP + 4, end=TRAP + PAGE - 1)

    def place(self, data: bytes) -> int:
        pages = -(-len(data) // PAGE) * PAGE + PAGE
        self.uc.mem_map(self.heap, pages)
        end = self.heap + pages
        self.heap = end + PAGE  # nothing is mapped in between
        self.uc.mem_write(end - len(data), data)
        return end - len(data)

    def fetch(self, address: int, n: int) -> bytes:
        return bytes(self.uc.mem_read(address, n))

    def _load(self, kernel: Kernel) -> int:
        if kernel not in self.loaded:
            image = _arm_image(kernel, self.target)
            code = bytearray(image.code)
            for name, at in image.slots.items():
                struct.pack_into("<Q", code, at, self._outside(name))
            for at, offset in image.rebase.items():
                struct.pack_into("<Q", code, at, self.code + offset)
            size = -(-len(code) // PAGE) * PAGE
            self.uc.mem_map(self.code, size)
            self.uc.mem_write(self.code, bytes(code))
            self.loaded[kernel] = self.code + image.exports[compiler.symbol_of(kernel)]
            self.code += size
        return self.loaded[kernel]

    def _outside(self, name: str) -> int:
        if name == "facula_scratch":
            return STATE
        if name not in _C:
            raise LookupError(f"no function {name} in the emulated machine")
        if name not in self.traps:
            self.traps.append(name)
        return TRAP + 4 + 4 * self.traps.index(name)

    def _trap(self, uc: Any, address: int, size: int, data: Any) -> None:
        _C[self.traps[(address - TRAP) // 4 - 1]](self)

    def call(self, kernel: Kernel, words: bytes, lo: int, hi: int) -> None:
        entry, r = self._load(kernel), self.r
        self.uc.mem_write(STATE + 4096, words)
        registers = (r.UC_ARM64_REG_X0, r.UC_ARM64_REG_X1, r.UC_ARM64_REG_X2, r.UC_ARM64_REG_X3)
        for register, value in zip(registers, (STATE + 4096, lo, hi, 0)):
            self.uc.reg_write(register, value)
        self.uc.reg_write(r.UC_ARM64_REG_SP, STACK + STACK_BYTES)
        self.uc.reg_write(r.UC_ARM64_REG_LR, TRAP)
        try:
            self.uc.emu_start(entry, TRAP)
        except self.unicorn.UcError as error:
            raise OutsideAccess(f"{kernel.key} at {self.uc.reg_read(r.UC_ARM64_REG_PC) - entry:+#x}: {error}") from None


def _fill(m: _Arm) -> None:
    to, value, n = (m.uc.reg_read(x) for x in (m.r.UC_ARM64_REG_X0, m.r.UC_ARM64_REG_X1, m.r.UC_ARM64_REG_X2))
    m.uc.mem_write(to, bytes([value & 0xFF]) * n)


def _copy(m: _Arm) -> None:
    to, source, n = (m.uc.reg_read(x) for x in (m.r.UC_ARM64_REG_X0, m.r.UC_ARM64_REG_X1, m.r.UC_ARM64_REG_X2))
    m.uc.mem_write(to, bytes(m.uc.mem_read(source, n)))


def _remainder(kind: str) -> Callable[[_Arm], None]:
    def body(m: _Arm) -> None:
        size = struct.calcsize(kind)
        x, y = (struct.unpack(kind, m.uc.reg_read(v).to_bytes(16, "little")[:size])[0] for v in (m.r.UC_ARM64_REG_Q0, m.r.UC_ARM64_REG_Q1))
        m.uc.reg_write(m.r.UC_ARM64_REG_Q0, int.from_bytes(struct.pack(kind, _fmod(x, y)), "little"))

    return body


def _fmod(x: float, y: float) -> float:
    return math.fmod(x, y) if math.isfinite(x) and y else math.nan


_C: dict[str, Callable[[_Arm], None]] = {
    "memset": _fill,
    "memcpy": _copy,
    "memmove": _copy,
    "fmodf": _remainder("<f"),
    "fmod": _remainder("<d"),
}


# -- wasm32
WASM_STATE, WASM_WORDS, WASM_STACK, WASM_TABLES = 1024, 8192, 16384 + STACK_BYTES, 1 << 21


def wasm(kernel: Kernel, target: Target) -> wasm_image.WasmImage:
    """The kernel as a module with what wasm32 lacks beside it. Its state lies at WASM_STATE, its tables from WASM_TABLES on."""
    missing: tuple[str, ...] = ()
    while True:
        module = Module(target)
        kernel.emit(module, compiler.symbol_of(kernel), *kernel.static)
        wasm_support.emit(module, missing)
        from . import llvm

        image = wasm_image.link(llvm.object_code(module.text(), target), {"facula_scratch": WASM_STATE}, WASM_TABLES, WASM_STACK)
        known = tuple(name for name in image.outside if name in wasm_support.BODIES)
        if not known:
            return image
        missing += known


_wasm_image = functools.cache(wasm)


class _Wasm:
    """One memory; each kernel is an instance of its own on it."""

    def __init__(self, target: Target) -> None:
        import wasmtime

        self.target, self.wasmtime = target, wasmtime
        self.store = wasmtime.Store(_engine())
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(64, None)))
        self.next = WASM_TABLES + (1 << 20)  # one kernel's tables lie below
        self.scratch = self._room(SCRATCH)
        self.memory.write(self.store, struct.pack("<QQ", self.scratch | SCRATCH.bit_length() - 1, 1), WASM_STATE)

    def _room(self, n: int) -> int:
        at = -(-self.next // 64) * 64
        self.next = at + n
        short = self.next - self.memory.data_len(self.store)
        if short > 0:
            self.memory.grow(self.store, -(-short // PAGE))
        return at

    def place(self, data: bytes) -> int:
        at = self._room(len(data))
        if data:
            self.memory.write(self.store, data, at)
        return at

    def fetch(self, address: int, n: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + n))

    def call(self, kernel: Kernel, words: bytes, lo: int, hi: int) -> None:
        image = _wasm_image(kernel, self.target)
        instance = self.wasmtime.Instance(self.store, _module(image.module), [*map(self._outside, image.outside), self.memory])
        self.memory.write(self.store, words, WASM_WORDS)
        try:
            instance.exports(self.store)[compiler.symbol_of(kernel)](self.store, WASM_WORDS, lo, hi, 0)
        except self.wasmtime.Trap as trap:
            raise OutsideAccess(f"{kernel.key}: {trap}") from None

    def _outside(self, name: str) -> Any:
        kind = {"fmodf": self.wasmtime.ValType.f32, "fmod": self.wasmtime.ValType.f64}.get(name)
        if kind is None:
            raise LookupError(f"no function {name} in the emulated machine")
        return self.wasmtime.Func(self.store, self.wasmtime.FuncType([kind(), kind()], [kind()]), _fmod)


@functools.cache
def _engine() -> Any:
    import wasmtime

    atexit.register(_engine.cache_clear)  # while the binding can still free them; the last registered goes first
    atexit.register(_module.cache_clear)
    return wasmtime.Engine()


@functools.cache
def _module(module: bytes) -> Any:
    import wasmtime

    return wasmtime.Module(_engine(), module)
