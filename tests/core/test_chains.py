"""Chains: what serves a call from the third time on gives what Python gives, and is dropped where something beside the key decides."""

from __future__ import annotations

import contextlib
import threading
import warnings
from typing import Any

import pytest

import facula as t
import facula.nn.functional as F
from facula.base import dtypes as d
from facula.base.settings import SETTINGS
from facula.core import chains, objects
from facula.core.modes import MODE, sync
from facula.core.native import fields
from facula.spec.registry import OPS
from facula.testing.derived import call, public

native = pytest.mark.skipif(not objects.NATIVE or SETTINGS.check_bounds, reason="chains are emitted, and run kernels that are not checked")


class python:
    """Every call inside passes Python."""

    def __enter__(self) -> None:
        MODE.watched = True
        sync()

    def __exit__(self, *exc: object) -> None:
        MODE.watched = False
        sync()


def leaves(got: Any) -> list[Any]:
    return [w for v in got for w in leaves(v)] if isinstance(got, (list, tuple)) else [got]


def seen(function: Any, seed: int, wanted: bool, make: Any) -> list[Any]:
    """What a call gives, and how its results stand in history, memory and version."""
    args, kwargs = make(seed)
    tensors = [x for x in leaves([args, [*kwargs.values()]]) if isinstance(x, t.Tensor) and x.dtype.is_floating_point]
    for x in tensors:
        x.requires_grad_(wanted)
    t.manual_seed(3)
    out = leaves(function(*args, **kwargs))
    told: list[Any] = [t.get_rng_state().sum().item(), [x._version for x in tensors]]
    for x in out:
        if isinstance(x, t.Tensor):
            node = None if x.grad_fn is None else x.grad_fn.name()
            told.append((x._layout, node, x._version, x._is_view(), x.requires_grad, any(x is v for v in tensors)))
            bits = x.detach().contiguous().view(-1)
            told.append(t.view_as_real(bits).tolist() if x.dtype.is_complex else bits.tolist())
        else:
            told.append(repr(x))
    used = [x for x in out if isinstance(x, t.Tensor) and x.requires_grad and x.dtype.is_floating_point]
    if used:
        got = t.autograd.grad([x.sum() for x in used], tensors, allow_unused=True)
        told += [g if g is None else g.tolist() for g in got]
    return told


SAMPLES = [(op, sample) for op in OPS.values() if op.block.paths and op.kind != "library" for sample in op.block.all_samples()]


@native
@pytest.mark.parametrize("family", sorted({op.block.__module__.rpartition(".")[2] for op, _ in SAMPLES}))
def test_later_calls_give_what_python_gives(family: str) -> None:
    for op, sample in SAMPLES:
        if op.block.__module__.rpartition(".")[2] != family or "empty" in op.name:
            continue
        function = public(op)

        def make(seed: int, op: Any = op, sample: Any = sample) -> Any:
            return call(op, sample, d.float32, seed)

        for wanted in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    with python():
                        want = seen(function, 9, wanted, make)
                except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
                    continue
                for seed in (1, 2, 3):
                    with contextlib.suppress(RuntimeError, ValueError, IndexError):
                        seen(function, seed, wanted, make)
                got = seen(function, 9, wanted, make)
            assert repr(got) == repr(want), f"{op.name} {sample}"


def thrice(call: Any) -> Any:
    """The answer of the third call, which a chain serves where there is one."""
    call(), call()
    return call()


@native
def test_a_chain_serves_from_the_third_call_on() -> None:
    made: list[Any] = []
    keep = chains.Trace.chain

    def noted(self: Any, got: Any) -> Any:
        made.append(keep(self, got))
        return made[-1]

    chains.Trace.chain = noted  # type: ignore[method-assign]
    try:
        objects.clear_table()
        x = t.ones(3, 7)
        thrice(lambda: x[1:3, 2])
        assert len(made) == 1 and made[0] is not None
        x[1, 2] = 5.0
        assert x[1:3, 2].tolist() == [5.0, 1.0] and len(made) == 1
    finally:
        chains.Trace.chain = keep  # type: ignore[method-assign]


def test_a_default_type_that_changes() -> None:
    assert thrice(lambda: t.tensor(1.5)).dtype is t.float32
    assert thrice(lambda: t.zeros(2)).dtype is t.float32
    t.set_default_dtype(t.float64)
    try:
        assert t.tensor(1.5).dtype is t.float64 and t.zeros(2).dtype is t.float64
        assert t.arange(3).exp().dtype is t.float64
    finally:
        t.set_default_dtype(t.float32)
    assert t.tensor(1.5).dtype is t.float32


