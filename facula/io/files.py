"""Files underneath a checkpoint: reading at any place, and writing that keeps the old file until the new one is complete."""

from __future__ import annotations

import contextlib
import ctypes
import io
import mmap
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..base.errors import LoadError, refuse

MARK = ".facula-save-"


class FileSource:
    """An open binary file, from its present position to its end."""

    def __init__(self, file: Any, name: str) -> None:
        self.file, self.name = file, name
        self.base = file.tell()
        self.size = file.seek(0, os.SEEK_END) - self.base

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes; LoadError when the file has become shorter."""
        self.file.seek(self.base + offset)
        data = self.file.read(count)
        if len(data) != count:
            raise self._short(offset, count)
        return bytes(data)

    def readinto(self, offset: int, view: memoryview) -> None:
        """Fill `view`."""
        self.file.seek(self.base + offset)
        if not hasattr(self.file, "readinto"):
            view[:] = self.read(offset, len(view))
            return
        done = 0
        while done < len(view):
            got = self.file.readinto(view[done : done + (1 << 26)])
            if not got:
                raise self._short(offset, len(view))
            done += got

    def _short(self, offset: int, count: int) -> LoadError:
        return refuse(
            LoadError,
            "PytorchStreamReader failed reading zip archive: the file ends early",
            received=f"{self.name}: fewer than {count} bytes at {offset}",
        )


class MapSource:
    """A file that is mapped: private, so that writes to a loaded tensor stay in memory."""

    def __init__(self, path: str) -> None:
        self.name = path
        with open(path, "rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if self.size else None

    def read(self, offset: int, count: int) -> bytes:
        return b"" if self.memory is None else self.memory[offset : offset + count]

    def readinto(self, offset: int, view: memoryview) -> None:
        view[:] = self.read(offset, len(view))


def require_seekable(file: Any) -> None:
    """TypeError-like refusal of things that are not binary files, with PyTorch's sentences."""
    for name in ("read", "seek", "tell"):
        if not hasattr(file, name):
            raise refuse(
                AttributeError,
                f"'{type(file).__name__}' object has no attribute '{name}'. You can only torch.load from a file that is seekable. Please "
                "pre-load the data into a buffer like io.BytesIO and try to load from it instead.",
                received=type(file).__name__,
                expected="a path, or a binary file that can be read and positioned",
            )
    if isinstance(file, io.TextIOBase):
        raise refuse(TypeError, "a checkpoint cannot be read from a text file", received=type(file).__name__, hint="open(path, 'rb')")


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    The bytes are on disk before the name changes. What an earlier process left behind when it was killed is removed first.
    """
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise refuse(RuntimeError, f"Parent directory {folder} does not exist.", received=path, hint=f"os.makedirs({folder!r})")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        if os.path.isdir(path):
            raise refuse(IsADirectoryError, f"{path} is a directory", expected="the path of a file")
        with open(path, "wb") as special:  # a pipe or a device has no old contents to keep
            yield special
        return
    _remove_leftovers(folder, name)
    temporary = os.path.join(folder, f".{name[:180]}{MARK}{os.getpid()}-{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    done = False
    try:
        with os.fdopen(handle, "w+b", buffering=1 << 20) as file:
            _lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # keep the old file's permissions
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
            os.replace(temporary, path)
            done = True
    finally:
        if not done:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    _sync_folder(folder)


def _lock(handle: int) -> bool:
    """Mark a temporary file as in use; the mark goes with the process. False when another process has it."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # no such locks on this system: leftovers stay
        return False
    except OSError:
        return False
    return True


def _remove_leftovers(folder: str, name: str) -> None:
    for old in Path(folder).glob(f".{_literal(name[:180])}{MARK}*"):
        with contextlib.suppress(OSError):
            handle = os.open(old, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _lock(handle):
                    os.unlink(old)
            finally:
                os.close(handle)


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _sync_folder(folder: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def bytes_at(address: int, count: int) -> memoryview:
    """Memory of a storage as writable bytes. The caller keeps the storage alive."""
    if count == 0:
        return memoryview(bytearray())
    return memoryview((ctypes.c_ubyte * count).from_address(address)).cast("B")
