"""Connectionist temporal classification: derived checks, and a sum over all paths."""

from __future__ import annotations

import itertools
import math

import pytest

import facula
import facula.kernel.ctc as kernels
from facula.testing import assert_close, derived

test_declared = derived("facula.ops.ctc")


def by_paths(probs: list[list[float]], label: list[int]) -> float:
    """-log of the summed probability of every path that reads as the label, by trying them all."""
    total = 0.0
    for path in itertools.product(range(len(probs[0])), repeat=len(probs)):
        if [k for k, _ in itertools.groupby(path) if k] == label:
            total += math.prod(p[k] for p, k in zip(probs, path))
    return -math.log(total)


def test_loss_is_the_sum_over_all_paths() -> None:
    x = facula.randn(5, 2, 3, dtype=facula.float64).log_softmax(2)
    loss = facula.nn.functional.ctc_loss(x, facula.tensor([[1, 2], [1, 1]]), [5, 4], [2, 2], reduction="none")
    probs = x.exp()
    for i, (label, time) in enumerate((([1, 2], 5), ([1, 1], 4))):
        assert abs(loss[i].item() - by_paths(probs[:time, i].tolist(), label)) < 1e-10


def test_an_impossible_label_costs_infinity_or_nothing() -> None:
    x = facula.randn(2, 1, 3).log_softmax(2)
    arguments = (facula.tensor([[1, 1]]), [2], [2])
    assert facula.nn.functional.ctc_loss(x, *arguments).item() == math.inf
    assert facula.nn.functional.ctc_loss(x, *arguments, zero_infinity=True).item() == 0.0


def test_gradients_are_pytorch_s() -> None:
    """Of the log-softmax's input, recorded with PyTorch 2.13: an empty target, a repeated label, a shorter time, padding of any value."""
    x = (facula.arange(24, dtype=facula.float64) * 0.7).sin().reshape(4, 3, 2).requires_grad_()
    loss = facula.nn.functional.ctc_loss(
        x.log_softmax(2), facula.tensor([[1, 1], [-7, 9], [1, 50]]), (4, 2, 3), (2, 0, 1), reduction="none"
    )
    (loss * facula.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None
    close = {"rtol": 0.0, "atol": 1e-7, "check_dtype": False}
    assert_close(loss, facula.tensor([0.76518443, 1.70268832, 0.21897607]), **close)
    assert_close(
        x.grad[..., 1],
        facula.tensor(
            [
                [-0.20014602, 0.93895581, 0.06209305],
                [0.05363259, 1.31315557, -0.42745782],
                [0.0946308, 0.0, -0.12467915],
                [-0.25110549, 0.0, 0.0],
            ]
        ),
        **close,
    )


def test_gradient_of_an_impossible_label() -> None:
    for zero_infinity in (False, True):
        x = facula.zeros(3, 2, 3).log_softmax(2).requires_grad_()
        arguments = (facula.tensor([[1, 1], [1, 2]]), [2, 3], [2, 2])
        facula.nn.functional.ctc_loss(x, *arguments, reduction="sum", zero_infinity=zero_infinity).backward()
        assert x.grad is not None
        assert bool(x.grad[:2, 0].isnan().all()) is not zero_infinity
        assert not bool(x.grad[2, 0].any()) and bool(x.grad[:, 1].isfinite().all())


def test_long_sequences_in_single_precision_agree_with_double() -> None:
    x = facula.randn(700, 3, 40, dtype=facula.float64).mul_(3)
    targets, grads = facula.randint(1, 40, (3, 80)), []
    for kind in (facula.float64, facula.float32):
        leaf = x.to(kind).clone().requires_grad_()
        facula.nn.functional.ctc_loss(leaf.log_softmax(2), targets, (700, 650, 300), (80, 60, 79)).backward()
        assert leaf.grad is not None
        grads.append(leaf.grad.double())
    assert_close(grads[1], grads[0], rtol=1e-3, atol=1e-6)


def test_threads_change_no_bit() -> None:
    x, targets, threads = facula.randn(20, 9, 12).log_softmax(2), facula.randint(1, 12, (9, 5)), facula.get_num_threads()
    run = lambda: facula.nn.functional.ctc_loss(x, targets, [20] * 9, [5] * 9, reduction="none")  # noqa: E731
    want = run()
    try:
        facula.set_num_threads(3)
        assert facula.equal(run(), want)
    finally:
        facula.set_num_threads(threads)


def test_times_in_several_launches_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    x, targets, got = facula.randn(23, 3, 6), facula.randint(1, 6, (3, 4)), []
    for extra in (0, 1):  # another number of times is a plan that is not there yet
        leaf = facula.cat([x, x[:extra]]).requires_grad_()
        loss = facula.nn.functional.ctc_loss(leaf.log_softmax(2), targets, (23, 9, 0), (4, 3, 0), reduction="none")
        loss.sum().backward()
        assert leaf.grad is not None
        got.append((loss, leaf.grad[:23]))
        monkeypatch.setattr(kernels, "LONG", 100)
    assert all(facula.equal(a, b) for a, b in zip(*got, strict=True))


def test_one_sequence_and_targets_one_after_the_other() -> None:
    x = facula.randn(6, 2, 4).log_softmax(2)
    rows = facula.nn.functional.ctc_loss(x, facula.tensor([[1, 2], [3, 0]]), (6, 5), (2, 1), reduction="none")
    flat = facula.nn.functional.ctc_loss(x, facula.tensor([1, 2, 3]), facula.tensor([6, 5]), facula.tensor([2, 1]), reduction="none")
    alone = facula.nn.functional.ctc_loss(x[:, 0], facula.tensor([1, 2]), facula.tensor(6), facula.tensor(2), reduction="none")
    assert facula.equal(rows, flat) and facula.equal(alone, rows[0])