def test_values_that_decide_stay_with_python() -> None:
    for n in (1, 2, 3, 4):
        x = t.zeros(5)
        x[:n] = 1
        assert t.nonzero(x).shape == (n, 1) and x[x > 0].shape == (n,)
        assert t.arange(10)[t.tensor(n)].item() == n
        assert t.full((2,), t.tensor(float(n))).tolist() == [n, n]


def test_an_index_outside_is_refused_after_good_ones() -> None:
    x = t.arange(4.0)
    for _ in range(4):
        assert x[t.tensor([1, 3])].tolist() == [1, 3]
        x[t.tensor([1])] = 1.0
    with pytest.raises(IndexError, match="index 4 is out of bounds for dimension 0 with size 4"):
        x[t.tensor([1, 4])]
    with pytest.raises(IndexError, match="index -5 is out of bounds"):
        x[t.tensor([-5])] = 1.0
    assert x.tolist() == [0, 1, 2, 3]


def test_memory_that_is_shared() -> None:
    a, b = t.arange(6.0), t.arange(6.0)

    def shift(x: Any, y: Any) -> Any:
        x[1:] = y[:-1]
        return x.tolist()

    for _ in range(3):
        assert shift(a.clone(), b) == [0, 0, 1, 2, 3, 4]
    assert shift(a, a) == [0, 0, 1, 2, 3, 4]
    m, n = t.arange(9.0).view(3, 3), t.arange(9.0).view(3, 3)
    for _ in range(3):
        m.clone().add_(n.t())
    want = (m + m.t()).tolist()
    try:
        assert m.add_(m.t()).tolist() == want
    except RuntimeError as error:
        assert "single memory location" in str(error)
    i = t.tensor([2, 1, 0])
    for _ in range(3):
        t.zeros(3, dtype=t.int64)[i] = t.tensor([5, 6, 7])
    with pytest.raises(RuntimeError, match="single memory location"):
        i[i] = t.tensor([5, 6, 7])
    assert i.tolist() == [2, 1, 0]


def test_a_copy_onto_itself_says_nothing_of_others() -> None:
    x, y = t.zeros(3, 2), t.ones(3, 2)
    for _ in range(3):
        x.copy_(x.detach())
    assert x.copy_(y).tolist() == y.tolist()


def test_which_of_a_list_are_the_same_is_part_of_the_key() -> None:
    a, b = t.zeros(2), t.ones(2)
    for _ in range(4):
        assert t.cat([a, a]).tolist() == [0, 0, 0, 0] and t.stack([a, a]).tolist() == [[0, 0], [0, 0]]
    for _ in range(4):
        assert t.cat([a, b]).tolist() == [0, 0, 1, 1] and t.stack([b, a]).tolist() == [[1, 1], [0, 0]]
        assert t.cat([a, b, a]).tolist() == [0, 0, 1, 1, 0, 0] and t.cat((b, b, a)).tolist() == [1, 1, 1, 1, 0, 0]
        assert F.mse_loss(a, b).item() == 1 and F.mse_loss(a, a).item() == 0


def test_lists_index_and_tuples_choose() -> None:
    x = t.arange(9).view(3, 3)
    for _ in range(4):
        assert x[[0, 1]].shape == (2, 3) and x[0, 1].shape == () and x[(0, 1)].shape == ()
        assert x[True].shape == (1, 3, 3) and x[1].shape == (3,) and x[None].shape == (1, 3, 3)
        assert x[:].shape == (3, 3) and x[0:].shape == (3, 3) and x[::2].shape == (2, 3) and x[-2:].shape == (2, 3)


def test_writes_follow_the_history_as_it_is() -> None:
    w = t.zeros(3, 3)
    view = w[0]
    for _ in range(4):
        view.fill_(1.0)
        w[1] = 2.0
    w.requires_grad_()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        w[1] = 2.0
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        view.fill_(2.0)
    with t.no_grad():
        w[1] = 3.0
    assert w[1].tolist() == [3, 3, 3]
    y = w * 2
    y[0] = t.ones(3)
    y.sum().backward()
    assert w.grad.tolist() == [[0, 0, 0], [2, 2, 2], [2, 2, 2]]


def test_versions_count_writes() -> None:
    x, y = t.zeros(3), t.ones(3)
    for n in range(1, 5):
        x.fill_(n)
        assert x._version == 4 * n - 3
        x.zero_()
        x[0] = 1.0
        x.copy_(y)
        assert x._version == 4 * n
    assert t.zeros(3)._version == t.full((3,), 2.0)._version == t.tensor(1.0)._version == 0


