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


def test_dlpack_copies_and_moves_where_asked() -> None:
    x = facula.rand(3)
    assert facula.from_dlpack(x).data_ptr() == facula.from_dlpack(x, device="cpu").data_ptr() == x.data_ptr()
    own = facula.from_dlpack(x, copy=True)
    assert own.data_ptr() != x.data_ptr() and facula.equal(own, x)
    assert facula.from_dlpack(x, device="meta").is_meta
    with pytest.raises(ValueError, match="cannot move DLPack tensor from device cpu to meta without copying"):
        facula.from_dlpack(x, device="meta", copy=False)
    with pytest.raises(AssertionError, match="not supported when ext_tensor is already a DLPack capsule"):
        facula.from_dlpack(x.__dlpack__(), copy=True)
    with facula.device("meta"):
        assert facula.equal(facula.from_dlpack(x.__dlpack__()), x)
