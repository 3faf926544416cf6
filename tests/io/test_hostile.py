"""Damaged and hostile files: every one is refused, or gives exactly what was saved."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

import pytest

from facula import ops
from facula.base.errors import LoadError
from facula.io import load, save
from facula.io.archive import CENTRAL, END

RECORDED = Path(__file__).parent / "recorded" / "pytorch.pt"


def written() -> bytes:
    file = io.BytesIO()
    save({"a": ops.arange(10), "b": [1.5, "text"]}, file)
    return file.getvalue()


def answer(data: bytes):
    got = load(io.BytesIO(data))
    return {"a": got["a"].tolist(), "b": got["b"]}


@pytest.mark.parametrize("source", ["ours", "pytorch"])
def test_damage_never_changes_the_answer(source: str) -> None:
    good = written() if source == "ours" else RECORDED.read_bytes()

    def view(data: bytes):
        got = load(io.BytesIO(data))
        return repr({k: got[k] for k in (["a", "b"] if source == "ours" else ["plain", "shared", "parameter", "optimizer"])})

    want = view(good)
    draw = random.Random(1)
    for trial in range(300):
        data = bytearray(good)
        kind = trial % 4
        place = draw.randrange(len(data))
        if kind == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[place : place + 16] = draw.randbytes(min(16, len(data) - place))
        elif kind == 2:
            del data[place:]
        else:
            del data[place : place + draw.randrange(1, 64)]
        try:
            got = view(bytes(data))
        except (LoadError, EOFError):
            continue
        assert got == want, f"trial {trial}: damage at {place} changed the answer"


def packed(structure: bytes, storages: dict[str, bytes] | None = None, **options) -> io.BytesIO:
    """A checkpoint around a pickle, without a digest: as an attacker writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        archive.writestr("x/data.pkl", structure)
        archive.writestr("x/byteorder", "little")
        for key, data in (storages or {}).items():
            archive.writestr(f"x/data/{key}", data)
        archive.writestr("x/version", "3\n")
    file.seek(0)
    return file


class Evil:
    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


def tensor_pickle(
    kind: str = "FloatStorage", key: str = "'0'", count: str = "2", offset: str = "0", size: str = "(2,)", stride: str = "(1,)"
) -> bytes:
    """A pickle of one tensor with any of its numbers changed; values in Python's spelling."""

    def number(text: str) -> bytes:
        value = int(text)
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw

    def ints(text: str) -> bytes:
        return b"(" + b"".join(number(part) for part in text.strip("()").split(",") if part.strip()) + b"t"

    name = key.strip("'").encode()
    stored = (
        b"(X\x07\0\0\0storagectorch\n"
        + kind.encode()
        + b"\nX"
        + struct.pack("<I", len(name))
        + name
        + b"X\x03\0\0\0cpu"
        + number(count)
        + b"tQ"
    )
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        + stored
        + number(offset)
        + ints(size)
        + ints(stride)
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )


def test_a_plain_file_of_an_attacker_can_be_right() -> None:
    assert load(packed(tensor_pickle(), {"0": struct.pack("<2f", 1, 2)})).tolist() == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"count": "3"},
        {"count": "-1"},
        {"count": str(2**62)},
        {"offset": "1"},
        {"offset": "-1"},
        {"size": "(3,)"},
        {"size": f"({2**40},)", "stride": "(0,)", "offset": "5"},
        {"size": f"({2**61},)"},
        {"size": f"({2**33}, {2**33})", "stride": "(1, 1)"},
        {"size": "(-1,)"},
        {"stride": "(-1,)"},
        {"stride": "(2,)"},
        {"stride": f"({2**62},)"},
        {"stride": "(1, 1)"},
        {"size": "(" + "1," * 100 + ")", "stride": "(" + "1," * 100 + ")"},
        {"key": "'1'"},
        {"key": "'../data.pkl'"},
        {"kind": "LongStorage"},
        {"kind": "NoStorage"},
    ],
    ids=str,
)
def test_tensors_that_reach_outside_their_bytes(change: dict[str, str]) -> None:
    with pytest.raises(LoadError):
        load(packed(tensor_pickle(**change), {"0": struct.pack("<2f", 1, 2)}))


def test_bools_are_zero_or_one() -> None:
    with pytest.raises(LoadError, match="neither 0 nor 1"):
        load(packed(tensor_pickle(kind="BoolStorage"), {"0": b"\1\2"}))


