"""What waits while calls are recorded: checks of values, memory that others see, optimizers, threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import facula as t
from facula.base.settings import SETTINGS
from facula.core import objects
from facula.core.modes import MODE
from facula.graph.program import WATCHERS, Program

F = t.nn.functional
native = pytest.mark.skipif(not objects.NATIVE, reason="the Python twin runs every call at once")
waiting = pytest.mark.skipif(
    not objects.NATIVE or SETTINGS.check_bounds, reason="the twin runs every call at once; so are looks at values where bounds are checked"
)


def programs_of(f: Callable[..., Any], *args: Any) -> list[Program]:
    """The programs that one call runs."""
    seen: list[Program] = []
    WATCHERS.append(seen.append)
    try:
        f(*args)
    finally:
        WATCHERS.remove(seen.append)
    return seen


def training(kind: str = "Adam", **options: Any) -> tuple[Any, Any, Callable[..., Any]]:
    t.manual_seed(0)
    model = t.nn.Sequential(t.nn.Embedding(20, 8), t.nn.Linear(8, 16), t.nn.LayerNorm(16), t.nn.ReLU(), t.nn.Linear(16, 4))
    optimizer = getattr(t.optim, kind)(model.parameters(), 0.05, **options)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


@waiting
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_training_step_is_one_program(kind: str) -> None:
    _, _, step = training(kind)
    compiled = t.compile(step)
    x, y = t.randint(0, 20, (6,)), t.tensor([0, 1, 2, 3, 0, 1])
    for _ in range(3):
        compiled(x, y)
    assert len(programs_of(compiled, x, y)) == 1
    assert len(programs_of(compiled, t.randint(0, 20, (9,)), t.randint(0, 4, (9,)))) == 1


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_optimizers_in_and_outside_agree(kind: str) -> None:
    results = []
    for compiled in (False, True):
        model, _, step = training(kind, **({"momentum": 0.9} if kind == "SGD" else {}))
        run = t.compile(step) if compiled else step
        t.manual_seed(3)
        losses = [run(t.randint(0, 20, (n,)), t.randint(0, 4, (n,))).item() for n in (6, 6, 9, 6, 2, 6)]
        results.append((losses, [p.tolist() for p in model.parameters()]))
    assert results[0] == results[1]


@pytest.mark.parametrize("where", ["targets", "indices"])
def test_bad_values_are_refused_as_without_a_recording(where: str) -> None:
    x, y = t.randint(0, 20, (6,)), t.tensor([0, 1, 2, 3, 0, 1])
    bad = (x, t.tensor([0, 1, 2, 4, 0, 1])) if where == "targets" else (t.tensor([0, 3, 20, 1, 2, 3]), y)
    refusals, after = [], []
    for compiled in (False, True):
        model, optimizer, step = training("SGD", momentum=0.9)
        run = t.compile(step) if compiled else step
        for _ in range(3):
            run(x, y)
        state = [v.clone() for v in (*model.state_dict().values(), *(s["momentum_buffer"] for s in optimizer.state.values()))]
        with pytest.raises(IndexError) as caught:
            run(*bad)
        refusals.append((str(caught.value), getattr(caught.value, "__notes__", [])))
        now = [*model.state_dict().values(), *(s["momentum_buffer"] for s in optimizer.state.values())]
        assert all(t.equal(a, b) for a, b in zip(state, now)) and MODE.recorder is None
        after.append(run(x, y).item())
    assert refusals[0] == refusals[1] and after[0] == after[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda x, i: x.index_select(0, i),
        lambda x, i: x.gather(0, i[:, None]),
        lambda x, i: x[i],
        lambda x, i: x.scatter(0, i[:, None], 1.0),
        lambda x, i: x.clone().index_add_(0, i, x),
        lambda x, i: F.nll_loss(x, i),
        lambda x, i: x.long() // i[:, None],
    ],
)
def test_checks_of_values_that_wait(call: Callable[..., Any]) -> None:
    """The indices are made by the program itself."""

    def f(x: Any, i: Any) -> Any:
        return call(x * 2, i + 1).sum() * 3

    c = t.compile(f)
    x = t.randn(3, 3)
    for i in (t.tensor([0, 1, 1]), t.tensor([1, 0, -1]), t.tensor([0, 1, 7]), t.tensor([1, 1, 0])):
        found: list[Any] = []
        for g in (f, c, c):
            try:
                found.append(g(x, i).item())
            except (IndexError, RuntimeError, ZeroDivisionError) as error:
                found.append((type(error), str(error)))
        assert found[0] == found[1] == found[2]


def test_memory_that_others_see_does_not_wait() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y.resize_(8)  # moves what is waiting to be written
        z = x * 3
        array = z.numpy()
        z.add_(1)
        seen = float(array[0])
        array[1] = 50
        return y[:4], z * 1, seen, x.sum()

    for compiled in (False, True):
        y, z, seen, total = (t.compile(f) if compiled else f)(t.ones(4))
        assert y.tolist() == [2.0] * 4 and z.tolist() == [4.0, 50.0, 4.0, 4.0] and seen == 4.0 and total.item() == 4.0


def test_a_tensor_given_other_memory_while_its_old_one_waits() -> None:
    def f(x: Any) -> Any:
        y = x + 1
        z = y * 2
        y.data = x.detach()
        w = y * 5
        y.set_(t.zeros(3))
        return z, w, y + 1

    for g in (f, t.compile(f)):
        assert [v.tolist() for v in g(t.ones(3))] == [[4.0] * 3, [5.0] * 3, [1.0] * 3]


@waiting
def test_reading_what_does_not_wait_ends_nothing() -> None:
    n = t.tensor(3)

    def f(x: Any) -> Any:
        for _ in range(12):
            x = (x * n.item() + t.arange(x.shape[0])[t.tensor([0])].float()).tanh()
        return x.sum()

    c = t.compile(f)
    for _ in range(3):
        c(t.randn(5))
    assert len(programs_of(c, t.randn(5))) == 1


def test_two_optimizers_of_equal_sizes_in_one_recording() -> None:
    results = []
    for compiled in (False, True):
        t.manual_seed(2)
        a, b = t.nn.Linear(4, 3), t.nn.Linear(4, 3)
        first, second = t.optim.SGD(a.parameters(), 0.1), t.optim.SGD(b.parameters(), 0.5)

        def step(x: Any, a: Any = a, b: Any = b, first: Any = first, second: Any = second) -> Any:
            loss = (a(x) * b(x)).sum()
            loss.backward()
            first.step()
            second.step()
            first.zero_grad()
            second.zero_grad()
            return loss

        run = t.compile(step) if compiled else step
        results.append(([run(t.ones(2, 4)).item() for _ in range(4)], [p.tolist() for p in (*a.parameters(), *b.parameters())]))
    assert results[0] == results[1]


def test_each_thread_records_for_itself() -> None:
    def f(x: Any) -> Any:
        for _ in range(20):
            x = (x * 1.01 + 0.1).tanh() @ x.t()
        return x

    c, x = t.compile(f), [t.randn(8, 8) * 0.1 for _ in range(4)]
    want, got = [f(v).tolist() for v in x], [[] for _ in x]

    def work(i: int) -> None:
        for _ in range(30):
            got[i].append(c(x[i]).tolist())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(v == want[i] for i in range(4) for v in got[i])


def test_many_calls_fill_the_queue_more_than_once() -> None:
    def f(x: Any) -> Any:
        outs = []
        for k in range(9000):
            outs.append(x + k)
        return t.stack(outs).sum(0)

    x = t.randn(3)
    assert t.compile(f)(x).tolist() == f(x).tolist()


@waiting
def test_explain_shows_every_program() -> None:
    _, _, step = training()
    compiled = t.compile(step)
    text = t.explain(compiled, t.randint(0, 20, (6,)), t.tensor([0, 1, 2, 3, 0, 1]))
    assert "compiled program 1 of 1" in text and "index_outside" in text and "cross_entropy_rows" in text and "adam" in text


@native
def test_long_work_does_not_wait_for_the_end() -> None:
    """So that an interrupt finds little to run."""

    def f(x: Any) -> Any:
        for _ in range(16):
            x = (x @ x) * 1e-2
        return x

    c, x = t.compile(f), t.randn(700, 700)
    c(x)
    assert len(programs_of(c, x)) == 2 and c(x).equal(f(x))
