"""Saving and loading: round trips, PyTorch's files, sharing, maps, atomic replacement, and refusals."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from facula import nn, ops
from facula.base import dtypes
from facula.base.device import device
from facula.core import Size
from facula.io import LoadError, UntrustedError, load, save
from facula.io.checkpoint import _write, get_unsafe_globals_in_checkpoint
from facula.io.safe_globals import add_safe_globals, clear_safe_globals, safe_globals

RECORDED = Path(__file__).parent / "recorded" / "pytorch.pt"


def same(a, b) -> bool:
    """Equal structure, types and values."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "storage_offset"):
        return a.dtype == b.dtype and a.shape == b.shape and a.requires_grad == b.requires_grad and a.tolist() == b.tolist()
    return bool(np.all(a == b))


def state() -> dict:
    return {
        "plain": [1, -2, 300, 70000, -(2**40), 2**100, 1.5, float("inf"), True, None, "text ü", b"bytes", b"", bytearray(b"x"), 1j],
        "nested": (1, (2,), (), (1, 2, 3, 4), [[]], {3}, frozenset([4]), OrderedDict(a=1)),
        "keys": {1: "a", None: "b", (1, 2): "c", 2.5: "d"},
        "kinds": [Size([1, 2]), dtypes.float32, device("cpu")],
        "tensors": [ops.arange(6).view(2, 3), ops.tensor(2.5), ops.zeros(0, 3), ops.tensor([True, False])],
        "array": np.arange(6, dtype=np.int32).reshape(2, 3).T,
        "number": np.float32(0.5),
    }


@pytest.mark.parametrize("mmap", [False, True])
def test_round_trip(tmp_path: Path, mmap: bool) -> None:
    save(state(), tmp_path / "a.pt")
    assert same(load(tmp_path / "a.pt", mmap=mmap), state())


def test_round_trip_through_a_file_object() -> None:
    file = io.BytesIO(b"before")
    file.seek(6)
    save(state(), file)
    file.seek(6)
    assert same(load(file), state())


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64", "int8", "int16", "int32", "complex64", "complex128"])
def test_dtypes(tmp_path: Path, name: str) -> None:
    value = ops.ones(3).to(getattr(dtypes, name))
    save(value, tmp_path / "a.pt")
    back = load(tmp_path / "a.pt")
    assert back.dtype == value.dtype and ops.equal(back, value)


def test_sharing_strides_and_gradients_are_kept(tmp_path: Path) -> None:
    base = ops.arange(6).to(dtypes.float32)
    weight = nn.Parameter(ops.ones(2))
    save([base, base[2:], base.view(2, 3).t(), weight, weight, base.view(dtypes.int32)], tmp_path / "a.pt")
    a, b, c, d, e, f = load(tmp_path / "a.pt")
    a[2] = 9.0
    assert float(b[0]) == 9.0 and c.stride() == (1, 3) and b.storage_offset() == 2 and f.dtype == dtypes.int32
    assert isinstance(d, nn.Parameter) and d is e and d.requires_grad


def test_a_slice_saves_its_whole_storage_and_recursion_is_kept(tmp_path: Path) -> None:
    loop: list = [1]
    loop.append(loop)
    save(loop, tmp_path / "a.pt")
    back = load(tmp_path / "a.pt")
    assert back[1] is back


def test_pytorchs_file(tmp_path: Path) -> None:
    for mmap in (False, True):
        got = load(RECORDED, mmap=mmap)
        assert isinstance(got["model"], OrderedDict) and got["model"]._metadata[""] == {"version": 1}
        assert got["model"]["0.weight"].shape == (2, 3) and isinstance(got["parameter"], nn.Parameter)
        assert got["optimizer"]["param_groups"][0]["lr"] == 0.5 and float(got["optimizer"]["state"][0]["step"]) == 1.0
        got["shared"][0][2] = 7.0
        assert float(got["shared"][1][0]) == 7.0 and float(got["shared"][2][2, 0]) == 7.0
        assert [str(t.dtype)[6:] for t in got["kinds"]] == ["bool", "uint8", "int16", "int64", "bfloat16", "complex64"]
        assert got["late"].tolist() == [0, 1, 2] and got["empty"].shape == (0, 3) and float(got["scalar"]) == 2.5
        assert got["plain"] == [1, -2, 2**70, 1.5, True, None, "text", b"bytes", 1j, (1, (2,)), {3}, Size([1, 2]), dtypes.float32]
        assert got["array"].tolist() == [[0, 1, 2], [3, 4, 5]] and got["number"] == np.float32(0.5)
    save(got, tmp_path / "again.pt")
    assert same(load(tmp_path / "again.pt")["plain"], got["plain"])


def test_state_dict_of_a_model_and_its_optimizer(tmp_path: Path) -> None:
    from facula import optim

    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = optim.Adam(model.parameters())
    model(ops.ones(2, 3)).sum().backward()
    optimizer.step()
    save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    twin = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    twin_optimizer = optim.Adam(twin.parameters())
    loaded = load(tmp_path / "a.pt")
    twin.load_state_dict(loaded["model"])
    twin_optimizer.load_state_dict(loaded["optimizer"])
    assert all(ops.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values()))


def test_whole_models_need_weights_only_false(tmp_path: Path) -> None:
    save(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), tmp_path / "a.pt")
    with pytest.raises(UntrustedError, match="Unsupported global"):
        load(tmp_path / "a.pt")
    assert load(tmp_path / "a.pt", weights_only=False)(ops.ones(1, 2)).shape == (1, 3)


class Settings:
    """A user's class."""

    def __init__(self, rate: float) -> None:
        self.rate = rate


