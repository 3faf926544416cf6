"""Wrong calls of functions in plain Python, and out= of a wrong type: PyTorch's errors. The sentences were recorded from PyTorch 2.13."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import facula as torch
from facula import ops

X = torch.ones(2, 2)
I = torch.tensor([0, 1])


@pytest.mark.parametrize("bad", [None, "abc", [1, 2]], ids=str)
@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda bad: torch.ones(2).index_put_((I,), bad), "index_put_(): argument 'values'"),
        (lambda bad: torch.detach(bad), "detach()"),
        (lambda bad: torch.resize_as_(X.clone(), bad), "resize_as_(): argument 'the_template'"),
        (lambda bad: torch.ones(2).type_as(bad), "type_as(): argument 'other'"),
        (lambda bad: torch.ones(2).map_(bad, lambda a, b: a), "map_(): argument"),
        (lambda bad: torch.ones(2).normal_(bad), "normal_(): argument 'mean'"),
        (lambda bad: torch.dropout_(bad, 0.5, True), "dropout_(): argument"),
        (lambda bad: torch.tensor_split(bad, 2), "tensor_split(): argument 'input'"),
        (lambda bad: torch.nn.functional.mse_loss(bad, X), "mse_loss(): argument 'input'"),
        (lambda bad: torch.nn.functional.softmax(bad, 0), "softmax(): argument 'input'"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_plain_functions_refuse_by_name(call: object, names: str, bad: object) -> None:
    with pytest.raises(TypeError) as caught:
        call(bad)  # type: ignore[operator]
    assert str(caught.value).startswith(names)


def test_errors_of_the_users_own_code_pass() -> None:
    def wrong(a: object, b: object) -> object:
        return None.size  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'size'"):
        torch.ones(2).map_(torch.ones(2), wrong)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: torch.hsplit(X, "abc"), "hsplit() received an invalid combination of arguments - got (Tensor, str), but expected one of:"),
        (lambda: X.vsplit(1.5), "vsplit() received an invalid combination of arguments"),
        (
            lambda: torch.tensor_split(X, [1, "a"]),
            "tensor_split(): argument 'indices' failed to unpack the object at pos 2 with error \"type must be tuple of ints,but got str\"",
        ),
        (lambda: torch.split(X, None), "split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not NoneType"),
        (lambda: torch.zeros(2, requires_grad=1), "zeros(): argument 'requires_grad' must be bool, not int"),
        (lambda: X.new_zeros((2,), requires_grad=1), "new_zeros(): argument 'requires_grad' must be bool, not int"),
        (lambda: torch.tensor([1.0], requires_grad="yes"), "tensor(): argument 'requires_grad' must be bool, not str"),
        (
            lambda: torch.randn(2, requires_grad=1),
            "randn() received an invalid combination of arguments - got (int, requires_grad=int), but expected one of:",
        ),
        (lambda: torch.ones(2).requires_grad_(1), "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not int"),
    ],
)
def test_sentences(call: object, sentence: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()  # type: ignore[operator]
    assert str(caught.value).split("\n")[0].startswith(sentence)


def zeros(dtype: object, *shape: int) -> object:
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("call", "out", "sentence"),
    [
        (
            lambda out: torch.gather(X, 1, torch.tensor([[0], [1]]), out=out),
            torch.float64,
            "Expected out tensor to have dtype float, but got double instead",
        ),
        (lambda out: torch.mv(X, X[0], out=out), torch.bool, "Expected out tensor to have dtype float, but got bool instead"),
        (lambda out: torch.argmax(X, out=out), torch.int32, "Expected out tensor to have dtype long int, but got int instead"),
        (
            lambda out: torch.softmax(X, 0, out=out),
            torch.complex64,
            "Expected out tensor to have dtype float, but got c10::complex<float> instead",
        ),
        (lambda out: torch.neg(X, out=out), torch.float64, "Found dtype Double but expected Float"),
        (lambda out: torch.logcumsumexp(X, 0, out=out), torch.int64, "expected scalar_type Float but found Long"),
        (
            lambda out: torch.amax(X, 0, out=out),
            torch.int32,
            "Expected the dtype for input and out to match, but got Float for input's dtype and Int for out's dtype.",
        ),
        (lambda out: torch.dot(X[0], X[0], out=out), torch.float64, "result dtype Double does not match input dtype Float"),
        (lambda out: torch.all(X, out=out), torch.int64, "all only supports bool tensor for result, got: Long"),
        (lambda out: torch.var(X, out=out), torch.int64, "result type Float can't be cast to the desired output type Long"),
        (lambda out: torch.zeros(2, dtype=torch.int32, out=out), torch.float32, "dtype Int does not match dtype of out parameter (Float)"),
        (lambda out: torch.kthvalue(X, 1, out=(out, zeros(torch.int64))), torch.float64, "output values must be of same type as input"),
    ],
)
def test_out_of_another_type(call: object, out: object, sentence: str) -> None:
    target = zeros(out)
    with pytest.raises(RuntimeError) as caught:
        call(target)  # type: ignore[operator]
    assert str(caught.value) == sentence
    assert target.shape == ()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["var", "outer", "cat", "logsumexp", "special.zeta", "square", "silu"])
def test_out_of_a_wider_type(name: str) -> None:
    calls = {
        "var": lambda out: torch.var(X, out=out),
        "outer": lambda out: torch.outer(X[0], X[0], out=out),
        "cat": lambda out: torch.cat([X], out=out),
        "logsumexp": lambda out: torch.logsumexp(X, 0, out=out),
        "square": lambda out: torch.square(X, out=out),
        "silu": lambda out: ops.silu(X, out=out),
        "special.zeta": lambda out: torch.special.zeta(X + 1, X, out=out),
    }
    out = zeros(torch.float64, 0)
    assert calls[name](out) is out
    assert out.numel()  # type: ignore[attr-defined]


def test_out_is_resized_and_named() -> None:
    values, places = torch.zeros(0), zeros(torch.int64, 0)
    got = torch.sort(torch.tensor([3.0, 1.0, 2.0]), out=(values, places))
    assert got.values is values and got.indices is places
    assert values.tolist() == [1, 2, 3] and places.tolist() == [1, 2, 0]
    out = torch.zeros(5)
    assert torch.empty((2, 3), out=out) is out and out.shape == (2, 3)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer to a single memory location"):
        torch.kthvalue(values, 2, out=(values, places))
    with pytest.raises(RuntimeError, match=r"functions with out=\.\.\. arguments don't support automatic differentiation"):
        torch.softmax(torch.ones(3, requires_grad=True), 0, out=torch.zeros(3))


def test_signatures_show_out() -> None:
    for function in (torch.sort, torch.softmax, torch.einsum, torch.transpose_copy):
        assert "out" in inspect.signature(function).parameters or function is torch.einsum


def test_the_room_of_operators_lists_operators_only() -> None:
    names = dir(ops)
    assert "relu" in names and "add_" in names
    assert not {"operator", "importlib", "publish", "FAMILIES", "activation"} & set(names)
    assert not [name for name in names if inspect.ismodule(getattr(ops, name))]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: torch.topk(X, True), "topk(): argument 'k' (position 2) must be int, not bool"),
        (lambda: torch.median(X, 0, 1), "median(): argument 'keepdim' (position 3) must be bool, not int"),
        (lambda: torch.triu(X, 1.5), "triu(): argument 'diagonal' (position 2) must be int, not float"),
        (lambda: torch.chunk(X), 'chunk() missing 1 required positional arguments: "chunks"'),
        (lambda: torch.stack(X), "stack(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"),
        (
            lambda: torch.sort(X, 0, 1),
            "sort() received an invalid combination of arguments - got (Tensor, int, int), but expected one of:",
        ),
    ],
)
def test_types_of_simple_arguments(call: object, sentence: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()  # type: ignore[operator]
    assert str(caught.value).split("\n")[0] == sentence


def test_numbers_of_other_libraries_pass() -> None:
    assert torch.topk(torch.tensor([1.0, 3.0]), np.int64(1)).values.tolist() == [3.0]
    assert torch.triu(X, torch.tensor(1)).tolist() == [[0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize("out", [(zeros(torch.float32, 2, 2),), [zeros(torch.float32, 2, 2)]])
def test_out_of_one_result_is_no_sequence(out: object) -> None:
    for _ in range(2):
        for call in (lambda: torch.add(X, 1, out=out), lambda: torch.mm(X, X, out=out), lambda: torch.square(X, out=out)):
            with pytest.raises(TypeError, match=f"argument 'out' must be Tensor, not {type(out).__name__}"):
                call()
