"""A compiled function means what the function means: values, gradients, side effects, errors."""

from __future__ import annotations

import random
from typing import Any

import pytest

import facula as t
from facula.core.modes import MODE

UNARY = ("exp", "sin", "relu", "sigmoid", "tanh", "neg", "abs", "square")
BINARY = ("add", "sub", "mul", "maximum", "atan2")


def build(seed: int) -> Any:
    """A random program over a pool of tensors: pointwise, views, in-place writes, broadcasting, indexing, reductions, products."""
    rng = random.Random(seed)
    plan = [(rng.choice(("unary", "binary", "binary", "view", "in_place", "index", "reduce", "product", "number", "set", "cat", "branch")), rng.random(), rng.random(), rng.random())
            for _ in range(14)]  # fmt: skip

    def program(*inputs: Any) -> Any:
        pool = list(inputs)
        for what, a, b, c in plan:
            x, y = pool[int(a * len(pool))], pool[int(b * len(pool))]
            if what == "unary":
                made = getattr(t, UNARY[int(c * len(UNARY))])(x * 0.5)
            elif what == "binary":
                made = (
                    getattr(t, BINARY[int(c * len(BINARY))])(x, y)
                    if x.shape[-1] == y.shape[-1] or 1 in (x.shape[-1], y.shape[-1])
                    else x + 1
                )
            elif what == "view":
                made = (
                    (
                        x.transpose(-1, -2)
                        if c < 0.4
                        else x[..., :1]
                        if c < 0.6
                        else x[..., ::2]
                        if c < 0.8
                        else x.reshape(x.shape[-1], -1).t()
                    )
                    if x.dim() > 1
                    else x[None]
                )
            elif what == "in_place":
                made = x * 1.0
                view = made[..., 0] if c < 0.5 else made
                view.mul_(1.5).add_(c)
            elif what == "index":
                made = x[t.tensor([0, x.shape[0] - 1, 0])] if c < 0.5 else t.where(x > 0, x, x * 0.1)
            elif what == "reduce":
                made = x.sum(-1, keepdim=True) if c < 0.4 else x.mean(0, keepdim=True) if c < 0.7 else t.softmax(x, -1)
            elif what == "product":
                made = t.tanh(x.reshape(-1, x.shape[-1]) @ t.ones(x.shape[-1], 4) * 0.1)
            elif what == "number":
                made = x * c + int(b * 5)
            elif what == "set":
                made = x.clone()
                made[0] = made[-1] * 2
            elif what == "cat":
                made = t.cat([x, x * 2], 0)
            else:
                made = x * 2 if x.sum().item() > 0 else x - 1
            if made.numel() <= 4096:
                pool.append(t.tanh(made) if made.dim() <= 3 else t.tanh(made.sum(0)))
        fits = [p for p in pool[len(inputs) :]]
        return sum((p.sum() for p in fits), t.zeros(())), fits[-1]

    return program


def inputs(seed: int) -> list[Any]:
    t.manual_seed(seed)
    return [t.randn(4, 4), t.randn(4, 4), t.randn(1, 4), t.randn(4, 1)]


def attempt(f: Any, given: list[Any]) -> Any:
    """(values, gradients) or the error's text."""
    given = [x.clone().requires_grad_() for x in given]
    try:
        total, last = f(*given)
    except (RuntimeError, IndexError, ValueError) as e:
        return f"{type(e).__name__} {e}"
    total.backward()
    return total.item(), last.detach().tolist(), [None if x.grad is None else x.grad.tolist() for x in given]


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    program = build(seed)
    compiled = t.compile(program)
    for k in range(3):
        got, expected = attempt(compiled, inputs(seed + k)), attempt(program, inputs(seed + k))
        assert type(got) is type(expected)
        if isinstance(got, str):
            assert got == expected
        else:
            close(got, expected)


def close(got: Any, expected: Any) -> None:
    if isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for g, e in zip(got, expected):
            close(g, e)
    elif expected is None:
        assert got is None
    else:
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("seed", range(40, 60))
def test_gradients_inside(seed: int) -> None:
    program = build(seed)

    def whole(*given: Any) -> Any:
        given = tuple(x.detach().requires_grad_() for x in given)
        total, last = program(*given)
        total.backward()
        return [total.detach(), last.detach(), *[x.grad for x in given]]

    compiled = t.compile(whole)
    for k in range(2):
        given = inputs(seed + k)
        close([None if x is None else x.tolist() for x in compiled(*given)], [None if x is None else x.tolist() for x in whole(*given)])


def test_writes_to_arguments_and_globals() -> None:
    table = {"n": 0, "kept": None}

    def f(x: Any) -> Any:
        x.add_(1)
        x[0] = 9
        table["n"] += 1
        table["kept"] = x * 2
        return x

    c = t.compile(f)
    x = t.zeros(3)
    assert c(x) is x
    assert x.tolist() == [9.0, 1.0, 1.0] and table["n"] == 1 and table["kept"].tolist() == [18.0, 2.0, 2.0]
    c(x[1:])
    assert x.tolist() == [9.0, 9.0, 2.0]


def test_memory_freed_and_used_again_while_kernels_wait() -> None:
    def f(x: Any) -> Any:
        outs = []
        for k in range(20):
            a = x * float(k)
            b = a + 1
            del a
            c = b * b
            del b
            outs.append(c.sum())
        return t.stack(outs)

    x = t.randn(1000)
    for _ in range(3):
        assert t.compile(f)(x).tolist() == f(x).tolist()


