"""Convolution: derived checks; integers and complex numbers."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

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
