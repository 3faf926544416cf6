"""Objects refuse interpreters and systems whose memory they do not know."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from facula.core import objects


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("abiflags", "t", "needs CPython with its global lock, but this Python .* is a free-threaded build"),
        ("implementation", SimpleNamespace(name="pypy"), "needs CPython with its global lock, but this Python .* is pypy"),
        ("platform", "darwin", "runs on Linux, this is darwin"),
    ],
)
def test_other_interpreters(monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, message: str) -> None:
    monkeypatch.setattr(sys, attribute, value)
    monkeypatch.setattr(objects, "NATIVE", True)
    with pytest.raises(ImportError, match=message):
        objects.install(object, object, ())
