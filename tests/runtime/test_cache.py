"""The folder of compiled code: private, atomic, verified."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facula.runtime import cache
from facula.runtime.cache import Cache
from facula.runtime.images import Image

IMAGE = Image(b"\xc3" * 100, {"f": 0, "g": 64}, {"malloc": 80}, {88: 64})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_what_is_written_is_read(folder: Path) -> None:
    store = Cache(folder)
    assert store.usable and store.read("k") is None and not store.holds("k")
    store.write("k", IMAGE)
    assert store.read("k") == IMAGE and store.holds("k")
    assert Cache(folder).read("k") == IMAGE  # another process: the key is the user's
    assert store.read("another") is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [p.stat().st_mode & 0o777 for p in folder.iterdir()] == [0o600] * 2


def test_every_damaged_byte_is_noticed(folder: Path) -> None:
    store = Cache(folder)
    store.write("k", IMAGE)
    path = store.path("k")
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        assert store.read("k") is None, i
    for n in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        assert store.read("k") is None, n
    path.write_bytes(whole + b"x")
    assert store.read("k") is None
    store.write("k", IMAGE)
    assert store.read("k") == IMAGE


def test_an_entry_under_another_name_or_key_is_not_taken(folder: Path, tmp_path: Path) -> None:
    store, foreign = Cache(folder), Cache(tmp_path / "foreign")
    store.write("k", IMAGE)
    store.path("k").rename(store.path("other"))
    assert store.read("other") is None
    foreign.write("k", IMAGE)
    store.path("k").write_bytes(foreign.path("k").read_bytes())
    assert store.read("k") is None


def test_an_open_folder_and_a_link_are_not_used(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    store = Cache(folder)
    assert not store.usable and "open to other users" in store.reason
    store.write("k", IMAGE)
    assert store.read("k") is None and list(folder.iterdir()) == []
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(real)
    assert "link" in Cache(tmp_path / "link").reason
    (tmp_path / "file").write_text("")
    assert not Cache(tmp_path / "file").usable
    assert not Cache(tmp_path / "file" / "below").usable


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may enter anything")
def test_a_folder_that_cannot_be_made_is_not_used() -> None:
    assert not Cache(Path("/proc/facula")).usable


def test_an_entry_that_is_a_link_is_not_followed(folder: Path) -> None:
    store = Cache(folder)
    store.write("k", IMAGE)
    store.path("k").rename(folder / "elsewhere")
    store.path("k").symlink_to(folder / "elsewhere")
    assert store.read("k") is None
    store.write("k", IMAGE)
    assert store.read("k") == IMAGE and not store.path("k").is_symlink()


def test_a_failed_write_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Cache(folder)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store.write("k", IMAGE)
    assert [p.name for p in folder.iterdir()] == ["key"]


def _write_often(folder: Path, done: object) -> None:
    store = Cache(folder)
    for i in range(60):
        store.write(f"k{i % 3}", IMAGE)
        assert store.read(f"k{i % 3}") == IMAGE


def test_processes_that_begin_together_share_key_and_entries(folder: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=_write_often, args=(folder, None)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert all(Cache(folder).read(f"k{i}") == IMAGE for i in range(3))
    assert sorted(p.name[0] for p in folder.iterdir() if p.name.startswith(".")) == []


def test_folder_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACULA_CACHE", str(tmp_path / "a"))
    assert cache.default_folder() == tmp_path / "a"
    monkeypatch.delenv("FACULA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "facula"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.default_folder() == Path.home() / ".cache" / "facula"


def test_the_loader_does_not_import_llvm() -> None:
    code = "import sys, facula.kernel.compiler; assert not [m for m in sys.modules if m.startswith(('llvmlite', 'numpy'))]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
