"""An error names the public function that the user called, and what it was given."""

from __future__ import annotations

import sys

import pytest

import facula
from facula import nn
from facula.nn import functional as F

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
CALLS = {
    "matmul((2, 3) float32, (2, 3) float32)": lambda: facula.ones(2, 3) @ facula.ones(2, 3),
    "linear((2, 3) float32, (2, 4) float32)": lambda: F.linear(facula.ones(2, 3), facula.ones(2, 4)),
    "cat([(2, 3) float32, (3, 2) float32])": lambda: facula.cat([facula.ones(2, 3), facula.ones(3, 2)]),
    "add_((2,) float32, (3,) float32)": lambda: facula.ones(2).add_(facula.ones(3)),
    "sum((2,) float32, dim=4)": lambda: facula.sum(facula.ones(2), dim=4),
}


def notes_of(call) -> list[str]:
    with pytest.raises(Exception) as caught:
        call()
    return "\n".join(caught.value.__notes__).split("\n")


@pytest.mark.parametrize("want", CALLS)
def test_the_outermost_call_is_named_once(want: str) -> None:
    lines = [line for line in notes_of(CALLS[want]) if line.startswith("  call:")]
    assert lines == [f"  call:     {want}"]


def test_the_modules_path_comes_after_the_call() -> None:
    lines = notes_of(lambda: nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3))(facula.ones(8, 8)))
    assert lines[-2].startswith("  call:     conv2d((8, 8) float32, (4, 3, 3, 3) float32") and lines[-1] == "  in:       1 (Conv2d)"
