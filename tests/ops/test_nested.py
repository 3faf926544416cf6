"""Nested Python data that is no array of numbers: PyTorch 2.13's errors, and what is an array after all."""

from __future__ import annotations

from typing import Any

import pytest

import facula as torch


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [
        ([1.0, [2.0]], TypeError, "must be real number, not list"),
        ([1, [2]], TypeError, "'list' object cannot be interpreted as an integer"),
        ([[1.0], 2.0], TypeError, "not a sequence"),
        ([[1.0], [[2.0]]], TypeError, "must be real number, not list"),
        ([[1, 2], [3]], ValueError, "expected sequence of length 2 at dim 1 (got 1)"),
        (["a"], ValueError, "too many dimensions 'str'"),
        ("a", TypeError, "new(): invalid data type 'str'"),
        ([1, "a"], TypeError, "new(): invalid data type 'str'"),
        ([1, None], RuntimeError, "Could not infer dtype of NoneType"),
        ([1, {}], RuntimeError, "Could not infer dtype of dict"),
        ({}, RuntimeError, "Could not infer dtype of dict"),
        ([10**400], ValueError, "Overflow when unpacking long long"),
    ],
)
def test_refused_as_in_pytorch(data: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        torch.tensor(data)
    assert str(caught.value).split("\n")[0] == sentence


def test_refused_for_a_type() -> None:
    with pytest.raises(OverflowError, match="int too large to convert to float"):
        torch.tensor([10**400, 1], dtype=torch.float32)
    with pytest.raises(TypeError, match="must be real number, not dict"):
        torch.tensor([{}], dtype=torch.float32)


def test_large_integers_beside_floats() -> None:
    assert torch.tensor([2**70, 1.0]).tolist() == [float(2**70), 1.0]
    assert torch.tensor([2**63], dtype=torch.float64).tolist() == [float(2**63)]
