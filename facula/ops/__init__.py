"""Floor 4: the operators, one family a file. Importing this room declares them all and publishes their functions.

`facula.ops.NAME` is the public function of every operator.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..core.function import operator, publish
from ..spec.registry import ops as _table

FAMILIES = ("arithmetic", "contraction", "conversion", "convolution", "creation", "indexing", "joining", "movement", "random", "reduction")
for _family in FAMILIES:
    importlib.import_module(f".{_family}", __name__)
publish()
for _slot, _name in (
    ("add", "add"), ("subtract", "sub"), ("multiply", "mul"), ("true_divide", "div"),
    ("unary_negative", "neg"),
):  # fmt: skip
    operator(_slot, _name)
for _slot, _name in (("inplace_add", "add"), ("inplace_subtract", "sub"), ("inplace_multiply", "mul"), ("inplace_true_divide", "div")):
    operator(_slot, _name, in_place=True)


def __getattr__(name: str) -> Any:
    return getattr(_table, name)
