"""Recurrent layers. T steps, B batch, I input size, H hidden size, P projection, G gates together (1, 3 or 4 times H)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import facula.nn.init as init

from ... import ops
from ...base.dtypes import int64
from ...base.errors import refuse, warn
from ...core import Tensor, is_grad_enabled
from ...spec.promotion import scalar_type_name
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
State = tuple[Tensor, ...]  # (h,) or (h, c)


# ---------------------------------------------------------------- one layer in one direction
def run_layer(
    mode: str, x: Tensor, state: State, named: Mapping[str, Tensor], starts: Tensor | None, sizes: tuple[int, int], reverse: bool
) -> tuple[Tensor, State]:
    """Outputs (N, P) and the last state; x (N, I): `sizes` are steps and batch, `starts` where the steps of packed sequences begin."""
    weights = [named.get(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    train = is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, *state, *named.values()))
    if mode == "LSTM":
        h, c = state or (None, None)
        output, *last = ops.lstm_layer(x, h, c, *weights, named.get("weight_hr"), starts, *sizes, reverse, train)[:3]
    elif mode == "GRU":
        output, *last = ops.gru_layer(x, *(state or (None,)), *weights, starts, *sizes, reverse, train)[:2]
    else:
        output, *last = ops.rnn_layer(x, *(state or (None,)), *weights, starts, mode == "RNN_RELU", *sizes, reverse, train)[:2]
    return output, tuple(last)


def run_layers(
    mode: str, x: Tensor, states: State, weights: Sequence[Mapping[str, Tensor]], starts: Tensor | None, sizes: tuple[int, int],
    directions: int, dropout: float,
) -> tuple[Tensor, State]:  # fmt: skip
    """All layers: x (N, I) -> the last layer's outputs and all last states; no `states` are zeros. `weights`: by layer, then direction."""
    kind = x.dtype
    half = kind.is_floating_point and kind.itemsize < 4  # computed in float32, rounded at the end
    last: list[State] = []
    x = x.float() if half else x
    for first in range(0, len(weights), directions):
        outputs = []
        for direction in range(directions):
            place = first + direction
            named = {name: w.float() if half else w for name, w in weights[place].items()}
            start = tuple(s[place].float() if half else s[place] for s in states)
            output, end = run_layer(mode, x, start, named, starts, sizes, bool(direction))
            outputs.append(output)
            last.append(end)
        x = outputs[0] if directions == 1 else ops.cat(outputs, -1)
        if dropout and first + directions < len(weights):
            x = ops.dropout(x, dropout, True)
    ends = tuple(ops.stack(parts) for parts in zip(*last, strict=True))
    return (x.to(kind), tuple(s.to(kind) for s in ends)) if half else (x, ends)


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters by layer and direction, checks, and the loops over them."""

    __constants__ = ("mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        _check(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        directions = 2 if bidirectional else 1
        rows, out = GATES[mode] * hidden_size, proj_size or hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            columns = input_size if layer == 0 else out * directions
            for direction in range(directions):
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                shapes: dict[str, Any] = {"weight_ih": (rows, columns), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    self.register_parameter(name + suffix, Parameter(ops.empty(shape, device=device, dtype=dtype)))
                self._all_weights.append([name + suffix for name in shapes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in +-1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def flatten_parameters(self) -> None:
        """Nothing to do: weights need not lie side by side here."""

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text

    # ------------------------------------------------------------ checks
    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Refuse an input of another dtype, rank or width."""
        own = self.all_weights[0][0].dtype
        if input.dtype != own:
            raise refuse(
                ValueError,
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({own}). Convert input: input.to({own}), or convert "
                f"model: model.to({input.dtype})",
                received=str(input.dtype),
                expected=str(own),
            )
        wanted = 2 if batch_sizes is not None else 3
        if input.dim() != wanted:
            raise refuse(RuntimeError, f"input must have {wanted} dimensions, got {input.dim()}", received=f"{tuple(input.shape)}")
        if self.input_size != input.size(-1):
            raise refuse(
                RuntimeError,
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}",
                received=f"{tuple(input.shape)}",
                expected=f"(*, {self.input_size})",
                hint=f"input_size={input.size(-1)}",
            )

    def check_hidden_size(self, hx: Tensor, expected: tuple[int, ...], msg: str = "Expected hidden size {}, got {}") -> None:
        """Refuse a state of another shape."""
        if tuple(hx.size()) != expected:
            raise refuse(RuntimeError, msg.format(expected, list(hx.size())), received=f"{tuple(hx.shape)}", expected=f"{expected}")

    def _state_sizes(self, batch: int) -> list[tuple[int, int, int]]:
        """Shapes of h and, for LSTM, of c."""
        n = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [(n, batch, self.proj_size or self.hidden_size)]
        return [*sizes, (n, batch, self.hidden_size)] if self.mode == "LSTM" else sizes

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """States with their sequences in another order."""
        if permutation is None:
            return hx
        if isinstance(hx, tuple):
            return tuple(h.index_select(1, permutation) for h in hx)
        return hx.index_select(1, permutation)

    # ------------------------------------------------------------ forward
    def _run(self, x: Tensor, states: State, starts: Tensor | None, steps: int, batch: int) -> tuple[Tensor, State]:
        named = [
            {n.split("_l")[0]: w for n, w in zip(names, weights)}
            for names, weights in zip(self._all_weights, self.all_weights, strict=True)
        ]
        dropout = self.dropout if self.training else 0.0
        return run_layers(self.mode, x, states, named, starts, (steps, batch), 2 if self.bidirectional else 1, dropout)

    def _checked_state(self, input: Tensor, states: State, batch: int, batch_sizes: Tensor | None) -> None:
        self.check_input(input, batch_sizes)
        if not states:  # zeros
            return
        names = (
            ["Expected hidden[0] size {}, got {}", "Expected hidden[1] size {}, got {}"]
            if self.mode == "LSTM"
            else ["Expected hidden size {}, got {}"]
        )
        for state, size, message in zip(states, self._state_sizes(batch), names, strict=True):
            self.check_hidden_size(state, size, message)

    def forward(self, input: Any, hx: Any = None) -> Any:
        lstm = self.mode == "LSTM"
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lstm)
        name = type(self).__name__ if not self.mode.startswith("RNN") else "RNN"
        if input.dim() not in (2, 3):
            raise refuse(
                ValueError,
                f"{name}: Expected input to be 2D or 3D, got {input.dim()}D {'tensor ' if name == 'RNN' else ''}instead",
                received=f"{tuple(input.shape)}",
                expected="(L, N, I), (N, L, I) with batch_first, or (L, I)",
            )
        batched = input.dim() == 3
        along = 0 if self.batch_first else 1
        x = input if batched else input.unsqueeze(along)
        batch = x.size(along)
        states: State = ()
        if hx is not None:
            states = states_of(hx, self.mode.lower(), lstm)
            self._check_dims(states, batched, lstm)
            states = states if batched else tuple(s.unsqueeze(1) for s in states)
        self._checked_state(x, states, batch, None)
        x = x.transpose(0, 1) if self.batch_first else x
        steps = x.size(0)
        if not steps:
            raise refuse(RuntimeError, "Expected sequence length to be larger than 0 in RNN", received=f"{tuple(input.shape)}")
        output, last = self._run(x.reshape(steps * batch, self.input_size), states, None, steps, batch)
        output = output.view(steps, batch, output.size(1))
        output = output.transpose(0, 1) if self.batch_first else output
        if not batched:
            output, last = output.squeeze(along), tuple(s.squeeze(1) for s in last)
        return output, (last if lstm else last[0])

    @staticmethod
    def _check_dims(states: State, batched: bool, lstm: bool) -> None:
        wanted, word = (3, "batched 3-D") if batched else (2, "unbatched 2-D")
        if all(s.dim() == wanted for s in states):
            return
        if lstm:
            raise refuse(
                RuntimeError,
                f"For {word} input, hx and cx should also be {wanted}-D but got ({states[0].dim()}-D, {states[1].dim()}-D) tensors",
            )
        raise refuse(RuntimeError, f"For {word} input, hx should also be {wanted}-D but got {states[0].dim()}-D tensor")

    def _forward_packed(self, input: PackedSequence, hx: Any, lstm: bool) -> Any:
        data, batch_sizes, order, back = input
        starts = begins(batch_sizes, data)
        steps, batch = starts.numel() - 1, int(batch_sizes[0])
        states: State = ()
        if hx is not None:
            states = states_of(self.permute_hidden(hx, order), self.mode.lower(), lstm)
        self._checked_state(data, states, batch, batch_sizes)
        output, last = self._run(data[: int(starts[-1])], states, starts, steps, batch)
        last = self.permute_hidden(last, back)
        return PackedSequence(output, batch_sizes, order, back), (last if lstm else last[0])


