"""Options that cannot be honoured are refused; PyTorch's deprecated ones act and warn as PyTorch's do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import facula
import facula.nn.functional as F

MAKERS: dict[str, Callable[..., Any]] = {
    "empty": lambda **k: facula.empty(2, **k),
    "zeros": lambda **k: facula.zeros(2, **k),
    "full": lambda **k: facula.full((2,), 1.0, **k),
    "arange": lambda **k: facula.arange(3, **k),
    "linspace": lambda **k: facula.linspace(0, 1, 2, **k),
    "eye": lambda **k: facula.eye(2, **k),
    "rand": lambda **k: facula.rand(2, **k),
    "randint": lambda **k: facula.randint(3, (2,), **k),
    "randperm": lambda **k: facula.randperm(3, **k),
    "normal": lambda **k: facula.normal(0.0, 1.0, (2,), **k),
    "ones_like": lambda **k: facula.ones_like(facula.ones(2), **k),
    "new_zeros": lambda **k: facula.ones(2).new_zeros(2, **k),
    "empty_strided": lambda **k: facula.empty_strided((2,), (1,), **k),
    "tril_indices": lambda **k: facula.tril_indices(2, 2, **k),
    "scalar_tensor": lambda **k: facula.scalar_tensor(1.0, **k),
}


@pytest.mark.parametrize("name", MAKERS)
def test_memory_of_another_kind(name: str) -> None:
    MAKERS[name](layout=facula.strided, pin_memory=False)
    with pytest.raises(RuntimeError, match="no pinned memory allocator is available"):
        MAKERS[name](pin_memory=True)
    with pytest.raises(NotImplementedError, match="there are no tensors of layout"):
        MAKERS[name](layout=facula.sparse_coo)


def test_randperm_with_a_gradient() -> None:
    assert facula.randperm(3, dtype=facula.float32, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="floating point"):
        facula.randperm(3, requires_grad=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda w, i: F.embedding(i, w, sparse=True),
        lambda w, i: F.embedding_bag(i[None], w, sparse=True),
        lambda w, i: w.gather(0, i[:, None], sparse_grad=True),
    ],
)
def test_sparse_gradients(call: Callable[..., Any]) -> None:
    w, i = facula.ones(3, 2), facula.tensor([0, 1])
    call(w, i)
    with pytest.raises(NotImplementedError, match="asks for a sparse gradient"):
        call(w.requires_grad_(), i)
    with facula.no_grad():
        call(w, i)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: facula.ones(1).type(facula.float64, foo=1), TypeError, r"type\(\) got an unexpected keyword argument 'foo'"),
        (lambda: facula.FloatTensor(2, device="meta"), RuntimeError, "legacy constructor expects device type: cpu but device type: meta"),
        (lambda: facula.ones(2).new([2.0], device="meta"), RuntimeError, "legacy constructor expects device type: cpu"),
        (lambda: facula.cdist(facula.ones(2, 2), facula.ones(2, 2), compute_mode="quick"), ValueError, "quick is not a valid value"),
        (
            lambda: facula.testing.assert_close(facula.nn.Parameter(facula.ones(1)), facula.ones(1), allow_subclasses=False),
            TypeError,
            "No comparison pair was able to handle inputs of type",
        ),
        (lambda: facula.testing.assert_close(facula.ones(1), facula.ones(1, device="meta")), AssertionError, "'device' do not match"),
    ],
)
def test_refusals(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_cdist_by_name() -> None:
    a, b = facula.tensor([[0.0, 3.0]]), facula.tensor([[4.0, 0.0]])
    for mode in ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):
        assert facula.cdist(a, b, compute_mode=mode).tolist() == [[5.0]]


def test_deprecated_options_of_backward() -> None:
    x = facula.ones(3, requires_grad=True)
    with pytest.warns(FutureWarning, match="`grad_variables` is deprecated"):
        facula.autograd.backward((x * 2).sum(), grad_variables=facula.tensor(3.0))
    assert x.grad.tolist() == [6.0] * 3
    with pytest.warns(FutureWarning), pytest.raises(RuntimeError, match="both passed to `backward"):
        facula.autograd.backward((x * 2).sum(), facula.tensor(3.0), grad_variables=facula.tensor(3.0))
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated"):
        facula.autograd.grad((x * 2).sum(), x, only_inputs=False)