@pytest.mark.parametrize(
    "structure",
    [
        pickle.dumps(Evil(os.system, "touch /tmp/facula-was-here"), 2),
        pickle.dumps(Evil(eval, "1 + 1"), 4),
        pickle.dumps(Evil(getattr, "text", "upper"), 2),
        pickle.dumps(Evil(__import__, "os"), 2),
        pickle.dumps({"a": Evil(bytearray, 2**40)}, 2),
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\1\x85R.",
        b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x80\x02(i__main__\nx\n.",
        b"\x80\x02\x81.",
        b"\x80\x02N.junk" * 2 + b"",
        b"\x80\x02",
        b"\x80\x02K\x01K\x02.",
        b"\x80\x02h\x05.",
        b"\x80\x02(.",
        b"\x80\x02ctorch\nFloatStorage\n.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\0\0\0clearK\x01sb.",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x09\0\0\0__class__K\x01sb.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02K\x01r\xff\xff\xff\xff.",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02)" + b"\x85" * 100_000 + b".",
        b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
        b"\x80\x63N.",
        b"\x80\x02cnumpy\ndtype\nX\x01\0\0\0O\x85R.",
        b"\x80\x02(X\x07\0\0\0storageK\x01K\x02K\x03K\x04tQ.",
        b"\x80\x02ctorch\nTensor\n)R.",
        b"\x80\x02ccopyreg\n_reconstructor\n.",
        b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
        b"\x80\x02cfunctools\npartial\n.",
    ],
    ids=range(35),
)
def test_pickles_that_are_no_checkpoint(structure: bytes) -> None:
    if structure == b"\x80\x02N.junk\x80\x02N.junk":  # what follows the end is not looked at
        assert load(packed(structure)) is None
        return
    with pytest.raises(LoadError) as caught:
        load(packed(structure))
    assert len(str(caught.value)) > 20 and not os.path.exists("/tmp/facula-was-here")
    with pytest.raises(LoadError):
        load(packed(structure), weights_only=False)


def patched(data: bytes, place: int, fields: bytes) -> io.BytesIO:
    return io.BytesIO(data[:place] + fields + data[place + len(fields) :])


def test_containers_that_lie() -> None:
    good = packed(tensor_pickle(), {"0": struct.pack("<2f", 1, 2)}).getvalue()
    end = len(good) - END.size
    start = END.unpack(good[end:])[6]
    record = CENTRAL.unpack_from(good, start)
    cases = {
        "compressed": packed(tensor_pickle(), {"0": bytes(8)}, compression=zipfile.ZIP_DEFLATED),
        "comment": io.BytesIO(good[:-2] + b"\1\0x"),
        "count": patched(good, end + 8, struct.pack("<HH", 99, 99)),
        "directory outside": patched(good, end + 16, struct.pack("<I", 2**31)),
        "entry outside": patched(good, start + 42, struct.pack("<I", 2**31)),
        "size": patched(good, start + 20, struct.pack("<II", record[8] + 999_999, record[9] + 999_999)),
        "encrypted": patched(good, start + 8, struct.pack("<H", 1)),
        "other name": patched(good, start + CENTRAL.size, b"y"),
        "trailing bytes": io.BytesIO(good + b"more"),
    }
    for name, file in cases.items():
        with pytest.raises(LoadError):
            load(file)
            pytest.fail(name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [["x/data.pkl", "x/data.pkl"], ["x/../y"], ["/x/y"], ["y/z"], ["x\\y"], ["x/a\x01"]])
def test_names_that_lie(names: list[str]) -> None:
    file = packed(b"\x80\x02N.")
    with zipfile.ZipFile(file, "a") as archive:
        for name in names:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            archive.writestr(info, "z")
    file.seek(0)
    with pytest.raises(LoadError):
        load(file)


def test_missing_parts() -> None:
    for missing in ("x/data.pkl", "x/version"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in (("x/data.pkl", b"\x80\x02N."), ("x/version", b"3\n")):
                if name != missing:
                    archive.writestr(name, data)
        file.seek(0)
        with pytest.raises(LoadError, match="a part is missing"):
            load(file)


def test_a_digest_that_is_there_must_be_right() -> None:
    data = written()
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("data/0"):
                content = b"\7" + content[1:]  # with a fresh CRC: only the digest can tell
            new.writestr(info.filename, content)
    file.seek(0)
    with pytest.raises(LoadError, match="not those that were written"):
        load(file)
