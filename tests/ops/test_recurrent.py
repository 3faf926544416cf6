"""Recurrent layers in one call: the same as a loop of steps, with first and second derivatives."""

from __future__ import annotations

import pytest

import facula
from facula import ops
from facula.testing import derived

test_declared = derived("facula.ops.recurrent")


@pytest.mark.parametrize("mode", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("reverse", [False, True])
def test_layer_is_its_cell_in_a_loop(mode: str, reverse: bool) -> None:
    layer = getattr(facula.nn, mode)(3, 4, bidirectional=reverse).double()
    end = "_reverse" if reverse else ""
    cell = getattr(facula.nn, mode + "Cell")(3, 4).double()
    with facula.no_grad():
        for name, p in cell.named_parameters():
            p.copy_(getattr(layer, f"{name}_l0{end}"))
    x = facula.randn(5, 2, 3, dtype=facula.float64)
    out, _ = layer(x)
    state, want = None, []
    for step in reversed(x.unbind(0)) if reverse else x.unbind(0):
        state = cell(step, state)
        want.append(state[0] if mode == "LSTM" else state)
    want = want[::-1] if reverse else want
    assert facula.allclose(out[..., 4:] if reverse else out, facula.stack(want))


def drawn(*shapes: tuple[int, ...]) -> list[facula.Tensor]:
    return [facula.randn(*shape, dtype=facula.float64).mul(0.5).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives(reverse: bool) -> None:
    state, t = (2, 3), 3
    cases = [
        (lambda *a: ops.lstm_layer(*a, reverse)[:2], drawn((t, 2, 12), state, state, (12, 3))),
        (lambda *a: ops.gru_layer(*a, reverse)[0], drawn((t, 2, 9), state, (9, 3), (9,))),
        (lambda *a: ops.rnn_layer(*a, False, reverse), drawn((t, 2, 3), state, (3, 3))),
    ]
    for layer, inputs in cases:
        assert facula.autograd.gradcheck(layer, inputs, atol=1e-4)
        assert facula.autograd.gradgradcheck(layer, inputs, atol=1e-3, rtol=1e-3)
