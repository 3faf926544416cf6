"""Machine code as a flat, position-independent image: linked once from an LLVM object file, then loaded with mmap alone.

Sections keep their distances, so what is relative is settled when linking. An outside symbol is reached through an 8-byte slot that the
loader fills with its address. The pages are written first and become read-and-execute afterwards, never both; an image has no writable
data. Linked here: ELF for x86-64 and aarch64 (System V ABI supplements, the relocations that LLVM's small code model makes).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import host

X86_64, AARCH64 = 62, 183  # e_machine
PROGBITS, RELA, NOBITS = 1, 4, 8  # sh_type
WRITE, ALLOC = 1, 2  # sh_flags
ARENA = 64 << 20  # bytes of address space taken at a time


class Unlinkable(Exception):
    """An object file with something this linker does not know; LLVM's own loader may."""


@dataclass(frozen=True)
class Image:
    """Code and constants. `exports`: name -> offset of a function; `slots`: outside symbol -> offset of its 8-byte slot;
    `rebase`: offset of an 8-byte word -> offset in the image whose address it holds."""

    code: bytes
    exports: dict[str, int]
    slots: dict[str, int] = field(default_factory=dict[str, int])
    rebase: dict[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int


@dataclass(frozen=True)
class _Symbol:
    name: str
    section: int
    value: int
    public: bool
    place: int | None  # offset in the image; None outside it


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def _sections(obj: bytes) -> list[_Section]:
    start = struct.unpack_from("<Q", obj, 0x28)[0]
    count, names = struct.unpack_from("<HH", obj, 0x3C)
    rows = [struct.unpack_from("<IIQQQQIIQQ", obj, start + 64 * i) for i in range(count)]
    titles = rows[names][4]
    return [_Section(_text(obj, titles + r[0]), r[1], r[2], r[4], r[5], r[6], r[7], max(r[8], 1)) for r in rows]


class _Linker:
    """One object file on its way to an image."""

    def __init__(self, obj: bytes) -> None:
        if obj[:6] != b"\x7fELF\x02\x01":
            raise Unlinkable("not a 64-bit little-endian ELF object")
        self.machine = struct.unpack_from("<H", obj, 18)[0]
        if self.machine not in (X86_64, AARCH64):
            raise Unlinkable(f"ELF machine {self.machine}")
        self.obj, self.sections = obj, _sections(obj)
        self.image = bytearray()
        self.base: dict[int, int] = {}  # section index -> offset in the image
        self.slots: dict[str, int] = {}
        self.rebase: dict[int, int] = {}
        self.stubs: dict[str, int] = {}
        self.local: dict[int, int] = {}  # offset -> slot that holds its address
        self.place_sections()
        self.symbols = self.read_symbols()

    def place_sections(self) -> None:
        for i, s in enumerate(self.sections):
            if not s.flags & ALLOC or not s.size or s.kind not in (PROGBITS, NOBITS) or s.name == ".eh_frame":
                continue
            if s.kind == NOBITS or (s.flags & WRITE and not s.name.startswith(".data.rel.ro")):
                raise Unlinkable(f"writable section {s.name}: state belongs in memory that the loader names")
            self.align(max(s.align, 64))
            self.base[i] = len(self.image)
            self.image += self.obj[s.offset : s.offset + s.size]

    def read_symbols(self) -> list[_Symbol]:
        table = next(s for s in self.sections if s.kind == 2)
        names = self.sections[table.link].offset
        out: list[_Symbol] = []
        for at in range(table.offset, table.offset + table.size, 24):
            name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", self.obj, at)
            place = self.base[section] + value if section in self.base else None
            out.append(_Symbol(_text(self.obj, names + name), section, value, info >> 4 in (1, 2), place))
        return out

    def align(self, n: int) -> None:
        self.image.extend(b"\0" * (-len(self.image) % n))

    def word(self) -> int:
        self.align(8)
        self.image.extend(bytes(8))
        return len(self.image) - 8

    def slot(self, symbol: _Symbol) -> int:
        """The word that holds the symbol's address at run time."""
        if symbol.place is None:
            if not symbol.name or symbol.section:
                raise Unlinkable(f"symbol {symbol.name!r} of a section that is not loaded")
            if symbol.name not in self.slots:
                self.slots[symbol.name] = self.word()
            return self.slots[symbol.name]
        if symbol.place not in self.local:
            self.local[symbol.place] = at = self.word()
            self.rebase[at] = symbol.place
        return self.local[symbol.place]

    def callee(self, symbol: _Symbol) -> int:
        """Where a call of the symbol goes: itself, or a stub that jumps through its slot."""
        if symbol.place is not None:
            return symbol.place
        if symbol.name not in self.stubs:
            slot = self.slot(symbol)
            self.align(16)
            self.stubs[symbol.name] = at = len(self.image)
            if self.machine == X86_64:
                self.image += b"\xff\x25" + struct.pack("<i", slot - at - 6)  # jmp *[rip + d]
            else:
                self.image += struct.pack("<II", 0x58000010 | ((slot - at) // 4 & 0x7FFFF) << 5, 0xD61F0200)  # ldr x16, d; br x16
        return self.stubs[symbol.name]

    def link(self) -> Image:
        apply = self.x86_64 if self.machine == X86_64 else self.aarch64
        for s in self.sections:
            if s.kind != RELA or s.info not in self.base:
                continue
            for at in range(s.offset, s.offset + s.size, 24):
                offset, info, addend = struct.unpack_from("<QQq", self.obj, at)
                apply(self.base[s.info] + offset, info & 0xFFFFFFFF, self.symbols[info >> 32], addend)
        exports = {s.name: s.place for s in self.symbols if s.public and s.name and s.place is not None}
        return Image(bytes(self.image), exports, self.slots, self.rebase)

    def absolute(self, at: int, symbol: _Symbol, addend: int) -> None:
        """An 8-byte word with an address."""
        if symbol.place is None:
            if addend:
                raise Unlinkable(f"address of {symbol.name} plus {addend}")
            raise Unlinkable(f"address of outside symbol {symbol.name} in constant data")
        self.rebase[at] = symbol.place + addend

    def x86_64(self, at: int, how: int, symbol: _Symbol, addend: int) -> None:
        if how == 1:  # R_X86_64_64
            return self.absolute(at, symbol, addend)
        if how in (2, 4):  # PC32, PLT32
            target = self.callee(symbol) if how == 4 or symbol.place is None else symbol.place
        elif how in (9, 41, 42, 43, 44, 45):  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX and their APX forms
            target = self.slot(symbol)
        elif how == 24:  # PC64
            if symbol.place is None:
                raise Unlinkable(f"distance to outside symbol {symbol.name}")
            struct.pack_into("<q", self.image, at, symbol.place + addend - at)
            return None
        else:
            raise Unlinkable(f"x86-64 relocation {how} against {symbol.name}")
        struct.pack_into("<i", self.image, at, target + addend - at)
        return None

    def aarch64(self, at: int, how: int, symbol: _Symbol, addend: int) -> None:
        if how == 257:  # ABS64
            return self.absolute(at, symbol, addend)
        if how in (282, 283):  # JUMP26, CALL26
            return self.patch(at, (self.callee(symbol) + addend - at) >> 2 & 0x3FFFFFF)
        got = how in (311, 312)  # ADR_GOT_PAGE, LD64_GOT_LO12_NC
        target = (self.slot(symbol) if got else symbol.place if symbol.place is not None else self.missing(symbol)) + addend
        if how in (260, 261):  # PREL64, PREL32
            struct.pack_into("<q" if how == 260 else "<i", self.image, at, target - at)
        elif how in (275, 311):  # ADR_PREL_PG_HI21: images begin on a page, so distances between pages are known
            pages = (target >> 12) - (at >> 12)
            self.patch(at, (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5)
        elif how == 277:  # ADD_ABS_LO12_NC
            self.patch(at, (target & 0xFFF) << 10)
        elif how in (278, 284, 285, 286, 299, 312):  # LDST8/16/32/64/128_ABS_LO12_NC
            shift = {278: 0, 284: 1, 285: 2, 286: 3, 299: 4, 312: 3}[how]
            self.patch(at, (target & 0xFFF) >> shift << 10)
        else:
            raise Unlinkable(f"aarch64 relocation {how} against {symbol.name}")
        return None

    def missing(self, symbol: _Symbol) -> int:
        raise Unlinkable(f"outside symbol {symbol.name} used without a table entry")

    def patch(self, at: int, bits: int) -> None:
        """Put bits into an instruction whose field is zero."""
        struct.pack_into("<I", self.image, at, struct.unpack_from("<I", self.image, at)[0] | bits)


def link(obj: bytes) -> Image:
    """The bytes of a relocatable ELF object as an image. Unlinkable where it has something not known here."""
    return _Linker(obj).link()


# The one lock of everything that makes or loads code: with several, a fork could not wait for all of them without a deadlock.
lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must not begin with a lock that a thread of the parent held, or with LLVM half way
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

_arena: list[int] = [0, 0]  # next free address and end of the current arena
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype, _libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.restype, _libc.mprotect.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def resolve(name: str, symbols: Mapping[str, int] | None = None) -> int:
    """Address of an outside symbol: the caller's table first, then the interpreter and the C library. LookupError when unknown."""
    if symbols and name in symbols:
        return symbols[name]
    for library in (ctypes.pythonapi, _libc, _math()):
        try:
            return ctypes.cast(library[name], ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    raise LookupError(f"no symbol {name}")


def _math() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:  # another C library keeps them in one
        return _libc


def _pages(size: int) -> int:
    """Address of `size` bytes of address space that nobody else uses; `size` counts whole pages."""
    if _arena[1] - _arena[0] < size:
        span = max(ARENA, size)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
        base = _libc.mmap(None, span, 0, flags, -1, 0)
        if base in (None, ctypes.c_void_p(-1).value):
            raise MemoryError("no address space for machine code")
        _arena[:] = [base, base + span]
    at = _arena[0]
    _arena[0] += size
    return at


def _protect(at: int, size: int, how: int) -> None:
    if _libc.mprotect(at, size, how):
        raise OSError(ctypes.get_errno(), "mprotect of machine code failed")


def load(image: Image, symbols: Mapping[str, int] | None = None) -> dict[str, int]:
    """Map the image -> {exported name: address}; it stays for the life of the process. LookupError when a symbol is unknown."""
    outside = {at: resolve(name, symbols) for name, at in image.slots.items()}
    size = -(-len(image.code) // host.PAGE) * host.PAGE
    with lock:
        base = _pages(size)
        _protect(base, size, mmap.PROT_READ | mmap.PROT_WRITE)
        code = bytearray(image.code)
        for at, address in outside.items():
            struct.pack_into("<Q", code, at, address)
        for at, offset in image.rebase.items():
            struct.pack_into("<Q", code, at, base + offset)
        ctypes.memmove(base, bytes(code), len(code))
        _protect(base, size, mmap.PROT_READ | mmap.PROT_EXEC)
    _flush(base, size)
    return {name: base + at for name, at in image.exports.items()}


def _flush(base: int, size: int) -> None:
    """Make new code visible to instruction fetch; x86-64 does it by itself."""
    if host.target().name.startswith("aarch64"):
        clear: Callable[..., None] | None = getattr(_libc, "__clear_cache", None)
        if clear is None:
            clear = ctypes.CDLL("libgcc_s.so.1")["__clear_cache"]
        clear(ctypes.c_void_p(base), ctypes.c_void_p(base + size))
