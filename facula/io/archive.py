"""The container of a checkpoint: a zip file whose entries are stored as they are, each at a multiple of 64 bytes.

Reading is strict where Python's `zipfile` is lenient: one root folder, no compression, no encryption, no duplicate or odd names, no
entries that overlap or leave the file, equal names in both headers. Anything else is refused before an entry is read.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ..base.errors import LoadError, refuse

LOCAL = struct.Struct("<4sHHHHHIIIHH")  # PKWARE APPNOTE 4.3.7
CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")  # 4.3.12
END = struct.Struct("<4sHHHHIIH")  # 4.3.16
END64 = struct.Struct("<4sQHHIIQQQQ")  # 4.3.14
LOCATOR64 = struct.Struct("<4sIQI")  # 4.3.15
ALIGNMENT = 64  # bytes; PyTorch's, and what vector loads and memory maps like
CHUNK = 1 << 22  # bytes read or hashed at a time
MOST_ENTRIES = 1 << 20
UTF8 = 0x800
DESCRIPTOR = 0x8
BROKEN = "PytorchStreamReader failed reading zip archive: "


class Source(Protocol):
    """Bytes that can be read at any place."""

    name: str
    size: int

    def read(self, offset: int, count: int) -> bytes: ...

    def readinto(self, offset: int, view: memoryview) -> None: ...


@dataclass(frozen=True)
class Entry:
    """One stored file: its full name, where its bytes begin, how many there are, and their CRC-32."""

    name: str
    offset: int
    size: int
    crc: int


def broken(source: Any, reason: str, received: str = "", expected: str = "") -> LoadError:
    """The error for a damaged container: PyTorch's sentence, then what is wrong with which file."""
    return refuse(
        LoadError,
        f"{BROKEN}{reason}",
        received=f"{source.name}: {received}" if received else source.name,
        expected=expected or "a checkpoint that was written completely and has not changed since",
        hint="the file is damaged or not a checkpoint; load another copy of it",
    )


def read_directory(source: Source) -> dict[str, Entry]:
    """All entries by name, after every check that needs no entry's bytes."""
    count, start, size = _find_directory(source)
    raw = source.read(start, size)
    entries: dict[str, Entry] = {}
    spans: list[tuple[int, int]] = []
    position = 0
    for _ in range(count):
        name, crc, length, header, position = _read_central(source, raw, position)
        if name in entries:
            raise broken(source, "duplicate name", received=f"two entries {name!r}")
        offset = _check_local(source, name, header, start)
        if offset + length > start:
            raise broken(source, "entry outside the file", received=f"{name!r}: {length} bytes at {offset}, directory at {start}")
        entries[name] = Entry(name, offset, length, crc)
        spans.append((header, offset + length))
    if position != size:
        raise broken(source, "directory of another size than declared", received=f"{position} of {size} bytes used")
    spans.sort()
    for (_, end), (begin, _) in itertools.pairwise(spans):
        if begin < end:
            raise broken(source, "overlapping entries", received=f"one ends at {end}, the next begins at {begin}")
    return entries


def _find_directory(source: Source) -> tuple[int, int, int]:
    """(entries, place, bytes) of the central directory."""
    if source.size < END.size:
        raise broken(source, "failed finding central directory", received=f"{source.size} bytes")
    end = source.size - END.size
    mark, disk, first, here, count, size, start, comment = END.unpack(source.read(end, END.size))
    if mark != b"PK\5\6":
        raise broken(source, "failed finding central directory", received="no end record in the last 22 bytes")
    if comment:
        raise broken(source, "comment behind the archive", received=f"{comment} bytes")
    limit = end
    if end >= LOCATOR64.size:
        locator = LOCATOR64.unpack(source.read(end - LOCATOR64.size, LOCATOR64.size))
        if locator[0] == b"PK\6\7":
            limit = locator[2]
            if not 0 <= limit <= end - LOCATOR64.size - END64.size:
                raise broken(source, "64-bit end record outside the file")
            mark, _, _, _, disk, first, here, count, size, start = END64.unpack(source.read(limit, END64.size))
            if mark != b"PK\6\6":
                raise broken(source, "failed finding central directory", received="no 64-bit end record where the locator points")
    if disk or first or here != count:
        raise broken(source, "archive of several disks")
    if count > MOST_ENTRIES or count * CENTRAL.size > size:
        raise broken(source, "directory of another size than declared", received=f"{count} entries in {size} bytes")
    if start + size != limit:
        raise broken(source, "directory outside the file", received=f"{size} bytes at {start}, file of {source.size}")
    return count, start, size


