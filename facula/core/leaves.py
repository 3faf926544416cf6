"""What leaves and their gradients carry besides values: hooks."""

from __future__ import annotations

from typing import Any


def post_hooks(t: Any) -> dict[int, Any]:
    """Hooks that run after a gradient was accumulated into a leaf."""
    return hooks_of(t).setdefault("post", {})


def hooks_of(t: Any) -> dict[str, dict[int, Any]]:
    """All hooks of a tensor, by kind: "grad" (see and change the gradient), "post"."""
    if t._hooks is None:
        t._hooks = dict[str, dict[int, Any]]()
    return t._hooks
