"""Activations: derived checks, then what only a person knows."""

from __future__ import annotations

import math

import pytest

import facula
import facula.nn.functional as F
from facula.testing import derived

test_declared = derived("facula.ops.activation")


def test_tails_neither_overflow_nor_turn_into_nan() -> None:
    x = facula.tensor([-1e4, -100.0, 100.0, 1e4])
    for name in ("gelu", "silu", "mish", "softplus", "logsigmoid", "elu", "selu", "hardswish"):
        y = getattr(F, name)(x)
        assert y.isfinite().all(), name
    assert F.mish(x)[3].item() == 1e4 and F.logsigmoid(x)[0].item() == -1e4


def test_gelu_is_x_times_the_normal_distribution() -> None:
    for x in (-3.0, -0.5, 0.0, 1.0, 2.5):
        want = x * 0.5 * math.erfc(-x / math.sqrt(2))
        assert abs(F.gelu(facula.tensor(x, dtype=facula.float64)).item() - want) < 1e-15


def test_relu_is_flat_at_zero_and_lets_nan_pass() -> None:
    x = facula.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    F.relu(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.0] and F.relu(facula.tensor(float("nan"))).isnan()


def test_prelu_names_the_channels() -> None:
    with pytest.raises(RuntimeError, match="Found parameter numbers = 3 and channel size = 4"):
        F.prelu(facula.ones(2, 4), facula.ones(3))


def test_in_place_activation_gives_the_same_gradient() -> None:
    x = (facula.arange(9.0) / 2 - 2).requires_grad_()
    F.elu(x * 1, inplace=True).sum().backward()
    first, x.grad = x.grad, None
    F.elu(x).sum().backward()
    assert facula.equal(first, x.grad)
