"""LLVM's relocatable wasm32 object of one kernel as a module that an engine instantiates.

Settled here, as `runtime.images` does for machine code: constant tables get their places in memory, relocations become numbers, the stack
pointer becomes the module's own global, public functions are exported. The memory is imported as env.memory; what it holds apart from the
tables is the embedder's business: `link` is told where tables may lie, where the stack ends and where outside data is.
Formats: WebAssembly core specification (binary format) and the tool conventions' Linking.md (relocatable objects).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .images import Unlinkable

CUSTOM, TYPE, IMPORT, FUNCTION, GLOBAL, EXPORT, CODE, DATA = 0, 1, 2, 3, 6, 7, 10, 11  # section numbers
FUNC, TABLE, MEMORY, GLOBALS = range(4)  # kinds of imports
FUNCTION_LEB, ADDR_LEB, ADDR_SLEB, ADDR_I32, TYPE_LEB, GLOBAL_LEB = 0, 3, 4, 5, 6, 7  # relocations
WITH_ADDEND = (3, 4, 5, 8, 9)
LOCAL, UNDEFINED, NAMED = 2, 0x10, 0x40  # flags of a symbol
PAGE = 65536


@dataclass(frozen=True)
class WasmImage:
    """`module`: the bytes to instantiate; `outside`: functions it imports from env; `end`: first address after its tables."""

    module: bytes
    exports: tuple[str, ...]
    outside: tuple[str, ...]
    end: int


@dataclass(frozen=True)
class _Symbol:
    kind: int  # 0 function, 1 data, 2 global
    name: str
    flags: int
    index: int  # of the function or global; of the segment for data
    offset: int = 0


def leb(x: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while x >> 7:
        out.append(x & 0x7F | 0x80)
        x >>= 7
    return bytes([*out, x])


def sleb(x: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while not -64 <= x < 64:
        out.append(x & 0x7F | 0x80)
        x >>= 7
    return bytes([*out, x & 0x7F])


def _five(x: int) -> bytes:
    """LEB128 of 32 bits in the five bytes that relocatable objects reserve; the same bits for signed and unsigned numbers."""
    return bytes([x & 0x7F | 0x80, x >> 7 & 0x7F | 0x80, x >> 14 & 0x7F | 0x80, x >> 21 & 0x7F | 0x80, x >> 28 & (0x7F if x < 0 else 0x0F)])


def _named(name: str) -> bytes:
    return leb(len(name.encode())) + name.encode()


def _section(number: int, *items: bytes) -> bytes:
    body = leb(len(items)) + b"".join(items)
    return bytes([number]) + leb(len(body)) + body


class _Reader:
    def __init__(self, data: bytes | bytearray, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def take(self, n: int) -> bytes:
        self.at += n
        return bytes(self.data[self.at - n : self.at])

    def _leb128(self) -> tuple[int, int]:
        """(the bits of a LEB128 number, how many there are)."""
        out = bits = 0
        while True:
            b = self.byte()
            out |= (b & 0x7F) << bits
            bits += 7
            if not b & 0x80:
                return out, bits

    def u(self) -> int:
        return self._leb128()[0]

    def s(self) -> int:
        out, bits = self._leb128()
        return out - (1 << bits) if out >> (bits - 1) else out

    def name(self) -> str:
        return self.take(self.u()).decode()


class _Linker:
    def __init__(self, obj: bytes, symbols: Mapping[str, int], base: int, stack: int) -> None:
        if obj[:8] != b"\0asm\1\0\0\0":
            raise Unlinkable("not a wasm object")
        self.outside_data, self.base, self.stack = symbols, base, stack
        self.sections: list[tuple[int, str, bytearray]] = []  # number, name of a custom section, payload
        r = _Reader(obj, 8)
        while r.at < len(obj):
            number, payload = r.byte(), bytearray(r.take(r.u()))
            inner = _Reader(payload)
            self.sections.append((number, inner.name() if number == CUSTOM else "", payload))
        self.functions: list[str] = []  # imported
        self.imports: list[bytes] = []
        self.alignment: list[int] = []
        self.symbols: list[_Symbol] = []
        self.read_imports()
        self.read_linking()
        self.segments = self.read_segments()
        self.places = self.place_segments()

    def payload(self, number: int, name: str = "") -> bytearray | None:
        return next((p for n, title, p in self.sections if n == number and title == name), None)

    def read_imports(self) -> None:
        payload = self.payload(IMPORT)
        if payload is None:
            return
        r = _Reader(payload)
        for _ in range(r.u()):
            start = r.at
            r.name()
            name, kind = r.name(), r.byte()
            if kind == FUNC:
                r.u()
                self.functions.append(name)
                self.imports.append(bytes(payload[start : r.at]))
            elif kind == GLOBALS:
                r.take(2)
                if name != "__stack_pointer":
                    raise Unlinkable(f"wasm global {name}")
            elif kind in (MEMORY, TABLE):
                if kind == TABLE:
                    r.byte()
                if r.byte() & 1:
                    r.u()
                r.u()
            else:
                raise Unlinkable(f"wasm import {name} of kind {kind}")

    def read_linking(self) -> None:
        payload = self.payload(CUSTOM, "linking")
        if payload is None:
            raise Unlinkable("a wasm module, not a relocatable object")
        r = _Reader(payload)
        r.name()
        if r.u() != 2:
            raise Unlinkable("another version of wasm's linking section")
        while r.at < len(payload):
            number, size = r.byte(), r.u()
            inner = _Reader(r.take(size))
            if number == 5:  # segments
                for _ in range(inner.u()):
                    name = inner.name()
                    self.alignment.append(1 << inner.u())
                    inner.u()
                    if not name.startswith((".rodata", ".data.rel.ro")):
                        raise Unlinkable(f"writable segment {name}: state belongs in memory that the loader names")
            elif number == 8:
                self.symbols = [self.read_symbol(inner) for _ in range(inner.u())]

    def read_symbol(self, r: _Reader) -> _Symbol:
        kind, flags = r.byte(), r.u()
        if kind == 1:
            name = r.name()
            if flags & UNDEFINED:
                return _Symbol(kind, name, flags, -1)
            index, offset = r.u(), r.u()
            r.u()
            return _Symbol(kind, name, flags, index, offset)
        index = r.u()
        named = kind in (0, 2, 5) and (not flags & UNDEFINED or flags & NAMED)
        return _Symbol(kind, r.name() if named else "", flags, index)

    def read_segments(self) -> list[tuple[int, int]]:
        """(offset in the data section, bytes) of each table."""
        payload = self.payload(DATA)
        out: list[tuple[int, int]] = []
        if payload is not None:
            r = _Reader(payload)
            for _ in range(r.u()):
                if r.u() or r.byte() != 0x41:  # i32.const
                    raise Unlinkable("a wasm data segment that is not at a constant address")
                r.s()
                r.byte()
                size = r.u()
                out.append((r.at, size))
                r.take(size)
        return out

    def place_segments(self) -> list[int]:
        at = self.base
        out: list[int] = []
        for (_, size), align in zip(self.segments, self.alignment):
            at = -(-at // max(align, 16)) * max(align, 16)
            out.append(at)
            at += size
        self.end = at
        return out

    def value(self, how: int, index: int) -> int:
        if how == TYPE_LEB:
            return index
        symbol = self.symbols[index]
        if how in (FUNCTION_LEB, GLOBAL_LEB):
            return symbol.index
        if how in (ADDR_LEB, ADDR_SLEB, ADDR_I32):
            if symbol.index >= 0:
                return self.places[symbol.index] + symbol.offset
            if symbol.name not in self.outside_data:
                raise LookupError(f"no symbol {symbol.name}")
            return self.outside_data[symbol.name]
        raise Unlinkable(f"wasm relocation {how} against {symbol.name}")

    def relocate(self) -> None:
        for number, name, payload in self.sections:
            if number != CUSTOM or not name.startswith("reloc."):
                continue
            r = _Reader(payload)
            r.name()
            section = r.u()
            if self.sections[section][0] not in (CODE, DATA):
                continue  # of debugging information
            data = self.sections[section][2]
            for _ in range(r.u()):
                how, at, index = r.byte(), r.u(), r.u()
                value = self.value(how, index) + (r.s() if how in WITH_ADDEND else 0)
                data[at : at + (4 if how == ADDR_I32 else 5)] = value.to_bytes(4, "little") if how == ADDR_I32 else _five(value)

    def link(self) -> WasmImage:
        self.relocate()
        out = [b"\0asm\1\0\0\0"]
        public = {s.name: s.index for s in self.symbols if s.kind == 0 and not s.flags & (UNDEFINED | LOCAL)}
        for number, _, payload in self.sections:
            if number == TYPE:
                out.append(bytes([TYPE]) + leb(len(payload)) + payload)
        memory = _named("env") + _named("memory") + bytes([MEMORY, 0]) + leb(-(-self.end // PAGE))
        out.append(_section(IMPORT, *self.imports, memory))
        payload = self.payload(FUNCTION) or b"\0"
        out.append(bytes([FUNCTION]) + leb(len(payload)) + payload)
        out.append(_section(GLOBAL, b"\x7f\x01\x41" + sleb(self.stack) + b"\x0b"))  # a mutable i32
        out.append(_section(EXPORT, *(_named(name) + bytes([FUNC]) + leb(i) for name, i in public.items())))
        payload = self.payload(CODE) or b"\0"
        out.append(bytes([CODE]) + leb(len(payload)) + payload)
        data = self.payload(DATA)
        if data is not None:
            rows = (b"\0\x41" + sleb(at) + b"\x0b" + leb(n) + bytes(data[i : i + n]) for (i, n), at in zip(self.segments, self.places))
            out.append(_section(DATA, *rows))
        return WasmImage(b"".join(out), tuple(public), tuple(self.functions), self.end)


def link(obj: bytes, symbols: Mapping[str, int], base: int, stack: int) -> WasmImage:
    """A relocatable object as a module. `base`: first address for its tables; `stack`: where the stack begins, growing down; `symbols`:
    addresses of outside data. Unlinkable for what is not known here, LookupError for an unknown symbol."""
    return _Linker(obj, symbols, base, stack).link()
