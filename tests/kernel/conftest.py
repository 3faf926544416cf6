"""What tests of kernels share: each instruction set that this machine runs, and the number of threads put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facula.base.target import TARGETS, Target
from facula.runtime import host, pool

RUNNABLE = [t for t in TARGETS.values() if host.runs(t) and not t.bfloat16] or [host.target()]


@pytest.fixture(params=RUNNABLE, ids=lambda t: t.name)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Target:
    """The instruction set that plans and kernels are made for."""
    monkeypatch.setattr(host, "target", lambda: request.param)
    return request.param


@pytest.fixture
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)
