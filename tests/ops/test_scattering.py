"""Writing through indices: order of duplicates, checks before kernels, gradients of reductions."""

from __future__ import annotations

import pytest

import facula
from facula import ops
from facula.testing import derived

test_declared = derived("facula.ops.scattering")

INDEX = [[0, 1, 2, 0], [2, 2, 1, 0]]


def test_scatter_add_sums_duplicates() -> None:
    got = facula.zeros(3, 4).scatter_add(0, facula.tensor(INDEX), facula.ones(2, 4))
    assert got.tolist() == [[1, 0, 0, 2], [0, 1, 1, 0], [1, 1, 1, 0]]


def test_in_place_writes_into_the_target() -> None:
    x = facula.zeros(3, 4)
    assert x.scatter_(0, facula.tensor(INDEX), 2.5) is x
    assert x.sum().item() == 7 * 2.5
    y = facula.zeros(4)
    y[1:].index_add_(0, facula.tensor([0, 2, 0]), facula.tensor([1.0, 2.0, 3.0]))
    assert y.tolist() == [0, 4, 0, 2]


@pytest.mark.parametrize("reduce, expected", [("sum", [4, 6]), ("prod", [6, 8]), ("mean", [2, 3]), ("amax", [3, 4]), ("amin", [1, 2])])
def test_reductions_without_self(reduce: str, expected: list[float]) -> None:
    x, src = facula.full((2,), 100.0), facula.tensor([1.0, 2.0, 3.0, 4.0])
    index = facula.tensor([0, 1, 0, 1])
    got = x.scatter_reduce(0, index, src if reduce != "prod" else facula.tensor([2.0, 2.0, 3.0, 4.0]), reduce, include_self=False)
    assert got.tolist() == expected


@pytest.mark.parametrize("call", [
    lambda x, i: x.scatter(0, i, 1.0), lambda x, i: x.scatter_add(0, i, facula.ones(1)), lambda x, i: x.index_add(0, i, facula.ones(1)),
    lambda x, i: x.index_copy(0, i, facula.ones(1)), lambda x, i: x.index_fill(0, i, 1.0), lambda x, i: x.take(i), lambda x, i: x.put_(i, facula.ones(1)),
    lambda x, i: x.index_reduce(0, i, facula.ones(1), "amax"), lambda x, i: x.gather(0, i), lambda x, i: x.index_select(0, i),
])  # fmt: skip
@pytest.mark.parametrize("index", [7, 1 << 62])
def test_indices_outside_are_refused(call: object, index: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        call(facula.zeros(3), facula.tensor([index]))  # type: ignore[operator]


def test_product_gradient_beside_a_single_zero() -> None:
    src = facula.tensor([0.0, 2.0, 3.0], requires_grad=True)
    facula.ones(1).scatter_reduce(0, facula.tensor([0, 0, 0]), src, "prod").sum().backward()
    assert src.grad.tolist() == [6, 0, 0]


def test_index_fill_gives_its_value_one_gradient_per_slice() -> None:
    value = facula.tensor(2.0, requires_grad=True)
    facula.zeros(3, 2).index_fill(0, facula.tensor([1, 1]), value).sum().backward()
    assert value.grad.item() == 2


def test_masked_scatter_takes_in_row_major_order() -> None:
    mask = facula.tensor([[True, False], [True, True]])
    assert facula.zeros(2, 2).masked_scatter(mask, facula.arange(4.0)).tolist() == [[0, 0], [1, 2]]
    with pytest.raises(RuntimeError, match="Number of elements of source < number of ones in mask"):
        facula.zeros(2, 2).masked_scatter(mask, facula.ones(2))


def test_source_may_share_memory() -> None:
    x = facula.arange(4.0)
    x.index_copy_(0, facula.tensor([3, 2, 1, 0]), x)
    assert x.tolist() == [3, 2, 1, 0]
    assert ops.put(x, facula.tensor([-1]), facula.tensor([9.0])).tolist() == [3, 2, 1, 9]


def test_indices_counted_from_the_end() -> None:
    x = facula.arange(6.0).view(2, 3)
    assert facula.take_along_dim(x, facula.tensor([[-1], [0]]), 1).tolist() == [[2.0], [3.0]]
    with pytest.raises(RuntimeError, match="index -1 is out of bounds for dimension 1 with size 3"):
        facula.take_along_dim(x, facula.tensor([[-4], [0]]), 1)


def test_index_add_outside_a_vector() -> None:
    """PyTorch's kernel for vectors raises another type than the one for slices."""
    with pytest.raises(IndexError, match="index out of range in self"):
        facula.ones(3).index_add_(0, facula.tensor([3]), facula.ones(1))
    with pytest.raises(IndexError, match="index out of range in self"):
        facula.ones(()).index_add_(0, facula.tensor(1), facula.ones(()))
    with pytest.raises(RuntimeError, match="index -1 is out of bounds for dimension 0 with size 3"):
        facula.ones(3, 2).index_add_(0, facula.tensor([-1]), facula.ones(1, 2))


def test_dims_without_elements() -> None:
    for call in (lambda x, i: x.index_copy_(0, i, facula.ones(1, 4)), lambda x, i: x.index_fill_(0, i, 1.0)):
        with pytest.raises(RuntimeError, match=r"setStorage: sizes \[1, 4\], strides \[0, 1\], storage offset 0"):
            call(facula.zeros(0, 4), facula.tensor([0]))


@pytest.mark.parametrize("reduce", ["sum", "mean", ""])
def test_scattered_values_may_change_before_backward(reduce: str) -> None:
    """The derivatives of sums and replacements read no values, so none are kept."""
    index = facula.tensor([[0, 1, 0]])
    x, src = facula.ones(2, 3, requires_grad=True), facula.ones(1, 3, requires_grad=True)
    own, given = x * 1, src * 1
    y = own.scatter_reduce(0, index, given, reduce) if reduce else own.scatter(0, index, given)
    with facula.no_grad():
        own.add_(1)
        given.add_(1)
    y.mul_(2).sum().backward()
    assert src.grad.sum().item() == {"sum": 6.0, "mean": 3.0, "": 6.0}[reduce]
