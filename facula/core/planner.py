"""From a block and the arguments of a call to a plan: one small builder per kind of block."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import facula.core.objects as objects

from ..base import dtypes as d
from ..base.device import CPU, META, device
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..base.narrow import is_sequence
from ..kernel.copies import flat, with_copies
from ..kernel.launch import Operand
from ..kernel.scalar import Scalar, cast, const, input, number
from ..kernel.scalar.simplify import simplify
from ..spec.promotion import of_number, result_type, scalar_type_name
from ..spec.registry import Op, ops
from .batching import bare, batched
from .expression import Expression, broadcast, result_strides, title, wants
from .layout import Layout, layout
from .modes import MODE
from .native import fields as F
from .placing import common_device, placed, without_values
from .plan import KernelPlan, Plan, PythonPlan, ViewPlan, ViewsPlan, allocate
from .result import Result, View
from .tape import Rule
from .views import refresh

Maker = Callable[[Sequence[Any], Sequence[Any], Sequence[bool]], Any]  # of one argument of a gradient: from cotangents, saved values, wants


@dataclass
class Call:
    """A call whose arguments are bound: its operands (tensors, flattened, then numbers), where they came from, and which want a gradient."""

    op: Op
    bound: Sequence[Any]
    tensors: list[Any]
    numbers: list[Any]
    needs: tuple[bool, ...]

    @property
    def layouts(self) -> list[Layout]:
        return [t._layout for t in self.tensors]

    @property
    def device(self) -> device:
        """Where it runs: where its tensors are, or this thread's default."""
        return common_device(self.layouts) or placed()


def fixed(block: Any, name: str, value: Any) -> bool:
    """Whether a number is part of the plan (and of the body) rather than an operand of its runs."""
    if name in getattr(block, "static", ()) or (isinstance(value, complex) and block.kind == "pointwise"):
        return True
    special = getattr(block, "special", None)
    if special is None or name not in special:
        return False
    how = special[name]
    if how in ("integers", "zero"):
        return isinstance(value, int) and (how == "integers" or value == 0)
    return how(value)


def gather(op: Op, bound: Sequence[Any]) -> Call:
    tensors: list[Any] = []
    numbers: list[Any] = []
    block = op.block
    for p, value in zip(op.schema.params, bound):
        if value is None:
            continue
        if p.is_tensor:
            if p.is_list:
                tensors += [t for t in value if t is not None]
            elif isinstance(value, objects.Tensor):
                tensors.append(value)
            elif not fixed(block, p.name, value):
                numbers.append(value)
        elif p.is_operand and not isinstance(value, str) and not fixed(block, p.name, value):
            numbers.append(value)
    grad = MODE.grad
    for t in tensors:
        if t._root is not None and t._viewed != objects.version(t):
            refresh(t)
    for i, value in enumerate(numbers):
        if type(value) is int and not -(1 << 63) <= value < 1 << 63:
            numbers[i] = _wide(value, tensors)
    return Call(op, bound, tensors, numbers, tuple(grad and wants(t) for t in tensors))


def sources(op: Op, bound: Sequence[Any]) -> list[int]:
    """The parameter that each operand of `gather` came from."""
    tensors: list[int] = []
    numbers: list[int] = []
    for i, (p, value) in enumerate(zip(op.schema.params, bound)):
        if value is None:
            continue
        if p.is_tensor and p.is_list:
            tensors += [i for t in value if t is not None]
        elif p.is_tensor and isinstance(value, objects.Tensor):
            tensors.append(i)
        elif (p.is_tensor or (p.is_operand and not isinstance(value, str))) and not fixed(op.block, p.name, value):
            numbers.append(i)
    return tensors + numbers


def _wide(value: int, tensors: Sequence[Any]) -> int | float:
    """A number of 64 bits without a sign, as the operands' types read it; OverflowError beyond that."""
    if not 0 <= value < 1 << 64:
        raise OverflowError("int too big to convert")
    return float(value) if any(_floats(t.dtype) for t in tensors) else value - (1 << 64)


