"""The tape: one node per recorded call, with its edges to what it came from and what its derivative needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import facula.core.objects as objects_

from ..base.device import META
from ..base.errors import refuse
from ..spec.promotion import scalar_type_name
from .layout import Layout
from .modes import MODE
from .placing import run_at

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate "
    "values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a "
    "second time or if you need to access saved tensors after calling backward."
)


BEFORE = -1  # among the operands that a rule saves: what operand 0 was before the call overwrote it; it lies behind the others


class Rule:
    """How a plan's calls are differentiated: what to save, which tensors have edges, and the backward function.

    `backward(grads, values, needs)` gets one gradient per result (None where nothing came), the saved values and, per edge, whether it is
    wanted; it returns one gradient or None per edge.
    """

    __slots__ = ("__weakref__", "backward", "edges", "inputs", "name", "op", "outputs", "reads", "save")

    def __init__(
        self,
        name: str,
        op: Any,
        backward: Callable[[Sequence[Any], Sequence[Any], Sequence[bool]], Sequence[Any]],
        save: tuple[tuple[bool, int], ...],
        edges: tuple[int, ...],
        inputs: tuple[Layout, ...],
        outputs: tuple[Layout, ...],
        reads: frozenset[int] | None = None,
    ) -> None:
        self.name, self.op = name, op
        self.backward = run_at(META, backward) if inputs and inputs[0].device is META else backward
        self.save = save  # (is it a result, its place among the results or the call's operands)
        self.edges = edges  # places of tensors among the operands
        self.inputs, self.outputs = inputs, outputs  # layouts: of the tensors with edges, of the results
        self.reads = reads  # of several results, those whose gradients the backward function looks at; None: all


class Node:
    """A recorded call. Emitted code fills the slots directly; `extra` holds what only some nodes have."""

    __slots__ = ("__weakref__", "edges", "extra", "rule", "saved", "seq")

    edges: tuple[Any, ...]  # node or leaf or None, number of its result, ... flat
    extra: dict[str, Any] | None
    rule: Rule
    saved: tuple[Any, ...] | None  # value, version or None, ... flat; None when freed
    seq: int

    def name(self) -> str:
        return self.rule.name

    def __repr__(self) -> str:
        return f"<{self.rule.name} object at {id(self):#x}>"

    @property
    def more(self) -> dict[str, Any]:
        if self.extra is None:
            self.extra = {}
        return self.extra

    @property
    def metadata(self) -> dict[str, Any]:
        return self.more.setdefault("metadata", {})

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple((as_node(self.edges[i]), self.edges[i + 1]) for i in range(0, len(self.edges), 2))

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_inputs, grad_outputs)` runs after this node's derivative; it may return other grad_inputs."""
        return Handle(self.more.setdefault("hooks", {}), hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_outputs)` runs before; it may return other grad_outputs."""
        return Handle(self.more.setdefault("prehooks", {}), hook)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            return saved_attribute(self, name[7:])
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


class Handle:
    """Removes a hook: `remove()`, or leave the `with` block."""

    count = 0

    def __init__(self, table: dict[int, Any], hook: Any) -> None:
        Handle.count += 1
        self.id = Handle.count
        self.table = table
        table[self.id] = hook

    def remove(self) -> None:
        self.table.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class AccumulateGrad:
    """The end of the tape at a leaf: adds what arrives into `variable.grad`."""

    __slots__ = ("__weakref__", "variable")

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    @property
    def next_functions(self) -> tuple[Any, ...]:
        return ()

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash(id(self.variable))

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_inputs, grad_outputs)` runs after the gradient is in `variable.grad`."""
        from .leaves import post_hooks

        def after(t: Any) -> Any:
            return hook((), (t.grad,))

        return Handle(post_hooks(self.variable), after)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        def before(g: Any) -> Any:
            return (hook((g,)) or (None,))[0]

        return self.variable.register_hook(before)


def as_node(edge: Any) -> Any:
    """An edge as users see it: leaves show as AccumulateGrad."""
    return edge if edge is None or isinstance(edge, (Node, AccumulateGrad)) or hasattr(edge, "next_functions") else AccumulateGrad(edge)


def record(rule: Rule, operands: Sequence[Any], outs: Sequence[Any]) -> Node:
    """The Python twin of emitted recording. `operands` are tensors, then numbers."""
    node = Node()
    node.rule = rule
    node.extra = None
    node.seq = objects_.next_sequence()
    edges: list[Any] = []
    for i in rule.edges:
        t = operands[i]
        made = t._node
        edges += (made, t._output_nr) if made is not None else (t if t._flags & 1 else None, 0)
    node.edges = tuple(edges)
    saved: list[Any] = []
    for is_result, i in rule.save:
        value = objects_.alias(objects_.Tensor, outs[i], outs[i]._layout, 0) if is_result else operands[i]
        saved += (value, objects_.version(value) if isinstance(value, objects_.Tensor) else None)
    node.saved = tuple(saved)
    return node


def attach(node: Node, outs: Sequence[Any]) -> None:
    """Make `outs` the node's results, where their type can carry a gradient."""
    for i, out in enumerate(outs):
        if out is not None and (out.dtype.is_floating_point or out.dtype.is_complex):
            out._node, out._flags = node, i << 8
            out._viewed = objects_.version(out)


