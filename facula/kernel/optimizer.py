"""One native call for an optimizer's step over all parameters: every tensor is read and written once, in PyTorch's order of operations.

    table = Table(ADAM, float32, [p.numel for p in params], flags)  # kept between steps
    table.tensors("param", addresses); table.tensors("grad", addresses); ...  # columns of ADAM.tensors, absent ones stay 0
    table.scalar("rate", [...])                                     # columns of ADAM.scalars, one value a tensor
    step(table, lr=..., beta1=..., ...)                             # ADAM.numbers, the same for all tensors

A row of the table is one tensor, 8-byte words: first work item, elements, the tensors' addresses (contiguous, one dtype), its scalars as
the compute type. A work item is CHUNK elements of one tensor; it finds its row by bisection.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..base.dtypes import dtype
from ..base.settings import SETTINGS
from ..runtime import native
from ..runtime.ir import Function, Module, Value
from . import compiler, lanes
from .bounds.record import Range
from .launch import Kernel, bits

CHUNK = 1 << 14  # elements of a work item
Values = dict[str, Value]


@dataclass(frozen=True)
class Rule:
    """An update rule: the tensors of a row (param and grad first), scalars of a row, numbers of the call, and the update of a vector.

    `update(f, values, flags)` gives the new vectors by name; flags are the options that change the code."""

    name: str
    tensors: tuple[str, ...]
    scalars: tuple[str, ...]
    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    update: Callable[[Function, Values, frozenset[str]], Values]

    @property
    def row(self) -> int:
        """Words of a row."""
        return 2 + len(self.tensors) + len(self.scalars)


def _gradient(v: Values, flags: frozenset[str]) -> Value:
    """The gradient as the rules see it: turned round to maximise, with L2 decay added."""
    g = 0.0 - v["grad"] if "maximize" in flags else v["grad"]
    return g + v["weight_decay"] * v["param"] if "weight_decay" in flags else g


def _lerp(old: Value, new: Value, weight: Value) -> Value:
    return old + weight * (new - old)


def _sgd(f: Function, v: Values, flags: frozenset[str]) -> Values:
    """Flags: momentum, first (the buffer starts as the gradient), nesterov, weight_decay, maximize."""
    g = _gradient(v, flags)
    out: Values = {}
    if "momentum" in flags:
        buffer = g if "first" in flags else v["momentum_buffer"] * v["momentum"] + v["undamped"] * g
        out["momentum_buffer"] = buffer
        g = g + v["momentum"] * buffer if "nesterov" in flags else buffer
    return out | {"param": v["param"] - v["lr"] * g}


def _adam(f: Function, v: Values, flags: frozenset[str]) -> Values:
    """Flags: weight_decay (L2), decoupled (AdamW), amsgrad, maximize. `shrink` is 1 - lr * weight_decay."""
    p = v["param"] * v["shrink"] if "decoupled" in flags else v["param"]
    g = _gradient(v, flags)
    mean = _lerp(v["exp_avg"], g, v["rest1"])
    square = v["exp_avg_sq"] * v["beta2"] + v["rest2"] * g * g
    out = {"exp_avg": mean, "exp_avg_sq": square}
    if "amsgrad" in flags:
        old = v["max_exp_avg_sq"]
        square = f.select(old > square, old, square)
        out["max_exp_avg_sq"] = square
    root = f.math("sqrt", square) / v["root"] + v["eps"]
    return out | {"param": p - v["rate"] * mean / root}


def _rmsprop(f: Function, v: Values, flags: frozenset[str]) -> Values:
    """Flags: centered, momentum, weight_decay, maximize."""
    g = _gradient(v, flags)
    square = v["square_avg"] * v["alpha"] + v["rest"] * g * g
    out, spread = {"square_avg": square}, square
    if "centered" in flags:
        out["grad_avg"] = _lerp(v["grad_avg"], g, v["rest"])
        spread = square - out["grad_avg"] * out["grad_avg"]
    root = f.math("sqrt", spread) + v["eps"]
    if "momentum" in flags:
        out["momentum_buffer"] = v["momentum_buffer"] * v["momentum"] + g / root
        return out | {"param": v["param"] - v["lr"] * out["momentum_buffer"]}
    return out | {"param": v["param"] - v["lr"] * g / root}


def _adagrad(f: Function, v: Values, flags: frozenset[str]) -> Values:
    """Flags: weight_decay, maximize. `rate` is lr / (1 + (step - 1) lr_decay)."""
    g = _gradient(v, flags)
    total = v["sum"] + g * g
    return {"sum": total, "param": v["param"] - v["rate"] * g / (f.math("sqrt", total) + v["eps"])}


SGD = Rule(
    "sgd", ("param", "grad", "momentum_buffer"), (), ("lr", "weight_decay", "momentum", "undamped"),
    ("momentum", "first", "nesterov", "weight_decay", "maximize"), _sgd,
)  # fmt: skip
ADAM = Rule(
    "adam", ("param", "grad", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"), ("rate", "root"),
    ("rest1", "beta2", "rest2", "eps", "weight_decay", "shrink"), ("weight_decay", "decoupled", "amsgrad", "maximize"), _adam,
)  # fmt: skip
RMSPROP = Rule(
    "rmsprop", ("param", "grad", "square_avg", "grad_avg", "momentum_buffer"), (),
    ("lr", "alpha", "rest", "eps", "weight_decay", "momentum"), ("centered", "momentum", "weight_decay", "maximize"), _rmsprop,
)  # fmt: skip
ADAGRAD = Rule("adagrad", ("param", "grad", "sum"), ("rate",), ("eps", "weight_decay"), ("weight_decay", "maximize"), _adagrad)
RULES = {rule.name: rule for rule in (SGD, ADAM, RMSPROP, ADAGRAD)}
NEEDS = {"momentum": "momentum_buffer", "amsgrad": "max_exp_avg_sq", "centered": "grad_avg"}  # tensors that only a flag brings


def tensors_of(rule: Rule, flags: frozenset[str]) -> tuple[str, ...]:
    """The tensors that a step with these flags touches."""
    missing = {tensor for flag, tensor in NEEDS.items() if flag not in flags}
    return tuple(t for t in rule.tensors if t not in missing)


def emit_step(m: Module, name: str, rule_name: str, d: dtype, flags: tuple[str, ...]) -> None:
    """words: table, rows, then the rule's numbers."""
    rule, chosen = RULES[rule_name], frozenset(flags)
    used = tensors_of(rule, chosen)
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _worker):
        table, rows = f.words(words, "ptr", "i64")
        width, one = lanes.width(f, d), lanes.compute(d)
        numbers = f.words(words, *[one] * len(rule.numbers), start=2)
        with f.range(lo, hi) as item:
            low, high = f.var("i64", 0), f.var("i64", rows)
            with f.loop() as end:  # the last row whose first item is not behind this one
                f.leave(end, (low.v + 1) >= high.v)
                middle = (low.v + high.v) >> 1
                here = f.load("i64", table, middle * rule.row) <= item
                low.v, high.v = f.select(here, middle, low.v), f.select(here, high.v, middle)
            row = f.at(table, low.v * rule.row, "i64")
            start = (item - f.load("i64", row)) * CHUNK
            count = f.smin(f.load("i64", row, 1) - start, CHUNK)
            places = {t: f.at(f.load("ptr", row, 2 + rule.tensors.index(t)), start, d.llvm) for t in used}
            scalars = f.words(row, *[one] * len(rule.scalars), start=2 + len(rule.tensors))
            fixed = {n: f.splat(x, width) for n, x in zip((*rule.numbers, *rule.scalars), (*numbers, *scalars))}

            def step(i: Value, left: Value | None) -> None:
                values = {t: lanes.load(f, d, width, at, i, left) for t, at in places.items()}
                for t, x in rule.update(f, values | fixed, chosen).items():
                    lanes.store(f, d, x, places[t], i, left)

            whole = count & -width
            with f.range(0, whole, width) as i:
                step(i, None)
            with f.when(whole < count):
                step(whole, count - whole)