def test_a_saved_tensor_that_was_written_is_found() -> None:
    for _ in range(4):
        w, x = t.ones(3, requires_grad=True), t.ones(3)
        out = (w * x).sum()
        x[0] = 2.0
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_draws_follow_the_stream() -> None:
    def draws() -> list[Any]:
        t.manual_seed(0)
        x = t.ones(4)
        return [t.randn(3).tolist(), t.rand(2).tolist(), F.dropout(x).tolist(), x.clone().normal_().tolist(), t.randperm(5).tolist()]

    want = draws()
    assert all(draws() == want for _ in range(4))
    assert t.rand(2).tolist() != t.rand(2).tolist()


def test_draws_inside_vmap_are_its_own() -> None:
    for _ in range(4):
        t.randn(3)
    with pytest.raises(RuntimeError, match="random"):
        t.vmap(lambda x: x + t.randn(3))(t.zeros(2, 3))
    got = t.vmap(lambda x: x + t.randn(3), randomness="different")(t.zeros(2, 3))
    assert got[0].tolist() != got[1].tolist()
    got = t.vmap(lambda x: x + t.randn(3), randomness="same")(t.zeros(2, 3))
    assert got[0].tolist() == got[1].tolist()


def test_places_in_a_storage_are_looked_at_each_time() -> None:
    x = t.arange(10.0)
    for k in (0, 1, 2, 3):
        assert x[k : k + 5].as_strided((2,), (1,)).tolist() == [k, k + 1]
        assert x[k : k + 5].storage_offset() == k


def test_warnings_come_every_time() -> None:
    a, b = t.zeros(2, 1), t.zeros(2)
    for _ in range(4):
        with pytest.warns(UserWarning, match="target size"):
            F.mse_loss(a, b)


def test_deleting_an_item_is_refused() -> None:
    x = t.zeros(3)
    for _ in range(3):
        with pytest.raises(TypeError, match="does not support deleting items"):
            del x[0]


