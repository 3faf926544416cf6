"""The record that makes damage visible: SHA-256, size and name of every entry, and one sum over the record itself."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from typing import Any

from .archive import CHUNK, Entry, Source, broken, pieces

RECORD = ".data/facula_digest"
HEAD = "facula digest 1"
_LINE = re.compile(r"([0-9a-f]{64}) (\d{1,19}) (.+)")


def compose(sums: dict[str, tuple[str, int]]) -> bytes:
    """The record for entries: name -> (hexadecimal SHA-256, size in bytes)."""
    body = "\n".join([HEAD, *(f"{digest} {size} {name}" for name, (digest, size) in sorted(sums.items()))]) + "\n"
    return (body + hashlib.sha256(body.encode()).hexdigest() + "\n").encode()


def parse(source: Source, raw: bytes) -> dict[str, tuple[str, int]]:
    """What `compose` wrote; LoadError when the record itself is damaged."""
    body, _, total = raw.removesuffix(b"\n").rpartition(b"\n")
    lines = (body + b"\n").decode("utf-8", "replace").splitlines()
    if hashlib.sha256(body + b"\n").hexdigest().encode() != total or not lines or lines[0] != HEAD:
        raise broken(source, "the digest record is damaged")
    sums: dict[str, tuple[str, int]] = {}
    for line in lines[1:]:
        found = _LINE.fullmatch(line)
        if not found or found[3] in sums:
            raise broken(source, "the digest record is malformed", received=repr(line[:80]))
        sums[found[3]] = found[1], int(found[2])
    return sums


class Checker:
    """Checks each entry once: by the digest record where the file has one, by the container's CRC-32 where not."""

    def __init__(self, source: Source, entries: dict[str, Entry], root: str) -> None:
        self.source, self.entries = source, entries
        self.left = set(entries)
        self.sums: dict[str, tuple[str, int]] | None = None
        record = entries.get(f"{root}/{RECORD}")
        if record is None:
            return
        self.sums = parse(source, source.read(record.offset, record.size))
        self.left.discard(record.name)
        listed = {f"{root}/{name}": value for name, value in self.sums.items()}
        if set(listed) != self.left:
            odd = sorted(set(listed) ^ self.left)[:3]
            raise broken(source, "entries differ from the digest record", received=f"missing or added: {', '.join(odd)}")
        self.sums = listed

    def check(self, entry: Entry, data: Any) -> None:
        """Compare bytes that were read with what is recorded."""
        view = memoryview(data)
        self._check(entry, (view[start : start + CHUNK] for start in range(0, len(view), CHUNK)))

    def check_rest(self) -> None:
        """Compare the entries that nothing has read."""
        for name in sorted(self.left):
            self._check(self.entries[name], pieces(self.source, self.entries[name]))

    def _check(self, entry: Entry, parts: Iterable[Any]) -> None:
        # in pieces, so that Ctrl-C is heard between them
        self.left.discard(entry.name)
        if self.sums is None:
            crc = 0
            for part in parts:
                crc = zlib.crc32(part, crc)
            self._compare(entry, crc, entry.crc)
            return
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        self._compare(entry, (digest.hexdigest(), entry.size), self.sums[entry.name])

    def _compare(self, entry: Entry, have: Any, want: Any) -> None:
        if have != want:
            raise broken(
                self.source,
                "the bytes of an entry are not those that were written",
                received=f"{entry.name!r} ({entry.size} bytes) with another checksum than recorded",
            )
