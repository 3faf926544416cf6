"""Tensors as Python lists: long ones are made in steps, between which Python looks at signals."""

from __future__ import annotations

import math
import signal

import pytest

import facula
from facula.core import interchange


@pytest.mark.parametrize("shape", [(), (0,), (5,), (21,), (3, 7), (7, 3), (2, 3, 20), (2, 30, 0), (1, 9, 2)])
def test_lists_made_in_steps_are_the_same(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x = facula.arange(math.prod(shape)).reshape(shape)
    turned = x.movedim(0, -1) if x.ndim else x
    want = x.tolist(), turned.tolist()
    monkeypatch.setattr(interchange, "LISTED", 8)
    assert (x.tolist(), turned.tolist()) == want


def test_signals_are_seen_while_a_list_is_made() -> None:
    x, seen = facula.arange(6_000_000), []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(0))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        x.tolist()
        during = len(seen)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert during > 2
