"""Expressions as text and back: one line a node, so that shared parts are written once. The text is the key of a compiled kernel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ...base.dtypes import DTYPES
from .node import LEAVES, Scalar, order, spell


def text(outputs: Sequence[Scalar]) -> str:
    """`op dtype attr arguments;...>outputs`, arguments as line numbers. Equal graphs give equal texts, in every process."""
    place: dict[Scalar, int] = {}
    lines: list[str] = []
    for n in order(outputs):
        place[n] = len(lines)
        attr = "" if n.attr is None else " " + spell(n.attr)
        lines.append(f"{n.op} {n.dtype.name}{attr}" + "".join(f" {place[a]}" for a in n.args))
    return ";".join(lines) + ">" + ",".join(str(place[o]) for o in outputs)


@lru_cache(maxsize=1024)
def parse(source: str) -> tuple[Scalar, ...]:
    """The outputs that `text` wrote."""
    body, _, outputs = source.rpartition(">")
    nodes: list[Scalar] = []
    for line in body.split(";") if body else []:
        op, kind, *rest = line.split(" ")
        d = DTYPES[kind]
        attr: int | float | complex | None = None
        if op in LEAVES and rest:
            attr = _value(rest.pop(0), op, d.is_complex, d.is_floating_point)
        nodes.append(Scalar(op, tuple(nodes[int(i)] for i in rest), d, attr))
    return tuple(nodes[int(i)] for i in outputs.split(",")) if outputs else ()


def _value(word: str, op: str, is_complex: bool, is_float: bool) -> int | float | complex:
    if op != "const" or not (is_complex or is_float):
        return int(word)
    if is_complex:
        re, im = word.split(",")
        return complex(float.fromhex(re), float.fromhex(im))
    return float.fromhex(word)
