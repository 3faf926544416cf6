"""The private folder of compiled code: one small file an image, written atomically, verified before use, never a pickle.

An entry is the line "facula image 1\\n", the length of a JSON header, the header (identity, exports, slots, rebase), the code, and a
blake2b digest of all of that under a key that only this user can read. What does not verify is treated as absent, and is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import struct
import threading
from pathlib import Path

from .images import Image

MAGIC = b"facula image 1\n"
DIGEST = 32  # bytes


class Cache:
    """Images by identity (any text) in one folder. Safe for several threads and processes at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reason = ""  # why it is not used
        self.key = b""
        try:
            _private(folder)
            self.key = _user_key(folder / "key")
        except OSError as error:
            self.reason = str(error)

    @property
    def usable(self) -> bool:
        """Whether entries are kept; `reason` says why not."""
        return bool(self.key)

    def holds(self, identity: str) -> bool:
        """Whether a file for it exists (it is verified when it is read)."""
        return self.usable and self.path(identity).exists()

    def path(self, identity: str) -> Path:
        return self.folder / (hashlib.blake2b(identity.encode(), digest_size=20).hexdigest() + ".image")

    def read(self, identity: str) -> Image | None:
        """The image, or None when it is absent, damaged, or made for something else."""
        if not self.key:
            return None
        try:
            descriptor = os.open(self.path(identity), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                data = file.read()
        except OSError:
            return None
        return decode(data, identity, self.key)

    def write(self, identity: str, image: Image) -> None:
        """Keep the image. A folder that cannot be written (full, read-only) is no error: the next process compiles again."""
        if not self.key:
            return
        path = self.path(identity)
        part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{os.urandom(4).hex()}")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with open(descriptor, "wb") as file:
                    file.write(encode(image, identity, self.key))
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, path)
            except OSError:
                part.unlink(missing_ok=True)
        except OSError:
            return


def encode(image: Image, identity: str, key: bytes) -> bytes:
    """An entry's bytes."""
    tables = {"identity": identity, "exports": image.exports, "slots": image.slots, "rebase": list(image.rebase.items())}
    header = json.dumps(tables, separators=(",", ":")).encode()
    body = MAGIC + struct.pack("<I", len(header)) + header + image.code
    return body + _digest(body, key)


def decode(data: bytes, identity: str, key: bytes) -> Image | None:
    """The image of an entry, or None unless every byte is what this user wrote for this identity."""
    start = len(MAGIC) + 4
    if len(data) < start + DIGEST or not data.startswith(MAGIC):
        return None
    body = data[:-DIGEST]
    if _digest(body, key) != data[-DIGEST:]:
        return None
    end = start + struct.unpack_from("<I", data, len(MAGIC))[0]
    tables = json.loads(body[start:end])
    if tables["identity"] != identity:
        return None
    return Image(body[end:], tables["exports"], tables["slots"], {int(at): int(to) for at, to in tables["rebase"]})


def _digest(body: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST, key=key).digest()


def _private(folder: Path) -> None:
    """Make the folder, or check it: a real folder of this user that nobody else can enter. OSError otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{folder} is not a folder (a symbolic link is not followed)")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{folder} is open to other users (mode {stat.S_IMODE(found.st_mode):o}, wanted 700)")


def _user_key(path: Path) -> bytes:
    """The user's key: 32 random bytes, made by whoever comes first. A file of another size is replaced."""
    for _ in range(3):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                key = file.read(33)
            if len(key) == 32:
                return key
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        part = path.with_name(f".key.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails when another process was first: then its key is the key
        except FileExistsError:
            pass
        finally:
            part.unlink(missing_ok=True)
    raise PermissionError(f"{path} could not be made")


def default_folder() -> Path:
    """$FACULA_CACHE, else facula in the user's cache folder ($XDG_CACHE_HOME, ~/.cache)."""
    wanted = os.environ.get("FACULA_CACHE", "")
    if wanted:
        return Path(wanted)
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "facula"


_open: dict[Path, Cache] = {}


def cache() -> Cache:
    """The cache of this process: of the folder that the environment names now."""
    folder = default_folder()
    if folder not in _open:
        _open[folder] = Cache(folder)
    return _open[folder]
