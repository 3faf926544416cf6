"""Recurrent layers in one call: the same as a loop of steps, with first and second derivatives, packed and projected too."""

from __future__ import annotations

from typing import Any

import pytest

import facula
import facula.kernel.recurrent as nest
from facula import ops
from facula.testing import assert_close, derived

test_declared = derived("facula.ops.recurrent")
MODES = ["LSTM", "GRU", "RNN"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [(5, 2, 4), (3, 37, 40), (4, 1, 300)], ids=["small", "rows", "columns"])
def test_layer_is_its_cell_in_a_loop(mode: str, reverse: bool, size: tuple[int, int, int]) -> None:
    steps, batch, hidden = size
    layer = getattr(facula.nn, mode)(3, hidden, bidirectional=reverse).double()
    end = "_reverse" if reverse else ""
    cell = getattr(facula.nn, mode + "Cell")(3, hidden).double()
    with facula.no_grad():
        for name, p in cell.named_parameters():
            p.copy_(getattr(layer, f"{name}_l0{end}"))
    x = facula.randn(steps, batch, 3, dtype=facula.float64, requires_grad=True)
    out = layer(x)[0]
    out = out[..., hidden:] if reverse else out
    state, want = None, []
    for step in reversed(x.unbind(0)) if reverse else x.unbind(0):
        state = cell(step, state)
        want.append(state[0] if mode == "LSTM" else state)
    loop = facula.stack(want[::-1] if reverse else want)
    assert_close(out, loop)
    g = facula.randn_like(loop)
    (got,), (expected,) = facula.autograd.grad(out, [x], g), facula.autograd.grad(loop, [x], g)
    assert_close(got, expected)
    with facula.no_grad():  # what backward would want is not kept
        assert_close(layer(x)[0][..., -hidden:], loop.detach())


def drawn(*shapes: tuple[int, ...]) -> list[facula.Tensor]:
    return [facula.randn(*shape, dtype=facula.float64).mul(0.5).requires_grad_() for shape in shapes]


