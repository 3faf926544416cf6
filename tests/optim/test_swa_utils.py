"""Averaged weights."""

from __future__ import annotations

import pytest

from facula import nn, ops
from facula.core import no_grad
from facula.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn


def set_weight(layer: nn.Module, value: float) -> None:
    with no_grad():
        for p in layer.parameters():
            p.fill_(value)


@pytest.mark.parametrize(("average", "end"), [(None, 2.0), (get_ema_multi_avg_fn(0.5), 2.25)])
def test_averages(average, end) -> None:
    layer = nn.Linear(2, 1)
    averaged = AveragedModel(layer, multi_avg_fn=average)
    for value in (1.0, 2.0, 3.0):
        set_weight(layer, value)
        averaged.update_parameters(layer)
    assert float(averaged.module.weight.detach().mean()) == pytest.approx(end)
    assert int(averaged.n_averaged) == 3


def test_update_bn_takes_the_mean_over_all_batches() -> None:
    norm = nn.BatchNorm1d(1)
    update_bn([ops.full((4, 1), 1.0), ops.full((4, 1), 3.0)], norm)
    assert float(norm.running_mean) == pytest.approx(2.0) and norm.momentum == 0.1