def test_other_sizes_and_types() -> None:
    c = t.compile(lambda x, y: (x * 2 + y).relu().sum(0))
    for shape in ((2, 3), (5, 1), (1, 1), (0, 4), (64, 33)):
        for kind in (t.float32, t.float64, t.int64, t.float16, t.bfloat16):
            x = (t.arange(max(1, shape[0] * shape[1]))[: shape[0] * shape[1]].reshape(shape) - 3).to(kind)
            assert c(x, x[:1]).tolist() == (x * 2 + x[:1]).relu().sum(0).tolist()


def test_values_steer_the_program() -> None:
    def f(x: Any) -> Any:
        n = 0
        while x.norm() < 100:
            x = x * 2
            n += 1
        return (x, n) if bool((x > 0).all()) else (-x, n)

    c = t.compile(f)
    for start in (1.0, -3.0, 200.0, 0.001):
        a, n = c(t.full((2,), start))
        b, m = f(t.full((2,), start))
        assert n == m and a.tolist() == b.tolist()


def test_an_exception_inside_leaves_what_ran_and_no_mode() -> None:
    x = t.zeros(3)

    def f(x: Any) -> Any:
        x.add_(5)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        t.compile(f)(x)
    assert x.tolist() == [5.0] * 3
    assert MODE.recorder is None
    with pytest.raises(RuntimeError, match="must match"):
        t.compile(lambda a: a.exp() + t.ones(7))(t.ones(3))
    assert (t.ones(2) + 1).tolist() == [2.0, 2.0]


def test_nested() -> None:
    inner = t.compile(lambda x: x.sin() + 1)
    outer = t.compile(lambda x: inner(x) * inner(x * 2))
    x = t.randn(5)
    assert outer(x).tolist() == ((x.sin() + 1) * ((x * 2).sin() + 1)).tolist()


def test_generators_printing_and_numpy_inside() -> None:
    def f(x: Any) -> Any:
        y = x + 1
        text = f"{y.tolist()}"
        z = y.numpy() * 2
        y.mul_(3)
        return text, z.tolist(), y, [float(v) for v in y], str(y)

    x = t.tensor([1.0, 2.0])
    text, z, y, values, shown = t.compile(f)(x)
    assert (text, z, y.tolist(), values, shown) == ("[2.0, 3.0]", [4.0, 6.0], [6.0, 9.0], [6.0, 9.0], "tensor([6., 9.])")


def test_random_numbers_come_in_the_same_order() -> None:
    def f(x: Any) -> Any:
        return t.nn.functional.dropout(x, 0.5, True) + t.randn(4) + t.rand(4)

    x = t.ones(4)
    t.manual_seed(3)
    expected = [f(x).tolist() for _ in range(2)]
    t.manual_seed(3)
    c = t.compile(f)
    assert [c(x).tolist() for _ in range(2)] == expected


def test_what_a_kernel_updates_in_place_is_seen_at_once() -> None:
    """A read of running statistics, by no operator, finds the call that waits and writes them."""
    norm = t.nn.BatchNorm1d(3)

    @t.compile
    def step(x: Any) -> Any:
        return norm(x), norm.running_mean.tolist()

    assert step(t.full((4, 3), 5.0))[1] == [0.5] * 3


def test_modules_in_training() -> None:
    def make() -> Any:
        t.manual_seed(1)
        return t.nn.Sequential(
            t.nn.Conv2d(1, 4, 3),
            t.nn.BatchNorm2d(4),
            t.nn.ReLU(),
            t.nn.Dropout(0.3),
            t.nn.Flatten(),
            t.nn.LayerNorm(4 * 36),
            t.nn.Linear(4 * 36, 3),
        )

    results = []
    for compiled in (False, True):
        m = make()
        run = t.compile(m) if compiled else m
        optimizer = t.optim.SGD(m.parameters(), 0.1, momentum=0.9)
        t.manual_seed(5)
        losses = []
        for _ in range(4):
            x, y = t.randn(6, 1, 8, 8), t.randint(3, (6,))
            optimizer.zero_grad()
            loss = t.nn.functional.cross_entropy(run(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        m.eval()
        results.append((losses, run(t.ones(1, 1, 8, 8)).tolist(), m[1].running_mean.tolist(), m[1].num_batches_tracked.item()))
    close(results[1], results[0])


def test_whole_step_compiled() -> None:
    results = []
    for compiled in (False, True):
        t.manual_seed(0)
        m = t.nn.Sequential(t.nn.Linear(8, 16), t.nn.GELU(), t.nn.Linear(16, 4))
        optimizer = t.optim.Adam(m.parameters(), 1e-2)

        def step(x: Any, y: Any, m: Any = m, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = t.nn.functional.cross_entropy(m(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = t.compile(step) if compiled else step
        t.manual_seed(9)
        results.append([run(t.randn(16, 8), t.randint(4, (16,))).item() for _ in range(15)])
    close(results[1], results[0])


def test_no_grad_inside_and_outside() -> None:
    w = t.ones(3, requires_grad=True)

    def f(x: Any) -> Any:
        with t.no_grad():
            a = (w * x) * 2
        return a, w * x

    a, b = t.compile(f)(t.ones(3))
    assert not a.requires_grad and b.requires_grad
    with t.no_grad():
        assert not t.compile(f)(t.ones(3))[1].requires_grad
    with t.inference_mode():
        assert t.compile(f)(t.ones(3))[1].is_inference()


def test_trial_keeps_values_whatever_it_chooses() -> None:
    c = t.compile(lambda x: (x * 2).exp().sum())
    x = t.randn(100)
    assert len({c(x).item() for _ in range(25)}) == 1