def test_subclasses_and_modes_are_asked() -> None:
    class Mine(t.Tensor):
        pass

    x, mine = t.zeros(3, 3), t.zeros(3, 3).as_subclass(Mine)
    for _ in range(4):
        assert type(x.flatten()) is t.Tensor and type(mine.flatten()) is Mine and type(mine[0]) is Mine

    class Names(t.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(function)
            return function(*args, **(kwargs or {}))

    names: list[Any] = []
    with Names():
        x.flatten()
        t.stack([x, x])
    assert t.Tensor.flatten in names and t.stack in names


def test_a_recording_takes_chains() -> None:
    linear = t.nn.Linear(4, 3)

    def step(x: Any, y: Any) -> Any:
        h = F.dropout(linear(x), 0.0)
        h = t.cat([h, t.zeros(2, 3)]).chunk(2)[0]
        return F.cross_entropy(h, y) + h[0, 1]

    compiled = t.compile(step)
    for seed in range(5):
        t.manual_seed(seed)
        x, y = t.randn(2, 4), t.tensor([0, 2])
        want = step(x, y)
        assert abs(compiled(x, y).item() - want.item()) < 1e-6
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        compiled(x, t.tensor([0, 3]))


@native
def test_public_functions_pickle_and_show_their_signature() -> None:
    import inspect
    import pickle

    assert "dim" in inspect.signature(t.stack).parameters and next(iter(inspect.signature(t.Tensor.flatten).parameters)) in (
        "input",
        "self",
    )
    for function in (t.stack, t.flatten, F.mse_loss, t.add, F.relu):
        assert pickle.loads(pickle.dumps(function)) is function


def test_an_argument_given_twice_is_part_of_the_key() -> None:
    a, b = t.arange(4.0), t.ones(4)
    for _ in range(4):
        assert t.einsum("i,i->", a, a).item() == 14
        assert a.type_as(a) is a and F.mse_loss(a, a).item() == 0
    for _ in range(4):
        assert t.einsum("i,i->", a, b).item() == 6 and t.einsum("i,i->", b, a).item() == 6
        assert a.type_as(b) is a and F.mse_loss(a, b).item() == 1.5


def test_several_results_keep_their_names() -> None:
    for k in range(4):
        x = t.tensor([[3.0, 1.0], [k, 9.0]])
        values, places = x.sort(1)
        assert values.tolist() == [sorted(row) for row in x.tolist()] and places[0].tolist() == [1, 0]
        top = x.topk(1)
        assert type(top).__name__ == "topk" and top.values.tolist() == [[3], [9]] and top.indices.tolist() == [[0], [1]]


def test_threads_make_and_use_chains_together() -> None:
    wrong: list[Any] = []

    def work(k: int) -> None:
        for n in range(60):
            x = t.full((4, n % 7 + 2), float(k))
            both = t.cat([x, x[:, :1]], 1)
            x[0] = 1.0
            if both.sum().item() != k * 4 * (n % 7 + 3) or x[0, 1].item() != 1 or x[1].tolist() != [k] * (n % 7 + 2):
                wrong.append((k, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _first(n: int, of: int = 200) -> Any:
    """A mask that holds for the first n."""
    return t.arange(of) < n


@native
def test_a_value_that_was_met_before_stays_on_the_road() -> None:
    made: list[Any] = []
    keep = chains.Trace.chain

    def noted(self: Any, got: Any) -> Any:
        made.append(keep(self, got))
        return made[-1]

    x, masks = t.arange(200.0), [_first(n) for n in (3, 0, 7, 200)]
    chains.Trace.chain = noted  # type: ignore[method-assign]
    try:
        for _ in range(2):
            for mask in (masks[0], *masks):
                assert x[mask].shape == (int(mask.sum()),)
        made.clear()
        for mask in masks:
            assert x[mask].tolist() == [float(i) for i in range(int(mask.sum()))]
            assert not [c for c in made if c is not None and any(isinstance(what, chains.Look) for what, *_ in c.steps)]
    finally:
        chains.Trace.chain = keep  # type: ignore[method-assign]


def test_more_values_than_a_chain_has_branches_for() -> None:
    for _ in range(6):
        for n in range(200):
            assert t.nonzero(_first(n)).shape == (n, 1)


def test_answers_that_values_decide() -> None:
    x = t.arange(5.0)
    for y in (x + 1, x.clone(), x + 2, x * 1, x.clone()) * 2:
        assert t.equal(x, y) is (y[0].item() == 0) and t.allclose(x, y) is (y[0].item() == 0)


def test_gradients_through_masks_of_many_sizes() -> None:
    x = t.arange(200.0, requires_grad=True)
    for n in (3, 3, 3, 9, 0, 3, 9):
        (g,) = t.autograd.grad(x[_first(n)].sum() * 2, x)
        assert g.sum().item() == 2 * n and g[:n].tolist() == [2.0] * n


def test_a_recording_looks_at_values_itself() -> None:
    def f(x: Any, mask: Any) -> Any:
        return x[mask * (x >= 0)].sum() + t.nonzero(mask).sum()

    x, run = t.arange(200.0), t.compile(f)
    for n in (4, 4, 4, 9, 4, 9, 0):
        assert run(x, _first(n)).item() == 2 * sum(range(n))


WRITES: dict[str, Any] = {
    "mul_": lambda z, a, b: z.mul_(2),
    "mul_ tensor": lambda z, a, b: z.mul_(b),
    "add_": lambda z, a, b: z.add_(a),
    "add_ itself": lambda z, a, b: z.add_(z),
    "operator": lambda z, a, b: z.__iadd__(a),
    "relu_": lambda z, a, b: z.relu_(),
    "sigmoid_": lambda z, a, b: z.sigmoid_(),
    "clamp_": lambda z, a, b: z.clamp_(-0.5, 0.5),
    "zero_": lambda z, a, b: z.zero_(),
    "fill_": lambda z, a, b: z.fill_(3.0),
    "copy_": lambda z, a, b: z.copy_(a),
    "copy_ of a row": lambda z, a, b: z.copy_(a[0]),
    "copy_ of another type": lambda z, a, b: z.copy_(a.double()),
    "masked_fill_": lambda z, a, b: z.masked_fill_(b > 0, 0.5),
    "item": lambda z, a, b: z.__setitem__(1, a[0]),
    "number": lambda z, a, b: z.__setitem__((0, 1), 4.0),
    "slice": lambda z, a, b: z.__setitem__((slice(1, 3), 2), a[:2, 0]),
    "indices": lambda z, a, b: z.__setitem__([0, 2], a[:2]),
    "view mul_": lambda z, a, b: z[1].mul_(2),
    "view of a view": lambda z, a, b: z[1:][0].sub_(a[2]),
    "view add_": lambda z, a, b: z.t().add_(a.t()),
    "view copy_": lambda z, a, b: z[:, 1].copy_(a[0]),
    "view zero_": lambda z, a, b: z[0].zero_(),
}


def written(write: Any, start: str, seed: int) -> list[Any]:
    """What a write leaves: values, version, history by name, gradients."""
    t.manual_seed(seed)
    a, b = t.randn(3, 3, requires_grad=True), t.randn(3, 3)
    z = {"nothing": lambda: b + 0, "leaf's": lambda: a * 1, "view": lambda: (a * 1)[:]}[start]()
    write(z, a, b)
    told = [z.tolist(), z._version, z.requires_grad, None if z.grad_fn is None else z.grad_fn.name()]
    if z._base is not None and z._base.grad_fn is not None:
        told += [z._base.tolist(), z._base.grad_fn.name()]
    return [*told, *(t.autograd.grad((z * b).sum(), [a], allow_unused=True) if z.requires_grad else ())]


@pytest.mark.parametrize("start", ["nothing", "leaf's", "view"])
@pytest.mark.parametrize("name", WRITES)
def test_recorded_writes_are_the_same_on_every_road(name: str, start: str) -> None:
    with python():
        want = repr(written(WRITES[name], start, 9))
    for seed in (1, 2, 3):
        written(WRITES[name], start, seed)
    assert repr(written(WRITES[name], start, 9)) == want


@native
@pytest.mark.parametrize("name", ["mul_", "add_", "relu_", "copy_", "item", "view mul_", "view copy_"])
def test_recorded_writes_pass_no_python(name: str) -> None:
    for _ in range(3):
        written(WRITES[name], "leaf's", 1)
    missed = []
    for _ in range(40):  # other keys may have taken the place in the table
        a = t.randn(3, 3, requires_grad=True)
        z, b = a * 1, t.randn(3, 3)
        before = objects.state[fields.STATE["misses"]]
        WRITES[name](z, a, b)
        missed.append(objects.state[fields.STATE["misses"]] - before)
    assert 0 in missed


def test_writes_that_are_refused_stay_refused() -> None:
    x = t.randn(3, 3, requires_grad=True)
    for _ in range(4):
        z = x * 1
        z.mul_(2)
        z[0].mul_(2)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            x.mul_(2)
        with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
            x[0].mul_(2)
        with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
            (x * 1).unbind(0)[0].mul_(2)


def test_a_retained_gradient_follows_a_write() -> None:
    x = t.ones(3, requires_grad=True)
    for _ in range(4):
        z = x * 1
        z.retain_grad()
        z.mul_(3)
        z[0].mul_(5)
        z.sum().backward()
        assert z.grad.tolist() == [1.0, 1.0, 1.0]
        assert x.grad.tolist() == [15.0, 3.0, 3.0]
        x.grad = None


def test_where_a_view_begins_is_no_part_of_its_key() -> None:
    for i in (0, 1, 2, 0, 2):
        x = t.ones(3, 2, requires_grad=True)
        z = x * 1
        row = z.unsqueeze(0)[0, i]
        row.mul_(i + 2)
        z.sum().backward()
        assert x.grad[i].tolist() == [i + 2.0] * 2 and x.grad.sum().item() == 4 + 2 * (i + 2)


def test_leaves_made_on_the_road() -> None:
    for _ in range(4):
        x = t.randn(3, requires_grad=True)
        y = t.zeros(2, requires_grad=True)
        assert x.requires_grad and x.is_leaf and y.is_leaf and y.requires_grad
        (x.sum() * 2 + y.sum()).backward()
        assert x.grad.tolist() == [2.0] * 3 and y.grad.tolist() == [1.0] * 2


def test_counting_in_place() -> None:
    counts = t.zeros(4, dtype=t.int64)
    for i in (0, 3, 3, 1, 3, 0):
        counts[i] += 1
    assert counts.tolist() == [2, 1, 0, 3]
    x = t.ones(4, requires_grad=True)
    for i in (0, 3, 3, 1):
        y = x * 1
        y[i] += 1
        y[i] *= 3
        y.sum().backward()
        assert x.grad[i].item() == 3 and x.grad.sum().item() == 6
        x.grad = None


def test_what_is_detached_inside_has_no_history() -> None:
    x, sorted_ = t.rand(5, requires_grad=True), t.tensor([0.25, 0.5, 0.75])
    for _ in range(4):
        got = t.searchsorted(sorted_, x), t.bucketize(x, sorted_), t.bernoulli(x)
        assert not any(g.requires_grad for g in got[:2]) and got[0].tolist() == got[1].tolist() == [
            int(sum(b < v for b in (0.25, 0.5, 0.75))) for v in x.tolist()
        ]


def test_writes_that_only_python_can_make() -> None:
    """A complex number is no operand of emitted code."""
    for _ in range(4):
        x = t.ones(2, 2, dtype=t.complex64, requires_grad=True)
        z = x * 1
        z[0].mul_(2j)
        z.add_(z, alpha=1j)
        assert z.tolist() == [[-2 + 2j] * 2, [1 + 1j] * 2]