def _read_central(source: Source, raw: bytes, position: int) -> tuple[str, int, int, int, int]:
    """(name, crc, size, header's place, next position) of one directory record."""
    if position + CENTRAL.size > len(raw):
        raise broken(source, "directory ends early")
    fields = CENTRAL.unpack_from(raw, position)
    mark, _, _, flags, method, _, _, crc, packed, size, names, extras, comment, disk, _, _, header = fields
    position += CENTRAL.size
    if mark != b"PK\1\2":
        raise broken(source, "failed reading central directory")
    name_raw = raw[position : position + names]
    extra = raw[position + names : position + names + extras]
    position += names + extras + comment
    if position > len(raw):
        raise broken(source, "directory ends early")
    if 0xFFFFFFFF in (packed, size, header):
        size, packed, header = _wide(source, extra, size, packed, header)
    name = _checked_name(source, name_raw)
    if method != 0 or packed != size:
        raise broken(source, "compressed entry", received=f"{name!r} with method {method}", expected="stored entries")
    if flags & ~(UTF8 | DESCRIPTOR) or disk:
        raise broken(source, "entry of an unknown kind", received=f"{name!r} with flags {flags:#x}")
    return name, crc, size, header, position


def _wide(source: Source, extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """64-bit fields from the extra record 1, in the order of the 32-bit fields that are all ones."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == 1 and place + 4 + length <= len(extra):
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra, place + 4))
            try:
                return tuple(next(wide) if v == 0xFFFFFFFF else v for v in (size, packed, header))  # type: ignore[return-value]
            except (StopIteration, RuntimeError):
                break
        place += 4 + length
    raise broken(source, "64-bit sizes are missing")


def _checked_name(source: Source, raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise broken(source, "name that is not UTF-8", received=repr(raw[:40])) from None
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or ":" in name or any(p in ("", ".", "..") for p in parts) or len(name) > 1024:
        raise broken(source, "name that leaves the archive", received=repr(name[:80]))
    return name


def _check_local(source: Source, name: str, header: int, end: int) -> int:
    """Where the entry's bytes begin, by its own header, which must carry the same name."""
    if header + LOCAL.size > end:
        raise broken(source, "entry outside the file", received=f"{name!r} at {header}")
    mark, _, flags, method, *_, names, extras = LOCAL.unpack(source.read(header, LOCAL.size))
    if mark != b"PK\3\4" or method != 0 or flags & ~(UTF8 | DESCRIPTOR):
        raise broken(source, "failed reading an entry's header", received=repr(name))
    place = header + LOCAL.size
    if place + names > end or source.read(place, names) != name.encode():
        raise broken(source, "names in directory and entry differ", received=repr(name))
    return place + names + extras


def pieces(source: Source, entry: Entry) -> Iterator[bytes]:
    """An entry's bytes, CHUNK at a time."""
    for place in range(entry.offset, entry.offset + entry.size, CHUNK):
        yield source.read(place, min(CHUNK, entry.offset + entry.size - place))


def _crc(data: Any) -> int:
    view, value = memoryview(data), 0
    for start in range(0, len(view), CHUNK):
        value = zlib.crc32(view[start : start + CHUNK], value)
    return value


class Writer:
    """Writes entries one after the other to anything that has `write`; `close` writes the directory."""

    def __init__(self, write: Callable[[Any], Any], root: str) -> None:
        self.write_out, self.root = write, root
        self.position = 0
        self.directory: list[tuple[bytes, int, int, int]] = []

    def _put(self, data: Any) -> None:
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        for start in range(0, len(view), CHUNK):
            piece = view[start : start + CHUNK]
            self.write_out(piece)
        self.position += len(view)

    def add(self, name: str, data: Any) -> None:
        """One entry; its bytes begin at a multiple of 64."""
        raw_name = f"{self.root}/{name}".encode()
        size, crc, header = len(data), _crc(data), self.position
        wide = struct.pack("<HHQQ", 1, 16, size, size) if size >= 0xFFFFFFFF else b""
        begin = header + LOCAL.size + len(raw_name) + len(wide)
        padding = -(begin + 4) % ALIGNMENT  # 4: the padding record's own head
        extra = wide + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        short = min(size, 0xFFFFFFFF)
        self._put(
            LOCAL.pack(b"PK\3\4", 45 if wide else 20, UTF8, 0, 0, 0x21, crc, short, short, len(raw_name), len(extra)) + raw_name + extra
        )
        self._put(data)
        self.directory.append((raw_name, crc, size, header))

    def close(self) -> None:
        start = self.position
        for name, crc, size, header in self.directory:
            wide = [v for v in (size, size, header) if v >= 0xFFFFFFFF]
            extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
            short, place = min(size, 0xFFFFFFFF), min(header, 0xFFFFFFFF)
            version = 45 if wide else 20
            record = (b"PK\1\2", version, version, UTF8, 0, 0, 0x21, crc, short, short, len(name), len(extra), 0, 0, 0, 0, place)
            self._put(CENTRAL.pack(*record) + name + extra)
        size, count = self.position - start, len(self.directory)
        if start >= 0xFFFFFFFF or count >= 0xFFFF or size >= 0xFFFFFFFF:
            place = self.position
            self._put(END64.pack(b"PK\6\6", END64.size - 12, 45, 45, 0, 0, count, count, size, start))
            self._put(LOCATOR64.pack(b"PK\6\7", 0, place, 1))
        self._put(END.pack(b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), min(size, 0xFFFFFFFF), min(start, 0xFFFFFFFF), 0))