def key_of(call: Call) -> tuple[Any, ...]:
    """What the plan depends on: layouts, types of numbers, values of everything else."""
    block = call.op.block
    parts: list[Any] = [call.op, call.needs] if call.tensors else [call.op, MODE.device]
    for p, value in zip(call.op.schema.params, call.bound):
        if isinstance(value, objects.Tensor):
            parts.append(value._layout)
        elif p.is_list and p.is_tensor and value is not None:
            parts.append(tuple(None if t is None else t._layout for t in value))
        elif p.is_operand and value is not None and not fixed(block, p.name, value):
            parts.append(type(value) if type(value) is not int or -(1 << 63) <= value < 1 << 63 else "wide")
        else:
            parts.append((type(value), value))
    return tuple(parts)


# -- derivative of everything but pointwise
def rule_for(call: Call, outs: Sequence[Layout | None]) -> Rule | None:
    """The rule from the block's written gradient; None when nothing wants one."""
    op, block = call.op, call.op.block
    edges = tuple(i for i, need in enumerate(call.needs) if need and _floats(call.tensors[i].dtype))
    if not edges or block.gradient is None:
        return None
    if not any(o is not None and _floats(o.dtype) for o in outs):
        return None
    save, fill = _wanted(call, outs, edges)
    gradient = block.gradient
    places = _tensor_places(call)

    def run(grads: Sequence[Any], values: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
        got = gradient(**fill(grads, values, wanted))
        rows = list(got) if is_sequence(got) else [got]
        flat = _by_operand(rows, places)
        return [flat[i] if i < len(flat) else None for i in edges]

    layouts = call.layouts
    return Rule(
        title(op.block.public or op.name), op, run, save, edges, tuple(layouts[i] for i in edges), tuple(o for o in outs if o is not None),
        gradients_read(gradient),
    )  # fmt: skip


def gradients_read(gradient: Callable[..., Any]) -> frozenset[int] | None:
    """Of several results, those whose gradients the function asks for by name; None: all of them."""
    names = inspect.signature(gradient).parameters
    return (
        None if "gs" in names else frozenset(int(name[1:] or 0) for name in names if name == "g" or (name[0] == "g" and name[1:].isdigit()))
    )


def _floats(t: DType) -> bool:
    return t.is_floating_point or t.is_complex


def _tensor_places(call: Call) -> list[int]:
    """For each tensor argument of the schema: how many operands it has (0 when None, -n for a list of n)."""
    counts: list[int] = []
    for p, value in zip(call.op.schema.params, call.bound):
        if p.is_tensor:
            if p.is_list:
                counts.append(-sum(t is not None for t in value) if value is not None else 0)
            else:
                counts.append(1 if isinstance(value, objects.Tensor) else 0)
    return counts


def _by_operand(rows: list[Any], counts: list[int]) -> list[Any]:
    """Gradients per schema argument -> per operand."""
    flat: list[Any] = []
    for row, n in zip(rows, counts):
        if n < 0:
            flat += list(row) if row is not None else [None] * -n
        elif n:
            flat.append(row)
    return flat


def _wanted(
    call: Call, outs: Sequence[Layout | None], edges: tuple[int, ...]
) -> tuple[tuple[tuple[bool, int], ...], Callable[..., dict[str, Any]]]:
    """What the gradient function's parameters stand for: (what to save, values -> keyword arguments)."""
    save: list[tuple[bool, int]] = []
    makers: dict[str, Maker] = {}

    def saved(is_result: bool, i: int) -> Maker:
        item = (is_result, i)
        if item not in save:
            save.append(item)
        k = save.index(item)
        return lambda grads, values, wanted: values[k]

    places: dict[str, int | list[int]] = {}
    n_tensors = len(call.tensors)
    t = n = 0
    for p, value in zip(call.op.schema.params, call.bound):
        if isinstance(value, objects.Tensor):
            places[p.name] = t
            t += 1
        elif p.is_tensor and p.is_list and value is not None:
            several = sum(x is not None for x in value)
            places[p.name] = list(range(t, t + several))
            t += several
        elif value is not None and any(value is x for x in call.numbers):
            places[p.name] = n_tensors + n
            n += 1
    multiple = len(outs)
    for name, parameter in inspect.signature(call.op.block.gradient).parameters.items():
        if name == "g":
            makers[name] = lambda grads, values, wanted: grads[0]
        elif name[0] == "g" and name[1:].isdigit():
            makers[name] = lambda grads, values, wanted, k=int(name[1:]): grads[k]
        elif name == "gs":
            makers[name] = lambda grads, values, wanted: grads
        elif name == "out" or (name.startswith("out") and name[3:].isdigit() and int(name[3:]) < multiple):
            makers[name] = saved(True, int(name[3:] or 0))
        elif name == "needs":
            makers[name] = _needs(call, edges)
        else:
            makers[name] = _maker(call, name, parameter, places, saved)

    def fill(grads: Sequence[Any], values: Sequence[Any], wanted: Sequence[bool]) -> dict[str, Any]:
        return {name: make(grads, values, wanted) for name, make in makers.items()}

    return tuple(save), fill


def _needs(call: Call, edges: tuple[int, ...]) -> Maker:
    """Per tensor argument of the schema: whether this backward wants its gradient (a tuple for a list)."""
    counts, every = _tensor_places(call), [i in edges for i in range(len(call.tensors))]
    whole = _by_argument(every, counts)

    def table(grads: Any, values: Any, wanted: Sequence[bool]) -> tuple[Any, ...]:
        if all(wanted):
            return whole
        flags = list(every)
        for i, want in zip(edges, wanted):
            flags[i] = want
        return _by_argument(flags, counts)

    return table


def _by_argument(flags: Sequence[bool], counts: Sequence[int]) -> tuple[Any, ...]:
    """A flag of each operand -> of each tensor argument of the schema."""
    table: list[bool | tuple[bool, ...]] = []
    t = 0
    for count in counts:
        if count < 0:
            table.append(tuple(flags[t : t - count]))
            t -= count
        else:
            table.append(bool(count) and flags[t])
            t += count
    return tuple(table)


def _maker(
    call: Call, name: str, parameter: inspect.Parameter, places: dict[str, int | list[int]], saved: Callable[[bool, int], Maker]
) -> Maker:
    index = call.op.schema.index.get(name)
    if index is None:
        raise TypeError(f"gradient of {call.op!r} wants {name!r}, which is neither an argument nor g, out, needs")
    value = call.bound[index]
    place = places.get(name)
    if "Layout" in str(parameter.annotation):
        fixed: Any = value
        if isinstance(place, list):
            fixed = [call.tensors[k]._layout for k in place]
        elif place is not None and isinstance(value, objects.Tensor):
            fixed = call.tensors[place]._layout
        return lambda grads, values, wanted: fixed
    if isinstance(place, list):
        makers = [saved(False, k) for k in place]
        return lambda grads, values, wanted: [make(grads, values, wanted) for make in makers]
    if place is not None:
        return saved(False, place)
    return lambda grads, values, wanted: value


# -- pointwise
def promotion_words(call: Call) -> dict[str, str]:
    spelled = call.op.block.promotion
    line: str = spelled if isinstance(spelled, str) else spelled(*call.bound)
    found = call.op.cache.get(("promotion", line))
    if found is None:
        found = call.op.cache["promotion", line] = {w.partition("=")[0]: w.partition("=")[2] for w in line.split()}
    return found


def common_dtype(call: Call) -> DType:
    """The type that the operands are promoted to."""
    words = promotion_words(call)
    if not call.tensors:
        raise refuse(
            TypeError,
            f"{call.op.name}(): argument '{call.op.schema.params[0].name}' (position 1) must be Tensor, not {type(call.bound[0]).__name__}",
        )
    kept = words.get("keep", "").split(",")
    named = [(p, v) for p, v in zip(call.op.schema.params, call.bound) if p.name not in kept and v is not None]
    tensors = [v for _, v in named if isinstance(v, objects.Tensor)]
    tensors += [t for p, v in named if p.is_tensor and p.is_list for t in v]
    if "first" in words:
        common = tensors[0].dtype
    else:
        numbers = (
            [of_number(v) for p, v in named if p.type in ("Tensor|Scalar", "Scalar") and not isinstance(v, objects.Tensor)]
            if "promote_numbers" in words
            else [of_number(v) for p, v in named if p.type == "Tensor|Scalar" and not isinstance(v, objects.Tensor)]
        )
        common = result_type([t.dtype for t in tensors if t._layout.ndim], [t.dtype for t in tensors if not t._layout.ndim], numbers)
    if "float" in words and not _floats(common):
        from ..base.settings import SETTINGS

        common = SETTINGS.default_dtype
    bad = {
        "no_complex": common.is_complex,
        "no_bool": common is d.bool_,
        "no_integral": common.is_integral,
        "no_floating": common.is_floating_point,
    }
    for word, hit in bad.items():
        if word in words and hit:
            broadcast([x.shape for x in call.layouts])  # shapes that do not fit are PyTorch's first complaint
            name = words.get("kernel") or call.op.name
            raise refuse(
                NotImplementedError,
                f"\"{name}\" not implemented for '{scalar_type_name(common)}'",
                received=f"dtype {common.name}",
                expected=f"{word.replace('_', ' ')} dtype",
            )
    return common


def expression_for(call: Call) -> Expression:
    """The block's scalar body traced for these types."""
    op, block = call.op, call.op.block
    common = common_dtype(call)
    if block.check is not None:
        block.check(*(v._layout if isinstance(v, objects.Tensor) else v for v in call.bound))
    words = promotion_words(call)
    kept = words.get("keep", "").split(",")
    half = common.compute is not common and "rounded" in words
    arguments: list[Any] = []
    kinds: list[DType] = []
    signature: list[Any] = [common]
    tensor = 0
    for p, value in zip(op.schema.params, call.bound):
        if isinstance(value, objects.Tensor):
            kind = value.dtype.compute if p.name in kept else common.compute
            # beside halves, what is wider is rounded to a half first
            wide = common.compute is not common and value.dtype is not common and p.name not in kept
            into = common if wide and not ("unrounded" in words and value._layout.ndim == 0) else None
            arguments.append(_Leaf(input, tensor, kind, into))
            signature.append(("tensor", kind, into))
            tensor += 1
        elif value is not None and p.is_operand and not isinstance(value, str) and not fixed(block, p.name, value):
            kind = _number_kind(value, common)
            into = common.compute if p.type != "float" or common.is_complex else None
            arguments.append(_Leaf(number, len(kinds), kind, into if not half or into is None else common))
            signature.append(("number", kind))
            kinds.append(kind)
        elif isinstance(value, complex):
            arguments.append(_Leaf(const, value, d.complex128 if common is d.complex128 else d.complex64, common.compute))
            signature.append(value)
        else:
            arguments.append(value)
            signature.append((type(value), value))
    key = tuple(signature)
    found = op.cache.get(key)
    if found is None:
        leaves = [a.made() if isinstance(a, _Leaf) else a for a in arguments]
        body = block.scalar(*leaves, common=common) if "common" in inspect.signature(block.scalar).parameters else block.scalar(*leaves)
        bodies = body if is_sequence(body) else (body,)
        result = d.bool_ if "bool" in words else common.real if "real" in words else common
        typed = [_typed(b, common.compute) for b in bodies]
        outputs = tuple(_memory_type(b, result, common) for b in typed)
        typed = [b if b.dtype is t.compute else cast(b, t.compute) for b, t in zip(typed, outputs)]
        found = op.cache[key] = Expression.of(block.public or op.name, tuple(simplify(typed)), tensor, tuple(kinds), outputs)
    return found


class _Leaf(NamedTuple):
    """An argument of a body that is a Scalar: how it is made, of what, its type, and the type that it is rounded to."""

    make: Callable[[Any, DType], Scalar]
    value: Any
    kind: DType
    into: DType | None

    def made(self) -> Scalar:
        leaf = self.make(self.value, self.kind)
        return leaf if self.into is None else cast(cast(leaf, self.into), self.into.compute)


def _number_kind(value: Any, common: DType) -> DType:
    if isinstance(value, (bool, int)) and not _floats(common):
        return d.int64
    if isinstance(value, int) and 1 << 53 < abs(value) < 1 << 63:
        return d.int64
    return d.float64 if common.compute.real is d.float64 or not _floats(common) else d.float32


def _typed(b: Any, kind: DType) -> Scalar:
    return b if isinstance(b, Scalar) else const(b, kind)


def _memory_type(b: Scalar, result: DType, common: DType) -> DType:
    """A body may answer in a type of its own (bool, int64); otherwise it is the promoted one."""
    if b.dtype is common.compute:
        return result
    return b.dtype if b.dtype is not result.compute else result


def plan_pointwise(call: Call) -> Plan:
    expression, gradient = expression_for(call), call.op.block.gradient
    plan = expression.plan(call.layouts, call.needs if gradient == "from scalar" else (False,) * len(call.needs))
    plan.wrap = named_result(call.op) if len(plan.outs) > 1 else None
    if callable(gradient) and any(call.needs):
        plan.rule = pointwise_rule(call, [o for o, *_ in plan.outs])
    if guard := guard_of(call):
        place = call.op.block.guard[0]
        place = [
            p.name for p in call.op.schema.params if p.is_tensor and isinstance(call.bound[call.op.schema.index[p.name]], objects.Tensor)
        ].index(place)

        def run(operands: Sequence[Any]) -> Any:
            guard(bare(operands[place]))
            return plan.run(operands)

        return PythonPlan(call.op, run)
    return plan


def pointwise_rule(call: Call, outs: Sequence[Layout]) -> Rule | None:
    """The derivative of an elementwise call: as its block wrote it, or from the body."""
    if not callable(call.op.block.gradient):
        return expression_for(call).rule(call.layouts, outs, call.needs)
    rule = rule_for(call, outs)
    return rule and shrunk(rule)


def guard_of(call: Call) -> Callable[..., None] | None:
    """What the block checks in the values of a tensor before every run on integers: the kernels have no way to refuse."""
    if call.op.block.guard is None:
        return None
    name, guard = call.op.block.guard
    tensor = isinstance(call.bound[call.op.schema.index[name]], objects.Tensor)
    values = not any(t._layout.device is META for t in call.tensors)
    return guard if tensor and values and not _floats(common_dtype(call)) else None


def shrunk(rule: Rule) -> Rule:
    """A written gradient speaks of broadcast shapes: what reaches a smaller operand is summed."""
    run, wants = rule.backward, [x.shape for x in rule.inputs]

    def backward(grads: Sequence[Any], values: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        return [g if g is None or g.shape == s else ops.sum_to_size(g, s) for g, s in zip(run(grads, values, wanted), wants)]

    rule.backward = backward
    return rule


# -- movement
def plan_movement(call: Call) -> Plan:
    block = call.op.block
    source = call.tensors[0]._layout
    arguments = [v._layout if isinstance(v, objects.Tensor) else v for v in call.bound]
    got = block.view(*arguments)
    if got is None:  # this layout cannot be viewed so: a copy, by ordinary ops
        return PythonPlan(call.op, lambda operands: block.copy(operands[0], *call.bound[1:]))
    if isinstance(got, View):
        out = got.layout(source)
        return ViewPlan(call.op, out, got.delta(source), rule_for(call, [out]))
    views = [(v.layout(source), v.delta(source)) for v in got]
    return ViewsPlan(call.op, views, rule_for(call, [v for v, _ in views]))


# -- fused
def plan_fused(call: Call) -> Plan:
    block = call.op.block
    wanted = block.contiguous
    arguments: list[Any] = []
    operands: list[Operand] = []  # only those that the kernel wants contiguous show how they lie
    for p, value in zip(call.op.schema.params, call.bound):
        if isinstance(value, objects.Tensor):
            lay = value._layout
            moved = (wanted is True or (wanted and p.name in wanted)) and not lay.contiguous
            operands.append(lay if moved else flat(lay))
            arguments.append(layout(lay.shape, lay.dtype, None, lay.device) if moved else lay)
        elif p.is_tensor and p.is_list and value is not None:
            arguments.append([None if x is None else x._layout for x in value])
            operands += [flat(x._layout) for x in value if x is not None]
        else:
            arguments.append(value)
    got: Result = block.kernel(*arguments)
    schedule = with_copies(got.schedule, (), operands)
    if (where := call.device) is not CPU:
        got = Result(tuple(layout(o.shape, o.dtype, o.strides, where) for o in got.outputs), schedule, got.overwritten)
    specs = [(o, o.nbytes, F.OUT_NEW, 0) for o in got.outputs]
    specs += [(call.tensors[i]._layout, 0, F.OUT_APART, i) for i in got.overwritten]
    wrap = named_result(call.op) if len(got.outputs) > 1 else None
    plan = KernelPlan(call.op, specs, schedule, len(call.tensors), rule_for(call, got.outputs), wrap)
    plan.keep.append(getattr(schedule, "keep", ()))
    return plan


# -- library and procedure
def _array(t: Any) -> Any:
    """A tensor's elements as a NumPy array on the same memory; bfloat16 as ml_dtypes has it."""
    plain = t.detach()
    return plain.view(d.uint16).numpy().view(d.bfloat16.numpy) if t.dtype is d.bfloat16 else plain.numpy()


def plan_library(call: Call) -> Plan:
    block = call.op.block
    if call.device is META:
        return PythonPlan(call.op, lambda operands: _shapes(call), _late_rule(call), named_result(call.op))

    def run(operands: Sequence[Any]) -> Any:
        arguments = [_array(v) if isinstance(v, objects.Tensor) else v for v in _rebound(call, operands)]
        got = block.library(*arguments)
        return tuple(ops.from_numpy(x) for x in got) if is_sequence(got) else ops.from_numpy(got)

    return PythonPlan(call.op, run, _late_rule(call), named_result(call.op))


def _shapes(call: Call) -> Any:
    """The results of a library call without values, by the block's rule."""
    block = call.op.block
    if block.shapes is None:
        raise without_values(call.op)
    laid = block.shapes(*(v._layout if isinstance(v, objects.Tensor) else v for v in call.bound))
    made = [allocate(layout(o.shape, o.dtype, o.strides, META)) for o in laid]
    return tuple(made) if len(made) > 1 else made[0]


def plan_procedure(call: Call) -> Plan:
    block, where = call.op.block, call.device
    if where is META and block.needs_values:
        raise without_values(call.op)

    def run(operands: Sequence[Any]) -> Any:
        before = MODE.grad, MODE.device
        MODE.grad, MODE.device = False, None if where is CPU else where
        _sync()
        try:
            return block.run(*_rebound(call, operands))
        finally:
            MODE.grad, MODE.device = before
            _sync()

    return PythonPlan(call.op, run, _late_rule(call), named_result(call.op))


def plan_batched(call: Call, run_op: Callable[..., Any]) -> Plan:
    """A call on hidden dims, by the block's batching rule."""
    plan = PythonPlan(call.op, lambda operands: batched(call.op, _rebound(call, operands), run_op), _late_rule(call), named_result(call.op))
    if call.op.block.batch is None and not call.op.block.batching:
        plan.note = "vmap: one run per example"
    return plan


def _sync() -> None:
    from .modes import sync

    sync()


def _late_rule(call: Call) -> Callable[[Sequence[Any]], Rule | None] | None:
    """The outputs' layouts are known only after the run."""
    if not any(call.needs) or call.op.block.gradient is None:
        return None
    return lambda outs: rule_for(call, [o._layout if isinstance(o, objects.Tensor) else None for o in outs])


def _rebound(call: Call, operands: Sequence[Any]) -> list[Any]:
    """The call's arguments with this run's operands in the places of those it was planned with."""
    out: list[Any] = []
    t, n = 0, len(call.tensors)
    block = call.op.block
    for p, value in zip(call.op.schema.params, call.bound):
        if isinstance(value, objects.Tensor):
            out.append(operands[t])
            t += 1
        elif p.is_tensor and p.is_list and value is not None:
            items: list[Any] = []
            for x in value:
                items.append(None if x is None else operands[t])
                t += x is not None
            out.append(items)
        elif value is not None and p.is_operand and not isinstance(value, str) and not fixed(block, p.name, value):
            out.append(operands[n])
            n += 1
        else:
            out.append(value)
    return out


def named_result(op: Op) -> Any:
    """The named tuple of an operator with named results: torch.return_types.max(values, indices)."""
    names = op.schema.returns
    if len(names) < 2 or not all(names):
        return None
    found = op.cache.get("named")
    if found is None:
        from .named import named_tuple

        found = op.cache["named"] = named_tuple(op.block.public or op.name, names)
    return found


PLANNERS: dict[str, Callable[[Call], Plan]] = {
    "pointwise": plan_pointwise,
    "movement": plan_movement,
    "fused": plan_fused,
    "library": plan_library,
    "procedure": plan_procedure,
}

__all__ = [
    "PLANNERS",
    "Call",
    "broadcast",
    "common_dtype",
    "expression_for",
    "gather",
    "key_of",
    "named_result",
    "result_strides",
    "rule_for",
]