CASES: dict[str, tuple[Any, tuple[tuple[int, ...], ...]]] = {
    "lstm": (lambda a, s, n: ops.lstm_layer(*a, None, s, *n, True)[:3], ((2, 3), (2, 3), (12, 2), (12, 3), (12,), (12,))),
    "projected": (lambda a, s, n: ops.lstm_layer(*a, s, *n, True)[:3], ((2, 2), (2, 3), (12, 2), (12, 2), (12,), (12,), (2, 3))),
    "gru": (lambda a, s, n: ops.gru_layer(*a, s, *n, True)[:2], ((2, 3), (9, 2), (9, 3), (9,), (9,))),
    "tanh": (lambda a, s, n: ops.rnn_layer(*a, s, False, *n, True)[:2], ((2, 3), (3, 2), (3, 3), (3,), (3,))),
    "relu": (lambda a, s, n: ops.rnn_layer(*a, s, True, *n, True)[:2], ((2, 3), (3, 2), (3, 3), (3,), (3,))),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("starts", [None, [0, 2, 4, 5]], ids=["padded", "packed"])
def test_first_and_second_derivatives(name: str, reverse: bool, starts: list[int] | None) -> None:
    facula.manual_seed(3)
    layer, shapes = CASES[name]
    begins = None if starts is None else facula.tensor(starts)
    inputs = drawn((6 if starts is None else 5, 2), *shapes)
    run = lambda *a: layer(a, begins, (3, 2, reverse))  # noqa: E731
    assert facula.autograd.gradcheck(run, inputs, atol=1e-4)
    assert facula.autograd.gradgradcheck(run, inputs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_packed_sequences_are_each_for_itself(mode: str) -> None:
    layer = getattr(facula.nn, mode)(3, 20, num_layers=2, bidirectional=True, **({"proj_size": 7} if mode == "LSTM" else {})).double()
    lengths = [6, 1, 4, 4, *[2] * 15]
    x = facula.randn(6, len(lengths), 3, dtype=facula.float64)
    packed = facula.nn.utils.rnn.pack_padded_sequence(x, facula.tensor(lengths), enforce_sorted=False)
    out, last = layer(packed)
    padded, _ = facula.nn.utils.rnn.pad_packed_sequence(out)
    for b, length in enumerate(lengths):
        alone, state = layer(x[:length, b])
        assert_close(padded[:length, b], alone)
        for got, want in zip(last if mode == "LSTM" else [last], state if mode == "LSTM" else [state], strict=True):
            assert_close(got[:, b], want)


def test_packed_projected_lstm_has_pytorch_s_numbers() -> None:
    """Recorded with PyTorch 2.13."""
    layer = facula.nn.LSTM(2, 3, bidirectional=True, proj_size=2).double()
    with facula.no_grad():
        for k, p in enumerate(layer.parameters()):
            p.copy_(((facula.arange(p.numel(), dtype=facula.float64) * 0.37 + k).sin() * 0.5).reshape(p.shape))
    x = (facula.arange(16, dtype=facula.float64) * 0.7).cos().reshape(4, 2, 2).requires_grad_()
    out, (h, c) = layer(facula.nn.utils.rnn.pack_padded_sequence(x, facula.tensor([4, 2])))
    ((out.data**2).sum() + h.sum() + (c**3).sum()).backward()
    assert x.grad is not None
    close = {"rtol": 0.0, "atol": 1e-7, "check_dtype": False}
    last_c = [-0.50295315, -0.32178663, -0.23306749, -0.58900632, -0.42494146, -0.26488305]
    assert_close(out.data[0], facula.tensor([0.44958, 0.33752549, 0.02804491, 0.25585817]), **close)
    assert_close(h[1], facula.tensor([[0.02804491, 0.25585817], [0.00233723, 0.15817464]]), **close)
    assert_close(c[0].reshape(-1), facula.tensor(last_c), **close)
    assert_close(x.grad[0], facula.tensor([[0.05300478, -0.05269219], [-0.27968253, -0.33023195]]), **close)
    assert_close(x.grad[2], facula.tensor([[0.16629778, 0.09978048], [0.0, 0.0]]), **close)
    got = layer.weight_hr_l0_reverse.grad.reshape(-1)
    assert_close(got, facula.tensor([-0.06967071, -0.17666495, -0.25590008, -0.20766154, -0.41389857, -0.65903501]), **close)


@pytest.mark.parametrize("batch", [3, 40])
def test_threads_and_cuts_change_no_bit(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = facula.nn.LSTM(8, 200), facula.randn(5, batch, 8)
    whole, threads = layer(x)[0], facula.get_num_threads()
    try:
        for n in (1, 3):
            facula.set_num_threads(n)
            assert facula.equal(layer(x)[0], whole)
    finally:
        facula.set_num_threads(threads)
    monkeypatch.setattr(nest, "LONG", 1)  # a launch for each step; the batch below is a plan that is not there yet
    monkeypatch.setattr(nest, "FEW", 0)
    monkeypatch.setattr(nest, "ROWS", 5)
    longer = facula.cat([x, x[:, :1]], 1)
    assert facula.equal(layer(longer)[0][:, :batch], whole)


@pytest.mark.parametrize(
    ("sizes", "error", "match"),
    [
        ([2, 3], RuntimeError, r"The size of tensor a \(2\) must match the size of tensor b \(3\)"),
        ([3, 3], RuntimeError, r"start \(3\) \+ length \(3\) exceeds dimension size \(5\)"),
        ([2, -1], RuntimeError, "length must be non-negative"),
        ([], IndexError, "index 0 is out of bounds"),
    ],
)
def test_wrong_batch_sizes_are_refused_before_they_are_addresses(sizes: list[int], error: type[Exception], match: str) -> None:
    packed = facula.nn.utils.rnn.PackedSequence(facula.randn(5, 3), facula.tensor(sizes, dtype=facula.int64))
    with pytest.raises(error, match=match):
        facula.nn.GRU(3, 4)(packed)


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
@pytest.mark.parametrize("mode", MODES)
def test_weights_of_other_sizes_are_refused(mode: str, name: str) -> None:
    layer = getattr(facula.nn, mode)(3, 4)
    old = getattr(layer, name)
    setattr(layer, name, facula.nn.Parameter(facula.zeros(old.shape[0] + 1, *old.shape[1:])))
    with pytest.raises(RuntimeError, match=r"cannot be multiplied|must match the existing size"):
        layer(facula.randn(5, 2, 3))
    setattr(layer, name, facula.nn.Parameter(old.detach().double()))
    with pytest.raises((RuntimeError, ValueError), match=r"must have the same dtype|does not match weight dtype"):
        layer(facula.randn(5, 2, 3))


@pytest.mark.parametrize("mode", MODES)
def test_half_precision_rounds_once(mode: str) -> None:
    layer, x = getattr(facula.nn, mode)(4, 6, 2).bfloat16(), facula.randn(3, 2, 4).bfloat16()
    out = layer(x)[0]
    assert out.dtype is facula.bfloat16
    assert facula.equal(out, layer.float()(x.float())[0].bfloat16())


def test_no_step_at_all_is_refused_and_no_sequence_is_not() -> None:
    layer = facula.nn.LSTM(3, 4)
    with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
        layer(facula.randn(0, 2, 3))
    out, (h, c) = layer(facula.randn(5, 0, 3))
    assert (out.shape, h.shape, c.shape) == ((5, 0, 4), (1, 0, 4), (1, 0, 4))
    out.sum().backward()
    assert facula.equal(layer.weight_hh_l0.grad, facula.zeros(16, 4))
