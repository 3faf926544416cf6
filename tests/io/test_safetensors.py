"""safetensors: round trip, agreement with the library's NumPy reader, and refusals."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from facula import ops
from facula.base import dtypes
from facula.base.errors import LoadError
from facula.io.safetensors import NAMES, load, load_file, save, save_file

pytest.importorskip("safetensors")


def test_round_trip_of_every_dtype(tmp_path: Path) -> None:
    tensors = {n: ops.ones(2, 3).to(getattr(dtypes, "bool_" if n == "bool" else n)) for n in NAMES.values()}
    tensors["strided"] = ops.arange(6).view(2, 3).t()
    tensors["empty"] = ops.zeros(0, 3)
    save_file(tensors, tmp_path / "a.safetensors", {"note": "x"})
    back = load_file(tmp_path / "a.safetensors")
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and back[name].shape == tensor.shape and back[name].tolist() == tensor.tolist()
    back["float32"].add_(1)


def test_the_librarys_reader_agrees(tmp_path: Path) -> None:
    from safetensors.numpy import load_file as reference

    save_file({"a": ops.arange(6).view(2, 3)}, tmp_path / "a.safetensors")
    assert reference(tmp_path / "a.safetensors")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def file(header: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + data


def entry(**changes: object) -> str:
    return json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63),
        file("no json"),
        file("[" * 50_000),
        file(entry(), bytes(7)),
        file(entry(), bytes(9)),
        file(entry(shape=[3]), bytes(8)),
        file(entry(shape=[-2]), bytes(8)),
        file(entry(shape=[2**62, 2**62]), bytes(8)),
        file(entry(data_offsets=[8, 0]), bytes(8)),
        file(entry(data_offsets=[4, 12]), bytes(12)),
        file(entry(dtype="F33"), bytes(8)),
        file(entry(dtype="BOOL", shape=[8]), b"\2" * 8),
        file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"),
    ],
    ids=range(15),
)
def test_unsound_files(data: bytes) -> None:
    with pytest.raises(LoadError):
        load(data)


def test_what_the_format_cannot_hold() -> None:
    base = ops.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        save({"a": base, "b": base[2:]})
    with pytest.raises(TypeError, match="complex64"):
        save({"a": ops.zeros(2, dtype=dtypes.complex64)})
    with pytest.raises(TypeError, match="names and tensors"):
        save({"a": 3})  # type: ignore[dict-item]
