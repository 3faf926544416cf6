"""Running statistics of batch norm, in double."""

from __future__ import annotations

from ...runtime.ir import Function, Value


def rounded(f: Function, x: Value, one: str) -> Value:
    return f.cast("fptrunc", x, one) if one == "float" else x


def double(f: Function, x: Value) -> Value:
    return f.cast("fpext", x, "double") if x.type == "float" else x


def update_running(
    f: Function, one: str, places: tuple[Value, Value], c: Value, stats: tuple[Value, Value], m: Value, momentum: Value
) -> None:
    """running = (1 - momentum) running + momentum * batch, the variance with m / (m - 1)."""
    mean, var = stats
    less = m - 1.0
    unbiased = var * (m / f.select(less > 0.0, less, f.const("double", float("nan"))))
    for place, new in zip(places, (mean, unbiased)):
        old = double(f, f.load(one, place, c))
        f.store(rounded(f, f.fma(momentum, new - old, old), one), place, c)
