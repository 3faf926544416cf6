"""`Module`: attributes, walking, state dicts, hooks, casts, and where an error came from."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest

import facula
from facula import nn
from facula.nn.modules import module_hooks


class Net(nn.Module):
    """One of everything that a module registers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(facula.ones(2))
        self.register_buffer("seen", facula.zeros(2))
        self.register_buffer("cache", facula.ones(1), persistent=False)
        self.register_parameter("nothing", None)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(x * self.weight)


# ---------------------------------------------------------------- attributes
def test_assignment_registers_by_type() -> None:
    net = Net()
    assert list(net.state_dict()) == ["weight", "seen", "head.weight", "head.bias"]
    net.extra = nn.Buffer(facula.ones(1), persistent=False)
    assert [n for n, _ in net.named_buffers()] == ["seen", "cache", "extra"]
    net.seen = nn.Parameter(facula.ones(2))
    assert "seen" not in net._buffers and "seen" in net._parameters
    net.weight = None
    assert net.weight is None and "weight" not in net.state_dict()


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("weight", 3, "cannot assign 'int' as parameter 'weight' (torch.nn.Parameter or None expected)"),
    ("seen", 3, "cannot assign 'int' as buffer 'seen' (torch.nn.Buffer, torch.Tensor or None expected)"),
    ("head", 3, "cannot assign 'int' as child module 'head' (torch.nn.Module or None expected)"),
])  # fmt: skip
def test_wrong_assignment_is_refused(name: str, value: object, sentence: str) -> None:
    with pytest.raises(TypeError) as caught:
        setattr(Net(), name, value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("register", "name", "value", "kind", "sentence"), [
    ("register_parameter", "a.b", None, KeyError, 'parameter name can\'t contain "."'),
    ("register_parameter", "", None, KeyError, 'parameter name can\'t be empty string ""'),
    ("register_parameter", "training", None, KeyError, "attribute 'training' already exists"),
    ("register_buffer", 3, None, TypeError, "buffer name should be a string. Got int"),
    ("register_buffer", "x", 3, TypeError, "cannot assign 'int' object to buffer 'x' (torch Tensor or None required)"),
    ("add_module", "a.b", None, KeyError, 'module name can\'t contain ".", got: a.b'),
    ("add_module", "x", 3, TypeError, "int is not a Module subclass"),
])  # fmt: skip
def test_wrong_registration_is_refused(register: str, name: object, value: object, kind: type, sentence: str) -> None:
    with pytest.raises(kind) as caught:
        getattr(Net(), register)(name, value)
    assert caught.value.args[0] == sentence


def test_attributes_before_init_are_refused() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.head = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Early()


def test_missing_attribute_names_the_class() -> None:
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'absent'"):
        Net().absent  # noqa: B018


def test_module_without_forward() -> None:
    with pytest.raises(NotImplementedError, match=r'Module \[Module\] is missing the required "forward" function'):
        nn.Module()(1)


# ---------------------------------------------------------------- walking
def test_names_and_duplicates() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(OrderedDict(a=shared, b=nn.Sequential(shared, nn.BatchNorm1d(2)), c=None))
    assert [n for n, _ in net.named_modules()] == ["", "a", "b", "b.1"]
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "a", "b", "b.0", "b.1"]
    assert [n for n, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.1.weight", "b.1.bias"]
    assert len([n for n, _ in net.named_parameters(remove_duplicate=False)]) == 6
    assert net.get_submodule("b.0") is shared and net.get_parameter("b.0.weight") is shared.weight
    assert net.get_buffer("b.1.running_var").tolist() == [1, 1]
    with pytest.raises(AttributeError, match="Sequential has no attribute `7`"):
        net.get_submodule("b.7")
    net.set_submodule("b.1", nn.ReLU())
    assert repr(net.b[1]) == "ReLU()"


# ---------------------------------------------------------------- state dicts
def test_state_dict_shares_memory_and_has_versions() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = net.state_dict()
    assert {k: v["version"] for k, v in state._metadata.items()} == {"": 1, "0": 1, "1": 2}
    assert not any(v.requires_grad for v in state.values())
    state["0.bias"].fill_(5)
    assert net[0].bias.tolist() == [5, 5, 5]
    assert repr(net.load_state_dict(state)) == "<All keys matched successfully>"


def test_load_reports_everything_at_once() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = OrderedDict(net.state_dict())
    del state["0.weight"]
    state["foo"] = facula.ones(1)
    state["1.weight"] = facula.ones(5)
    state["0.bias"] = 3
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Sequential:\n"
        '\tMissing key(s) in state_dict: "0.weight". \n'
        '\tUnexpected key(s) in state_dict: "foo". \n'
        "\tWhile copying the parameter named \"0.bias\", expected torch.Tensor or Tensor-like object from checkpoint but received <class 'int'>\n"
        "\tsize mismatch for 1.weight: copying a param with shape torch.Size([5]) from checkpoint, the shape in current model is torch.Size([3])."
    )


