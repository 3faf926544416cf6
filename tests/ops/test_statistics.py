"""What follows from the blocks of facula/ops/statistics.py."""

from __future__ import annotations

import math

import pytest

import facula
from facula.autograd import gradcheck
from facula.testing import assert_close, derived

test_declared = derived("facula.ops.statistics")


def test_spread_of_large_numbers() -> None:
    """The squares overflow float32, the standard deviation does not."""
    x = facula.tensor([1e30, -1e30, 1.0])
    assert x.std().item() == pytest.approx(1e30)
    assert x.var().item() == math.inf


def test_logsumexp_of_complex_numbers() -> None:
    x = facula.tensor([[1 + 2j, 100 - 1j, 99.5 + 0.5j], [0.5j, -3, -1 + 1j]], dtype=facula.complex128, requires_grad=True)
    want = (x.detach() - x.detach().real.amax(1, True)).exp().sum(1).log() + x.detach().real.amax(1)
    assert_close(facula.logsumexp(x, 1), want)
    assert gradcheck(lambda t: facula.logsumexp(t, 1), [x])
    assert gradcheck(lambda t: facula.logcumsumexp(t, 1), [x])
    assert_close(facula.logcumsumexp(x, 1)[:, -1], want)
