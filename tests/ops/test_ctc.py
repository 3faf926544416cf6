"""Connectionist temporal classification: derived checks, and a sum over all paths."""

from __future__ import annotations

import itertools
import math

import facula
from facula.testing import derived

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
