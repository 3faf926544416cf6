"""torch.lstm and its siblings: the same numbers as the modules whose weights they are given."""

from __future__ import annotations

from typing import Any

import pytest

import facula
from facula import nn
from facula.nn.utils.rnn import pack_padded_sequence

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k)}
CELLS = {
    "lstm_cell": nn.LSTMCell,
    "gru_cell": nn.GRUCell,
    "rnn_tanh_cell": nn.RNNCell,
    "rnn_relu_cell": lambda i, h: nn.RNNCell(i, h, nonlinearity="relu"),
}


def flat(*results: Any) -> list[Any]:
    return [t for r in results for t in (flat(*r) if isinstance(r, tuple) else [r])]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers(name: str, bidirectional: bool) -> None:
    facula.manual_seed(0)
    module = LAYERS[name](3, 2, num_layers=2, bidirectional=bidirectional, batch_first=True)
    x, h = facula.randn(4, 5, 3), facula.randn(4 if bidirectional else 2, 4, 2)
    hx, weights = (h, h) if name == "lstm" else h, list(module.parameters())
    got = getattr(facula, name)(x, hx, weights, True, 2, 0.0, False, bidirectional, True)
    for a, b in zip(flat(got), flat(module(x, hx)), strict=True):
        assert facula.equal(a, b)
    packed = pack_padded_sequence(x, facula.tensor([5, 4, 2, 1]), batch_first=True)
    got = getattr(facula, name)(packed.data, packed.batch_sizes, hx, weights, True, 2, 0.0, train=False, bidirectional=bidirectional)
    output, last = module(packed, hx)
    for a, b in zip(flat(got), flat(output.data, last), strict=True):
        assert facula.equal(a, b)


@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str) -> None:
    module = CELLS[name](3, 2)
    x, h = facula.randn(4, 3), facula.randn(4, 2)
    hx = (h, h) if name == "lstm_cell" else h
    got = getattr(facula, name)(x, hx, module.weight_ih, module.weight_hh, module.bias_ih, module.bias_hh)
    for a, b in zip(flat(got), flat(module(x, hx)), strict=True):
        assert facula.equal(a, b)


def test_a_projection() -> None:
    module = nn.LSTM(3, 4, proj_size=2, bias=False)
    x, hx = facula.randn(5, 1, 3), (facula.zeros(1, 1, 2), facula.zeros(1, 1, 4))
    got = facula.lstm(x, hx, list(module.parameters()), False, 1, 0.0, False, False, False)
    assert facula.equal(got[0], module(x, hx)[0])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda x, h: facula.lstm(x, (h,), [], True, 1, 0.0, False, False, False), RuntimeError, "lstm expects two hidden states"),
        (lambda x, h: facula.gru(x, h, [], True, 1, 0.0, False, False, False), RuntimeError, "Expected more weights in stacked_rnn"),
        (lambda x, h: facula.gru(x, h), TypeError, "gru[(][)] received an invalid combination of arguments"),
        (
            lambda x, h: facula.gru_cell(h[0], h[0], facula.ones(6, 3), facula.ones(6, 2)),
            RuntimeError,
            "inconsistent input_size: got 2 expected 3",
        ),
        (
            lambda x, h: facula.rnn_relu_cell(x[0], x[0], facula.ones(2, 3), facula.ones(2, 2)),
            RuntimeError,
            "hidden0 has inconsistent hidden_size",
        ),
    ],
)
def test_refusals(call: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call(facula.zeros(5, 1, 3), facula.zeros(1, 1, 2))


def test_the_front_door_lists_them() -> None:
    assert {*LAYERS, *CELLS} <= set(dir(facula))
