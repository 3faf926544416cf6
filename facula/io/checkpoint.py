"""`save` and `load`: nested state with tensors, in a file that PyTorch reads, that is complete or absent, and that cannot lie or act."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import facula.io.digest as digest

from .. import ops
from ..base import dtypes
from ..base.device import device
from ..base.errors import LoadError, refuse
from ..core import Tensor, objects
from .archive import CHUNK, Entry, Source, Writer, broken, read_directory
from .emit import TYPED, Emitter
from .files import FileSource, MapSource, bytes_at, replacing, require_seekable
from .interpret import Interpreter, Maker, malformed
from .rebuild import KEYS, Storage, dtype_of, finder
from .sequential import is_sequential, load_sequential

DTYPE_OF_CLASS = {kind: name for name, kind in TYPED.items()}
LARGEST_PROTOCOL = 5  # of pickle
LARGEST_PICKLE = 1 << 31  # bytes of structure, without tensors


def save(
    obj: Any,
    f: str | os.PathLike[str] | Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write `obj` (numbers, text, containers, tensors, state dicts) to a path or binary file.

    A path is replaced when the new file is complete and on disk; until then, and after any error, it keeps its old contents. Tensors that
    share memory still do so after loading. The file carries a SHA-256 of each of its parts. RuntimeError when the folder is missing,
    OSError when the system refuses to write. `pickle_module` and `pickle_protocol` are checked and change nothing: the structure is always
    written by this package, in protocol 2.
    """
    _check_pickle("save", pickle_module, pickle_protocol)
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        with replacing(path) as file:
            _write(obj, file.write, os.path.splitext(os.path.basename(path))[0])
        return
    if not hasattr(f, "write"):
        raise refuse(
            AttributeError,
            f"expected 'f' to be string, path, or a file-like object with a 'write' attribute. Got {type(f)}",
            received=type(f).__name__,
            expected="a path, or a file that is open for writing bytes",
        )
    _write(obj, f.write, "archive")


def _check_pickle(function: str, module: Any, protocol: Any = 2) -> None:
    """Refuse what is no module or no protocol, as `pickle` does."""
    if module is not None and not hasattr(module, "__name__"):
        raise refuse(AttributeError, f"'{type(module).__name__}' object has no attribute '__name__'", received=f"pickle_module={module!r:.60}",
                     expected=f"{function}(..., pickle_module=pickle)")  # fmt: skip
    if not hasattr(protocol, "__index__"):
        sentence = f"'{type(protocol).__name__}' object cannot be interpreted as an integer"
        raise refuse(TypeError, sentence, received=f"pickle_protocol={protocol!r:.60}", expected="int")
    if protocol > LARGEST_PROTOCOL:
        sentence = f"pickle protocol must be <= {LARGEST_PROTOCOL}"
        raise refuse(ValueError, sentence, received=f"pickle_protocol={protocol}")


def _write(obj: Any, write: Callable[[Any], Any], root: str) -> None:
    emitter = Emitter()
    structure = emitter.finish(obj)
    writer = Writer(write, _root_name(root))
    parts: dict[str, Any] = {
        "data.pkl": structure,
        ".format_version": b"1",
        ".storage_alignment": b"64",
        "byteorder": sys.byteorder.encode(),
        **{f"data/{key}": bytes_at(address, count) for key, (_, address, count) in emitter.storages.items()},
        "version": b"3\n",
    }
    stop = Event()
    hasher = ThreadPoolExecutor(1)  # hashing takes as long as writing: both at once
    try:
        sums = {name: hasher.submit(_sum, data, stop) for name, data in parts.items()}
        for name, data in parts.items():
            writer.add(name, data)
        writer.add(digest.RECORD, digest.compose({name: future.result() for name, future in sums.items()}))
    finally:
        stop.set()
        hasher.shutdown(cancel_futures=True)
    writer.close()


def _sum(data: Any, stop: Event) -> tuple[str, int]:
    """SHA-256 and size; given up between two pieces when the save has failed."""
    view, result = memoryview(data), hashlib.sha256()
    for start in range(0, len(view), CHUNK):
        if stop.is_set():
            break
        result.update(view[start : start + CHUNK])
    return result.hexdigest(), len(view)


def _root_name(stem: str) -> str:
    """A folder name for inside the archive: the file's stem where that is a plain name."""
    plain = stem.isprintable() and stem not in ("", ".", "..") and not set(stem) & set("/\\:")
    return stem if plain and len(stem.encode()) < 200 else "archive"


