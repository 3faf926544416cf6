"""Bags of rows and one-hot codes."""

from __future__ import annotations

import pytest

import facula
from facula import ops
from facula.testing import derived

test_declared = derived("facula.ops.embedding")


def test_bags() -> None:
    weight = facula.arange(6.0).view(3, 2)
    indices, offsets = facula.tensor([0, 2, 2, 1]), facula.tensor([0, 1, 1])
    assert ops.embedding_bag(weight, indices, offsets, False, 0)[0].tolist() == [[0, 1], [0, 0], [10, 13]]
    assert ops.embedding_bag(weight, indices, offsets, False, 1)[0][2].tolist() == pytest.approx([10 / 3, 13 / 3])
    out, owner, sizes, which = ops.embedding_bag(weight, indices, offsets, False, 2)
    assert out.tolist() == [[0, 1], [0, 0], [4, 5]]
    assert owner.tolist() == [0, 2, 2, 2] and sizes.tolist() == [1, 0, 3] and which[2].tolist() == [2, 2]


def test_padding_counts_for_nothing() -> None:
    weight = facula.ones(3, 2, requires_grad=True)
    out = ops.embedding_bag(weight, facula.tensor([0, 2, 2]), facula.tensor([0]), False, 1, False, None, False, 2)[0]
    out.sum().backward()
    assert out.tolist() == [[1, 1]] and weight.grad.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_a_bad_index_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"Index 1 of input takes value 5 which is not in the valid range \[0, 3\)"):
        ops.embedding_bag(facula.ones(3, 2), facula.tensor([0, 5]), facula.tensor([0]))
    with pytest.raises(RuntimeError, match="offsets"):
        ops.embedding_bag(facula.ones(3, 2), facula.tensor([0, 1]), facula.tensor([0, 9, 1]))


def test_renorm_writes_long_rows_only() -> None:
    weight = facula.tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]])
    ops.embedding_renorm_(weight, facula.tensor([0, 1]), 1.0, 2.0)
    assert weight[0].norm().item() == pytest.approx(1, abs=1e-5)
    assert weight[1:].tolist() == facula.tensor([[0.3, 0.4], [30.0, 40.0]]).tolist()


def test_one_hot() -> None:
    assert ops.one_hot(facula.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(RuntimeError, match="Class values must be smaller than num_classes."):  # noqa: RUF043
        ops.one_hot(facula.tensor([3]), 2)


def test_maximum_of_a_bag_ignores_later_nan_as_pytorch_does() -> None:
    nan = float("nan")
    weight = facula.tensor([[1.0, nan], [2.0, 0.0], [nan, 5.0]], requires_grad=True)
    out = facula.nn.functional.embedding_bag(facula.tensor([0, 1, 2, 2, 1]), weight, facula.tensor([0, 3, 3]), mode="max")
    assert str(out.tolist()) == "[[2.0, nan], [0.0, 0.0], [nan, 5.0]]"
    out.nan_to_num(0.0).sum().backward()
    assert weight.grad.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