def test_load_by_name_and_by_assignment() -> None:
    net = nn.Linear(2, 1)
    result = net.load_state_dict({"weight": facula.full((1, 2), 7.0), "other": facula.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"] and result.unexpected_keys == ["other"]
    assert net.weight.tolist() == [[7, 7]]
    given = {"weight": facula.ones(1, 2), "bias": facula.ones(1)}
    net.load_state_dict(given, assign=True)
    given["weight"].fill_(9)
    assert net.weight.tolist() == [[9, 9]] and isinstance(net.weight, nn.Parameter)


def test_extra_state() -> None:
    class Counter(nn.Module):
        count = 1

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    net = nn.Sequential(Counter(), nn.Linear(1, 1))
    state = net.state_dict()
    assert list(state) == ["0._extra_state", "1.weight", "1.bias"]
    state["0._extra_state"] = {"count": 5}
    net.load_state_dict(state)
    assert net[0].count == 5
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0._extra_state"'):
        net.load_state_dict({"1.weight": facula.ones(1, 1), "1.bias": facula.ones(1)})


def test_state_hooks_run_in_order() -> None:
    net, log = nn.Linear(1, 1), []
    net.register_state_dict_pre_hook(lambda module, prefix, keep_vars: log.append("before save"))
    net.register_state_dict_post_hook(lambda module, state, prefix, meta: log.append(f"saved {len(state)}"))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: log.append("before load"))
    handle = net.register_load_state_dict_post_hook(lambda module, keys: log.append("loaded"))
    net.load_state_dict(net.state_dict())
    assert log == ["before save", "saved 2", "before load", "loaded"]
    handle.remove()
    net.load_state_dict(net.state_dict())
    assert log.count("loaded") == 1


# ---------------------------------------------------------------- hooks
def test_forward_hooks_change_arguments_and_results() -> None:
    net, log = nn.Identity(), []
    net.register_forward_pre_hook(lambda m, args: args[0] * 2)
    net.register_forward_pre_hook(lambda m, args, kwargs: log.append(sorted(kwargs)), with_kwargs=True, prepend=True)
    handle = net.register_forward_hook(lambda m, args, out: out + 1)
    assert net(facula.ones(1)).item() == 3
    handle.remove()
    assert net(facula.ones(1)).item() == 2 and log == [[], []]


def test_forward_hook_that_always_runs() -> None:
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    net, log = Broken(), []
    net.register_forward_hook(lambda m, args, out: log.append(out), always_call=True)
    with pytest.raises(RuntimeError, match="broken"):
        net(1)
    assert log == [None]


def test_full_backward_hooks_see_and_change_gradients() -> None:
    net, log = nn.Linear(2, 1, bias=False), []
    net.load_state_dict({"weight": facula.tensor([[2.0, 3.0]])})
    net.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 10,))
    net.register_full_backward_hook(lambda m, grad_input, grad_output: log.append((grad_input[0].tolist(), grad_output[0].tolist())))
    net.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] + 1,))
    x = facula.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    assert log == [([[20, 30]], [[10]])]
    assert x.grad.tolist() == [[21, 31]] and net.weight.grad.tolist() == [[10, 10]]


