"""Every distribution against recorded PyTorch streams: the same numbers, and the same number of words taken."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import compiler, random
from facula.kernel.launch import Array

DATA = Path(__file__).parents[2] / "data"
_spec = importlib.util.spec_from_file_location("record_random", DATA / "record_random.py")
record = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(record)
RECORDED = np.load(DATA / "random.npz")
TOLERANCE = {"float32": 2e-6, "float64": 1e-13, "float16": 2e-3, "bfloat16": 1.6e-2}


def operand(d: str, *shape: int) -> Array:
    strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    return Array(dtypes.DTYPES[d], shape, strides)


def draw(state: random.State, step: tuple) -> np.ndarray:
    """One step of a recorded case, by our kernels."""
    name, d, n, *p = step
    kind = dtypes.DTYPES[d].numpy
    out, x = operand(d, n), np.empty(n, kind)
    go = lambda schedule, *numbers, outs=(x,), ins=(): compiler.run(schedule, outs, ins, (state.address, *numbers))  # noqa: E731
    if name in ("normal", "normal_strided"):
        blocks = None if name == "normal" else False
        go(random.normal(out, blocks), *p)
    elif name == "uniform":
        go(random.uniform(out), *p)
    elif name == "bernoulli":
        go(random.bernoulli(out), *p)
    elif name == "bernoulli_each":
        go(random.bernoulli_each(out, out), ins=(np.linspace(0, 1, n).astype(kind),))
    elif name == "dropout":
        mask, source = np.full(n, 7, np.uint8), np.linspace(-1, 1, n).astype(kind)
        if n > 1:
            source[n // 2] = 0.5 if source[n // 2] == 0 else source[n // 2]
        go(random.dropout(out), 1 - p[0], 1 - p[0], outs=(x, mask), ins=(source,))
        assert set(mask) <= {0, 1} and ((x != 0) == (mask == 1))[source != 0].all()
    elif name == "integers":
        size = p[1] - p[0]
        go(random.integers(out, size >= random.WIDE_FROM), size, p[0])
    elif name == "integers_full":
        go(random.integers(out, True), 0, 0)
    elif name == "permutation":
        go(random.permutation(out))
    elif name == "weighted":
        x = np.empty((n, p[1]), np.int64)
        go(random.weighted(operand(d, n, p[0]), p[1]), outs=(x,), ins=(record.weights(d, n, p[0]),))
    elif name in ("poisson", "gamma", "binomial"):
        rates = record.rates(d, n)
        given = {"poisson": (rates,), "gamma": (rates + 0.125,), "binomial": (np.floor(rates[::-1]).copy(), record.chances(d, n))}
        go(getattr(random, name)(out), ins=given[name])
    else:
        go(getattr(random, name)(out), *p)
    return x


@pytest.mark.parametrize("case", record.CASES)
def test_stream_is_pytorchs(case: str, target: None) -> None:
    state = random.State(record.SEED)
    for i, step in enumerate(record.CASES[case]):
        got, want = draw(state, step), RECORDED[f"{case}/{i}"]
        if step[0] == "dropout":  # linspace rounds differently in PyTorch and NumPy
            assert ((got != 0) == (want != 0))[np.abs(np.linspace(-1, 1, step[2])) > 1e-3].all()
            assert np.allclose(got.astype(np.float64), want, rtol=1e-2)
            continue
        exact = not dtypes.DTYPES[step[1]].is_floating_point or step[0] in (
            "uniform",
            "bernoulli",
            "bernoulli_each",
            "integers",
            "geometric",
        )
        if step[1] in ("float16", "bfloat16") and step[0] == "uniform":
            exact = False
        if exact:
            assert (got.astype(want.dtype) == want).all(), step
        else:
            near = np.isclose(got.astype(np.float64), want.astype(np.float64), rtol=TOLERANCE[step[1]], atol=TOLERANCE[step[1]])
            assert near.all(), (step, np.abs(got.astype(np.float64) - want).max())
    assert state.get_state()[:24] == RECORDED[f"{case}/state"].tobytes()


def test_long_stream() -> None:
    x, state = np.empty(100_003, np.float32), random.State(record.SEED)
    compiler.run(random.normal(operand("float32", len(x))), [x], [], (state.address, 0.0, 1.0))
    assert np.abs(x[-64:] - RECORDED["large/tail"]).max() <= 2e-6
    assert abs(x.mean(dtype=np.float64) - RECORDED["large/mean"]) < 1e-6


@pytest.mark.parametrize("n", [16, 63, 64, 127, 128, 200])
@pytest.mark.parametrize(
    "name",
    ["normal", "uniform", "log_normal", "exponential", "poisson", "integers", "bernoulli_each", "dropout", "permutation", "weighted"],
)
def test_pieces_are_one_stream(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long draws are launched in pieces, between which an interrupt may come."""
    none = dict.fromkeys(("poisson", "bernoulli_each", "permutation"), ())
    numbers = {"exponential": (2.0,), "integers": (1, 9), "dropout": (0.3,), "weighted": (150, 40), **none}.get(name, (0.0, 1.0))
    step = (name, "int64" if name == "permutation" else "float32", n, *numbers)
    whole, state = draw(random.State(3), step), random.State(3)
    for module in ("uniform", "rejection"):
        monkeypatch.setattr(sys.modules[f"facula.kernel.random.{module}"], "PIECE", 64)
    for most in ("STEPS", "ADDED"):
        monkeypatch.setattr(sys.modules["facula.kernel.random.choice"], most, 64)
    assert (draw(state, step) == whole).all()


def test_no_launch_draws_for_long() -> None:
    """Signals are looked at between launches: none may take 100 ms by estimate."""
    n = 100_000_000
    for schedule in (
        random.permutation(operand("int64", n)),
        random.weighted(operand("float32", 1, n), n),
        random.dropout(operand("float32", n)),
        random.bernoulli_each(operand("float32", n), operand("float32", n)),
    ):
        for launch in schedule.launches:
            assert (launch.bytes / 10 + launch.flops / 8) * launch.grain / launch.total < 100e6


def test_state_in_pytorchs_layout() -> None:
    """get_state is PyTorch's ByteTensor; a state set from it continues the stream, the kept normal with it."""
    state, other = random.State(record.SEED), random.State()
    draw(state, ("normal", "float32", 5, 0.0, 1.0))
    recorded, got = RECORDED["torch_state"].tobytes(), state.get_state()
    kept = slice(24 + 8 * 624, 24 + 8 * 624 + 24)  # doubles: the last bit is the logarithm's
    assert got[: kept.start] + got[kept.stop :] == recorded[: kept.start] + recorded[kept.stop :]
    assert np.allclose(np.frombuffer(got[kept]), np.frombuffer(recorded[kept]), rtol=1e-14)
    other.set_state(got)
    for step in [("normal", "float32", 2, 0.0, 1.0), ("uniform", "float32", 700, 0.0, 1.0)]:
        assert (draw(state, step) == draw(other, step)).all()


def test_damaged_state_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Expected a CPUGeneratorImplState of size 5056"):
        random.State().set_state(b"123")
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        random.State().set_state(bytes(5056))


def test_nothing_is_written_outside() -> None:
    state = random.State(3)
    for d in ("float32", "float64", "bfloat16", "int8", "int64"):
        for n in (1, 3, 15, 17, 33, 2049):
            x = np.full(n + 64, 9).astype(dtypes.DTYPES[d].numpy)
            compiler.run(random.bernoulli(operand(d, n)), [x], [], (state.address, 0.5))
            assert (x[n:] == 9).all() and set(x[:n].astype(np.float64)) <= {0.0, 1.0}
