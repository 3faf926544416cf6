"""`Expression`: a pointwise operator as a traced body. Forward calls, derived gradients and fused chains are all one of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import facula.core.objects as objects

from ..base.device import CPU
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..kernel.launch import Array, Schedule
from ..kernel.pointwise import pointwise
from ..kernel.scalar import Scalar, cast, number, real, text
from ..kernel.scalar.derive import derive_saving
from ..kernel.scalar.simplify import leaves, simplify, substitute
from ..spec.registry import ops
from .batching import check_holds, loops, merged
from .layout import Layout, dense_like, layout
from .modes import MODE
from .native import fields as F
from .placing import apart, common_device
from .plan import KernelPlan, Plan, around
from .tape import Rule
from .views import refresh

PLANS: dict[tuple[Any, ...], Plan] = {}
Derivative = Callable[[Sequence[Any], Sequence[Any]], list[Any]]  # of cotangents and saved values


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that all of these expand to. RuntimeError with PyTorch's sentence where they do not fit."""
    result: list[int] = []
    for shape in shapes:
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        for k in range(1, len(shape) + 1):
            n, m = shape[-k], result[-k]
            if n != m and n != 1:
                if m != 1:
                    d = len(result) - k
                    raise refuse(
                        RuntimeError,
                        f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {d}",
                        received="shapes " + ", ".join(str(tuple(s)) for s in shapes),
                        expected="extents that are equal or 1, counted from the last dim",
                        hint="unsqueeze or expand one of them",
                    )
                result[-k] = n
    return tuple(result)


def expanded(source: Layout, shape: tuple[int, ...]) -> Array:
    """The source with zero strides where it is broadcast to `shape`."""
    lead = len(shape) - source.ndim
    strides = [0] * lead + [0 if n == 1 and shape[lead + d] != 1 else s for d, (n, s) in enumerate(zip(source.shape, source.strides))]
    return Array(source.dtype, shape, tuple(strides))


def result_strides(shape: tuple[int, ...], layouts: Sequence[Layout]) -> tuple[int, ...] | None:
    """Strides of a fresh pointwise result: the order of dims of the operands (PyTorch's rule); None means contiguous."""
    whole = all(x.shape == shape for x in layouts)
    if whole and all(x.contiguous for x in layouts):
        return None
    if whole and layouts[0].dense and all(x.strides == layouts[0].strides for x in layouts):
        return layouts[0].strides
    return dense_like(shape, *(expanded(x, shape).strides for x in layouts))


