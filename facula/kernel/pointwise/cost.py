"""What a body costs: lanes, unrolling and the size of a run of work follow from it, and from nothing that varies between calls."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from ...base.dtypes import dtype, float32
from ..scalar import Scalar
from ..scalar.node import order

FREE = frozenset({"input", "number", "const", "index", "cast", "bitcast", "real", "imag", "complex", "conj"})
SIMPLE = frozenset(
    [
        "add",
        "sub",
        "mul",
        "neg",
        "abs",
        "minimum",
        "maximum",
        "fmin",
        "fmax",
        "and",
        "or",
        "xor",
        "not",
        "shl",
        "shr",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "where",
        "fma",
        "relu",
        "sign",
        "copysign",
        "floor",
        "ceil",
        "trunc",
        "round",
    ]
)
BYTES_PER_NS = 40.0  # what one thread moves out of the second-level cache
RUN_NS = 6000.0  # a run of work that makes handing it to another thread (0.5 us) worth it


@lru_cache(maxsize=4096)
def weight(body: tuple[Scalar, ...]) -> float:
    """Vector instructions an element's vector takes, roughly."""
    return sum(0.0 if n.op in FREE else 1.0 if n.op in SIMPLE else 6.0 if n.op in ("div", "sqrt", "rsqrt") else 25.0 for n in order(body))


@lru_cache(maxsize=4096)
def used_inputs(body: tuple[Scalar, ...]) -> frozenset[int]:
    """Inputs that the body reads."""
    return frozenset(n.place for n in order(body) if n.op == "input")


KEEPING = frozenset(["neg", "abs", "where", "minimum", "maximum", "fmin", "fmax", "relu", "copysign", "floor", "ceil", "trunc", "round"])


def keeps_bfloat16(root: Scalar, inputs: Sequence[str]) -> bool:
    """Whether a float32 result is a bfloat16 already: chosen among inputs of that type (the names of all are given), or changed in sign."""
    fits: dict[Scalar, bool] = {}
    for n in order([root]):
        if n.op == "input":
            fits[n] = inputs[n.place] == "bfloat16"
        elif n.op == "const":
            fits[n] = n.dtype is float32 and struct.pack("<f", n.value)[:2] == b"\0\0"
        else:
            fits[n] = n.op in KEEPING and all(fits[a] for a in n.args[n.op == "where" :])
    return fits[root] and root.dtype is float32


def lanes_of(body: Sequence[Scalar], memory: Sequence[dtype], lanes: int) -> int:
    """Elements a vector step does: as many of the widest type on the way as fill a register."""
    kinds = {d.real.itemsize for d in memory} | {n.dtype.real.itemsize for n in order(body) if n.op != "number"}
    return 4 * lanes // max(kinds)


def unroll_of(body: tuple[Scalar, ...]) -> int:
    """Vectors in flight: enough to hide latency where the body is short."""
    w = weight(tuple(body))
    return 4 if w <= 4 else 2 if w <= 12 else 1


def run_of(body: tuple[Scalar, ...], memory: Sequence[dtype], lanes: int = 8) -> int:
    """Elements of one run of work, a multiple of 64: about RUN_NS."""
    traffic = sum(d.itemsize for d in memory)
    ns = traffic / BYTES_PER_NS + weight(tuple(body)) / (4.0 * lanes) * max(1.0, max(d.real.itemsize for d in memory) / 4)
    return max(1024, int(RUN_NS / max(ns, 0.01)) // 64 * 64)