def test_backward_hook_without_input_gradients() -> None:
    net, log = nn.Linear(1, 1), []
    net.register_full_backward_hook(lambda m, grad_input, grad_output: log.append(grad_input))
    net(facula.ones(1, 1)).sum().backward()
    assert log == [(None,)]


def test_global_hooks_and_their_removal() -> None:
    log = []
    handles = [module_hooks.register_module_forward_hook(lambda m, args, out: log.append(type(m).__name__)),
               module_hooks.register_module_parameter_registration_hook(lambda m, name, p: log.append(name))]  # fmt: skip
    try:
        nn.Linear(1, 1)(facula.ones(1))
    finally:
        for handle in handles:
            handle.remove()
    nn.Linear(1, 1)(facula.ones(1))
    assert log == ["weight", "bias", "Linear"]


# ---------------------------------------------------------------- casts, modes, copies
def test_casts_keep_parameters_and_integers() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    weight = net[0].weight
    net(facula.ones(3, 2)).sum().backward()
    net.double()
    assert net[0].weight is weight and weight.dtype == facula.float64 and weight.grad.dtype == facula.float64
    assert net[1].num_batches_tracked.dtype == facula.int64
    net.to("cpu", facula.float32)
    assert weight.dtype == facula.float32
    with pytest.raises(TypeError, match=r"only accepts floating point or complex dtypes, but got desired dtype=torch\.int64"):
        net.to(facula.int64)


def test_modes_and_gradients() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Linear(1, 1)).eval()
    assert not net[0].training and net.train()[0].training
    net[1](facula.ones(1)).backward()
    net.zero_grad(set_to_none=False)
    assert net[1].bias.grad.tolist() == [0]
    net.zero_grad()
    assert net[1].bias.grad is None
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(3)


def test_copies_keep_sharing() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin[0] is twin[1] and twin[0] is not shared
        assert twin[0].weight.tolist() == shared.weight.tolist() and twin[0].weight.requires_grad


def test_apply_goes_from_the_leaves_up() -> None:
    seen = []
    nn.Sequential(nn.Linear(1, 1), nn.ReLU()).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential"]


# ---------------------------------------------------------------- errors
def test_error_tells_the_path_of_modules() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Linear(3, 4))])

        def forward(self, x):
            return self.blocks[0](x)

    net = nn.Sequential(OrderedDict(encoder=Encoder()))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        net(facula.ones(2, 5))
    assert caught.value.where == "encoder.blocks.0.1"
    if hasattr(caught.value, "__notes__"):
        notes = [note for note in caught.value.__notes__ if note.startswith("  in:")]
        assert notes == ["  in:       encoder.blocks.0.1 (Linear)"]


def test_hooks_of_all_modules_are_at_pytorchs_path() -> None:
    seen: list[str] = []
    with nn.modules.module.register_module_forward_hook(lambda m, args, out: seen.append(type(m).__name__)):
        nn.Sequential(nn.ReLU())(facula.ones(1))
    nn.ReLU()(facula.ones(1))
    assert seen == ["ReLU", "Sequential"]


def test_a_missing_operator_is_not_taken_for_a_wrong_argument() -> None:
    with pytest.raises(AttributeError, match="no operator 'operator_of_tomorrow'") as caught:
        facula.ops.operator_of_tomorrow  # noqa: B018
    assert caught.value.received == "operator_of_tomorrow"  # as refusals of this package have, which calls of modules let pass


def test_nothing_to_clip_is_told_for_iterators_alone() -> None:
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0
    with pytest.warns(UserWarning, match="empty generator"):
        nn.utils.clip_grad_norm_(iter([]), 1.0)


def test_the_distance_of_a_triplet_loss_is_shown() -> None:
    assert repr(nn.TripletMarginWithDistanceLoss()) == "TripletMarginWithDistanceLoss(\n  (distance_function): PairwiseDistance()\n)"
