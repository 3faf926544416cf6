"""A traceback has the user's lines and few of this package's."""

from __future__ import annotations

import traceback

import pytest

import facula
from facula import nn
from facula.base.settings import SETTINGS
from facula.nn import functional as F


def frames(call) -> tuple[int, list[str]]:
    """Frames of this package, and the names of the others but this one."""
    with pytest.raises(Exception) as caught:
        call()
    rows = list(traceback.walk_tb(caught.value.__traceback__))
    own = [str(f.f_globals.get("__name__", "")).startswith("facula.") for f, _ in rows]
    return sum(own), [f.f_code.co_name for (f, _), mine in zip(rows, own) if not mine][2:]


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(3, 2))))

    def forward(self, x):
        return self.layers(x)


CALLS = {
    "product": lambda: facula.ones(2, 3) @ facula.ones(2, 3),
    "composite of composites": lambda: F.triplet_margin_loss(facula.ones(2, 3), facula.ones(2, 4), facula.ones(2, 3)),
    "in place": lambda: facula.ones(2).add_(facula.ones(3)),
    "nested modules": lambda: Own()(facula.ones(2, 4)),
    "backward": lambda: (facula.ones(2, requires_grad=True) * 2).backward(),
    "backward of a written-over tensor": lambda: written_over().backward(),
    "dim": lambda: facula.ones(2, 3).var(5),
}


def written_over():
    y = facula.ones(2, requires_grad=True).exp()
    z = y.sum()
    y.detach().add_(1)
    return z


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_at_most_six_frames(call) -> None:
    assert frames(call)[0] <= 6


def test_the_users_frames_stay() -> None:
    assert "forward" in frames(CALLS["nested modules"])[1]


def test_all_frames_when_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(SETTINGS, "full_traceback", True)
    assert frames(CALLS["nested modules"])[0] > 6
