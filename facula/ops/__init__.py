"""Floor 4: the operators, one family a file. Importing this room declares them all and publishes their functions.

`facula.ops.NAME` is the public function of every operator.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..core.function import operator as _operator
from ..core.function import publish as _publish
from ..core.tensor import NUMBERS
from ..spec.registry import FAMILIES as OPERATORS
from ..spec.registry import ops as _table

FAMILIES = ("activation", "arithmetic", "arranging", "attention", "bitwise", "comparison", "complex", "contraction", "conversion", "convolution", "covariance", "creation", "ctc", "curves", "distances", "embedding", "examples", "exponential", "extremes", "gathering", "grouping", "indexing", "joining", "legacy", "locating", "losses", "making", "masked", "movement", "normalisation", "norms", "pair_losses", "pooling", "products", "random", "recurrent", "reduction", "resampling", "rounding", "row_norms", "sampling", "scans", "scattering", "shaping", "softmax", "sorting", "special", "stacking", "statistics", "storing", "tapers", "trigonometric", "types", "unpooling", "windows")  # fmt: skip
for _family in FAMILIES:
    importlib.import_module(f".{_family}", __name__)
_publish()
SLOTS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "div", "floor_divide": "floor_divide", "remainder": "remainder", "power": "pow",
    "unary_negative": "neg", "unary_absolute": "abs", "unary_invert": "bitwise_not", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift", "matrix_multiply": "matmul",
    **{f"compare_{name}": name for name in ("lt", "le", "eq", "ne", "gt", "ge")},
}  # fmt: skip
for _slot, _name in SLOTS.items():
    if _name in OPERATORS:
        _operator(_slot, _name)
        if "inplace_" + _slot in NUMBERS and any(op.block.in_place for op in OPERATORS[_name]):
            _operator("inplace_" + _slot, _name, in_place=True)


globals().update(vars(_table))  # an operator goes before the family file of the same name


def __getattr__(name: str) -> Any:
    return getattr(_table, name)


def __dir__() -> list[str]:
    """The operators."""
    return sorted(name for name, function in vars(_table).items() if callable(function))
