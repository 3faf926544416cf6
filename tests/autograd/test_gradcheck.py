"""gradcheck finds what is wrong, and honours every option."""

from __future__ import annotations

from typing import Any

import pytest

import facula
from facula.autograd import Function, gradcheck, gradgradcheck
from facula.autograd.gradcheck import GradcheckError


def made(*shape: int, dtype: Any = facula.float64) -> Any:
    return (facula.arange(1, 1 + facula.ones(shape).numel(), dtype=facula.float64).view(shape).to(dtype) / 4).requires_grad_()


def wrong(pull: Any) -> Any:
    """The square, with the gradient `pull(g, x)`."""

    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return pull(g, *ctx.saved_tensors)

    return Square.apply


def right(g: Any, x: Any) -> Any:
    return 2 * g * x


FAST = pytest.mark.parametrize("fast", [False, True])


@FAST
@pytest.mark.parametrize("dtype", [facula.float64, facula.complex128])
def test_true_gradients_pass(fast: bool, dtype: Any) -> None:
    x, y = made(2, 3, dtype=dtype), made(3, dtype=dtype)
    assert gradcheck(lambda a, b: (a * b.conj(), (a @ b).sin()), (x, y), fast_mode=fast, check_batched_grad=True, check_grad_dtypes=True)
    assert gradgradcheck(lambda a, b: (a * b).exp(), (x, y), fast_mode=fast, gen_non_contig_grad_outputs=True, check_batched_grad=True)


@FAST
@pytest.mark.parametrize(
    ("pull", "sentence"),
    [
        (lambda g, x: 3 * g * x, "Jacobian mismatch for output 0 with respect to input 0"),
        (lambda g, x: 2 * g * x * (1 + 1e-4 * facula.rand_like(x)), "Backward is not reentrant"),
        (lambda g, x: 2 * g * x + (g == 0).all() * x, "backward not multiplied by grad_output"),
    ],
)
def test_wrong_gradients_are_found(fast: bool, pull: Any, sentence: str) -> None:
    with pytest.raises(GradcheckError, match=sentence):
        gradcheck(wrong(pull), made(3), fast_mode=fast)
    assert not gradcheck(wrong(pull), made(3), fast_mode=fast, raise_exception=False)


def test_a_tolerance_for_nondeterminism() -> None:
    assert gradcheck(wrong(lambda g, x: 2 * g * x * (1 + 1e-5 * facula.rand_like(x))), made(3), nondet_tol=1e-3)


def test_missing_cotangents() -> None:
    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            if g is None and h is not None and (h == 0).all():
                return facula.ones_like(h)
            return (0 if g is None else 2 * g) + (0 if h is None else 3 * h)

    with pytest.raises(GradcheckError, match="undefined or zero"):
        gradcheck(Two.apply, made(3))
    assert gradcheck(Two.apply, made(3), check_undefined_grad=False)


def test_functions_without_a_gradient() -> None:
    assert gradcheck(lambda x: x.detach() * 0, made(3))
    with pytest.raises(GradcheckError, match="Numerical gradient for function expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, made(3))


@pytest.mark.parametrize(
    ("inputs", "options", "error", "sentence"),
    [
        (facula.ones(2), {}, ValueError, "at least one input tensor to require gradient, but none of them"),
        (made(1).detach().expand(3).requires_grad_(), {}, RuntimeError, "0th input has a dimension with stride 0"),
        (made(2), {"check_forward_ad": True}, NotImplementedError, "check_forward_ad=True needs forward-mode differentiation"),
        (made(2), {"check_backward_ad": False}, AssertionError, "at least one of check_forward_ad or check_backward_ad"),
        (made(2), {"check_batched_forward_grad": True}, AssertionError, "requires check_forward_ad to be True"),
    ],
)
def test_refusals(inputs: Any, options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        gradcheck(lambda x: x * 2, inputs, **options)


def test_refusals_of_the_second_order() -> None:
    with pytest.raises(NotImplementedError, match="check_fwd_over_rev=True needs forward-mode differentiation"):
        gradgradcheck(lambda x: x * x, made(2), check_fwd_over_rev=True)
    with pytest.raises(AssertionError, match="at least one of check_fwd_over_rev or check_rev_over_rev"):
        gradgradcheck(lambda x: x * x, made(2), check_rev_over_rev=False)


def test_single_precision_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        gradcheck(lambda x: x * 2, made(2, dtype=facula.float32), eps=1e-2, atol=1e-2)