def states_of(hx: Any, function: str, lstm: bool) -> State:
    """The given first state: (h, c) of an LSTM, else (h,)."""
    pair = isinstance(hx, (tuple, list))
    for h in hx if pair and lstm else (hx,):
        if not isinstance(h, Tensor) or pair is not lstm:
            wanted = "tuple of Tensors" if lstm else "Tensor"
            found = f"but found element of type {type(h).__name__}" if pair and lstm else f"not {type(hx).__name__}"
            raise refuse(TypeError, f"{function}(): argument 'hx' (position 2) must be {wanted}, {found}", received=f"hx={type(hx).__name__}",
                         expected="(h, c)" if lstm else "a Tensor")  # fmt: skip
    if lstm and len(hx) != 2:
        raise refuse(RuntimeError, f"{function} expects two hidden states", received=f"{len(hx)}", expected="(h, c)")
    return tuple(hx) if lstm else (hx,)


def begins(batch_sizes: Tensor, data: Tensor) -> Tensor:
    """Where each step's rows begin, and where the last ones end: (T + 1,). The kernels take these numbers as addresses."""
    if batch_sizes.dtype is not int64:
        raise refuse(
            RuntimeError, f"expected scalar type Long but found {scalar_type_name(batch_sizes.dtype)}", expected="int64 batch_sizes"
        )
    sizes = batch_sizes.tolist()
    if not sizes:
        raise refuse(IndexError, "index 0 is out of bounds for dimension 0 with size 0", received="empty batch_sizes")
    starts = [0]
    for before, size in zip([sizes[0], *sizes], sizes):
        if size < 0:
            raise refuse(RuntimeError, "narrow(): length must be non-negative.", received=f"batch_sizes {sizes}")
        if size > before:
            raise refuse(
                RuntimeError,
                f"The size of tensor a ({before}) must match the size of tensor b ({size}) at non-singleton dimension 0",
                received=f"batch_sizes {sizes}",
                expected="batch_sizes that do not rise",
            )
        starts.append(starts[-1] + size)
        if starts[-1] > data.size(0):
            raise refuse(
                RuntimeError,
                f"start ({starts[-2]}) + length ({size}) exceeds dimension size ({data.size(0)}).",
                received=f"batch_sizes {sizes}, {data.size(0)} rows of data",
            )
    return ops.tensor(starts, dtype=int64)


