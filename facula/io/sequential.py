"""PyTorch's format before 1.6: pickles one after the other, then each storage's count and bytes. It carries no sums, so damage inside
the numbers cannot be seen; everything else is checked as in archives."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from .. import ops
from ..core import objects
from .emit import TYPED
from .files import bytes_at
from .interpret import Interpreter, Maker, malformed
from .rebuild import KEYS, Storage, dtype_of

DTYPE_OF_CLASS = {kind: name for name, kind in TYPED.items()}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = 1001


def is_sequential(head: bytes) -> bool:
    return head.startswith(MAGIC)


def load_sequential(source: Any, most: int, where: Callable[[str], str], find: Callable[[str, str], Any]) -> Any:
    """The object of a file that begins with MAGIC. At most `most` bytes of pickles are read."""
    data = source.read(0, min(source.size, most))
    storages = Storages(source.size, where)

    def run(start: int, names: Callable[[str, str], Any], persistent: Callable[[Any], Any]) -> tuple[Any, int]:
        interpreter = Interpreter(data, names, persistent, KEYS, start)
        return interpreter.run(), interpreter.position

    version, place = run(len(MAGIC), _nothing, _nothing)
    if type(version) is not int or version != VERSION:
        raise malformed("unknown version", repr(version)[:40])
    machine, place = run(place, _nothing, _nothing)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise malformed("unknown byte order", repr(type(machine)))
    result, place = run(place, find, storages.persistent)
    keys, place = run(place, _nothing, _nothing)
    if type(keys) is not list or set(map(str, keys)) != set(storages.bases) or len(keys) != len(storages.bases):
        raise malformed("a list of storages that are not those of the object", repr(type(keys)))
    for key in keys:
        place = storages.fill(source, key, place)
    if place != source.size:
        raise malformed("bytes behind the last storage", f"{source.size - place} bytes")
    if isinstance(result, Storage):
        raise malformed("a storage in the place of a value")
    return result


def _nothing(*names: Any) -> Any:
    raise malformed("a class where there is none", repr(names)[:80])


class Storages:
    """Storages whose bytes come after the object that speaks of them."""

    def __init__(self, room: int, where: Callable[[str], str]) -> None:
        self.room, self.where = room, where
        self.bases: dict[str, tuple[Any, str, int]] = {}  # key -> bytes, name of the dtype, elements

    def persistent(self, identifier: Any) -> Storage:
        """The storage named by ("storage", its class, key, location, elements, None)."""
        if not isinstance(identifier, tuple) or len(identifier) != 6 or identifier[0] != "storage" or identifier[5] is not None:
            raise malformed("an identifier that names no storage", repr(type(identifier)))
        _, kind, key, location, count, _ = identifier
        if not isinstance(kind, Maker) or (kind.name not in DTYPE_OF_CLASS and kind.name != "UntypedStorage"):
            raise malformed("a storage of an unknown class")
        if type(key) is not str or type(location) is not str or type(count) is not int or count < 0:
            raise malformed("a storage whose key, location or size is of another type")
        name = DTYPE_OF_CLASS.get(kind.name, "uint8")
        dtype = dtype_of(name)
        if key not in self.bases:
            size = count * dtype.itemsize
            self.room -= size
            if self.room < 0:
                raise malformed("storages larger than the file", f"{count} of {dtype}")
            self.bases[key] = (ops.empty((size,), dtype=dtype_of("uint8"), device=self.where(location)), name, count)
        base, known, elements = self.bases[key]
        if (known, elements) != (name, count):
            raise malformed("a storage of two kinds", f"{known} and {name}")
        return Storage(base, dtype)

    def fill(self, source: Any, key: str, place: int) -> int:
        """Read one storage; the place behind it."""
        base, name, count = self.bases[key]
        size = base.numel()
        if place + 8 + size > source.size or struct.unpack("<q", source.read(place, 8))[0] != count:
            raise malformed("a storage of another size than its bytes", f"{count} of {name}")
        if base.device.type == "cpu" and size:
            view = bytes_at(objects.memory(base)[1], size)
            source.readinto(place + 8, view)
            if name == "bool" and view.tobytes().translate(None, b"\0\1"):
                raise malformed("a bool that is neither 0 nor 1", key[:40])
        return place + 8 + size


__all__ = ["is_sequential", "load_sequential"]
