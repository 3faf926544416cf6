"""Parameters and buffers: memory, copies, pickles, text."""

from __future__ import annotations

import copy
import pickle

import pytest

import facula
from facula import nn


def test_parameter_shares_memory_and_is_a_leaf() -> None:
    data = facula.ones(2)
    p = nn.Parameter(data)
    data.fill_(3)
    assert p.tolist() == [3, 3] and p.is_leaf and p.requires_grad
    assert type(p * 2) is facula.Tensor
    assert repr(p) == "Parameter containing:\ntensor([3., 3.], requires_grad=True)"


def test_copies() -> None:
    p = nn.Parameter(facula.ones(2), requires_grad=False)
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(twin) is nn.Parameter and not twin.requires_grad and twin.tolist() == [1, 1]
        twin.fill_(2)
    assert p.tolist() == [1, 1]


def test_integers_cannot_be_trained() -> None:
    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype can require gradients"):
        nn.Parameter(facula.ones(2, dtype=facula.int64))
    assert not nn.Parameter(facula.ones(2, dtype=facula.int64), requires_grad=False).requires_grad
