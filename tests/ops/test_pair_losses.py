from __future__ import annotations

import pytest

import facula
import facula.nn.functional as F
from facula.testing import derived

test_declared = derived("facula.ops.pair_losses")

A, B, Y = facula.tensor([[1.0, 2.0], [3.0, -1.0]]), facula.tensor([[0.5, -1.0], [3.0, 1.0]]), facula.tensor([1.0, -1.0])


def test_the_numbers_of_reductions() -> None:
    """0 none, 1 mean, 2 sum, at torch.NAME; words at torch.nn.functional.NAME."""
    for code, word in enumerate(("none", "mean", "sum")):
        for short, long in (
            (facula.hinge_embedding_loss(A, B, 1.5, code), F.hinge_embedding_loss(A, B, 1.5, reduction=word)),
            (facula.margin_ranking_loss(A, B, A.sign(), 0.1, code), F.margin_ranking_loss(A, B, A.sign(), 0.1, reduction=word)),
            (facula.cosine_embedding_loss(A, B, Y, 0.1, code), F.cosine_embedding_loss(A, B, Y, 0.1, reduction=word)),
            (facula.triplet_margin_loss(A, B, -A, reduction=code), F.triplet_margin_loss(A, B, -A, reduction=word)),
            (facula.poisson_nll_loss(A, B.abs(), True, False, 1e-8, code), F.poisson_nll_loss(A, B.abs(), reduction=word)),
        ):
            facula.testing.assert_close(short, long)


def test_nothing_is_reduced_unless_told() -> None:
    """PyTorch reads the default of its own functions so; `torch.nn.functional` takes the mean."""
    for got in (
        facula.kl_div(A, B),
        facula.hinge_embedding_loss(A, B),
        facula.margin_ranking_loss(A, B, A),
        facula.binary_cross_entropy_with_logits(A, B),
    ):
        assert got.shape == (2, 2)


def test_figures() -> None:
    """As PyTorch 2.13 gives them."""
    got = facula.cosine_embedding_loss(A, B, Y, 0.1, 0).tolist()
    assert got == pytest.approx([1.6000000238418579, 0.699999988079071])
    assert facula.kl_div(A, A.exp(), 2, log_target=False).item() == pytest.approx(0.0, abs=1e-5)
    assert facula.triplet_margin_loss(A, B, -A).tolist() == [0.0, 0.0]
    assert facula.poisson_nll_loss(A, B.abs(), True, True, 1e-8, 1).item() == pytest.approx(5.4562, abs=1e-4)
