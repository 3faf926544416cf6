"""Views made while no gradient was recorded: a write that would have to be recorded is refused, in native code and in Python alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import facula

VIEWS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda b: b[1:3],
    "view": lambda b: b.view(2, 2),
    "view of a view": lambda b: b.view(2, 2)[0],
    "split": lambda b: b.split(2)[0],
    "select": lambda b: b.select(0, 1),
}
BASES: dict[str, Callable[[], Any]] = {
    "leaf": lambda: facula.ones(4, requires_grad=True),
    "result": lambda: facula.ones(4, requires_grad=True) * 1,
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "mul_": lambda v: v.mul_(2),
    "zero_": lambda v: v.zero_(),
    "setitem": lambda v: v.__setitem__(..., 3.0),
}


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        (facula.no_grad, "A view was created in no_grad mode and is being modified inplace with grad mode enabled"),
        (facula.inference_mode, "A view was created in inference mode and is being modified inplace in normal mode"),
    ],
)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("write", WRITES)
def test_a_view_made_without_gradients(mode: Any, sentence: str, base: str, view: str, write: str) -> None:
    b = BASES[base]()
    for _ in range(2):  # the second call meets the rows of the plan table
        with mode():
            v = VIEWS[view](b)
        with pytest.raises(RuntimeError, match=sentence):
            WRITES[write](v)
        assert b.tolist() == [1.0] * 4
        with facula.no_grad():
            v += 0
    assert v._base is b
    assert not v.requires_grad


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("write", WRITES)
def test_without_a_gradient_to_lose(view: str, write: str) -> None:
    b = facula.ones(4)
    with facula.no_grad():
        v = VIEWS[view](b)
    WRITES[write](v)
    assert b.tolist() != [1.0] * 4


def test_reading_such_a_view_gives_a_constant() -> None:
    w = facula.ones(4, requires_grad=True)
    with facula.no_grad():
        v = w[:2]
        w.mul_(2)
    assert not (v * 3).requires_grad
    assert (v * 3).tolist() == [6.0, 6.0]
