"""What follows from the blocks of facula/ops/creation.py."""

from __future__ import annotations

import numpy as np
import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.creation")


def test_a_broadcast_arrays_storage_is_what_the_array_has() -> None:
    x = facula.from_numpy(np.lib.stride_tricks.as_strided(np.zeros(1), (1000,), (0,)))
    assert x.stride() == (0,) and x.untyped_storage().nbytes() == 8
    assert facula.from_numpy(np.zeros((2, 3))[:, ::2]).untyped_storage().nbytes() == 48
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.as_strided((1000,), (1,))


def test_strides_that_no_tensor_has_are_refused() -> None:
    fields = np.zeros(4, [("a", "f4"), ("b", "f8")])
    for make in (facula.from_numpy, facula.as_tensor):
        with pytest.raises(ValueError, match="given numpy array strides not a multiple of the element byte size"):
            make(fields["b"])
    assert facula.from_numpy(fields["a"].copy()).tolist() == [0.0] * 4


def test_memory_before_the_first_element_is_not_taken() -> None:
    for array in (np.arange(5.0)[::-1], np.ones((3, 4))[:, ::-1]):
        with pytest.raises(ValueError, match="negative"):
            facula.from_numpy(array)
        with pytest.raises(BufferError, match="negative strides"):
            facula.from_dlpack(array)


def test_how_many_values_a_range_has() -> None:
    """int64 counts after cutting the numbers, narrower integers before, as in PyTorch."""
    assert facula.arange(0, 2.5, dtype=facula.int64).tolist() == [0, 1]
    assert facula.arange(0, 2.5, dtype=facula.int16).tolist() == [0, 1, 2]
    assert facula.arange(0, 3, 0.5, dtype=facula.int32).tolist() == [0] * 6


def test_one_value_in_shared_memory() -> None:
    x = facula.ones(3, 1)
    x.expand(3, 4).zero_()
    assert x.tolist() == [[0.0]] * 3
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory location"):
        x.expand(3, 4).fill_(facula.tensor(2.0))
