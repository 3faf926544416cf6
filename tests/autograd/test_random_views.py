"""Random programs of views, in-place writes and gradients give what PyTorch 2.13 gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import facula

from . import random_views

EXPECTED = [json.loads(line) for line in (Path(__file__).parent / "random_views.jsonl").read_text().splitlines()]


def close(got: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(close(g, e) for g, e in zip(got, expected))
    if isinstance(expected, float):
        return got == pytest.approx(expected, rel=1e-3, abs=1e-4, nan_ok=True)
    return bool(got == expected)


@pytest.mark.parametrize("seed", random_views.SEEDS)
def test_random_program(seed: int) -> None:
    got = random_views.run(facula, seed)
    assert close(got, EXPECTED[seed]), (got, EXPECTED[seed])