class Expression:
    """Bodies over `inputs` tensor leaves and `numbers` run-time numbers; `outputs[k]` is the memory type of body k.

    Called as an operator: tensors, then numbers. Its derivative is another Expression.
    """

    __slots__ = ("__weakref__", "body", "entry", "gradients", "inputs", "key", "name", "numbers", "outputs")

    known: dict[tuple[Any, ...], Expression] = {}

    def __init__(self, name: str, body: tuple[Scalar, ...], inputs: int, numbers: tuple[DType, ...], outputs: tuple[DType, ...]) -> None:
        self.name, self.body, self.inputs, self.numbers, self.outputs = name, body, inputs, numbers, outputs
        self.gradients: dict[Any, Any] = {}
        self.entry = objects.Entry(self._handle, ((1 << len(numbers)) - 1) << inputs, self)

    @classmethod
    def of(cls, name: str, body: tuple[Scalar, ...], inputs: int, numbers: tuple[DType, ...], outputs: tuple[DType, ...]) -> Expression:
        """The one Expression with these parts."""
        key = (name, text(body), inputs, numbers, outputs)
        found = cls.known.get(key)
        if found is None:
            found = cls.known[key] = cls(name, body, inputs, numbers, outputs)
        return found

    def __call__(self, *operands: Any) -> Any:
        return objects.call(self.entry, *operands)

    def _handle(self, operands: tuple[Any, ...], names: Any) -> Any:
        tensors = operands[: self.inputs]
        for t in tensors:
            if t._root is not None:
                refresh(t)
        key = (self, MODE.grad, *[(t._layout, wants(t)) for t in tensors])
        plan = PLANS.get(key)
        if plan is None:
            plan = PLANS[key] = self.plan([t._layout for t in tensors], tuple(MODE.grad and wants(t) for t in tensors))
        if MODE.slow:
            return around(plan, operands)
        out = plan.run(operands)
        if objects.NATIVE and plan.rowable and (address := plan.native(tuple(range(len(operands))))):
            objects.insert(self.entry, None, len(operands), operands, plan, address)
        return out

    # -- plans
    def schedule(self, outs: Sequence[Layout], layouts: Sequence[Layout], shape: tuple[int, ...], in_place: bool = False) -> Schedule:
        into, given = loops(outs, layouts, shape, expanded)
        return pointwise(into, given, self.body, self.number_types(), in_place=in_place)

    def number_types(self) -> list[str]:
        return ["i64" if t.is_integral else "double" if t.name in ("float64", "complex128") else "float" for t in self.numbers]

    def plan(
        self, layouts: Sequence[Layout], needs: tuple[bool, ...], shape: tuple[int, ...] | None = None, into: Layout | None = None
    ) -> KernelPlan:
        """`into`: the first operand is overwritten with result 0 instead of making a new tensor."""
        shape = broadcast([x.shape for x in layouts]) if shape is None else shape
        where = common_device(layouts) or CPU
        if into is not None:
            if into.device is not where:
                raise apart(where, into.device)
            check_holds(into, layouts, self.name + "_")
            outs = [into]
            specs = [(into, 0, F.OUT_ARGUMENT, 0)]
        else:
            strides = result_strides(shape, layouts)
            batch = merged(shape, layouts)
            outs = [layout(shape, t, strides, where, batch) for t in self.outputs]
            specs = [(o, o.nbytes, F.OUT_NEW, 0) for o in outs]
        rule = self.rule(layouts, outs, needs) if any(needs) else None
        return KernelPlan(self, specs, self.schedule(outs, layouts, shape, into is not None), len(layouts), rule)

    # -- derivative
    def rule(self, layouts: Sequence[Layout], outs: Sequence[Layout], needs: tuple[bool, ...]) -> Rule | None:
        edges = tuple(i for i, need in enumerate(needs) if need)
        if not edges or not any(o.dtype.category > 1 for o in outs):
            return None
        backward, save = self._derived(edges, tuple(layouts[i].dtype for i in edges), tuple(x.dtype for x in layouts))
        shapes = [layouts[i].shape for i in edges]
        out_shape = outs[0].shape
        shrink = tuple(None if s == out_shape else s for s in shapes)

        kinds = [layouts[i].dtype for i in edges]

        def run(grads: Sequence[Any], values: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
            got = list(backward(grads, values))
            for k, g in enumerate(got):
                if g is None:  # flat everywhere, as a rounding is: zeros, as from PyTorch
                    got[k] = ops.zeros(tuple(shapes[k]), dtype=kinds[k]) if wanted[k] else None
                elif (shape := shrink[k]) is not None:
                    got[k] = ops.sum_to_size(g, shape)
            return got

        return Rule(title(self.name), self, run, save, edges, tuple(layouts[i] for i in edges), tuple(outs))

    def _derived(
        self, edges: tuple[int, ...], types: tuple[DType, ...], memory: tuple[DType, ...]
    ) -> tuple[Any, tuple[tuple[bool, int], ...]]:
        """The backward Expression for these inputs, and what it wants saved."""
        key = (edges, types, memory)
        found = self.gradients.get(key)
        if found is None:
            found = self.gradients[key] = self._derive(edges, types, memory)
        return found

    def _derive(
        self, edges: tuple[int, ...], types: tuple[DType, ...], memory: tuple[DType, ...]
    ) -> tuple[Derivative, tuple[tuple[bool, int], ...]]:
        found = derive_saving(self.body, edges)
        live = [k for k, e in enumerate(found.exprs) if e is not None]
        bodies = [_fit(e, types[k]) for k, e in enumerate(found.exprs) if e is not None]
        through = _unchanged(bodies, found.leaves, types, live, self.outputs)
        if through is not None and len(live) == len(edges):
            return (lambda grads, values: [grads[k] for k in through]), ()
        used = sorted({n.place for n in leaves(bodies, "number")})
        bodies = list(substitute(bodies, {n: number(used.index(n.place), n.dtype) for n in leaves(bodies, "number")}))
        kinds = tuple(self.numbers[j] for j in used)
        save = [(kind == "output", i) for kind, i in found.leaves if kind != "grad"] + [(False, self.inputs + j) for j in used]
        if not live:
            return (lambda grads, values: [None] * len(edges)), tuple(save)
        backward = Expression.of(self.name + "_backward", tuple(simplify(bodies)), len(found.leaves), kinds, tuple(types[k] for k in live))

        def run(grads: Sequence[Any], values: Sequence[Any]) -> list[Any]:
            rest = iter(values)
            operands = [grads[i] if kind == "grad" else next(rest) for kind, i in found.leaves]
            got = backward(*operands, *rest)
            if len(live) == len(edges):
                return [got] if len(live) == 1 else list(got)
            out: list[Any] = [None] * len(edges)
            for k, g in zip(live, [got] if len(live) == 1 else got):
                out[k] = g
            return out

        return run, tuple(save)


def _unchanged(
    bodies: Sequence[Scalar], names: Sequence[tuple[str, int]], types: Sequence[DType], live: Sequence[int], outputs: Sequence[DType]
) -> list[int] | None:
    """Which incoming gradient each derivative is, when every one of them is just that: nothing has to be computed."""
    found: list[int] = []
    for k, body in zip(live, bodies):
        if body.op != "input" or names[body.place][0] != "grad":
            return None
        g = names[body.place][1]
        if outputs[g] is not types[k]:
            return None
        found.append(g)
    return found


def _fit(body: Scalar, kind: DType) -> Scalar:
    if body.dtype.is_complex and not kind.is_complex:
        body = real(body)
    return body if body.dtype is kind.compute else cast(body, kind.compute)


def title(name: str) -> str:
    """PyTorch's name of a node: add -> AddBackward0."""
    return "".join(part[:1].upper() + part[1:] for part in name.rstrip("_").split("_")) + "Backward0"


def wants(t: Any) -> bool:
    return t._node is not None or bool(t._flags & F.REQUIRES_GRAD)
