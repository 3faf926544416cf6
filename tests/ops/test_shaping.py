"""Pieces, broadcasting and views overwritten in copies."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.shaping")


def test_nearly_equal_pieces() -> None:
    assert [t.tolist() for t in facula.tensor_split(facula.arange(5), 3)] == [[0, 1], [2, 3], [4]]
    assert [t.tolist() for t in facula.tensor_split(facula.arange(4), (1, 9))] == [[0], [1, 2, 3], []]


def test_broadcasting() -> None:
    a, b = facula.broadcast_tensors(facula.ones(3, 1), facula.ones(4))
    assert a.shape == b.shape == facula.broadcast_shapes((3, 1), (4,)) == (3, 4)
    with pytest.raises(RuntimeError, match="Mismatching argument at index 1 had"):
        facula.broadcast_shapes((3,), (4,))


def test_a_copy_with_a_slice_overwritten() -> None:
    x = facula.zeros(3, 2)
    assert facula.select_scatter(x, facula.ones(2), 0, 1).tolist() == [[0, 0], [1, 1], [0, 0]] and x.sum().item() == 0
    with pytest.raises(RuntimeError, match=r"src size = \[3\], slice size = \[2\]"):
        facula.select_scatter(x, facula.ones(3), 0, 1)


def test_wrong_types_are_named() -> None:
    with pytest.raises(TypeError, match=r"ravel\(\): argument 'input' \(position 1\) must be Tensor, not str"):
        facula.ravel("x")


def test_pieces_are_views_that_may_be_written() -> None:
    x = facula.ones(4, requires_grad=True)
    y = x * 1
    y.tensor_split(2)[0].mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 1.0, 1.0]


def test_ravel_of_a_strided_tensor_is_contiguous() -> None:
    assert facula.arange(6)[::2].ravel().stride() == (1,)
