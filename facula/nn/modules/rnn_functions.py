"""torch.lstm, torch.gru_cell and the like: recurrent layers and cells as functions of their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...base.errors import refuse
from ...core import Tensor
from .rnn import begins, run_cell, run_layers

SETTINGS = ("params", "has_biases", "num_layers", "dropout", "train", "bidirectional")
PADDED = ("input", "hx", *SETTINGS, "batch_first")
PACKED = ("data", "batch_sizes", "hx", *SETTINGS)


def _bound(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, of one form or the other: the weights are a list, wherever they stand."""
    packed = not kwargs.keys().isdisjoint(PACKED[:2]) or (len(args) > 3 and isinstance(args[3], (list, tuple)))
    names = PACKED if packed else PADDED
    given = dict(zip(names, args)) | kwargs
    if len(args) > len(names) or set(given) != set(names) or len(given) != len(args) + len(kwargs):
        raise refuse(
            TypeError, f"{name}() received an invalid combination of arguments", expected=f"({', '.join(PADDED)}) or ({', '.join(PACKED)})"
        )
    return given


def _grouped(params: Sequence[Tensor], has_biases: bool, places: int) -> list[dict[str, Tensor]]:
    """The weights of each layer and direction, by name."""
    names = ["weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if has_biases else ())]
    if len(params) == places * (len(names) + 1):
        names.append("weight_hr")
    if len(params) != places * len(names):
        raise refuse(
            RuntimeError,
            "Expected more weights in stacked_rnn" if len(params) < places * len(names) else "got an incorrect number of RNN parameters",
            received=f"{len(params)} tensors",
            expected=f"{len(names)} for each of {places}",
        )
    return [dict(zip(names, params[k : k + len(names)])) for k in range(0, len(params), len(names))]


def _layers(name: str, mode: str) -> Callable[..., tuple[Tensor, ...]]:
    def function(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        given = _bound(name, args, kwargs)
        states = tuple(given["hx"]) if mode == "LSTM" else (given["hx"],)
        if mode == "LSTM" and len(states) != 2:
            raise refuse(RuntimeError, "lstm expects two hidden states", received=f"{len(states)}")
        directions = 2 if given["bidirectional"] else 1
        weights = _grouped(given["params"], given["has_biases"], given["num_layers"] * directions)
        dropout = given["dropout"] if given["train"] else 0.0
        if "data" in given:
            data, sizes = given["data"], given["batch_sizes"]
            starts = begins(sizes, data)
            output, last = run_layers(mode, data, states, weights, starts, (starts.numel() - 1, int(sizes[0])), directions, dropout)
            return output, *last
        x = given["input"].transpose(0, 1) if given["batch_first"] else given["input"]
        steps, batch = x.size(0), x.size(1)
        flat = x.reshape(steps * batch, x.size(2))
        output, last = run_layers(mode, flat, states, weights, None, (steps, batch), directions, dropout)
        output = output.view(steps, batch, output.size(1))
        return output.transpose(0, 1) if given["batch_first"] else output, *last

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"All layers of `nn.{mode.split('_')[0]}`, given ({', '.join(PADDED)}), or ({', '.join(PACKED)}) for packed sequences: "
        "outputs and last states."
    )
    return function


lstm, gru = _layers("lstm", "LSTM"), _layers("gru", "GRU")
rnn_tanh, rnn_relu = _layers("rnn_tanh", "RNN_TANH"), _layers("rnn_relu", "RNN_RELU")


def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Tensor, ...]:
    """(h, c) after one step of `nn.LSTMCell`."""
    if len(hx) != 2:
        raise refuse(RuntimeError, "lstm_cell expects two hidden states", received=f"{len(hx)}")
    return run_cell("LSTM", input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    """h after one step of `nn.GRUCell`."""
    return run_cell("GRU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    """h after one step of `nn.RNNCell`."""
    return run_cell("RNN_TANH", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    """h after one step of `nn.RNNCell(nonlinearity="relu")`."""
    return run_cell("RNN_RELU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell"]
