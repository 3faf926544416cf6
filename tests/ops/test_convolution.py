"""Convolution: derived checks; integers and complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula
from facula.base.settings import SETTINGS
from facula.core import objects
from facula.core.function import Function
from facula.testing import assert_close, derived

test_declared = derived("facula.ops.convolution")

F = facula.nn.functional


def test_integers_agree_with_doubles() -> None:
    x, w = facula.randint(-9, 9, (2, 4, 6, 5)), facula.randint(-9, 9, (6, 2, 3, 2))
    want = F.conv2d(x.double(), w.double(), stride=2, padding=1, dilation=2, groups=2)
    assert facula.equal(F.conv2d(x, w, stride=2, padding=1, dilation=2, groups=2), want.long())
    x, w = facula.randint(-9, 9, (2, 4, 3, 5)), facula.randint(-9, 9, (4, 3, 3, 2))
    want = F.conv_transpose2d(x.double(), w.double(), stride=2, padding=1, output_padding=1, groups=2)
    assert facula.equal(F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2), want.long())


def test_complex_parts_combine() -> None:
    x, w = facula.randn(1, 2, 5, dtype=facula.complex64), facula.randn(3, 2, 3, dtype=facula.complex64)
    want = F.conv1d(x.real, w.real) - F.conv1d(x.imag, w.imag)
    assert facula.allclose(F.conv1d(x, w).real, want, atol=1e-5)


@pytest.mark.skipif(not objects.NATIVE or SETTINGS.check_bounds, reason="every call then goes through Python")
@pytest.mark.parametrize("n", [1, 2, 3])
def test_gradients_are_served_by_the_plan_table(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A geometry of three dims is not too long for a key."""
    x, w = facula.randn(2, 3, *(5,) * n, requires_grad=True), facula.randn(4, 3, *(3,) * n, requires_grad=True)
    y = getattr(F, f"conv{n}d")(x, w, stride=2, padding=1)
    g, missed = facula.randn(*y.shape), list[str]()
    for _ in range(3):
        want = facula.autograd.grad(y, (x, w), g, retain_graph=True)
    bound = Function._bound
    monkeypatch.setattr(Function, "_bound", lambda self, *given: (missed.append(self.name), bound(self, *given))[1])
    got = facula.autograd.grad(y, (x, w), g, retain_graph=True)
    assert not missed and all(facula.equal(a, b) for a, b in zip(got, want))


def test_absurd_strides_are_refused_at_once() -> None:
    x, w = facula.ones(1, 4), facula.ones(1, 2, 3)
    with pytest.raises(RuntimeError, match="stride is too large"):
        facula.nn.functional.conv_transpose1d(x, w, stride=2**40)
    x = facula.ones(1, 1, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="stride is too large"):
        facula.nn.functional.conv1d(x, facula.ones(1, 1, 3), stride=2**40).sum().backward()


def test_channels_of_a_million_samples_by_themselves() -> None:
    n = (1 << 20) + 5
    x = (facula.arange(3 * n) % 5).to(facula.float32).reshape(1, 3, n).requires_grad_()
    y = F.conv1d(x, facula.ones(3, 1, 5), groups=3)  # any five neighbours of a channel are 0 to 4
    y.sum().backward()
    assert y.unique().tolist() == [10] and x.grad[0, 1, 4:-4].unique().tolist() == [5] and x.grad[0, 2, :4].tolist() == [1, 2, 3, 4]


def test_windows_of_more_taps_than_one_convolution_takes() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(5000), rng.standard_normal(2100)
    got = F.conv1d(facula.from_numpy(x).view(1, 1, -1), facula.from_numpy(w).view(1, 1, -1), facula.tensor([2.0], dtype=facula.float64))
    np.testing.assert_allclose(got.view(-1).numpy(), np.correlate(x, w) + 2, rtol=1e-9)


@pytest.mark.parametrize(
    ("shape", "weight", "geometry"),
    [
        ((2, 4, 5000), (6, 2, 1300), {"stride": 2, "padding": 7, "dilation": 3, "groups": 2}),
        ((1, 1, 3, 1500), (2, 1, 2, 1200), {"padding": (1, 2)}),
        ((1, 2, 1500, 3), (1, 2, 1100, 2), {"stride": (2, 1)}),
    ],
)
def test_transposed_convolutions_of_long_windows_are_adjoint(shape: tuple[int, ...], weight: tuple[int, ...], geometry: Any) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, which is also the gradient."""
    rng = np.random.default_rng(0)
    x, w = facula.from_numpy(rng.standard_normal(shape)).requires_grad_(), facula.from_numpy(rng.standard_normal(weight))
    forward, back = (F.conv1d, F.conv_transpose1d) if len(shape) == 3 else (F.conv2d, F.conv_transpose2d)
    z = forward(x, w, **geometry)
    y = facula.from_numpy(rng.standard_normal(tuple(z.shape)))
    z.backward(y)
    missing = tuple(a - b for a, b in zip(shape[2:], back(y, w, **geometry).shape[2:]))
    assert_close(back(y, w, output_padding=missing, **geometry), x.grad, rtol=1e-9, atol=1e-9)
