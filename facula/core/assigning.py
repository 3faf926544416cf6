"""Values go into a tensor that exists, and their history with them: `x[i] = y`, `x.copy_(y)`, and what is computed before it is written."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import facula.core.objects as objects
import facula.core.tape as tape

from ..spec.registry import ops
from .copying import copy_into, copy_plan
from .expression import PLANS, wants
from .layout import Layout
from .modes import MODE, no_grad
from .native import fields as F
from .plan import Plan, record_form
from .tape import Rule
from .views import scatter_node, slices_rule, viewed_rule


def assign(target: Any, result: Any, title: str, keeps: bool = False) -> Any:
    """Write `result` into `target` and move its history there (through the base, when the target is a view). `keeps`: zeros go to what the
    target came from."""
    if not (MODE.grad and (result._node is not None or wants(target))):
        write(target, result.detach() if result._node is not None else result)
        return target
    if result.dtype is not target.dtype:
        result = result.to(target.dtype)
    plan = assignment(target, result, keeps)
    if MODE.trace is None:
        plan.run((target, result))
    else:
        MODE.trace.assigns(plan, target, result)
    return target


def write(target: Any, source: Any) -> None:
    """Copy values; the version counter moves, the history does not."""
    with no_grad():
        copy_into(target, source)
    target._viewed = objects.version(target)


class Assignment(Plan):
    """Operand 0 gets the values of operand 1, and its history, or that of `rule`, a derivative of both. The base of a view gets a history in
    which the view is overwritten."""

    __slots__ = ("root", "source", "target")

    def __init__(self, target: Layout, source: Layout, rule: Rule | None, root: Layout | None) -> None:
        super().__init__(None, rule, None)
        self.target, self.source, self.root = target, source, root

    def run(self, operands: Sequence[Any]) -> Any:
        target, result = operands
        root = target._root
        write(target, result.detach() if result._node is not None else result)
        retained = [
            (t, t._node, t._output_nr) for t in (target, root) if t is not None and t._flags & F.RETAINS_GRAD and t._node is not None
        ]
        self._history(target, root, result)
        for t, node, nr in retained:  # who keeps the gradient of a tensor means the tensor as it is now
            if t._node is not node:
                node.more["retain"].pop(nr, None)
                t._node.more.setdefault("retain", {})[t._output_nr] = t
        return target

    def _history(self, target: Any, root: Any, result: Any) -> None:
        if root is not None:
            scatter_node(root, target, result)
            return
        if self.rule is not None:
            target._node, target._flags = tape.record(self.rule, (target, result), (target,)), target._flags & 0xFE
        elif result._node is not None:
            target._node, target._flags = result._node, (target._flags & 0xFE) | result._output_nr << F.OUTPUT_SHIFT
        target._viewed = objects.version(target)

    def native(self, places: tuple[int, ...]) -> int:
        found = self.addresses.get(())
        if found is None:
            found = self.addresses[()] = self._build()
        return found

    def _build(self) -> int:
        copy = copy_plan(self.target, self.source)
        address = copy.native((0, 1))
        if not address:
            return 0
        fields = {"kind": F.KIND_ASSIGN, "source": address}
        if self.root is not None:
            fields |= {"root": id(self.root), "delta": self.root.dtype.itemsize}
            fields["into_root"] = record_form(self, slices_rule(self.root, self.target, self.source), 3, (self.root,))
            fields["history"] = record_form(self, viewed_rule(self.root, self.target), 2, (self.target,))
        elif self.rule is not None:
            fields["history"] = record_form(self, self.rule, 2, (self.target,))
        block = (ctypes.c_int64 * len(F.PLAN))(*(fields.get(name, 0) for name in F.PLAN))
        self.keep += [copy, self.root, block]
        return ctypes.addressof(block)


def assignment(target: Any, result: Any, keeps: bool) -> Assignment:
    """The plan for these tensors."""
    root = target._root
    kind = None
    if root is None and (keeps or (result._node is not None and result._layout is not target._layout)):
        kind = overwriting if keeps else restrided
    key = (Assignment, target._layout, result._layout, kind, None if root is None else root._layout)
    found = PLANS.get(key)
    if found is None:
        rule = None if kind is None else kind(target._layout, result._layout)
        found = PLANS[key] = Assignment(target._layout, result._layout, rule, None if root is None else root._layout)
    assert isinstance(found, Assignment)
    return found


@functools.lru_cache(1 << 12)
def overwriting(target: Layout, result: Layout) -> Rule:
    """Zeros go along the edge to what the target came from: its leaves get gradients of 0, not None."""
    shape, kind = tuple(target.shape), target.dtype

    def backward(g: Sequence[Any], v: Sequence[Any], n: Sequence[bool]) -> list[Any]:
        return [ops.zeros(shape, dtype=kind), g[0]]

    return Rule("CopyBackwards", None, backward, (), (0, 1), (target, result), (target,))


@functools.lru_cache(1 << 12)
def restrided(target: Layout, result: Layout) -> Rule:
    """The same values in another layout."""
    return Rule("CopyBackwards", None, lambda g, v, n: [g[0]], (), (1,), (result,), (target,))
