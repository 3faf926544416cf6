"""What annotations say of an argument: whether a value fits, and the sentence when it does not."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_origin

from ..base.errors import refuse
from ..base.narrow import is_sequence
from ..spec.binder import BINDER

KINDS = ("Tensor", "bool", "float", "int", "str")  # what the binder checks, with its conversions
SHAPES = {
    name: getattr(collections.abc, name) for name in ("Callable", "Hashable", "Iterable", "Iterator", "Mapping", "Sequence", "Sized")
} | {"dict": dict, "list": list, "set": set, "tuple": tuple}


def alternatives(annotation: str) -> list[str]:
    """The members of a union: "list[int | str] | None" has two."""
    parts, depth = [""], 0
    for letter in annotation:
        depth += (letter in "[(") - (letter in "])")
        if letter == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def misfit(annotation: str, value: Any, names: Mapping[str, Any]) -> str | None:
    """What is wrong with `value`: "" for its type, a few words for an element of it; None where it fits or the annotation is not understood."""
    inside = None
    for part in alternatives(annotation):
        base, _, element = part.partition("[")
        kind: Any = SHAPES.get(base) or names.get(base)
        if isinstance(kind, str):  # an alias
            wrong = misfit(kind, value, names)
            if wrong is None:
                return None
            inside = inside or wrong
        elif base in KINDS:
            if BINDER.fits(base, value):
                return None
        elif base == "None":
            if value is None:
                return None
        elif not isinstance(kind, type) or kind is Any or get_origin(kind):  # Python 3.10 calls list[int] a type
            return None
        elif isinstance(value, kind) and not isinstance(value, (str, bytes)):
            inside = _element(element.removesuffix("]").removesuffix(", ..."), value, names)
            if inside is None:
                return None
    return inside or ""


def _element(annotation: str, value: Any, names: Mapping[str, Any]) -> str | None:
    if not is_sequence(value) or "," in annotation or not annotation:
        return None
    for place, member in enumerate(value):
        if misfit(annotation, member, names) is not None:
            return f", but found element of type {type(member).__name__} at pos {place}"
    return None


def refused_by_annotation(
    function: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any], method: bool
) -> TypeError | None:
    """The refusal of the first argument that is not what its annotation says. `args` has the object itself where `method` is set."""
    names = inspect.unwrap(function).__globals__
    for place, (key, p) in enumerate(_parameters(function).items()):
        value = args[place] if place < len(args) else kwargs.get(key, p.default)
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if value is p.empty:
            return None  # Python's own sentence tells what is missing
        if value is p.default or not isinstance(p.annotation, str) or (wrong := misfit(p.annotation, value, names)) is None:
            continue
        kind = type(value).__name__
        if method and not place:
            return TypeError(f"descriptor '{name}' for 'Tensor' objects doesn't apply to a '{kind}' object")
        where = "" if key in kwargs else f" (position {place + 1 - method})"
        wanted = re.sub(r"\bSizes\b", "tuple of ints", p.annotation).replace(" | ", " or ")
        sentence = f"{name}(): argument '{key}'{where} must be {wanted}{wrong or f', not {kind}'}"
        return refuse(TypeError, sentence, received=f"{key}={value!r:.60}", expected=wanted)
    return None


@functools.lru_cache(maxsize=256)
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters
