"""Fused optimizer steps against PyTorch's formulas written with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import optimizer
from facula.kernel.optimizer import ADAGRAD, ADAM, RMSPROP, SGD, Table, step

SIZES = [1, 7, 64, 16384, 40001, 3]


def setting(rule: optimizer.Rule, d: str, flags: set[str]) -> tuple[Table, dict[str, list[np.ndarray]]]:
    rng, kind = np.random.default_rng(0), dtypes.DTYPES[d]
    table = Table(rule, kind, SIZES, frozenset(flags))
    data = {t: [rng.standard_normal(n).astype(kind.numpy) for n in SIZES] for t in optimizer.tensors_of(rule, frozenset(flags))}
    for t, arrays in data.items():
        if t not in ("param", "grad", "momentum_buffer", "exp_avg", "grad_avg"):
            for a in arrays:
                np.square(a, out=a)
        if t == "square_avg":
            for a in arrays:
                a += 30  # above the square of the average gradient
        table.tensors(t, [a.ctypes.data for a in arrays])
    return table, data


def close(got: list[np.ndarray], want: list[np.ndarray], d: str) -> bool:
    bound = {"float32": 2e-6, "float64": 1e-14, "bfloat16": 2e-2, "float16": 2e-3}[d]
    return all(np.abs(a.astype(np.float64) - b).max() <= bound * max(1, np.abs(b).max()) for a, b in zip(got, want))


def wide(data: dict[str, list[np.ndarray]]) -> list[dict[str, np.ndarray]]:
    return [{t: arrays[i].astype(np.float64) for t, arrays in data.items()} for i in range(len(SIZES))]


def gradient(v: dict[str, np.ndarray], flags: set[str], decay: float) -> np.ndarray:
    g = -v["grad"] if "maximize" in flags else v["grad"]
    return g + decay * v["param"] if "weight_decay" in flags else g


@pytest.mark.parametrize(
    "flags", [set(), {"weight_decay", "maximize"}, {"momentum", "first"}, {"momentum"}, {"momentum", "nesterov", "weight_decay"}]
)
@pytest.mark.parametrize("d", ["float32", "float64", "bfloat16"])
def test_sgd(target: None, d: str, flags: set[str]) -> None:
    table, data = setting(SGD, d, flags)
    want = []
    for v in wide(data):
        g = gradient(v, flags, 0.1)
        if "momentum" in flags:
            buffer = g if "first" in flags else 0.9 * v["momentum_buffer"] + 0.8 * g
            g = g + 0.9 * buffer if "nesterov" in flags else buffer
        want.append(v["param"] - 0.01 * g)
    step(table, lr=0.01, weight_decay=0.1, momentum=0.9, undamped=0.8)
    assert close(data["param"], want, d)


@pytest.mark.parametrize("flags", [set(), {"weight_decay"}, {"decoupled"}, {"amsgrad", "maximize"}])
@pytest.mark.parametrize("d", ["float32", "float64", "float16"])
def test_adam(target: None, d: str, flags: set[str]) -> None:
    table, data = setting(ADAM, d, flags)
    rates, roots = [0.01 / (1 - 0.9 ** (i + 1)) for i in range(len(SIZES))], [(1 - 0.999 ** (i + 1)) ** 0.5 for i in range(len(SIZES))]
    table.scalar("rate", rates)
    table.scalar("root", roots)
    want, means, squares = [], [], []
    for v, rate, root in zip(wide(data), rates, roots):
        g = gradient(v, flags, 0.1)
        p = v["param"] * (1 - 0.01 * 0.1) if "decoupled" in flags else v["param"]
        means.append(0.9 * v["exp_avg"] + 0.1 * g)
        squares.append(0.999 * v["exp_avg_sq"] + 0.001 * g * g)
        top = np.maximum(v["max_exp_avg_sq"], squares[-1]) if "amsgrad" in flags else squares[-1]
        want.append(p - rate * means[-1] / (np.sqrt(top) / root + 1e-3))
    step(table, rest1=0.1, beta2=0.999, rest2=0.001, eps=1e-3, weight_decay=0.1, shrink=1 - 0.01 * 0.1)
    assert close(data["param"], want, d) and close(data["exp_avg"], means, d) and close(data["exp_avg_sq"], squares, d)


@pytest.mark.parametrize("flags", [set(), {"centered", "weight_decay"}, {"momentum", "maximize"}])
def test_rmsprop(target: None, flags: set[str]) -> None:
    table, data = setting(RMSPROP, "float32", flags)
    want = []
    for v in wide(data):
        g = gradient(v, flags, 0.1)
        square = 0.99 * v["square_avg"] + 0.01 * g * g
        average = 0.99 * v["grad_avg"] + 0.01 * g if "centered" in flags else 0
        move = g / (np.sqrt(square - average**2) + 1e-8)
        if "momentum" in flags:
            move = 0.9 * v["momentum_buffer"] + move
        want.append(v["param"] - 0.01 * move)
    step(table, lr=0.01, alpha=0.99, rest=0.01, eps=1e-8, weight_decay=0.1, momentum=0.9)
    assert close(data["param"], want, "float32")


def test_adagrad(target: None) -> None:
    table, data = setting(ADAGRAD, "float32", set())
    table.scalar("rate", [0.1] * len(SIZES))
    want = [v["param"] - 0.1 * v["grad"] / (np.sqrt(v["sum"] + v["grad"] ** 2) + 1e-3) for v in wide(data)]
    step(table, eps=1e-3)
    assert close(data["param"], want, "float32")


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="sgd has no option amsgrad"):
        Table(SGD, dtypes.float32, [1], frozenset({"amsgrad"}))
