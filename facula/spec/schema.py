"""The schema grammar: one line says an operator's name, arguments, defaults and results.

    add.Tensor(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor
    sum.dim(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor
    max.dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)

Types: Tensor, Scalar (number that is a run-time operand), `Tensor|Scalar`, int, float, bool, str, complex, ScalarType, Device, Layout,
MemoryFormat, Generator, any; `T?` may be None, `T[]` is a list, `int[2]` also takes one int for both. `*` starts keyword-only arguments.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

REQUIRED = inspect.Parameter.empty
TYPES = {
    "Tensor",
    "Scalar",
    "Tensor|Scalar",
    "int",
    "float",
    "bool",
    "str",
    "complex",
    "ScalarType",
    "Device",
    "Layout",
    "MemoryFormat",
    "Generator",
    "any",
}
PARAM = re.compile(r"(?P<type>[A-Za-z|]+)(?P<list>\[(?P<size>\d*)\])?(?P<optional>\?)?\s+(?P<name>\w+)(?:\s*=\s*(?P<default>.+))?")


@dataclass(frozen=True)
class Param:
    """One argument."""

    name: str
    type: str
    is_list: bool
    size: int  # int[2]: one int stands for both; 0 when the length is free
    optional: bool
    default: Any
    keyword_only: bool

    @property
    def is_tensor(self) -> bool:
        return self.type.startswith("Tensor")

    @property
    def is_operand(self) -> bool:
        """Its value is passed at run time and is not part of the plan's key (numbers; tensors go by layout)."""
        return self.type in ("Scalar", "Tensor|Scalar", "float") and not self.is_list

    def __str__(self) -> str:
        names = {"ScalarType": "torch.dtype", "Scalar": "Number", "Tensor|Scalar": "Tensor", "Device": "torch.device", "Layout": "torch.layout",
                 "MemoryFormat": "torch.memory_format"}  # fmt: skip
        base = names.get(self.type, self.type)
        if self.is_list:
            base = f"tuple of {base}s"
        return f"{base} {self.name}" + ("" if self.default is REQUIRED else f" = {self.default}")


@dataclass(frozen=True)
class Schema:
    """A parsed schema line."""

    text: str
    name: str
    overload: str
    params: tuple[Param, ...]
    returns: tuple[str, ...]  # names of results; "" where a result has none

    @cached_property
    def index(self) -> dict[str, int]:
        return {p.name: i for i, p in enumerate(self.params)}

    @cached_property
    def signature(self) -> inspect.Signature:
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature([inspect.Parameter(p.name, kinds[p.keyword_only], default=p.default) for p in self.params])

    @cached_property
    def positional(self) -> int:
        return sum(not p.keyword_only for p in self.params)


def _split(text: str) -> list[str]:
    parts: list[str] = []
    depth = start = 0
    for i, c in enumerate(text):
        depth += (c in "([" and 1) or (-1 if c in ")]" else 0)
        if c == "," and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, last] if (last := text[start:].strip()) else parts


def _default(text: str | None) -> Any:
    if text is None:
        return REQUIRED
    words = {"None": None, "True": True, "False": False}
    if text in words:
        return words[text]
    if text[0] in "\"'":
        return text[1:-1]
    if text[0] in "[(":
        return tuple(_default(t) for t in _split(text[1:-1]))
    try:
        return int(text)
    except ValueError:
        return float(text)


def parse(text: str) -> Schema:
    """A schema line, or ValueError that names the part that does not fit the grammar."""
    match = re.fullmatch(r"(\w+)(?:\.(\w+))?\((.*)\)\s*->\s*(.+)", text.strip(), re.DOTALL)
    if not match:
        raise ValueError(f"schema {text!r}: expected name(arguments) -> results")
    name, overload, inside, result = match.groups()
    params: list[Param] = []
    keyword_only = False
    for part in _split(inside):
        if part == "*":
            keyword_only = True
            continue
        m = PARAM.fullmatch(part)
        if not m or m["type"] not in TYPES:
            raise ValueError(f"schema {text!r}: cannot read argument {part!r}; types are {sorted(TYPES)}")
        params.append(
            Param(m["name"], m["type"], bool(m["list"]), int(m["size"] or 0), bool(m["optional"]), _default(m["default"]), keyword_only)
        )
    results = _split(result.strip()[1:-1]) if result.strip().startswith("(") else [result.strip()]
    returns = tuple((r.split() + [""])[1] for r in results)
    return Schema(text.strip(), name, overload or "", tuple(params), returns)
