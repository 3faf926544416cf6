"""Nested tuples, lists and dicts of tensors, as flat lists and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Leaves in order, and what makes the tree again from as many leaves."""
    if isinstance(tree, dict):
        keys, values, kind = list(tree), list(tree.values()), type(tree)
        return _joined(values, lambda items: kind(zip(keys, items)))
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return _joined(list(tree), lambda items: type(tree)(*items))
    if isinstance(tree, (tuple, list)):
        return _joined(list(tree), type(tree))
    return [tree], lambda leaves: leaves[0]


def _joined(children: list[Any], build: Callable[[list[Any]], Any]) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    parts = [flatten(c) for c in children]
    leaves = [leaf for part, _ in parts for leaf in part]

    def unflatten(flat: list[Any]) -> Any:
        items, at = [], 0
        for part, make in parts:
            items.append(make(flat[at : at + len(part)]))
            at += len(part)
        return build(items)

    return leaves, unflatten


def tree_map(f: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with f of each leaf."""
    leaves, make = flatten(tree)
    return make([f(leaf) for leaf in leaves])


def spread(prefix: Any, tree: Any) -> list[Any]:
    """One item of `prefix` per leaf of `tree`; an item above a branch holds for all of it. ValueError when they do not fit."""
    if isinstance(prefix, (tuple, list, dict)) and not (isinstance(tree, (tuple, list, dict)) and len(prefix) == len(tree)):
        raise ValueError(f"the structures do not fit: {prefix} for {type(tree).__name__}")
    if isinstance(prefix, dict):
        return [item for key in tree for item in spread(prefix[key], tree[key])]
    if isinstance(prefix, (tuple, list)):
        return [item for p, branch in zip(prefix, tree) for item in spread(p, branch)]
    return [prefix] * len(flatten(tree)[0])
