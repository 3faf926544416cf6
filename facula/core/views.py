"""Views and history: a view whose base was written to gets its history from the base again, and a write through a view goes into the base."""

from __future__ import annotations

from typing import Any

import facula.core.objects as objects
import facula.core.tape as tape

from ..spec.registry import ops
from .layout import Layout
from .modes import MODE
from .native import fields as F


def place_in(root: Any, view: Any) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, strides and offset (elements) of a view relative to its base's first element."""
    offset = (view._address - root._address) // root.dtype.itemsize
    return tuple(view.shape), view._layout.strides, offset


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
    shape, strides, offset = place_in(root, view)
    lay = root._layout

    def backward(grads: Any, values: Any, wanted: Any) -> list[Any]:
        return [ops.as_strided_backward(grads[0], lay, shape, strides, offset)]

    rule = tape.Rule("AsStridedBackward0", None, backward, (), (0,), (lay,), (view._layout,))
    node = tape.record(rule, [root], [view])
    view._node, view._flags = node, view._flags & 0xFE


def scatter_node(root: Any, view: Any, result: Any) -> None:
    """The base's history after `view` (into it) was overwritten with `result`: the old base outside the view, `result` inside."""
    shape, strides, offset = place_in(root, view)
    before = objects.alias(objects.Tensor, root, root._layout, 0)
    before._node, before._flags = root._node, root._flags
    lay: Layout = root._layout

    def backward(grads: Any, values: Any, wanted: Any) -> list[Any]:
        g = grads[0]
        inside = ops.as_strided_gather(g, lay, shape, strides, offset) if wanted[1] else None
        outside = ops.as_strided_zeroed(g, lay, shape, strides, offset) if wanted[0] else None
        return [outside, inside]

    rule = tape.Rule("CopySlices", None, backward, (), (0, 1), (lay, result._layout), (lay,))
    node = tape.record(rule, [before, result], [root])
    root._node, root._flags = node, root._flags & 0xFE
    root._viewed = objects.version(root)
    view._viewed = -1
    if MODE.grad:
        refresh(view)
