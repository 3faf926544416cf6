"""safetensors files: named tensors and nothing else. Read through the library of that name, which checks offsets and sizes.

What the library leaves open is checked here: names that occur twice, and a path that is replaced only by a complete file. Files are
written here, since the library's function for that takes other arguments from one version to the next.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from .. import ops
from ..base import dtypes
from ..base.errors import LoadError, refuse
from ..core import Tensor, objects
from ..core.layout import layout
from ..core.placing import no_values
from .emit import dtype_name
from .files import bytes_at, replacing

CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
NAMES = {code: name for name, code in CODES.items()}
LARGEST_HEADER = 100_000_000  # bytes, the format's own limit


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The file's bytes. Tensors must be dense and may not share memory (RuntimeError)."""
    seen: dict[int, str] = {}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    pieces: list[bytes] = []
    end = 0
    # widest types first, as the library writes them: each tensor is then aligned to its type
    for name, tensor in sorted(tensors.items(), key=lambda item: (-_width(item[1]), str(item[0]))):
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise refuse(TypeError, f"expected a dict of names and tensors, but got {name!r}: {type(tensor).__name__}")
        code = CODES.get(dtype_name(tensor.dtype))
        if code is None:
            raise refuse(TypeError, f"safetensors has no type for {tensor.dtype}", received=name, hint="facula.save")
        if tensor.is_meta:
            raise no_values(NotImplementedError, "Cannot copy out of meta tensor; no data!")
        address = objects.memory(tensor)[1]
        if tensor.numel() and address in seen:
            raise refuse(
                RuntimeError,
                f"Some tensors share memory, this will lead to duplicate memory on disk and potential differences when loading them again: "
                f"{seen[address]!r} and {name!r}.",
                hint="clone one of them, or facula.save, which keeps sharing",
            )
        seen[address] = name
        whole = tensor.detach().contiguous()
        place = whole.data_ptr() if whole.numel() else 0
        pieces.append(bytes(bytes_at(place, whole.numel() * whole.element_size())))
        start, end = end, end + len(pieces[-1])
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data begin at a multiple of 8
    return b"".join([struct.pack("<Q", len(text)), text, *pieces])


def _width(tensor: Any) -> int:
    return tensor.element_size() if isinstance(tensor, Tensor) else 0


def save_file(tensors: dict[str, Tensor], filename: str | os.PathLike[str], metadata: dict[str, str] | None = None) -> None:
    """Write a file; an old one is replaced when the new one is complete."""
    data = save(tensors, metadata)
    with replacing(os.fspath(filename)) as file:
        file.write(data)


def load(data: bytes, name: str = "bytes") -> dict[str, Tensor]:
    """The tensors of a file's bytes; LoadError when they are not a sound file."""
    from safetensors import SafetensorError, deserialize

    _require_unique_names(data, name)
    try:
        entries = deserialize(data)
    except SafetensorError as error:
        raise refuse(LoadError, f"not a sound safetensors file: {error}", received=name, hint="load another copy of it") from None
    return {key: _tensor(key, entry) for key, entry in entries}


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file."""
    if str(device) != "cpu":
        raise refuse(RuntimeError, f"device {device} is not available", expected="'cpu'")
    path = os.fspath(filename)
    with open(path, "rb") as file:
        return load(file.read(), path)


def _require_unique_names(data: bytes, name: str) -> None:
    """The JSON of the header, read once more for what its readers differ in: names that occur twice."""
    size = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else -1
    if not 2 <= size <= min(LARGEST_HEADER, len(data) - 8):
        raise refuse(
            LoadError,
            "not a sound safetensors file: the header reaches past the end",
            received=f"{name}: {len(data)} bytes, header of {size}",
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise refuse(LoadError, "not a sound safetensors file: a name occurs twice", received=name)
        return dict(pairs)

    try:
        json.loads(data[8 : 8 + size], object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise refuse(LoadError, f"not a sound safetensors file: the header is no JSON ({error})", received=name) from None


def _tensor(key: str, entry: dict[str, Any]) -> Tensor:
    name = NAMES.get(entry["dtype"])
    if name is None:
        raise refuse(LoadError, f"a tensor of an unknown type: {entry['dtype']}", received=key, expected=", ".join(NAMES))
    dtype = getattr(dtypes, "bool_" if name == "bool" else name)
    data, shape = entry["data"], tuple(entry["shape"])
    if name == "bool" and bytes(data).translate(None, b"\0\1"):
        raise refuse(LoadError, "a bool that is neither 0 nor 1", received=key)
    base = ops.empty((len(data),), dtype=dtypes.uint8)
    bytes_at(objects.memory(base)[1], len(data))[:] = data
    return objects.alias(Tensor, base, layout(shape, dtype), 0)


__all__ = ["load", "load_file", "save", "save_file"]
