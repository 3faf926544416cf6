"""Views and history: a view whose base was written to gets its history from the base again, and a write through a view goes into the base."""

from __future__ import annotations

import functools
from typing import Any

import facula.core.objects as objects
import facula.core.tape as tape

from ..spec.registry import ops
from .layout import Layout
from .modes import MODE
from .native import fields as F


def offset_in(root: Any, view: Any) -> int:
    """How many elements behind the first of its base a view begins."""
    return (view._address - root._address) // root.dtype.itemsize


def refresh(view: Any) -> None:
    """If the base was written to since, the view's history is that of a view of the base as it is now."""
    root = view._root
    if root is None or view._viewed == objects.version(view):
        return
    view._viewed = objects.version(view)
    source = root._node
    if (source is None and not root._flags & F.REQUIRES_GRAD) or view._flags & F.VIEWED_WITHOUT_GRAD:
        return
    if root.dtype is not view.dtype:
        return
    node = tape.record(viewed_rule(root._layout, view._layout), [root, offset_in(root, view)], [view])
    view._node, view._flags = node, view._flags & 0xFE


@functools.lru_cache(1 << 12)
def viewed_rule(root: Layout, view: Layout) -> tape.Rule:
    """The derivative of a view; operands are its base and how many elements further it begins."""

    def backward(grads: Any, values: Any, wanted: Any) -> list[Any]:
        return [ops.as_strided_backward(grads[0], root, tuple(view.shape), view.strides, values[0])]

    return tape.Rule("AsStridedBackward0", None, backward, ((False, 1),), (0,), (root,), (view,))


@functools.lru_cache(1 << 12)
def slices_rule(root: Layout, view: Layout, result: Layout) -> tape.Rule:
    """The derivative of a base, a view of which was overwritten; operands are the base as it was, the view's new values, and where it begins."""

    def backward(grads: Any, values: Any, wanted: Any) -> list[Any]:
        place = root, tuple(view.shape), view.strides, values[0]
        inside = ops.as_strided_gather(grads[0], *place) if wanted[1] else None
        outside = ops.as_strided_zeroed(grads[0], *place) if wanted[0] else None
        return [outside, inside]

    return tape.Rule("CopySlices", None, backward, ((False, 2),), (0, 1), (root, result), (root,))


def scatter_node(root: Any, view: Any, result: Any) -> None:
    """The base's history after `view` (into it) was overwritten with `result`: the old base outside the view, `result` inside."""
    rule = slices_rule(root._layout, view._layout, result._layout)
    node = tape.record(rule, [root, result, offset_in(root, view)], [root])
    root._node, root._flags = node, root._flags & 0xFE
    root._viewed = objects.version(root)
    view._viewed = -1
    if MODE.grad:
        refresh(view)
