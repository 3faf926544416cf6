"""Recurrent layers: against the equations step by step, packed against each sequence alone, and refusals."""

from __future__ import annotations

import math

import pytest

import facula
from facula import nn
from facula.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, unpack_sequence


def close(a, b, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape
    assert (a - b).abs().max().item() <= tolerance


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_lstm_of_one_unit_follows_its_equations() -> None:
    layer = nn.LSTM(1, 1)
    weights = {
        "weight_ih_l0": [0.1, 0.2, 0.3, 0.4],
        "weight_hh_l0": [-0.1, 0.5, 0.2, 0.3],
        "bias_ih_l0": [0, 0.1, 0, 0.2],
        "bias_hh_l0": [0.3, 0, 0.1, 0],
    }
    shape = {"weight_ih_l0": (4, 1), "weight_hh_l0": (4, 1)}
    layer.load_state_dict({k: facula.tensor([float(x) for x in v]).reshape(shape.get(k, (4,))) for k, v in weights.items()})
    xs, h, c = [1.0, -2.0, 0.5], 0.0, 0.0
    for x in xs:
        i, f, g, o = (weights["weight_ih_l0"][k] * x + weights["weight_hh_l0"][k] * h + weights["bias_ih_l0"][k] + weights["bias_hh_l0"][k]
                      for k in range(4))  # fmt: skip
        c = sigmoid(f) * c + sigmoid(i) * math.tanh(g)
        h = sigmoid(o) * math.tanh(c)
    output, (hn, cn) = layer(facula.tensor(xs).reshape(3, 1, 1))
    assert hn.item() == pytest.approx(h, rel=1e-5) and cn.item() == pytest.approx(c, rel=1e-5)
    assert output[-1].item() == hn.item()


def test_gru_of_one_unit_follows_its_equations() -> None:
    layer = nn.GRU(1, 1)
    w, u, b, d = [0.5, -0.3, 0.8], [0.2, 0.4, -0.6], [0.1, 0.2, 0.3], [0.0, -0.1, 0.5]
    layer.load_state_dict({"weight_ih_l0": facula.tensor(w).reshape(3, 1), "weight_hh_l0": facula.tensor(u).reshape(3, 1),
                           "bias_ih_l0": facula.tensor(b), "bias_hh_l0": facula.tensor(d)})  # fmt: skip
    h = 0.0
    for x in (1.0, -2.0):
        r, z = (sigmoid(w[k] * x + b[k] + u[k] * h + d[k]) for k in range(2))
        n = math.tanh(w[2] * x + b[2] + r * (u[2] * h + d[2]))
        h = (1 - z) * n + z * h
    assert layer(facula.tensor([1.0, -2.0]).reshape(2, 1, 1))[1].item() == pytest.approx(h, rel=1e-5)


LAYERS = [lambda: nn.RNN(3, 4, 2, bidirectional=True), lambda: nn.GRU(3, 4, 2), lambda: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
          lambda: nn.RNN(3, 4, nonlinearity="relu")]  # fmt: skip


@pytest.mark.parametrize("make", LAYERS)
def test_packed_sequences_equal_each_alone(make) -> None:
    facula.manual_seed(0)
    layer = make()
    sequences = [facula.randn(n, 3) for n in (2, 5, 3)]
    packed = pack_sequence(sequences, enforce_sorted=False)
    output, states = layer(packed)
    states = states if isinstance(states, tuple) else (states,)
    for place, (sequence, got) in enumerate(zip(sequences, unpack_sequence(output), strict=True)):
        alone, last = layer(sequence)
        close(got, alone)
        for state, expected in zip(states, last if isinstance(last, tuple) else (last,), strict=True):
            close(state[:, place], expected)


@pytest.mark.parametrize("make", LAYERS)
def test_gradients_reach_all_parameters(make) -> None:
    layer = make()
    x = facula.randn(4, 2, 3, requires_grad=True)
    layer(x)[0].pow(2).sum().backward()
    assert x.grad.abs().sum().item() > 0
    assert all(p.grad is not None and p.grad.shape == p.shape for p in layer.parameters())


def test_batch_first_and_unbatched() -> None:
    layer, first = nn.LSTM(3, 4), nn.LSTM(3, 4, batch_first=True)
    first.load_state_dict(layer.state_dict())
    x = facula.randn(5, 2, 3)
    close(layer(x)[0], first(x.transpose(0, 1))[0].transpose(0, 1))
    close(layer(x)[0][:, 0], layer(x[:, 0])[0])


def test_cell_is_one_step() -> None:
    layer, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = facula.randn(1, 2, 3)
    h, c = cell(x[0])
    close(layer(x)[1][0][0], h)
    close(layer(x)[1][1][0], c)


def test_round_trip_of_packing() -> None:
    x = facula.arange(30.0).reshape(5, 3, 2)
    padded, lengths = pad_packed_sequence(pack_padded_sequence(x, [2, 5, 3], enforce_sorted=False), padding_value=-1.0, total_length=6)
    assert lengths.tolist() == [2, 5, 3] and padded.shape == (6, 3, 2)
    assert padded[:2, 0].tolist() == x[:2, 0].tolist() and padded[2:, 0].tolist() == [[-1, -1]] * 4


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: nn.LSTM(3, 4)(facula.ones(2, 2, 5)), RuntimeError, r"input.size\(-1\) must be equal to input_size. Expected 3, got 5"),
        (lambda: nn.GRU(3, 4)(facula.ones(3)), ValueError, "GRU: Expected input to be 2D or 3D, got 1D instead"),
        (
            lambda: nn.RNN(3, 4)(facula.ones(2, 2, 3), facula.ones(1, 2, 5)),
            RuntimeError,
            r"Expected hidden size \(1, 2, 4\), got \[1, 2, 5\]",
        ),
        (
            lambda: nn.RNN(3, 4)(facula.ones(2, 2, 3), facula.ones(1, 2)),
            RuntimeError,
            "For batched 3-D input, hx should also be 3-D but got 2-D tensor",
        ),
        (lambda: nn.LSTM(3, 4)(facula.ones(2, 2, 3).double()), ValueError, "does not match weight dtype"),
        (lambda: nn.LSTM(3, 4, proj_size=5), ValueError, "proj_size has to be smaller than hidden_size"),
        (lambda: nn.LSTMCell(3, 4)(facula.ones(2, 5)), RuntimeError, "input has inconsistent input_size: got 5 expected 3"),
        (lambda: pack_padded_sequence(facula.ones(3, 2, 1), [1, 3]), RuntimeError, "`lengths` array must be sorted in decreasing order"),
        (lambda: pack_padded_sequence(facula.ones(3, 2, 1), [3, 0]), RuntimeError, "Length of all samples has to be greater than 0"),
    ],
)
def test_refusals(call, kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        call()