def load(
    f: str | os.PathLike[str] | Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = None,
    trusted: Iterable[Any] = (),
    **pickle_load_args: Any,
) -> Any:
    """Read what `save` (or `torch.save`) wrote, exactly, or raise.

    Nothing of the file is run, whatever `weights_only` says; classes other than tensors and containers are made only with
    `weights_only=False` and their classes in `trusted`. All checksums are compared before anything is returned. `mmap=True` maps the file
    instead of copying it; writes to such tensors stay in memory. LoadError for damaged, hostile or unknown files, FileNotFoundError,
    EOFError for an empty one.
    """
    from .safe_globals import get_safe_globals

    _check_pickle("load", pickle_module)
    for name in pickle_load_args:
        if name not in ("encoding", "errors", "fix_imports", "buffers"):
            raise refuse(TypeError, f"Unpickler.__init__() got an unexpected keyword argument '{name}'", received=f"load(..., {name}=)")
    where = _device_rule(map_location)
    find = finder([*get_safe_globals(), *trusted], weights_only is not False)
    if not isinstance(f, (str, os.PathLike)):
        if mmap:
            raise refuse(ValueError, "f must be a file path in order to use the mmap argument", received=type(f).__name__)
        require_seekable(f)
        return _load(FileSource(f, getattr(f, "name", None) or type(f).__name__), where, find)
    path = os.fspath(f)
    if mmap:
        return _load(MapSource(path), where, find)
    with open(path, "rb") as file:
        return _load(FileSource(file, path), where, find)


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike[str] | Any) -> list[str]:
    """Names in a checkpoint that a load would refuse, as "module.name"; nothing is made or run."""
    import pickletools

    from .rebuild import ALLOWED
    from .safe_globals import get_safe_globals

    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(os.fspath(f), "rb")) if isinstance(f, (str, os.PathLike)) else f
        require_seekable(file)
        source = FileSource(file, str(f))
        entries = read_directory(source)
        entry = entries.get(f"{_root_of(source, entries)}/data.pkl")
        if entry is None:
            raise broken(source, "a part is missing", received="no 'data.pkl'")
        structure = source.read(entry.offset, entry.size)
    names: dict[tuple[str, str], None] = {}
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(structure):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                names[module, name] = None
            elif opcode.name == "STACK_GLOBAL":
                names[(*texts[-2:],)] = None  # type: ignore[index]
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError as error:
        raise malformed("it is no pickle", str(error)) from None
    trusted = {(item.__module__, item.__qualname__) for item in get_safe_globals() if not isinstance(item, tuple)}
    return [".".join(name) for name in names if name not in ALLOWED and name not in trusted]


def _load(source: Any, where: Callable[[str], str], find: Callable[[str, str], Any]) -> Any:
    if source.size == 0:
        raise refuse(EOFError, "Ran out of input", received=f"{source.name}: an empty file", expected="a checkpoint")
    if is_sequential(source.read(0, min(32, source.size))):
        return load_sequential(source, LARGEST_PICKLE, where, find)
    _require_zip(source)
    entries = read_directory(source)
    root = _root_of(source, entries)
    checker = digest.Checker(source, entries, root)

    def small(name: str, most: int, default: bytes | None = None) -> bytes:
        entry = entries.get(f"{root}/{name}")
        if entry is None:
            if default is None:
                raise broken(source, "a part is missing", received=f"no {name!r}")
            return default
        if entry.size > most:
            raise broken(source, "a part is too large", received=f"{name!r} has {entry.size} bytes")
        data = source.read(entry.offset, entry.size)
        checker.check(entry, data)
        return data

    _require_known(source, small("version", 20), small("byteorder", 20, b"little"))
    structure = small("data.pkl", LARGEST_PICKLE)
    reader = StorageReader(source, entries, root, checker, where)
    result = Interpreter(structure, find, reader.persistent, KEYS).run()
    if isinstance(result, Storage):
        raise malformed("a storage in the place of a value")
    checker.check_rest()
    return result


def _require_zip(source: Source) -> None:
    head = source.read(0, min(4, source.size))
    if head == b"PK\3\4":
        return
    kind = "a pickle" if head[:1] == b"\x80" else "a safetensors file" if source.read(8, 1)[:1] == b"{" else "another kind of file"
    raise refuse(
        LoadError,
        "PytorchStreamReader failed reading zip archive: failed finding central directory",
        received=f"{source.name}: {kind} ({source.size} bytes that begin with {head!r})",
        expected="a checkpoint as save() and torch.save write it",
        hint="facula.io.safetensors.load_file reads safetensors",
    )


def _root_of(source: Source, entries: dict[str, Entry]) -> str:
    roots = {name.partition("/")[0] for name in entries}
    if len(roots) != 1:
        raise broken(source, "several root folders" if roots else "no entries", received=", ".join(sorted(roots)[:3]))
    (root,) = roots
    if f"{root}/constants.pkl" in entries:
        raise refuse(
            LoadError,
            "PytorchStreamReader found a TorchScript archive, which holds a program",
            received=source.name,
            hint="save a state_dict with torch.save",
        )
    return root