def test_users_classes_need_trust(tmp_path: Path) -> None:
    save({"settings": Settings(0.5)}, tmp_path / "a.pt")
    for options in ({}, {"weights_only": False}):
        with pytest.raises(UntrustedError, match="Settings"):
            load(tmp_path / "a.pt", **options)
    assert load(tmp_path / "a.pt", weights_only=False, trusted=[Settings])["settings"].rate == 0.5
    with safe_globals([Settings]):
        assert load(tmp_path / "a.pt")["settings"].rate == 0.5
    add_safe_globals([Settings])
    clear_safe_globals()
    with pytest.raises(UntrustedError):
        load(tmp_path / "a.pt")


def test_unsafe_names_are_listed_without_loading(tmp_path: Path) -> None:
    save([Settings(0.5), ops.ones(1)], tmp_path / "a.pt")
    (name,) = get_unsafe_globals_in_checkpoint(tmp_path / "a.pt")
    assert name.endswith(".Settings")


def test_mapped_tensors_do_not_write_to_the_file(tmp_path: Path) -> None:
    save(ops.zeros(1000), tmp_path / "a.pt")
    mapped = load(tmp_path / "a.pt", mmap=True)
    mapped.add_(1)
    assert float(mapped.sum()) == 1000.0 and float(load(tmp_path / "a.pt").sum()) == 0.0


def test_map_location(tmp_path: Path) -> None:
    save(ops.ones(2), tmp_path / "a.pt")
    for where in ("cpu", device("cpu"), {"cpu": "cpu"}, lambda storage, location: storage):
        assert load(tmp_path / "a.pt", map_location=where).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="map_location"):
        load(tmp_path / "a.pt", map_location="cuda")


# -- atomic writing -----------------------------------------------------------------------------------------------------------


class Bomb:
    """Fails while it is being saved."""

    def __reduce_ex__(self, protocol: int):
        raise ValueError("cannot be saved")


def test_an_error_while_saving_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save({"a": 1}, path)
    with pytest.raises(ValueError, match="cannot be saved"):
        save({"a": ops.zeros(10), "b": Bomb()}, path)
    assert load(path) == {"a": 1} and os.listdir(tmp_path) == ["a.pt"]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save({"a": 1}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save(ops.zeros(1_000_000), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert load(path) == {"a": 1} and os.listdir(tmp_path) == ["a.pt"]


def test_a_kill_while_saving_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    program = (
        "import sys\nfrom facula import ops\nfrom facula.io import save\n"
        "values = [ops.full((2_000_000,), float(i)) for i in range(2)]\n"
        "save({'n': 0, 'v': values[0]}, sys.argv[1]); print('ready', flush=True)\n"
        "n = 0\nwhile True:\n    n += 1\n    save({'n': n % 2, 'v': values[n % 2]}, sys.argv[1])\n"
    )
    for wait in (0.0, 0.013, 0.031):
        child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(wait)
        child.kill()
        child.wait()
        child.stdout.close()
        got = load(path)
        assert float(got["v"][0]) == float(got["v"][-1]) == got["n"]
        assert len(os.listdir(tmp_path)) <= 2
    save({"n": 5}, path)
    assert os.listdir(tmp_path) == ["a.pt"]


def test_links_and_permissions_survive(tmp_path: Path) -> None:
    real, link = tmp_path / "real.pt", tmp_path / "link.pt"
    save(1, real)
    os.chmod(real, 0o600)
    link.symlink_to(real)
    save(2, link)
    assert link.is_symlink() and load(real) == 2 and os.stat(real).st_mode & 0o777 == 0o600


# -- refusals -----------------------------------------------------------------------------------------------------------------


def test_missing_empty_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    for mmap in (False, True):
        with pytest.raises(EOFError, match="Ran out of input"):
            load(tmp_path / "empty.pt", mmap=mmap)
    for content in (b"text", b"\x80\x02K\x01.", b"PK\3\4", b"x" * 1000):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(LoadError, match="failed reading zip archive"):
            load(tmp_path / "other.pt")
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        save(1, tmp_path / "no" / "a.pt")
    with pytest.raises(IsADirectoryError):
        save(1, tmp_path)
    with pytest.raises(AttributeError, match="write"):
        save(1, 3)
    with pytest.raises(AttributeError, match="seekable"):
        load(3)
    with pytest.raises(ValueError, match="mmap"):
        load(io.BytesIO(), mmap=True)


def test_what_cannot_be_saved_is_named() -> None:
    with pytest.raises(Exception, match="Can't pickle <function"):
        save(lambda: None, io.BytesIO())
    deep: list = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested deeper than"):
        save(deep, io.BytesIO())


def test_writing_does_not_need_a_place_to_seek_in() -> None:
    pieces: list[bytes] = []
    _write({"a": ops.ones(3)}, lambda piece: pieces.append(bytes(piece)), "x/y")
    assert load(io.BytesIO(b"".join(pieces)))["a"].tolist() == [1, 1, 1]


def test_attributes_of_tensors_and_parameters_are_kept(tmp_path: Path) -> None:
    x, p = ops.ones(2, requires_grad=True), nn.Parameter(ops.ones(1), requires_grad=False)
    x.step, p.tags = 3, ["a", ops.arange(2)]
    save({"x": x, "p": p}, tmp_path / "a.pt")
    state = load(tmp_path / "a.pt")
    assert state["x"].step == 3 and state["x"].requires_grad and state["p"].tags[0] == "a" and state["p"].tags[1].tolist() == [0, 1]
    assert type(state["p"]) is nn.Parameter and not state["p"].requires_grad
