"""The engine: walks the tape from results to leaves, newest node first, without recursion."""

from __future__ import annotations

import heapq
import sys
import threading
from collections.abc import Sequence
from typing import Any

from ..base.device import CPU
from ..base.errors import fold, refuse, warn
from ..core import objects, tape
from ..core.batching import lift, numbers, reduced
from ..core.layout import Layout
from ..core.modes import MODE, sync
from ..core.plan import allocate
from ..core.tape import FREED, Node
from ..spec.registry import ops
from .anomaly import CHECKS

Key = tuple[Any, int]  # a node and the number of its result, or (leaf, -1)


def run(
    roots: Sequence[tuple[Any, int, Any]],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Key] | None = None,
    accumulate: bool = True,
) -> dict[Key, Any]:
    """Backward from `roots` (node or leaf, result number, gradient). With `inputs`, only what leads to them runs, and what arrives there is
    returned (and, if `accumulate`, added to `.grad` of leaves among them)."""
    before = MODE.grad, MODE.device
    MODE.grad, MODE.device = create_graph, None  # gradients are made where the tensors are, whatever the thread's default
    sync()
    walk = _Walk(retain_graph, create_graph, inputs, accumulate)
    RUNNING.walks.append(walk)
    try:
        return walk.go(roots)
    except Exception as error:
        fold(error)
        raise
    finally:
        RUNNING.walks.pop()
        MODE.grad, MODE.device = before
        sync()


class _Running(threading.local):
    """The backward passes that this thread is in, the innermost last."""

    def __init__(self) -> None:
        self.walks: list[_Walk] = []


RUNNING = _Running()
ADDING = threading.RLock()  # several threads may add into one leaf