def _require_known(source: Source, version: bytes, order: bytes) -> None:
    text = version.strip()
    if not text.isdigit() or not 1 <= int(text) <= 10:
        raise broken(source, "unknown version", received=repr(version), expected="1 to 10")
    if order not in (b"little", b"big"):
        raise broken(source, "unknown byte order", received=repr(order), expected="little")
    if order.decode() != sys.byteorder:
        raise refuse(LoadError, f"the checkpoint was written on a {order.decode()}-endian machine", received=source.name)


class StorageReader:
    """Finds and checks the bytes behind a persistent identifier; each storage is read once and shared."""

    def __init__(self, source: Any, entries: dict[str, Entry], root: str, checker: digest.Checker, where: Callable[[str], str]) -> None:
        self.source, self.entries, self.root, self.checker, self.where = source, entries, root, checker, where
        self.bases: dict[str, Tensor] = {}

    def persistent(self, identifier: Any) -> Storage:
        """The storage named by ("storage", its class, key, location, elements)."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise malformed("an identifier that names no storage", repr(type(identifier)))
        _, kind, key, location, count = identifier
        if not isinstance(kind, Maker) or (kind.name not in DTYPE_OF_CLASS and kind.name != "UntypedStorage"):
            raise malformed("a storage of an unknown class")
        if type(key) is not str or type(location) is not str or type(count) is not int or count < 0:
            raise malformed("a storage whose key, location or size is of another type")
        name = DTYPE_OF_CLASS.get(kind.name, "uint8")
        dtype = dtype_of(name)
        entry = self.entries.get(f"{self.root}/data/{key}")
        if entry is None:
            raise malformed("a storage that the file does not have", f"key {key[:40]!r}")
        if count * dtype.itemsize != entry.size:
            raise malformed("a storage of another size than its bytes", f"{count} of {dtype} for {entry.size} bytes")
        if self.where(location) == "meta":
            return Storage(ops.empty((entry.size,), dtype=dtypes.uint8, device="meta"), dtype)
        if key not in self.bases:
            self.bases[key] = self._read(entry)
        base = self.bases[key]
        if name == "bool":
            _require_bools(base, entry)
        return Storage(base, dtype)

    def _read(self, entry: Entry) -> Tensor:
        if isinstance(self.source, MapSource) and entry.offset % 16 == 0 and entry.size:
            import numpy as np

            memory: Any = self.source.memory
            mapped = np.frombuffer(memory, np.uint8, entry.size, entry.offset)
            self.checker.check(entry, mapped)
            return ops.from_numpy(mapped)
        base = ops.empty((entry.size,), dtype=dtypes.uint8)
        view = bytes_at(objects.memory(base)[1], entry.size)
        self.source.readinto(entry.offset, view)
        self.checker.check(entry, view)
        return base


def _require_bools(base: Tensor, entry: Entry) -> None:
    """Bytes of a bool tensor are 0 or 1: kernels rely on it."""
    view = bytes_at(objects.memory(base)[1], entry.size)
    if view.tobytes().translate(None, b"\0\1"):
        raise malformed("a bool that is neither 0 nor 1", entry.name)


def _device_rule(map_location: Any) -> Callable[[str], str]:
    """From a saved location to where the storage goes: this build has the CPU, and meta for shapes alone."""
    known: dict[str, Any] = map_location if isinstance(map_location, dict) else {}
    everything = None if map_location is None or known or callable(map_location) else str(device(map_location))

    def rule(location: str) -> str:
        target = everything or str(known.get(location, location))
        if callable(map_location) or target.partition(":")[0] == "cpu":
            return "cpu"
        if target.partition(":")[0] == "meta":
            return "meta"
        if target.partition(":")[0] == "cuda" and everything is not None:
            raise refuse(
                RuntimeError,
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on a CPU-only machine, please "
                "use torch.load with map_location=torch.device('cpu') to map your storages to the CPU.",
                received=f"map_location={target!r}",
                hint="load(f, map_location='cpu')",
            )
        if everything is None and location == target:
            raise refuse(
                RuntimeError,
                f"Attempting to deserialize object on a {location.partition(':')[0].upper()} device but none is available. If you "
                "are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your "
                "storages to the CPU.",
                received=f"a storage that was saved on {location}",
                hint="load(f, map_location='cpu')",
            )
        raise refuse(RuntimeError, f"map_location {target!r} is not available here", expected="'cpu'")

    return rule


__all__ = ["get_unsafe_globals_in_checkpoint", "load", "save"]