def unpack(node: Node) -> list[Any]:
    """The saved values, after a check that nobody wrote to them since."""
    saved = node.saved
    if saved is None:
        raise RuntimeError(FREED)
    packed = node.extra.get("packed") if node.extra else None
    values: list[Any] = []
    k = 0
    for is_result, i in node.rule.save:
        value, expected = saved[k], saved[k + 1]
        if packed and k // 2 in packed:
            value = packed[k // 2]()
            if MODE.grad:
                value = _again(node, value, is_result, i)
        elif expected is not None:
            if objects_.version(value) != expected:
                raise _modified(node, value, expected, i if is_result else 0)
            if is_result and MODE.grad:  # its own history matters only to those who differentiate again
                value = with_edge(value, node, i)
        values.append(value)
        k += 2
    return values


def with_edge(value: Any, made: Any, output: int) -> Any:
    """An alias of `value` whose gradient goes to result `output` of the node `made`, or to the leaf `made`."""
    if isinstance(made, objects_.Tensor):
        if value is made:
            return value
        lay = made._layout
        made = record(Rule("AliasBackward0", None, lambda grads, values, needs: grads, (), (0,), (lay,), (lay,)), [made], [])
        output = 0
    value = objects_.alias(objects_.Tensor, value, value._layout, 0)
    value._node, value._flags = made, output << 8
    return value


def _again(node: Node, value: Any, is_result: bool, i: int) -> Any:
    """What a hook unpacked, with the history of what was packed: it matters to those who differentiate again."""
    if is_result:
        return with_edge(value, node, i)
    if i not in node.rule.edges:
        return value
    edge = 2 * node.rule.edges.index(i)
    made, output = node.edges[edge : edge + 2]
    return value if made is None else with_edge(value, made, output)


def _modified(node: Node, value: Any, version: int, output: int) -> RuntimeError:
    made = node if value._node is None and not value._flags & 1 else value._node
    what = f"torch.{scalar_type_name(value.dtype)}Tensor {list(value.shape)}"
    by = (
        f", which is output {value._output_nr if made is not node else output} of {made.name().removesuffix('Backward0')},"
        if made is not None
        else ""
    )
    now = objects_.version(value)
    return refuse(
        RuntimeError,
        f"one of the variables needed for gradient computation has been modified by an inplace operation: [{what}]{by} is at version {now}; expected "
        f"version {version} instead. Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False).",
        received=f"a tensor saved by {node.name()} at version {version}, now at version {now}",
        expected="that it is not written to before backward",
        hint="use the out-of-place form, or write to a clone()",
    )


def saved_attribute(node: Node, name: str) -> Any:
    """`node._saved_self` and the like: PyTorch's names for what a node keeps."""
    values = unpack(node)
    schema = getattr(node.rule.op, "schema", None)
    for value, (is_result, i) in zip(values, node.rule.save):
        i = 0 if i == BEFORE else i
        own = "result" if is_result else schema.params[i].name if schema and i < len(schema.params) else str(i)
        if name == own or (name == "self" and not is_result and i == 0):
            return value
    raise AttributeError(f"'{node.name()}' object has no attribute '_saved_{name}'")