class _Walk:
    """One backward pass."""

    def __init__(self, retain_graph: bool, create_graph: bool, inputs: Sequence[Key] | None, accumulate: bool) -> None:
        self.retain_graph, self.create_graph, self.accumulate = retain_graph, create_graph, accumulate
        self.wanted = None if inputs is None else set(inputs)
        self.captured: dict[Key, Any] = {}
        self.buffers: dict[Any, list[Any]] = {}
        self.dependencies: dict[Any, int] = {}
        self.needed: set[Any] | None = None
        self.heap: list[tuple[int, int, Any]] = []

    def go(self, roots: Sequence[tuple[Any, int, Any]]) -> dict[Key, Any]:
        starts = [node for node, _, _ in roots if isinstance(node, Node)]
        self._count(starts)
        for node, nr, g in roots:
            self._arrive(node, nr, g)
        for node in dict.fromkeys(starts):
            if not self.dependencies[node]:
                heapq.heappush(self.heap, (-node.seq, id(node), node))
        while self.heap:
            node = heapq.heappop(self.heap)[2]
            self._visit(node)
        return self.captured

    def reaches(self, place: Any) -> bool:
        """Whether a gradient may arrive at this node or leaf."""
        if isinstance(place, Node):
            return place in self.dependencies
        return any(edge is place for node in self.dependencies for edge in node.edges[::2])

    def _count(self, starts: Sequence[Any]) -> None:
        """How many edges lead to each node, and which nodes lead to a wanted input."""
        dependencies = self.dependencies
        order: list[Any] = []
        stack = list(dict.fromkeys(starts))
        for node in stack:
            dependencies[node] = 0
        while stack:
            node = stack.pop()
            order.append(node)
            edges = node.edges
            for i in range(0, len(edges), 2):
                child = edges[i]
                if type(child) is Node:
                    if child in dependencies:
                        dependencies[child] += 1
                    else:
                        dependencies[child] = 1
                        stack.append(child)
        if self.wanted is None:
            return
        order.sort(key=lambda n: n.seq)  # what a node came from is older than it
        needed: set[Any] = {key[0] for key in self.wanted}
        for node in order:
            if node in needed:
                continue
            edges = node.edges
            for i in range(0, len(edges), 2):
                child = edges[i]
                if child is not None and child in needed:
                    needed.add(node)
                    break
        self.needed = needed

    def _arrive(self, place: Any, nr: int, g: Any) -> None:
        """A gradient for a node's result, or for a leaf."""
        if type(place) is not Node:
            return self._leaf(place, g)
        for number, n, _ in place.rule.outputs[nr].batch:
            if number not in numbers(g._layout):
                g = lift(g, number, n)
        buffer = self.buffers.get(place)
        if buffer is None:
            buffer = self.buffers[place] = [None] * len(place.rule.outputs)
        buffer[nr] = g if buffer[nr] is None else buffer[nr] + g
        return None

    def _visit(self, node: Any) -> None:
        grads = self.buffers.pop(node, None)
        if self.needed is not None and node not in self.needed:
            return
        edges = node.edges
        if grads is None:
            self._release(edges, ())
            return
        extra = node.extra
        if extra:
            grads = _before(node, extra, grads)
        if self.wanted is not None:
            for nr, g in enumerate(grads):
                if (node, nr) in self.wanted:
                    self.captured[(node, nr)] = g
        got = self._derivative(node, grads, edges)
        if extra and "hooks" in extra:
            got = _after(extra, got, grads)
        self._release(edges, got)

    def _derivative(self, node: Any, grads: list[Any], edges: tuple[Any, ...]) -> Sequence[Any]:
        """One gradient per edge."""
        rule = node.rule
        n = len(rule.edges) if self.needed is None else len(edges) // 2
        needed = self.needed
        if needed is None:
            wanted: Sequence[bool] = ALL[:n] if n <= len(ALL) else (True,) * n
        else:
            wanted = [edges[2 * i] is not None and edges[2 * i] in needed for i in range(n)]
            if not any(wanted):
                return [None] * n
        if node.saved is None:
            raise refuse(
                RuntimeError,
                FREED,
                received=f"{node.name()}, whose saved tensors were freed",
                expected="retain_graph=True in the first backward",
            )
        values = tape.unpack(node) if rule.save else ()
        if isinstance(rule.op, type):  # a Function of the user's fills in zeros itself, or wants to see None
            pass
        elif len(grads) > 1:
            grads = [
                zeros(lay)
                if g is None and (rule.reads is None or k in rule.reads) and (lay.dtype.is_floating_point or lay.dtype.is_complex)
                else g
                for k, (g, lay) in enumerate(zip(grads, rule.outputs))
            ]
        elif grads[0] is None:
            return [None] * n
        try:
            got = rule.backward(grads, values, wanted)
        except Exception as error:
            if node.extra and "metadata" in node.extra:
                _name_line(node, error)
            raise
        if not self.retain_graph and node.saved and rule.op is not None:  # where a view begins may be asked again
            node.saved = None
            if node.extra:
                node.extra.pop("packed", None)
        if len(got) != n:
            raise RuntimeError(f"Function {node.name()} returned an incorrect number of gradients (expected {n}, got {len(got)})")
        inputs = rule.inputs
        for i in range(n):
            g = got[i]
            if g is not None and g._layout is not inputs[i]:
                got = [None if g is None or not w else _checked(g, lay, node, i) for i, (g, w, lay) in enumerate(zip(got, wanted, inputs))]
                break
        if MODE.anomaly and CHECKS.nan:
            _refuse_nan(node, got)
        return got

    def _release(self, edges: tuple[Any, ...], got: Sequence[Any]) -> None:
        """Hand gradients on; nodes that have all of theirs become ready."""
        dependencies, buffers = self.dependencies, self.buffers
        k = 0
        for i in range(0, len(edges), 2):
            child = edges[i]
            g = got[k] if got else None
            k += 1
            if child is None:
                continue
            if type(child) is not Node:
                if g is not None:
                    self._leaf(child, g)
                continue
            if g is not None:
                nr = edges[i + 1]
                buffer = buffers.get(child)
                if buffer is None:
                    buffer = buffers[child] = [None] * len(child.rule.outputs)
                buffer[nr] = g if buffer[nr] is None else buffer[nr] + g
            left = dependencies[child] - 1
            dependencies[child] = left
            if not left:
                heapq.heappush(self.heap, (-child.seq, id(child), child))

    def _leaf(self, leaf: Any, g: Any) -> None:
        if not isinstance(leaf, objects.Tensor):  # a tape of somebody's own: an object with `accumulate`
            leaf.accumulate(g)
            return
        hooks = leaf._hooks
        if hooks and "grad" in hooks:
            for hook in list(hooks["grad"].values()):
                g = _replaced(hook, g, hook(g))
        key = (leaf, -1)
        if self.wanted is not None:
            if key not in self.wanted:
                return
            have = self.captured.get(key)
            if not self.accumulate:
                self.captured[key] = g if have is None else have + g
                return
            self.captured[key] = g
        accumulate(leaf, g, self.create_graph)
        if hooks and "post" in hooks:
            for hook in list(hooks["post"].values()):
                hook(leaf)


