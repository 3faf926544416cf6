"""Trigonometric functions: derived checks, then what only a person knows."""

from __future__ import annotations

import math

import facula
from facula.testing import derived

test_declared = derived("facula.ops.trigonometric")


def test_atan2_knows_the_four_quadrants_and_signed_zeros() -> None:
    y, x = [0.0, -0.0, 1.0, -1.0], [-1.0, -1.0, 0.0, 0.0]
    assert facula.atan2(facula.tensor(y, dtype=facula.float64), facula.tensor(x, dtype=facula.float64)).tolist() == [
        math.atan2(a, b) for a, b in zip(y, x)
    ]


def test_hypot_does_not_overflow_on_the_way() -> None:
    assert facula.hypot(facula.tensor(3e38), facula.tensor(1e38)).isfinite()


def test_integers_become_floating() -> None:
    assert facula.sin(facula.tensor([0, 1])).dtype is facula.float32 and facula.arctan2 is not None
