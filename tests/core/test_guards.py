"""Wrong calls outside the operators. `SAID` was recorded from PyTorch 2.13; `NAMED` is what calls are told that make PyTorch's code stumble
(the type there is TypeError or AttributeError, and the sentence speaks of its insides)."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable

import pytest

import facula as torch
from facula import nn, optim
from facula.nn import functional as F
from facula.nn import init
from facula.nn import utils as nu
from facula.optim import lr_scheduler as lrs
from facula.utils import data

T = torch.ones


def parameters() -> list[torch.Tensor]:
    return [torch.zeros(2, requires_grad=True)]


def sgd() -> optim.SGD:
    return optim.SGD(parameters(), lr=0.1)


def loss() -> torch.Tensor:
    return T(2, requires_grad=True).sum()


NAMED: list[tuple[Callable[[], object], str]] = [
    (lambda: nn.Conv2d(3, "a", 3), "Conv2d(): argument 'out_channels' (position 2) must be int, not str"),
    (lambda: nn.Conv2d(3, 4, None), "Conv2d(): argument 'kernel_size' (position 3) must be tuple of ints, not NoneType"),
    (lambda: nn.Conv2d(3, 4, 3, groups="a"), "Conv2d(): argument 'groups' must be int, not str"),
    (lambda: nn.Dropout("a"), "Dropout(): argument 'p' (position 1) must be float, not str"),
    (lambda: nn.LayerNorm(3.5), "LayerNorm(): argument 'normalized_shape' (position 1) must be tuple of ints, not float"),
    (lambda: nn.MultiheadAttention("a", 2), "MultiheadAttention(): argument 'embed_dim' (position 1) must be int, not str"),
    (lambda: nn.LSTM(3, 2, num_layers="a"), "LSTM() received an invalid combination of arguments - got (int, int, str)"),
    (lambda: nn.Sigmoid()(3), "Sigmoid.forward(): argument 'input' (position 1) must be Tensor, not int"),
    (lambda: nn.BatchNorm2d(3)(None), "BatchNorm2d.forward(): argument 'input' (position 1) must be Tensor, not NoneType"),
    (lambda: nn.Softmax2d()(3), "Softmax2d.forward(): argument 'input' (position 1) must be Tensor, not int"),
    (lambda: nn.LSTM(3, 2)(T(2, 2, 3), 3), "lstm(): argument 'hx' (position 2) must be tuple of Tensors, not int"),
    (lambda: nn.GRU(3, 2)(T(2, 2, 3), (T(1, 2, 2), T(1, 2, 2))), "gru(): argument 'hx' (position 2) must be Tensor, not tuple"),
    (lambda: nn.Buffer(3), "Buffer(): argument 'data' (position 1) must be Tensor, not int"),
    (lambda: F.max_pool2d(T(1, 1, 4, 4), "a"), "max_pool2d(): argument 'kernel_size' (position 2) must be tuple of ints, not str"),
    (lambda: init.zeros_(3), "zeros_(): argument 'tensor' (position 1) must be Tensor, not int"),
    (lambda: init.kaiming_uniform_(None), "kaiming_uniform_(): argument 'tensor' (position 1) must be Tensor, not NoneType"),
    (lambda: nu.clip_grad_norm_(3, 1.0), "clip_grad_norm_(): argument 'parameters' (position 1) must be "),
    (lambda: nu.parameters_to_vector(3), "parameters_to_vector(): argument 'parameters' (position 1) must be Iterable[Tensor], not int"),
    (lambda: nu.rnn.pad_packed_sequence(3), "pad_packed_sequence(): argument 'sequence' (position 1) must be PackedSequence, not int"),
    (lambda: nu.parametrize.register_parametrization(3, "weight", nn.ReLU()), "register_parametrization()"),
    (lambda: optim.SGD(3), "SGD()"),
    (lambda: optim.SGD(parameters(), lr="a"), "SGD(): argument 'lr' must be float or Tensor, not str"),
    (lambda: optim.Adam(parameters(), eps="a"), "Adam(): argument 'eps' must be float, not str"),
    (lambda: sgd().load_state_dict(3), "SGD.load_state_dict(): argument 'state_dict' must be dict, not int"),
    (lambda: lrs.MultiStepLR(sgd(), 3), "MultiStepLR(): argument 'milestones' (position 2) must be Iterable[int], not int"),
    (lambda: lrs.LinearLR(sgd(), "a"), "LinearLR(): argument 'start_factor' (position 2) must be float, not str"),
    (lambda: data.DataLoader(data.TensorDataset(T(2)), num_workers="a"), "DataLoader(): argument 'num_workers' must be int, not str"),
    (lambda: data.ConcatDataset(3), "ConcatDataset(): argument 'datasets' (position 1) must be Iterable[Dataset[T_co]], not int"),
    (lambda: data.RandomSampler(3), "RandomSampler(): argument 'data_source' (position 1) must be Sized, not int"),
    (lambda: torch.autograd.backward(3), "expected Tensor as element 0 of the differentiated tensors, but got int"),
    (lambda: nn.Linear(2, 2).to(T(2), 3), "to() received an invalid combination of arguments - got (Tensor, int)"),
    (lambda: T(2).size("a"), "size(): argument 'dim' (position 1) must be int, not str"),
]


@pytest.mark.parametrize(("call", "sentence"), NAMED, ids=[s for _, s in NAMED])
def test_what_a_stumble_becomes(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    frames = 0
    trace = caught.value.__traceback__
    while trace is not None:
        frames += str(trace.tb_frame.f_globals.get("__name__")).startswith("facula.")
        trace = trace.tb_next
    assert frames <= 3


SAID: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: nn.Linear(3), TypeError, "Linear.__init__() missing 1 required positional argument: 'out_features'"),
    (lambda: nn.Conv2d(3, 4), TypeError, "Conv2d.__init__() missing 1 required positional argument: 'kernel_size'"),
    (lambda: nn.Linear(3, 2, bogus=1), TypeError, "Linear.__init__() got an unexpected keyword argument 'bogus'"),
    (lambda: nn.Linear(3, 2)(T(3), T(3)), TypeError, "Linear.forward() takes 2 positional arguments but 3 were given"),
    (lambda: nn.LSTM(3, 2)(T(2, 2, 3), (T(1, 2, 2),) * 3), RuntimeError, "lstm expects two hidden states"),
    (
        lambda: nn.LSTMCell(3, 2)(T(2, 3), T(2, 2)),
        TypeError,
        "lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, not Tensor",
    ),
    (lambda: nn.Parameter(T(2), "a"), TypeError, "_make_subclass(): argument 'require_grad' (position 3) must be bool, not str"),
    (lambda: F.celu(T(2), 0), RuntimeError, "ZeroDivisionError: alpha cannot be 0 for CELU"),
    (lambda: F.dropout(T(2), 0.5, (1,)), TypeError, "dropout(): argument 'train' (position 3) must be bool, not tuple"),
    (lambda: nu.rnn.pad_sequence([]), RuntimeError, "received an empty list of sequences"),
    (lambda: sgd().add_param_group({}), KeyError, "'params'"),
    (lambda: sgd().load_state_dict({}), KeyError, "'param_groups'"),
    (lambda: torch.autograd.grad(loss(), []), RuntimeError, "`inputs` argument to `grad()` cannot be empty."),
    (lambda: torch.autograd.grad(loss(), [3]), RuntimeError, "all inputs have to be Tensors or GradientEdges, but got int"),
    (lambda: loss().backward(inputs=[3]), RuntimeError, "all inputs have to be Tensors or GradientEdges, but got int"),
    (lambda: loss().backward(retain_graph="a"), TypeError, "'str' object cannot be interpreted as an integer"),
    (lambda: torch.set_grad_enabled(3), TypeError, "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not int"),
    (
        lambda: torch.autograd.set_detect_anomaly("a"),
        TypeError,
        "set_anomaly_enabled(): argument 'enabled' (position 1) must be bool, not str",
    ),
    (lambda: torch.func.grad(lambda x: x.sum(), argnums=())(T(2)), RuntimeError, "argnums must be non-empty"),
    (
        lambda: torch.func.functional_call(nn.Linear(2, 2), 3, T(2)),
        ValueError,
        "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got <class 'int'>",
    ),
    (lambda: torch.compile(3), AssertionError, "A callable function is expected, but <class 'int'> is provided."),
    (lambda: torch.save(1, io.BytesIO(), pickle_protocol="a"), TypeError, "'str' object cannot be interpreted as an integer"),
    (lambda: torch.save(1, io.BytesIO(), pickle_protocol=9), ValueError, "pickle protocol must be <= 5"),
    (lambda: torch.save(1, io.BytesIO(), pickle_module=3), AttributeError, "'int' object has no attribute '__name__'"),
    (lambda: torch.load(io.BytesIO(), pickle_module=3), AttributeError, "'int' object has no attribute '__name__'"),
    (lambda: torch.load(io.BytesIO(), bogus=3), TypeError, "Unpickler.__init__() got an unexpected keyword argument 'bogus'"),
    (lambda: torch.manual_seed("a"), ValueError, "invalid literal for int() with base 10: 'a'"),
    (lambda: torch.manual_seed(2**64), ValueError, "Overflow when unpacking long long"),
    (lambda: torch.Generator().manual_seed("a"), RuntimeError, "manual_seed expected a long, but got str"),
    (lambda: torch.set_rng_state(3), TypeError, "expected a torch.ByteTensor, but got int"),
    (lambda: torch.set_default_dtype(3), TypeError, "invalid dtype object: only floating-point types are supported as the default type"),
    (lambda: torch.set_default_dtype(torch.int64), TypeError, "only floating-point types are supported as the default type"),
    (lambda: torch.set_num_threads("a"), RuntimeError, "set_num_threads expects an int, but got str"),
    (lambda: torch.set_num_interop_threads("a"), RuntimeError, "set_num_interop_threads expects an int, but got str"),
    (
        lambda: torch.use_deterministic_algorithms("a"),
        TypeError,
        "_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not str",
    ),
    (
        lambda: torch.set_deterministic_debug_mode(5),
        RuntimeError,
        "invalid value of debug_mode, expected 0, 1, or 2, but got 5",
    ),
    (lambda: torch.set_float32_matmul_precision(3), RuntimeError, "set_float32_matmul_precision expects a str, but got int"),
    (lambda: torch.set_flush_denormal("a"), RuntimeError, "flush_denormal expects a bool, but got str"),
    (lambda: setattr(T(2), "requires_grad", "a"), RuntimeError, "requires_grad must be a bool"),
    (lambda: torch.device("cpu", "a"), TypeError, "device(): argument 'index' (position 2) must be int, not str"),
    (lambda: torch.Tensor(2.5), TypeError, "new(): data must be a sequence (got float)"),
    (lambda: torch.randint(5, 2), TypeError, "randint(): argument 'size' (position 2) must be tuple of ints, not int"),
    (lambda: T(2).new_ones(), TypeError, 'new_ones() missing 1 required positional arguments: "size"'),
    (lambda: T(2).new_zeros((2,), bogus=1), TypeError, "new_zeros() got an unexpected keyword argument 'bogus'"),
    (lambda: T(2).new_zeros((2,), out=T(2)), TypeError, "new_zeros() got an unexpected keyword argument 'out'"),
    (lambda: T(2).uniform_(0, 1, names=7), TypeError, "uniform_() got an unexpected keyword argument 'names'"),
    (lambda: torch.diag_embed(T(2), out=T(2, 2)), TypeError, "diag_embed() got an unexpected keyword argument 'out'"),
    (lambda: torch.reshape(T(2), (2,), out=None), TypeError, "reshape() got an unexpected keyword argument 'out'"),
    (lambda: torch.trace(T(2, 2), out=T(())), TypeError, "trace() got an unexpected keyword argument 'out'"),
    (lambda: torch.zeros_like(T(2), out=T(2)), TypeError, "zeros_like() got an unexpected keyword argument 'out'"),
    (lambda: torch.layer_norm(T(2, 2), (2,), out=T(2, 2)), TypeError, "layer_norm() got an unexpected keyword argument 'out'"),
    (lambda: torch.max_pool2d(T(1, 1, 2, 2), 2, out=T(1)), TypeError, "max_pool2d() got an unexpected keyword argument 'out'"),
    (lambda: torch.dropout(T(2), 0.5, True, out=T(2)), TypeError, "dropout() got an unexpected keyword argument 'out'"),
    (lambda: torch.neg_(T(2), out=T(2)), TypeError, "neg_() got an unexpected keyword argument 'out'"),
    (lambda: T(2).add(T(2), out=T(2)), TypeError, "add() got an unexpected keyword argument 'out'"),
    (lambda: T(2, 2).sum(0, out=None), TypeError, "sum() got an unexpected keyword argument 'out'"),
    (lambda: torch.set_printoptions(profile="bogus"), ValueError, "set_printoptions(): unknown profile 'bogus'"),  # PyTorch ignores it
    (lambda: T(2).new_full(100, 1.0), TypeError, "new_full(): argument 'size' (position 1) must be tuple of ints, not int"),
    (lambda: T(2).resize_(), TypeError, 'resize_() missing 1 required positional arguments: "size"'),
    (lambda: torch.cross(T(3), T(3), dim=T(2)), TypeError, "cross(): argument 'dim' must be int, not Tensor"),
    (
        lambda: torch.mv(T(2, 2), T(2, requires_grad=True), T(2), out=T(2)),
        TypeError,
        "mv() takes 2 positional arguments but 3 were given",
    ),
    (lambda: torch.softmax(T(2), 0, dtype=T(2)), TypeError, "softmax(): argument 'dtype' must be torch.dtype, not Tensor"),
]


@pytest.mark.parametrize(("call", "kind", "sentence"), SAID, ids=[s for *_, s in SAID])
def test_what_pytorch_says(call: Callable[[], object], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).split("\n")[0] == sentence


@pytest.mark.parametrize("name", [name for name, made in vars(torch.Tensor).items() if not name.startswith("_") and callable(made)])
def test_methods_take_no_out(name: str) -> None:
    """Functions do. What is told may be another mistake in the same call, which has no other arguments."""
    x = T(2, 2)
    method = getattr(x, name)
    with pytest.raises((TypeError, RuntimeError)):
        method(out=T(2, 2))
    assert x.equal(T(2, 2))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_a_refusal_tells_the_call_what_came_and_where() -> None:
    model = nn.Sequential(nn.Flatten(0), nn.BatchNorm2d(3))
    with pytest.raises(TypeError) as caught:
        model[1](3)
    notes = "\n".join(caught.value.__notes__)
    assert "call:     BatchNorm2d.forward(3)" in notes and "in:       BatchNorm2d" in notes
    assert "received: input=3" in notes and "expected: Tensor" in notes
    with pytest.raises(TypeError) as caught:
        nn.Conv2d(3, 4, None)
    assert "call:     Conv2d(3, 4, None)" in "\n".join(caught.value.__notes__)


def test_errors_of_functions_that_were_handed_in_stay_theirs() -> None:
    def user(x: torch.Tensor) -> torch.Tensor:
        return x.matmul(T(5)) + None.bogus  # type: ignore[attr-defined]

    with pytest.raises(RuntimeError) as caught:
        torch.autograd.functional.jacobian(user, T(2))
    notes = getattr(caught.value, "__notes__", [])
    assert not any("jacobian" in note for note in notes)

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            return x.bogus  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="bogus"):
        nn.Sequential(Net())(T(2))

    class Wide(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 4)
            self.bogus = None.bogus  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="bogus"):
        Wide()


def test_a_loader_shows_two_frames_below_its_own() -> None:
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size") as caught:
        next(iter(data.DataLoader([T(2), T(3)], batch_size=2)))
    trace, frames = caught.value.__traceback__, 0
    while trace is not None:
        frames += str(trace.tb_frame.f_globals.get("__name__")).startswith("facula.")
        trace = trace.tb_next
    assert frames <= 3


def test_guarded_names_are_what_pickling_finds() -> None:
    import pickle

    for function in (nu.clip_grad_norm_, init.zeros_, F.softmax, data.default_collate, torch.load, torch.func.vmap):
        assert pickle.loads(pickle.dumps(function)) is function
    assert data.DataLoader(data.TensorDataset(T(2))).collate_fn is data.default_collate


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.softmax(T(2)),
        lambda: nn.Softmax()(T(2)),
        lambda: F.mse_loss(T(2, 1), T(2)),
        lambda: nn.MSELoss()(T(2, 1), T(2)),
        lambda: nn.MSELoss(reduce=False),
        lambda: F.upsample(T(1, 1, 2, 2), 3),
        lambda: init.uniform(T(2)),
        lambda: init.kaiming_uniform_(T(0, 2)),
        lambda: nn.LSTM(2, 2, dropout=0.5),
        lambda: nu.clip_grad_norm([], 1.0),
        lambda: optim.SGD(parameters() * 2, lr=0.1),
        lambda: lrs.StepLR(sgd(), 1).step(),
        lambda: torch.meshgrid(T(2), T(2)),
        lambda: torch.range(0, 2),
        lambda: torch.cov(T(1, 1)),
        lambda: torch.autograd.grad(loss(), parameters(), only_inputs=False, allow_unused=True),
        lambda: F.kl_div(T(2), T(2)),
    ],
)
def test_warnings_point_at_the_line_of_the_program(call: Callable[[], object]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert caught and {w.filename for w in caught} == {__file__}
