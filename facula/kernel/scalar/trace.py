"""From an ordinary Python function to an expression: the body is called once with leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...base.dtypes import dtype, float32
from ...base.narrow import is_sequence
from .node import Scalar, const, input, number
from .simplify import simplify


def trace(
    body: Callable[..., Any],
    dtypes: Sequence[dtype],
    numbers: Sequence[dtype] | Mapping[str, dtype] = (),
    static: Mapping[str, Any] | None = None,
) -> tuple[Scalar, ...]:
    """Outputs of `body` called with one leaf a tensor input, then the run-time numbers (by name if `numbers` is a mapping), then `static`
    by name. A Python number that comes back is a constant of the first input's type."""
    leaves = [input(i, d) for i, d in enumerate(dtypes)]
    named: dict[str, Any] = dict(static or {})
    if isinstance(numbers, Mapping):
        named.update({name: number(i, d) for i, (name, d) in enumerate(numbers.items())})
    else:
        leaves += [number(i, d) for i, d in enumerate(numbers)]
    out = body(*leaves, **named)
    kind = dtypes[0].compute if dtypes else float32
    outputs = out if is_sequence(out) else (out,)
    return tuple(simplify([o if isinstance(o, Scalar) else const(o, kind) for o in outputs]))
