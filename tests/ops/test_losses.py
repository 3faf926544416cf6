"""Losses: derived checks, and targets that do not fit."""

from __future__ import annotations

import math

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.losses")


def test_a_wrong_target_is_named() -> None:
    with pytest.raises(IndexError, match=r"Target 3 is out of bounds\."):
        facula.nn.functional.cross_entropy(facula.zeros(2, 3), facula.tensor([0, 3]))


def test_class_weights_may_be_negative() -> None:
    loss = facula.nn.functional.cross_entropy(facula.zeros(2, 2), facula.tensor([0, 1]), weight=facula.tensor([2.0, -1.0]), reduction="sum")
    assert abs(loss.item() - math.log(2)) < 1e-6
