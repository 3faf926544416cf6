"""What the machine is said to be."""

from __future__ import annotations

import os
import platform

import pytest

from facula.base.target import AARCH64, TARGETS, X86_64_V3, X86_64_V4, X86_64_V4_BF16
from facula.runtime import host


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("FACULA_TARGET", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("machine", "flags", "want"),
    [
        ("x86_64", host.V3_FLAGS, X86_64_V3),
        ("x86_64", host.V3_FLAGS | host.V4_FLAGS, X86_64_V4),
        ("AMD64", host.V3_FLAGS | host.V4_FLAGS | host.BF16_FLAGS, X86_64_V4_BF16),
        ("aarch64", frozenset(), AARCH64),
    ],
)
def test_target_by_flags(fresh: pytest.MonkeyPatch, machine: str, flags: frozenset[str], want: object) -> None:
    fresh.setattr(platform, "machine", lambda: machine)
    fresh.setattr(host, "cpu_flags", lambda: flags)
    assert host.target.__wrapped__() is want
    assert host.runs(want)  # type: ignore[arg-type]


def test_processors_that_are_too_old_or_unknown(fresh: pytest.MonkeyPatch) -> None:
    fresh.setattr(platform, "machine", lambda: "x86_64")
    fresh.setattr(host, "cpu_flags", lambda: host.V3_FLAGS - {"avx2"})
    with pytest.raises(RuntimeError, match="lacks avx2"):
        host.target.__wrapped__()
    fresh.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(RuntimeError, match="no code is generated for riscv64"):
        host.target.__wrapped__()


def test_the_environment_decides(fresh: pytest.MonkeyPatch) -> None:
    for name, target in TARGETS.items():
        fresh.setenv("FACULA_TARGET", name)
        assert host.target.__wrapped__() is target


def test_this_machine() -> None:
    assert host.runs(host.target())
    assert 1 <= host.cores() <= (os.cpu_count() or 1)
    assert host.memory() > 100 << 20 and host.last_level_cache() >= 64 << 10 and host.PAGE in (4096, 16384, 65536)
