"""Files of PyTorch before 1.6; `recorded/sequential.pt` is `record.py`'s."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest

import facula
from facula.base.errors import LoadError
from facula.io.sequential import MAGIC

RECORDED = (Path(__file__).parent / "recorded" / "sequential.pt").read_bytes()


def loaded(path: Path, data: bytes):
    path.write_bytes(data)
    return facula.load(path)


def test_values_and_shared_storages(tmp_path: Path) -> None:
    got = loaded(tmp_path / "a.pt", RECORDED)
    assert got["x"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] and got["t"].stride() == (1, 3)
    assert got["b"].tolist() == [True, False] and got["h"].dtype is facula.bfloat16 and got["h"].tolist() == [1.5, -2.0]
    assert got["n"] == [1, (2.5, "s")]
    got["x"][0, 1] = 9.0
    assert got["t"][1, 0].item() == 9.0


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    for n in range(len(MAGIC), len(RECORDED)):
        with pytest.raises(LoadError):
            loaded(tmp_path / "a.pt", RECORDED[:n])
    with pytest.raises(LoadError):
        loaded(tmp_path / "a.pt", RECORDED + b"\0")


def test_damage_never_raises_anything_else(tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(300):
        data = bytearray(RECORDED)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        try:
            loaded(tmp_path / "a.pt", bytes(data))
        except RuntimeError:
            continue


def test_hostile_pickles_and_sizes(tmp_path: Path) -> None:
    class Run:
        def __reduce__(self):
            return (eval, ("1/0",))

    head = MAGIC + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    huge = RECORDED.replace(b"K\x06", b"\x8a\x06" + (2**40).to_bytes(6, "little"))
    assert huge != RECORDED
    for data in (
        head + pickle.dumps(Run(), 2),
        MAGIC + pickle.dumps(Run(), 2),
        head,
        huge,
        head + pickle.dumps(3, 2) + pickle.dumps(["0"], 2),
    ):
        with pytest.raises(LoadError):
            loaded(tmp_path / "a.pt", data)
