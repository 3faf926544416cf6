"""Tensors of Python's numbers: one row of the plan table serves all values, and never a value that the key does not know."""

from __future__ import annotations

from typing import Any

import pytest

import facula
import facula.core.native.fields as fields
import facula.core.objects as objects

MAKERS: list[Any] = [
    lambda v: (facula.tensor([1.5 + v, 2.0]), [1.5 + v, 2.0], facula.float32),
    lambda v: (facula.tensor((v, 7)), [v, 7], facula.int64),
    lambda v: (facula.tensor([v > 2, True]), [v > 2, True], facula.bool),
    lambda v: (facula.tensor(v + 0.5), v + 0.5, facula.float32),
    lambda v: (facula.tensor(v), v, facula.int64),
    lambda v: (facula.tensor([[1, v], [3, 4]], dtype=facula.float64), [[1.0, v], [3.0, 4.0]], facula.float64),
    lambda v: (facula.tensor([[[[float(v)]]]]), [[[[float(v)]]]], facula.float32),
    lambda v: (facula.tensor(data=[v, 1]), [v, 1], facula.int64),
    lambda v: (facula.tensor(requires_grad=v > 2, data=[0.5]), [0.5], facula.float32),
    lambda v: (facula.as_tensor([v + 0.25]), [v + 0.25], facula.float32),
    lambda v: (facula.asarray([v, 2]), [v, 2], facula.int64),
    lambda v: (facula.zeros(1).new_tensor([v, 2]), [v, 2], facula.float32),
    lambda v: (facula.Tensor([v, 2]), [v, 2], facula.float32),
    lambda v: (facula.tensor([v, 2], dtype=facula.int8), [v, 2], facula.int8),
]


@pytest.mark.parametrize("make", MAKERS)
def test_values_are_no_part_of_the_key(make: Any) -> None:
    for v in (1, 2, 3, 4, 5, 6):
        got, want, kind = make(v)
        assert got.tolist() == want and got.dtype is kind and got.is_leaf and got._version == 0
        got.detach().zero_()  # its memory is its own


def test_rows_serve_other_values() -> None:
    word = fields.STATE["misses"]
    missed: list[int] = []
    for v in range(9):
        before = objects.state[word] if objects.NATIVE else 0
        assert facula.tensor([v / 4, 1.0]).tolist() == [v / 4, 1.0]
        missed.append(objects.state[word] - before if objects.NATIVE else 0)
    assert 0 in missed[2:]


def test_other_shapes_and_kinds_are_other_keys() -> None:
    for _ in range(3):
        for data in ([1.0], [1.0, 2.0], [[1.0, 2.0]], [[1.0], [2.0]], [1, 2], [True, False], 1.0, 1, True, [[[1]]]):
            got = facula.tensor(data)
            assert got.tolist() == data
            assert got.dtype is {float: facula.float32, int: facula.int64, bool: facula.bool}[type(got.flatten().tolist()[0])]
        assert facula.tensor([1, 2.5]).dtype is facula.float32 and facula.tensor([[1, True]]).dtype is facula.int64
        assert facula.tensor([1.5], requires_grad=True).requires_grad and not facula.tensor([1.5], requires_grad=False).requires_grad
        empty = facula.tensor([])
        assert empty.shape == (0,) and empty.stride() == (1,) and empty.dtype is facula.float32
        with facula.inference_mode():
            assert facula.tensor([1.5]).is_inference()
        facula.set_default_dtype(facula.float64)
        assert facula.tensor([1.5]).dtype is facula.float64
        facula.set_default_dtype(facula.float32)


def test_what_does_not_fit() -> None:
    for _ in range(4):
        assert facula.tensor([1, 2]).tolist() == [1, 2]
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            facula.tensor([1 << 70, 2])
        with pytest.raises(ValueError, match="expected sequence of length 1 at dim 1"):
            facula.tensor([[1.0], [2.0, 3.0]])
        knot: list[Any] = []
        knot.append(knot)
        with pytest.raises((ValueError, RuntimeError, TypeError)):
            facula.tensor(knot)
