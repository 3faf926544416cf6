"""Tables of models: rows in running order, counts and FLOPs by hand."""

from __future__ import annotations

import pytest

import facula
from facula import nn, ops
from facula.summary import summarize
from facula.summary.table import short


def test_counts_of_a_small_network() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10))
    model[3].weight.requires_grad_(False)
    model.train()
    summary = summarize(model, (2, 1, 8, 8))
    assert [r.kind for r in summary.rows] == ["Conv2d", "ReLU", "Flatten", "Linear"]
    assert [r.shape for r in summary.rows] == [(2, 4, 8, 8), (2, 4, 8, 8), (2, 256), (2, 10)]
    assert summary.rows[0].flops == 2 * 2 * 4 * 64 * 9 and summary.rows[3].flops == 2 * 2 * 256 * 10
    assert summary.parameters == 4 * 9 + 4 + 2560 + 10 and summary.trainable == summary.parameters - 2560
    assert summary.rows[1].nbytes == 2 * 4 * 64 * 4 and model.training


def test_the_text_has_every_layer_and_the_totals() -> None:
    text = str(summarize(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), ops.ones(5, 2)))
    assert "Linear" in text and "5 x 3" in text and "parameters 9" in text and len(set(map(len, text.splitlines()[:1]))) == 1


def test_a_layer_that_runs_twice_is_counted_once() -> None:
    layer = nn.Linear(2, 2)
    summary = summarize(nn.Sequential(layer, nn.ReLU(), layer), (1, 2))
    assert summary.parameters == 6 == sum(r.parameters for r in summary.rows) and len(summary.rows) == 3


def test_hooks_are_gone_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(RuntimeError):
        summarize(model, (1, 5))
    assert not model[0]._forward_hooks
    with pytest.raises(TypeError, match="expects a Module"):
        summarize(3, (1,))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1234, "1.23 k"), (12345, "12.3 k"), (1234567, "1.23 M"), (5e9, "5.00 G")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_a_model_without_memory() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10), nn.LSTM(10, 4))

    with facula.device("meta"):
        model = build()
    assert str(summarize(model, (2, 3, 8, 8))) == str(summarize(build(), (2, 3, 8, 8)))
    large = nn.TransformerEncoderLayer(16384, 128, 65536, batch_first=True, device="meta")
    assert summarize(large, (1, 4096, 16384)).parameters > 3e9
