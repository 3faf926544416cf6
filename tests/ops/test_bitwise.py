"""Bits and truth values: derived checks, then what only a person knows."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.bitwise")


def test_operators_of_integers_and_bool() -> None:
    i, b = facula.tensor([6, -1]), facula.tensor([True, False])
    assert (i & 3).tolist() == [2, 3] and (1 | i).tolist() == [7, -1] and (i ^ i).tolist() == [0, 0] and (~i).tolist() == [-7, 0]
    assert (b ^ True).tolist() == [False, True] and (~b).tolist() == [False, True] and (b & b).dtype is facula.bool
    assert (i << 2).tolist() == [24, -4] and (i >> 1).tolist() == [3, -1]
    with pytest.raises(NotImplementedError, match="\"bitwise_and_cpu\" not implemented for 'Float'"):
        facula.bitwise_and(facula.ones(2), 1)


def test_nan_is_true_and_common_divisors_are_positive() -> None:
    assert facula.logical_not(facula.tensor([float("nan"), 0.0])).tolist() == [False, True]
    assert facula.gcd(facula.tensor([-12, 0]), facula.tensor([18, 0])).tolist() == [6, 0]
    assert facula.lcm(facula.tensor([-4, 0]), facula.tensor([6, 5])).tolist() == [12, 0]