def _check(
    mode: str, input_size: Any, hidden_size: Any, num_layers: int, bias: Any, batch_first: Any, dropout: Any, proj_size: int
) -> None:
    if not isinstance(dropout, (int, float)) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being zeroed")
    if dropout > 0 and num_layers == 1:
        warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers greater than 1, "
            f"but got dropout={dropout} and num_layers={num_layers}",
        )
    for name, value, kind in (("bias", bias, bool), ("batch_first", batch_first, bool), ("input_size", input_size, int),
                              ("hidden_size", hidden_size, int)):  # fmt: skip
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")
    if mode not in GATES:
        raise ValueError("Unrecognized RNN mode: " + mode)


class RNN(RNNBase):
    """Elman's network with tanh or relu: (L, N, I) -> (L, N, H), (layers * directions, N, H)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory: (L, N, I) -> (L, N, H), (h, c) each (layers * directions, N, H)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent unit: (L, N, I) -> (L, N, H), (layers * directions, N, H)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


# ---------------------------------------------------------------- cells
def run_cell(
    mode: str, x: Tensor, states: State, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> State:
    """The states after one step of x (N, I)."""
    inputs, hidden = w_ih.size(1), w_hh.size(1)
    if x.size(1) != inputs:
        raise refuse(RuntimeError, f"input has inconsistent input_size: got {x.size(1)} expected {inputs}",
                     received=f"{tuple(x.shape)}", expected=f"(*, {inputs})")  # fmt: skip
    for place, state in enumerate(states):
        if x.size(0) != state.size(0):
            raise refuse(RuntimeError, f"Input batch size {x.size(0)} doesn't match hidden{place} batch size {state.size(0)}")
        if state.size(1) != hidden:
            raise refuse(RuntimeError, f"hidden{place} has inconsistent hidden_size: got {state.size(1)}, expected {hidden}")
    by_x, by_state = ops.linear(x, w_ih, b_ih), ops.linear(states[0], w_hh, b_hh)
    if mode == "LSTM":
        return ops.lstm_gates(*(by_x + by_state).chunk(4, -1), states[1])
    if mode == "GRU":
        return (ops.gru_gates(*by_x.chunk(3, -1), *by_state.chunk(3, -1), states[0]),)
    total = by_x + by_state
    return (total.relu() if mode == "RNN_RELU" else total.tanh(),)


class RNNCellBase(Module):
    """The parameters of one cell."""

    __constants__ = ("input_size", "hidden_size", "bias")

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        for name, shape in (
            ("weight_ih", (rows, input_size)),
            ("weight_hh", (rows, hidden_size)),
            ("bias_ih", (rows,)),
            ("bias_hh", (rows,)),
        ):
            wanted = bias or name.startswith("weight")
            self.register_parameter(name, Parameter(ops.empty(shape, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    reset_parameters = RNNBase.reset_parameters

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _step(self, mode: str, input: Tensor, hx: Any) -> State:
        """One step on (N, I) or (I,)."""
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise refuse(ValueError, f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead", received=f"{tuple(input.shape)}")
        states = () if hx is None else states_of(hx, mode.lower() + "_cell", mode == "LSTM")
        for place, state in enumerate(states):
            if state.dim() not in (1, 2):
                which = f"hx[{place}]" if mode == "LSTM" else "hidden"
                raise refuse(
                    ValueError, f"{name}: Expected {which} to be 1D or 2D, got {state.dim()}D instead", received=f"{tuple(state.shape)}"
                )
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if not states:
            zero = ops.zeros((x.size(0), self.hidden_size), dtype=x.dtype, device=x.device)
            states = (zero, zero) if mode == "LSTM" else (zero,)
        else:
            states = states if batched else tuple(s.unsqueeze(0) for s in states)
        states = run_cell(mode, x, states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return states if batched else tuple(s.squeeze(0) for s in states)


class RNNCell(RNNCellBase):
    """One step of Elman's network: (N, I), (N, H) -> (N, H)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise refuse(RuntimeError, f"Unknown nonlinearity: {self.nonlinearity}", expected="tanh or relu")
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, hx)[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (N, I), ((N, H), (N, H)) -> (h, c)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        return self._step("LSTM", input, hx)


class GRUCell(RNNCellBase):
    """One step of a GRU: (N, I), (N, H) -> (N, H)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step("GRU", input, hx)[0]
