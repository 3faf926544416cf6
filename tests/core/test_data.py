"""Tensors of Python's numbers: one row of the plan table serves all values, and never a value that the key does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
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


def test_arrays() -> None:
    """Memory is shared, or copied, as the function says, from the first call on."""
    for k in range(5):
        for kind, other in (
            ("f4", facula.float32),
            ("i8", facula.int64),
            ("?", facula.bool),
            ("c8", facula.complex64),
            ("f2", facula.float16),
        ):
            whole = np.arange(12).reshape(3, 4).astype(kind)
            for a in (whole, whole.T, whole[:, ::2], whole[1], whole[:0]):
                for on in (facula.from_numpy, facula.as_tensor, facula.asarray):
                    t = on(a)
                    assert t.dtype is other and t.tolist() == a.tolist() and t.data_ptr() == (a.ctypes.data if a.size else 0)
                    assert t.stride() == tuple(s // a.itemsize for s in a.strides)
                for t in (facula.tensor(a), facula.zeros(1).new_tensor(a, dtype=other)):
                    assert t.dtype is other and t.tolist() == a.tolist() and (not a.size or t.data_ptr() != a.ctypes.data)
                assert facula.tensor(a.real, dtype=facula.float64).tolist() == a.real.astype("f8").tolist()
        assert facula.tensor(whole.T).stride() == (1, 4) and facula.tensor(whole[:, ::2]).stride() == (2, 1)
        assert facula.tensor(np.array(k + 0.5)).item() == k + 0.5 and facula.from_numpy(np.array(k)).item() == k
        fixed = np.array([float(k)])
        fixed.flags.writeable = False
        assert facula.from_numpy(fixed).data_ptr() == fixed.ctypes.data
        assert facula.tensor(fixed).add_(1).item() == k + 1
        with pytest.raises(ValueError, match="byte order"):
            facula.from_numpy(np.arange(3.0).astype(">f8"))
        with pytest.raises(ValueError, match="negative"):
            facula.from_numpy(np.arange(3.0)[::-1])


def test_an_array_may_change_while_calls_are_recorded() -> None:
    @facula.compile
    def step(a: Any) -> Any:
        t = facula.tensor(a) * 2
        a += 1
        return t

    for k in range(4):
        assert step(np.full(3, float(k))).tolist() == [2.0 * k] * 3