def kernel(rule: Rule, d: dtype, flags: frozenset[str]) -> Kernel:
    unknown = flags - set(rule.flags)
    if unknown:
        raise ValueError(f"{rule.name} has no option {', '.join(sorted(unknown))}")
    return Kernel(emit_step, (rule.name, d, tuple(sorted(flags))))


class Table:
    """Rows of one rule over tensors of one dtype, in memory that does not move. Addresses must stay valid while a step runs."""

    def __init__(self, rule: Rule, d: dtype, sizes: Sequence[int], flags: frozenset[str] = frozenset()) -> None:
        self.rule, self.dtype, self.flags = rule, d, flags
        self.kernel = kernel(rule, d, flags)
        self.sizes = [n for n in sizes]
        self.rows = len(self.sizes)
        self._words = (ctypes.c_uint64 * max(1, self.rows * rule.row))()
        self.items = 0
        for i, n in enumerate(self.sizes):
            self._words[i * rule.row] = self.items
            self._words[i * rule.row + 1] = n
            self.items += -(-n // CHUNK)

    @property
    def address(self) -> int:
        return ctypes.addressof(self._words)

    def tensors(self, name: str, addresses: Sequence[int]) -> None:
        """Set a column of addresses."""
        at = 2 + self.rule.tensors.index(name)
        self._words[at : self.rows * self.rule.row : self.rule.row] = addresses

    def scalar(self, name: str, values: Sequence[float]) -> None:
        """Set a column of scalars."""
        at, kind = 2 + len(self.rule.tensors) + self.rule.scalars.index(name), self.dtype.compute.llvm
        self._words[at : self.rows * self.rule.row : self.rule.row] = [bits(x, kind) for x in values]

    def ranges(self) -> list[Range]:
        """What a step may touch: the rows, and of each tensor in use its elements."""
        out = [Range("the table", self.address, ctypes.sizeof(self._words), False)]
        used = tensors_of(self.rule, self.flags)
        for i, n in enumerate(self.sizes):
            for name in used:
                start = self._words[i * self.rule.row + 2 + self.rule.tensors.index(name)]
                out.append(Range(f"{name} {i}", start, n * self.dtype.itemsize, name != "grad"))
        return out

    def words(self, numbers: dict[str, float]) -> list[int]:
        """The kernel's words; numbers that are not given are 0."""
        kind = self.dtype.compute.llvm
        return [self.address, self.rows, *[bits(float(numbers.get(n, 0.0)), kind) for n in self.rule.numbers]]


def step(table: Table, **numbers: float) -> None:
    """Update all of the table's tensors."""
    if not table.items:
        return
    words = table.words(numbers)
    if SETTINGS.check_bounds:
        return compiler.start(table.kernel, words, table.ranges(), table.items, 1, False)
    packed = (ctypes.c_uint64 * len(words))(*words)
    native.parallel(compiler.address(table.kernel), ctypes.addressof(packed), table.items, 1)
