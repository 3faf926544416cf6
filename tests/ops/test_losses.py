"""Losses: derived checks, and targets that do not fit."""

from __future__ import annotations

import math

import pytest

import facula
import facula.nn.functional as F
from facula.testing import derived

test_declared = derived("facula.ops.losses")


def test_a_wrong_target_is_named() -> None:
    with pytest.raises(IndexError, match=r"Target 3 is out of bounds\."):
        facula.nn.functional.cross_entropy(facula.zeros(2, 3), facula.tensor([0, 3]))


def test_class_weights_may_be_negative() -> None:
    loss = facula.nn.functional.cross_entropy(facula.zeros(2, 2), facula.tensor([0, 1]), weight=facula.tensor([2.0, -1.0]), reduction="sum")
    assert abs(loss.item() - math.log(2)) < 1e-6


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y: F.cross_entropy(x, y), "\"log_softmax_lastdim_kernel_impl\" not implemented for '{}'"),
        (lambda x, y: F.cross_entropy(x.unsqueeze(2), y.unsqueeze(1)), "\"log_softmax_kernel_impl\" not implemented for '{}'"),
        (lambda x, y: F.nll_loss(x, y), "\"nll_loss_out_frame\" not implemented for '{}'"),
        (lambda x, y: F.mse_loss(x, x), "\"mse_cpu\" not implemented for '{}'"),
        (lambda x, y: F.smooth_l1_loss(x, x), "\"smooth_l1_cpu\" not implemented for '{}'"),
        (lambda x, y: F.huber_loss(x, x), "\"huber_cpu\" not implemented for '{}'"),
        (lambda x, y: F.binary_cross_entropy_with_logits(x, x), "\"log_sigmoid_cpu\" not implemented for '{}'"),
    ],
)
@pytest.mark.parametrize(("kind", "name"), [(facula.int64, "Long"), (facula.bool, "Bool"), (facula.complex64, "ComplexFloat")])
def test_losses_take_floating_types(call: object, sentence: str, kind: object, name: str) -> None:
    """PyTorch's sentences; sums of whole numbers would wrap, and a class's logits as integers are a mistake."""
    with pytest.raises(NotImplementedError) as caught:
        call(facula.ones(2, 3).to(kind), facula.tensor([0, 1]))  # type: ignore[operator]
    assert str(caught.value) == sentence.format(name)