def accumulate(leaf: Any, g: Any, create_graph: bool) -> None:
    """Adds into `leaf.grad`; the first gradient is kept as it is when nobody else holds its memory."""
    with ADDING:
        have = leaf._grad
        if have is not None:
            leaf._grad = have + g if create_graph or have.requires_grad else have.add_(g)
        else:
            _first(leaf, g, create_graph)


def _first(leaf: Any, g: Any, create_graph: bool) -> None:
    want: Layout = leaf._layout
    if create_graph or (g._layout is want and sys.getrefcount(g) <= 7 and not g._flags and g._root is None):
        leaf._grad = g
    else:
        leaf._grad = owned(g, want)


def owned(g: Any, want: Layout) -> Any:
    """A copy with the leaf's strides."""
    from ..core.copying import fresh_copy

    return fresh_copy(g, want.strides if want.dense else None)


def zeros(lay: Layout) -> Any:
    """Zeros of a layout."""
    import ctypes

    out = allocate(lay)
    if lay.device is CPU:
        ctypes.memset(out._address, 0, lay.nbytes)
    return out


ALL = (True,) * 16


def _refuse_nan(node: Any, got: Sequence[Any]) -> None:
    for i, g in enumerate(got):
        if g is not None and bool((g != g).any()):
            error = RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
            _name_line(node, error)
            raise error


def _name_line(node: Any, error: BaseException) -> None:
    """Anomaly mode: the forward call of what failed in backward."""

    trace = node.metadata.get("traceback_")
    if trace:
        text = "".join(trace)
        warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{text}")
        if note := getattr(error, "add_note", None):
            note(f"  forward call: {trace[-1].strip()}")


def _checked(g: Any, lay: Layout, node: Any, i: int) -> Any:
    """A gradient of the right shape and type for its input."""
    if g._layout.batch:
        g = reduced(g, node.rule.outputs, lay)
    if g._layout.shape != lay.shape:
        try:
            return ops.sum_to_size(g, lay.shape)
        except RuntimeError:
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {i} - got {list(g.shape)} but expected shape compatible with {list(lay.shape)}"
            ) from None
    if g._layout.dtype is not lay.dtype:
        return ops.real(g).to(lay.dtype) if g.dtype.is_complex and not lay.dtype.is_complex else g.to(lay.dtype)
    return g


def _before(node: Any, extra: dict[str, Any], grads: list[Any]) -> list[Any]:
    """Tensor hooks, retained gradients and pre-hooks of a node."""
    for nr, hooks in extra.get("tensor hooks", {}).items():
        for hook in list(hooks.values()):
            if grads[nr] is not None:
                grads[nr] = _replaced(hook, grads[nr], hook(grads[nr]))
    for nr, t in extra.get("retain", {}).items():
        if grads[nr] is not None:
            have = t._grad
            t._grad = grads[nr] if have is None else have + grads[nr]
    for hook in list(extra.get("prehooks", {}).values()):
        grads = list(_replaced_all(hook, grads, hook(tuple(grads))))
    return grads


def _after(extra: dict[str, Any], got: Sequence[Any], grads: Sequence[Any]) -> Sequence[Any]:
    for hook in list(extra["hooks"].values()):
        got = _replaced_all(hook, got, hook(tuple(got), tuple(grads)))
    return got


def _replaced(hook: Any, before: Any, got: Any) -> Any:
    """What a hook made of a gradient, which is of the same type and size."""
    if got is None:
        return before
    if not isinstance(got, objects.Tensor):
        raise refuse(
            TypeError, f"expected Variable, but hook returned '{type(got).__name__}'", expected="a tensor like the gradient, or None"
        )
    if before is None:
        raise RuntimeError("can't replace a None gradient with a non-None value")
    name = getattr(hook, "__name__", type(hook).__name__)
    if got.dtype is not before.dtype or got.device is not before.device:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {before.type()} got {got.type()})")
    if got.shape != before.shape:
        shapes = {"received": str(tuple(got.shape)), "expected": str(tuple(before.shape))}
        raise refuse(RuntimeError, f"hook '{name}' has changed the size of value", **shapes)
    return got


def _replaced_all(hook: Any, before: Sequence[Any], got: Any) -> Sequence[Any]:
    if got is None:
        return before
    if not isinstance(got, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(got).__name__}'")
    if len(got) != len(before):
        name = getattr(hook, "__name__", type(hook).__name__)
        raise RuntimeError(f"hook '{name}' has returned an incorrect number of values (got {len(got)}, but expected {len(before)})")
    return [_replaced(hook, b, g) for b, g in zip(before, got)]
