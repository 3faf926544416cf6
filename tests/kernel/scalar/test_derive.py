"""Derivatives: against central differences of the interpreter, and the conventions at kinks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from facula.base.dtypes import complex128, float32, float64
from facula.kernel import scalar as s
from facula.kernel.scalar import Scalar, derive, derive_saving, input, interpret, simplify, trace

ONE = {
    **{
        n: (0.2, 2.0)
        for n in [
            "exp",
            "exp2",
            "expm1",
            "log",
            "log2",
            "log10",
            "log1p",
            "sqrt",
            "rsqrt",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "sigmoid",
        ]
    },
    **{
        n: (-0.8, 0.8)
        for n in ["asin", "acos", "atan", "atanh", "erfinv", "erf", "erfc", "ndtr", "normal_pdf", "gelu", "log_sigmoid", "softplus"]
    },
    **{n: (1.2, 4.0) for n in ["acosh", "lgamma", "digamma", "i0", "i0e", "i1", "i1e", "abs", "relu"]},
}
TWO: dict[str, Callable[[Scalar, Scalar], Scalar]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "fma": lambda a, b: s.fma(a, b, a),
    **{n: getattr(s, n) for n in ["pow", "atan2", "hypot", "minimum", "maximum", "fmin", "fmax", "copysign", "fmod", "remainder"]},
}


def values(expr: Scalar, *arrays: np.ndarray) -> np.ndarray:
    return interpret([expr], arrays)[0]


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_against_differences(name: str) -> None:
    x = np.linspace(*ONE[name], 41)
    f = getattr(s, name)(input(0, float64))
    (d,) = derive([f], [s.const(1.0, float64)], [input(0, float64)])
    h = 1e-6
    want = (values(f, x + h) - values(f, x - h)) / (2 * h)
    np.testing.assert_allclose(np.broadcast_to(values(d, x), x.shape), want, rtol=2e-8, atol=1e-9)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_against_differences(name: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.5, 3, (2, 50))
    f = TWO[name](input(0, float64), input(1, float64))
    dx, dy = derive([f], [input(2, float64)], [input(0, float64), input(1, float64)])
    h, g = 1e-6, np.full_like(x, 1.5)
    for d, step in ((dx, (h, 0)), (dy, (0, h))):
        want = 1.5 * (values(f, x + step[0], y + step[1]) - values(f, x - step[0], y - step[1])) / (2 * h)
        np.testing.assert_allclose(np.broadcast_to(values(d, x, y, g), x.shape), want, rtol=1e-7, atol=1e-8)


def test_holomorphic_functions_use_the_conjugate() -> None:
    z, w = np.array([0.4 + 0.3j, -0.7 + 1.1j]), np.array([1.2 - 0.5j, 0.3 + 0.2j])
    a, b, g = (input(i, complex128) for i in range(3))
    for f, want in (
        (s.exp(a), np.conj(np.exp(z))),
        (a * b, np.conj(w)),
        (a / b, np.conj(1 / w)),
        (s.tanh(a), np.conj(1 - np.tanh(z) ** 2)),
        (s.conj(a), np.ones(2)),
    ):
        (d,) = derive([f], [g], [a])
        np.testing.assert_allclose(values(d, z, w, np.ones(2, complex)), want)
    (d,) = derive([abs(a)], [s.const(1.0, float64)], [a])
    np.testing.assert_allclose(values(d, np.array([3 + 4j, 0])), [0.6 + 0.8j, 0])


def at(body: Callable[..., Scalar], *points: float) -> list[float]:
    inputs = [input(i) for i in range(len(points))]
    gradients = derive([body(*inputs)], [s.const(1.0)], inputs)
    return [float(v) for v in interpret(gradients, [np.float32(p) for p in points])]


def test_conventions_at_kinks() -> None:
    assert at(abs, 0.0) == [0] and at(s.relu, 0.0) == [0] and at(s.sign, 1.0) == [0]
    assert at(s.maximum, 2.0, 2.0) == [0.5, 0.5] and at(s.minimum, 1.0, 2.0) == [1, 0]
    assert at(lambda x: s.clamp(x, -1.0, 1.0), 1.0) == [1] and at(lambda x: s.clamp(x, -1.0, 1.0), 1.5) == [0]
    assert at(s.pow, 0.0, 0.0) == [0, 0] and at(s.pow, 0.0, 2.0)[1] == 0


def test_the_branch_not_taken_never_shows() -> None:
    assert at(lambda x: s.where(x > 0, s.sqrt(x), 0.0), 0.0) == [0]
    assert at(lambda x: s.where(x > 0, s.log(x) * s.log(x), x * 2), -1.0) == [2]
    assert at(lambda x: s.where(x == 0, 1.0, s.sin(x) / x) * 3, 0.0) == [0]


@pytest.mark.parametrize(
    ("body", "saved"),
    [
        (s.tanh, (("grad", 0), ("output", 0))),
        (s.exp, (("grad", 0), ("output", 0))),
        (s.sigmoid, (("grad", 0), ("output", 0))),
        (s.relu, (("grad", 0), ("output", 0))),
        (s.sqrt, (("grad", 0), ("output", 0))),
        (s.sin, (("grad", 0), ("input", 0))),
        (lambda x: x * 2, (("grad", 0),)),
        (lambda x: x * s.sigmoid(x), (("grad", 0), ("input", 0))),
        (lambda x: -x + 1, (("grad", 0),)),
    ],
)
def test_what_is_saved(body: Callable[[Scalar], Scalar], saved: tuple[tuple[str, int], ...]) -> None:
    assert derive_saving(trace(body, [float32])).leaves == saved


def test_saving_two_inputs_and_one_without_gradient() -> None:
    both = derive_saving(trace(lambda x, y: x * y, [float32, float32]))
    assert both.leaves == (("grad", 0), ("input", 0), ("input", 1)) and both.exprs == (input(0) * input(2), input(0) * input(1))
    one = derive_saving(trace(lambda x, y: x * y, [float32, float32]), wrt=[0])
    assert one.inputs == (1,) and one.outputs == () and one.exprs[0] is input(0) * input(1)
    assert derive_saving(trace(lambda x: s.floor(x), [float32])).exprs == (None,)


def test_second_derivatives() -> None:
    x = input(0, float64)
    one = s.const(1.0, float64)
    f = 0.5 * x * (1 + s.erf(x * math.sqrt(0.5)))
    (d,) = derive([f], [one], [x])
    (dd,) = derive([d], [one], [x])
    p = np.linspace(-2, 2, 21)
    phi = np.exp(-p * p / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(values(dd, p), (2 - p * p) * phi, atol=1e-14)
    assert simplify([d])[0] is d
