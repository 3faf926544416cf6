"""Tensors that take another shape or storage."""

from __future__ import annotations

import numpy as np
import pytest

import facula


def test_resize_keeps_the_values() -> None:
    x = facula.arange(4.0)
    assert x.resize_(2, 3) is x and x.shape == (2, 3)
    assert x.view(-1)[:4].tolist() == [0, 1, 2, 3]
    assert x.resize_(2).tolist() == [0, 1]


def test_memory_of_others_does_not_grow() -> None:
    with pytest.raises(RuntimeError, match="Trying to resize storage that is not resizable"):
        facula.from_numpy(np.zeros(3)).resize_(4)
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        facula.zeros(3, requires_grad=True).resize_(4)


def test_strides_outside_the_storage_are_refused() -> None:
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 12"):
        facula.zeros(3).as_strided_((4,), (1,))
    with pytest.raises(RuntimeError, match="Trying to resize storage that is not resizable"):
        facula.empty(0).set_(facula.from_numpy(np.zeros(3)).untyped_storage(), 1, (9,), (1,))


def test_set_shares_the_storage() -> None:
    x, y = facula.zeros(3), facula.empty(0)
    y.set_(x.untyped_storage(), 1, (2,), (1,))
    y.fill_(5)
    assert x.tolist() == [0, 5, 5]


def test_views_in_place_keep_the_history() -> None:
    x = facula.ones(2, 3, requires_grad=True)
    y = (x * 2).t_().unsqueeze_(0)
    (y * facula.arange(6.0).view(1, 3, 2)).sum().backward()
    assert y.shape == (1, 3, 2) and x.grad.tolist() == [[0, 4, 8], [2, 6, 10]]


def test_types_by_name() -> None:
    assert facula.ones(1).type() == "torch.FloatTensor"
    assert facula.ones(1).type("torch.LongTensor").dtype is facula.int64
    with pytest.raises(ValueError, match="invalid type: 'torch.foo'"):  # noqa: RUF043
        facula.ones(1).type("torch.foo")


def test_a_storage_grows_for_the_tensor_set_on_it() -> None:
    storage = facula.ones(2).untyped_storage()
    x = facula.zeros(4).set_(storage, 0, (5,), (1,))
    assert storage.nbytes() == 20 and x.shape == (5,) and x[:2].tolist() == [1, 1]
    assert x.data_ptr() == storage.data_ptr()
