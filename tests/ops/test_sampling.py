"""Draws: PyTorch's numbers for a seed, in the order in which elements lie in memory."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.sampling")


@pytest.fixture(autouse=True)
def _seed() -> None:
    facula.manual_seed(42)


def test_integers_of_pytorch() -> None:
    assert facula.empty(5, dtype=facula.int64).random_(10).tolist() == [2, 7, 6, 4, 6]
    facula.manual_seed(42)
    assert facula.empty(3, dtype=facula.int64).random_().tolist() == [6909045637428952499, 8314211556539077902, 4279532810384561223]


def test_flips_of_pytorch() -> None:
    assert facula.ones(9).bernoulli(0.5).tolist() == [1, 1, 1, 1, 0, 1, 0, 0, 1]


def test_transposed_memory_is_filled_in_memory_order() -> None:
    a = facula.empty(3, 4).t().uniform_()
    facula.manual_seed(42)
    assert a.t().tolist() == facula.empty(3, 4).uniform_().tolist()


def test_multinomial_with_replacement() -> None:
    assert facula.multinomial(facula.tensor([0.1, 0.2, 0.3, 0.4]), 8, replacement=True).tolist() == [0, 0, 1, 0, 2, 2, 3, 3]


def test_without_replacement_draws_each_once() -> None:
    assert sorted(facula.multinomial(facula.ones(6), 6).tolist()) == list(range(6))


@pytest.mark.parametrize("call, sentence", [
    (lambda: facula.zeros(3).random_(5, 3), "random_ expects 'from' to be less than 'to', but got from=5 >= to=3"),
    (lambda: facula.zeros(3, dtype=facula.uint8).random_(0, 300), "to - 1 is out of bounds for unsigned char"),
    (lambda: facula.zeros(3).exponential_(-1), "exponential_ expects lambda > 0.0, but found lambda=-1"),
    (lambda: facula.zeros(3).bernoulli_(2), r"bernoulli_ expects p to be in \[0, 1\], but got p=2"),
    (lambda: facula.poisson(facula.tensor([-1.0])), "invalid Poisson rate"),
])  # fmt: skip
def test_refusals(call: object, sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        call()  # type: ignore[operator]


def test_normal_with_tensors_has_no_history() -> None:
    mean = facula.zeros(3, requires_grad=True)
    assert not facula.normal(mean, facula.ones(3)).requires_grad


def test_feature_dropout_drops_whole_channels() -> None:
    got = facula.feature_dropout(facula.ones(2, 8, 5), 0.5, True)
    assert all(len(set(row)) == 1 for sheet in got.tolist() for row in sheet)


def test_draws_that_go_on_come_from_the_plan_table() -> None:
    """Recorded from PyTorch 2.13; eager, and in a recording."""
    p = facula.tensor([0.1, 0.2, 0.3, 0.4])
    two, one = [[0, 3], [2, 3], [2, 3], [3, 1], [3, 0], [2, 3]], [1, 3, 0, 0, 2, 3]
    for draw in (facula.multinomial, facula.compile(lambda p, n: facula.multinomial(p * 1.0, n))):
        facula.manual_seed(3)
        assert [draw(p, 2).tolist() for _ in range(6)] == two
        assert [draw(p, 1).item() for _ in range(6)] == one
        assert facula.rand(()).item() == 0.1622423529624939
    for weights, sentence in (
        ([-1.0, 2.0], "element < 0"),
        ([float("nan"), 1.0], "element < 0"),
        ([0.0, 0.0], "sum of probabilities <= 0"),
    ):
        for _ in range(3):
            with pytest.raises(RuntimeError, match=sentence):
                facula.multinomial(facula.tensor(weights), 1)
