"""Results written into tensors that exist: in-place variants and out=."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import facula.core.objects as objects
import facula.core.tape as tape

from ..base.device import META
from ..base.dtypes import dtype as DType
from ..base.errors import refuse, warn
from ..base.narrow import is_sequence
from ..spec.promotion import cpp_name, scalar_type_name
from ..spec.registry import FAMILIES, Op, ops
from .assigning import assign, assignment, write
from .chains import Chain, Place, Step, as_it_is
from .copying import copies_plan
from .door import LIMIT, call, plan_for
from .expression import PLANS, broadcast, wants
from .layout import Layout
from .modes import MODE, no_grad
from .named import named_tuple
from .native import fields as F
from .plan import KernelPlan, Plan, around, check_writable, located
from .planner import expression_for, gather, guard_of, key_of, pointwise_rule

OVERLAP = (
    "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before "
    "performing the operation."
)

SHARED = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before "
    "performing the operation."
)


def overlaps_itself(x: Layout) -> bool:
    """Whether two elements share an address (surely so for expanded dims; other strange strides are checked by extent)."""
    if x.dense or x.numel <= 1:
        return False
    reach = 1
    for s, n in sorted((s, n) for n, s in zip(x.shape, x.strides) if n > 1):
        if s < reach:
            return True
        reach = s * (n - 1) + reach if s else reach
    return False


def span(t: Any) -> tuple[int, int]:
    """First and past-the-last byte."""
    return t._address, t._address + t._layout.nbytes


def partly_overlap(a: Any, b: Any) -> bool:
    """Whether b shares memory with a other than element by element."""
    if a._block != b._block:
        return False
    if a._address == b._address and a._layout is b._layout:
        return False
    (s, e), (s2, e2) = span(a), span(b)
    return s < e2 and s2 < e


def check_target(target: Any, title: str, once: bool = True) -> None:
    """What nobody may write to. `once`: each address must belong to one element, as the elements may get different values."""
    if not isinstance(target, objects.Tensor):
        raise TypeError(f"{title}(): argument 'self' must be Tensor, not {type(target).__name__}")
    if once and overlaps_itself(target._layout):
        raise refuse(
            RuntimeError,
            OVERLAP,
            received=f"{title} on strides {target._layout.strides}",
            expected="one address per element",
            hint="x.clone()",
        )
    check_writable(target, title)
    if target._flags & F.INFERENCE and not MODE.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before doing inplace update."
            "See https://github.com/pytorch/rfcs/pull/17 for more details."
        )


_VIEWED = (("no_grad", "with grad mode enabled", "no_grad"), ("inference", "in normal mode", "inference_mode"))


def check_leaf(target: Any) -> None:
    """A leaf that wants a gradient is not overwritten while recording."""
    if not MODE.grad:
        return
    if target._flags & F.REQUIRES_GRAD:
        raise refuse(
            RuntimeError,
            "a leaf Variable that requires grad is being used in an in-place operation.",
            received="a leaf with requires_grad=True",
            expected="a result, a detached tensor, or torch.no_grad()",
            hint="with torch.no_grad(): ... or use the out-of-place form",
        )
    root = target._root
    if root is None:
        return
    if target._flags & F.VIEWED_WITHOUT_GRAD and wants(root):
        inside, outside, block = _VIEWED[bool(target._flags & F.VIEWED_IN_INFERENCE)]
        raise refuse(
            RuntimeError,
            f"A view was created in {inside} mode and is being modified inplace {outside}. Given that this use case is ambiguous and error-prone, "
            "it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the "
            f"{block} block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked).",
        )
    if root._flags & F.REQUIRES_GRAD and root._node is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    made = target._node
    if made is not None and len(made.rule.outputs) > 1 and getattr(made.rule.op, "kind", "") == "movement":
        raise RuntimeError(
            f"Output {target._output_nr} of {made.name().removesuffix('Backward0')} is a view and is being modified inplace. This view is the output of a "
            "function that returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace the inplace "
            "operation by an out-of-place one."
        )


def can_cast(source: DType, target: DType) -> bool:
    return source.category <= target.category


def refuse_cast(source: DType, target: DType) -> RuntimeError:
    return refuse(
        RuntimeError,
        f"result type {_pretty(source)} can't be cast to the desired output type {_pretty(target)}",
        received=f"a result of {source.name}",
        expected=f"{target.name} or less",
        hint="use the out-of-place form, or convert the tensor first",
    )


def _pretty(t: DType) -> str:
    return {"bool": "Bool", "complex64": "ComplexFloat"}.get(t.name, scalar_type_name(t))


def in_place(op: Op, bound: Sequence[Any], title: str, row: Callable[[Sequence[Any], Any, Any], None] | None = None) -> Any:
    """`x.op_(...)`: the result goes where argument 0 is, and into its history. `row` is told when one kernel did it: operands, plan, and what
    the target was to the key of the call."""
    target = bound[0]
    if not isinstance(target, objects.Tensor):
        raise TypeError(f"{title}(): argument 'self' must be Tensor, not {type(target).__name__}")
    call = gather(op, bound)
    recording = MODE.grad and any(call.needs)
    check_target(target, title)
    if recording or MODE.grad:
        check_leaf(target)
    for t in call.tensors[1:]:
        if op.kind == "pointwise" and t._layout.dense and target._layout.dense and partly_overlap(target, t):
            raise refuse(
                RuntimeError,
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor "
                "before performing the operation.",
                received=f"{title}: an operand that lies {t._address - target._address} bytes from the tensor it overlaps",
            )
    direct = op.kind == "pointwise" and not MODE.slow and not any(partly_overlap(target, t) for t in call.tensors[1:])
    if direct and (_history_alone(call, target) if recording else target._root is None or not MODE.grad or not wants(target._root)):
        plan = _direct_plan(op, call, target, title)
        rule = _direct_rule(call, target) if recording else None
        if plan is not None and (rule is not None or not recording):
            operands = [*call.tensors, *call.numbers]
            guard = guard_of(call)
            if guard is not None:
                guard(bound[op.schema.index[op.block.guard[0]]])
            seen = as_it_is(target) if rule is not None and not call.needs[0] else target
            copy = _copy_for(rule, target)
            kept = [] if copy is None else [copy.run([target])]
            got = plan.run(operands)
            if rule is not None:
                tape.attach(tape.record(rule, [*operands, *kept], [target]), [target])
                plan = _recorded_plan(plan, rule, copy, len(operands))
            if row is not None and guard is None:
                row(operands, plan, seen)
            return got
    if not recording and not MODE.slow and (write_now := getattr(op.block, "write", None)) is not None:
        write_now(*bound)
        objects.bump(target)
        target._viewed = objects.version(target)
        return target
    seen = as_it_is(target)
    result, operands, plan = _recorded(op, bound, target, title)
    together = row is not None and plan is not None and result.dtype is target.dtype and recording
    written = assignment(target, result, False) if together else None
    assign(target, result, title)
    if row is not None and plan is not None and written is not None:
        row(operands, _written_plan(plan, written, len(operands)), seen)
    return target


def _written_plan(plan: KernelPlan, written: Plan, operands: int) -> Plan:
    """A result, and its way into the target with its history, for the plan table."""
    key = (plan, written)
    found = PLANS.get(key)
    if found is None:
        mode = F.MODE_GRAD
        places = [(F.FROM_ARGUMENT, i) for i in range(operands)]
        steps = [(plan, plan.native(tuple(range(operands))), mode, places),
                 (written, written.native(()), mode, [(F.FROM_ARGUMENT, 0), (F.FROM_STEP, 0)])]  # fmt: skip
        found = PLANS[key] = Chain(steps, (F.FROM_ARGUMENT, 0))
    return found


def _recorded(op: Op, bound: Sequence[Any], target: Any, title: str) -> tuple[Any, list[Any], KernelPlan | None]:
    """What goes into the target; operands and plan where one plan, and nothing else, made it."""
    operands: list[Any] = []
    alone = None
    if op.kind in ("composite", "procedure", "library"):  # what these keep is known only afterwards
        if MODE.grad and any(wants(t) for t in gather(op, bound).tensors):
            bound = [before(target), *bound[1:]]
        result = call(op, *bound)
    else:
        plan, operands = plan_for(op, bound)
        if plan.rule is not None and (False, 0) in plan.rule.save:  # the derivative will read the old value
            plan, operands = plan_for(op, [before(target), *bound[1:]])
        elif op.kind == "pointwise" and isinstance(plan, KernelPlan) and guard_of(gather(op, bound)) is None:
            alone = plan
        result = around(plan, operands) if MODE.slow else plan.run(operands)
    if is_sequence(result):
        result, alone = result[0], None
    if tuple(result.shape) != tuple(target.shape):
        raise refuse(
            RuntimeError,
            f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(result.shape)}",
            received=f"{title} on shape {tuple(target.shape)}",
            expected="a result of the same shape",
        )
    if not can_cast(result.dtype, target.dtype):
        raise refuse_cast(result.dtype, target.dtype)
    return result, operands, alone


def before(target: Any) -> Any:
    """The target as it is now, history included, in memory that the write will not reach."""
    with no_grad():
        twin = ops.clone(target)
    twin._node, twin._flags = target._node, target._flags
    return twin


def _direct_plan(op: Op, call: Any, target: Any, title: str) -> Any:
    """The plan of one kernel that reads and writes the target; None when types differ."""
    key = (*key_of(call), "in place")
    plan = PLANS.get(key)
    if plan is None:
        shape = broadcast([x.shape for x in call.layouts])
        if tuple(shape) != tuple(target.shape):
            raise refuse(
                RuntimeError, f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}", received=f"{title}"
            )
        expression = expression_for(call)
        if len(expression.outputs) != 1:
            return None
        if expression.outputs[0] is not target.dtype:
            if not can_cast(expression.outputs[0], target.dtype):
                raise refuse_cast(expression.outputs[0], target.dtype)
            return None
        plan = PLANS[key] = expression.plan(call.layouts, (False,) * len(call.tensors), tuple(shape), into=target._layout)
    return plan


def _history_alone(call: Any, target: Any) -> bool:
    """Whether a recorded write changes nobody's history but the target's, which then only gets a new node."""
    return MODE.recorder is None and target._root is None and not target._flags & 0xFF and not any(x.batch for x in call.layouts)


RULES: dict[tuple[Any, ...], tape.Rule | None] = {}  # of recorded writes


def _recorded_plan(plan: KernelPlan, rule: tape.Rule, copy: Plan | None, operands: int) -> Plan:
    """The write and its derivative as one plan, for the plan table; a copy of what it overwrites comes first, if there is one."""
    key = (plan, rule, copy)
    found = PLANS.get(key)
    if found is None:
        assert plan.schedule is not None
        made = KernelPlan(plan.op, plan.outs, plan.schedule, plan.tensors, rule)
        made.how |= F.RECORDS
        found = PLANS[key] = made if copy is None else _after(copy, made, operands)
    return found


def _copy_for(rule: tape.Rule | None, target: Any) -> Plan | None:
    """How the target is copied, with its history, where its value is read in backward."""
    return plan_for(FAMILIES["to_copy"][0], [target, None, None])[0] if rule is not None and (False, tape.BEFORE) in rule.save else None


def _after(copy: Plan, write: Plan, operands: int) -> Chain:
    """Operand 0 is copied, then written; the copy is the last operand of the write."""
    target: Place = (F.FROM_ARGUMENT, 0)
    places: list[Place] = [(F.FROM_ARGUMENT, i) for i in range(operands)] + [(F.FROM_STEP, 0)]
    steps: list[Step] = [(copy, copy.native((0,)), F.MODE_GRAD, [target])]
    steps.append((write, write.native(tuple(range(operands + 1))), F.MODE_GRAD, places))
    return Chain(steps, target)


def _direct_rule(call: Any, target: Any) -> tape.Rule | None:
    """The derivative of a call whose result overwrites the target; None where it reads that in another operand than the target."""
    key = key_of(call)
    rule = RULES.get(key)
    if rule is None:
        if len(RULES) > LIMIT:
            RULES.clear()
        rule = RULES[key] = pointwise_rule(call, [target._layout])
        if rule is not None:
            rule.save = tuple((is_result, tape.BEFORE if not is_result and i == 0 else i) for is_result, i in rule.save)
    reads = [] if rule is None else [call.tensors[i] for is_result, i in rule.save if not is_result and 0 < i < len(call.tensors)]
    return None if any(t._block == target._block for t in reads) else rule


def into_out(op: Op, bound: Sequence[Any], out: Any, title: str, row: Callable[[Sequence[Any], Any], None] | None = None) -> Any:
    """`f(..., out=y)` of an operator whose arguments are bound, or `out=(y, z)`. `row` is told when one plan wrote to them: the call's
    operands, and the plan, whose last tensors are those of out=."""
    call_ = gather(op, bound)
    outs = targets(op.block, call_.tensors, out, title)
    if op.kind == "composite" or MODE.slow:
        return _delivered(op.block, call_.tensors, lambda: call(op, *bound), out, outs, title)
    plan, operands = plan_for(op, bound)
    into = plan_into(plan, call_.tensors, out, outs)
    if into is None:
        return _delivered(op.block, call_.tensors, lambda: plan.run(operands), out, outs, title)
    got = into.run([*call_.tensors, *outs, *operands[len(call_.tensors) :]])
    if row is not None:
        row(operands, into)
    return got


def plan_into(plan: Plan, tensors: Sequence[Any], out: Any, outs: Sequence[Any]) -> KernelPlan | None:
    """The plan with `outs`, which follow the tensors among its operands, in place of new results; None where it cannot write there at once:
    their layouts differ, or what is still to be read would be overwritten."""
    if not isinstance(plan, KernelPlan) or plan.rule is not None or plan.writes or plan.mutates or plan.shapes_only:
        return None
    alike = (
        len(plan.outs) == len(outs)
        and isinstance(out, objects.Tensor) == (len(outs) == 1)
        and all(spec[0] is o._layout and not o._layout.batch for spec, o in zip(plan.outs, outs))
    )
    if not alike or len({o._block for o in outs}) < len(outs):
        return None
    elementwise = hasattr(plan.op, "body") and len(outs) == 1
    if any(partly_overlap(o, t) if elementwise else o._block == t._block for o in outs for t in tensors):
        return None
    found = PLANS.get((plan, "out"))
    if found is None:
        assert plan.schedule is not None
        how = F.OUT_ARGUMENT if elementwise else F.OUT_APART
        specs = [(o._layout, 0, how, plan.tensors + i) for i, o in enumerate(outs)]
        wrap = plan.wrap and _written_class(plan.wrap)
        found = PLANS[(plan, "out")] = KernelPlan(plan.op, specs, plan.schedule, plan.tensors + len(outs), None, wrap)
        found.keep.append(plan)
    assert isinstance(found, KernelPlan)
    return found


def targets(block: Any, tensors: Sequence[Any], out: Any, title: str) -> Sequence[Any]:
    """The tensors of out=, once nothing speaks against writing to them."""
    outs: Sequence[Any] = out if is_sequence(out) else (out,)
    for o in outs:
        if not isinstance(o, objects.Tensor):
            raise TypeError(f"{title}(): argument 'out' must be Tensor, not {type(o).__name__}")
    if MODE.grad and (any(wants(t) for t in tensors) or any(o._flags & F.REQUIRES_GRAD or o._node is not None for o in outs)):
        raise refuse(
            RuntimeError,
            f"{title}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.",
        )
    for o in outs:
        check_target(o, title)
        if block.disjoint and any(t._block == o._block and span(t)[0] < span(o)[1] and span(o)[0] < span(t)[1] for t in tensors):
            raise refuse(RuntimeError, SHARED, received=f"{title}(..., out=) on memory of an operand", hint="x.clone()")
    return outs


def delivered(block: Any, tensors: Sequence[Any], compute: Callable[[], Any], out: Any, title: str) -> Any:
    """What `compute` gives, in `out`, which is resized if needed and returned. All checks come before the first write."""
    return _delivered(block, tensors, compute, out, targets(block, tensors, out, title), title)


def _delivered(block: Any, tensors: Sequence[Any], compute: Callable[[], Any], out: Any, outs: Sequence[Any], title: str) -> Any:
    with no_grad():
        got = compute()
        results: list[Any] = list(got) if is_sequence(got) else [got]
        if is_sequence(out) and not is_sequence(got):
            raise TypeError(f"{title}(): argument 'out' must be Tensor, not {type(out).__name__}")
        if len(results) != len(outs):
            raise TypeError(f"{title}(): argument 'out' must be tuple of {len(results)} Tensors")
        for i, (o, r) in enumerate(zip(outs, results)):
            check_type(block, r.dtype, o.dtype, i)
            if r._layout.device is not o._layout.device:
                sentence = f"Attempting to copy from device {r.device} to device {o.device}, but cross-device copies are not allowed!"
                raise refuse(RuntimeError, sentence, received=f"out= on {o.device}", expected=f"out= on {r.device}")
        for o, r in zip(outs, results):
            fit(o, r, title)
        deliver(outs, results, tensors if block.disjoint else ())
    return _as_given(got, outs) if isinstance(got, (tuple, list)) else out


def _as_given(got: Any, outs: Sequence[Any]) -> Any:
    """The tensors of out=, under the names that the results have."""
    return _written_class(got.__class__)(*outs) if hasattr(got, "_fields") else tuple(outs)


@functools.cache
def _written_class(results: Any) -> Any:
    """As PyTorch calls the results of out=: torch.return_types.sort_out."""
    return named_tuple(results.__name__ + "_out", results._fields)


def deliver(targets: Sequence[Any], sources: Sequence[Any], others: Sequence[Any] = ()) -> None:
    """Copy each source into its target: at once where nothing of it is shared, so that a trace sees one write. No target lies in `others`."""
    everything = [*targets, *sources, *others]
    one = len(targets) == 1 and not others
    if one or any(t._layout.batch or t._layout.device is META for t in everything) or not _apart(targets, everything):
        if others:
            located()
        for target, source in zip(targets, sources):
            write(target, source)
        return
    plan = copies_plan(tuple(t._layout for t in targets), tuple(s._layout for s in sources), len(others))
    if MODE.slow:
        around(plan, everything)
    else:
        plan.run(everything)


def _apart(targets: Sequence[Any], everything: Sequence[Any]) -> bool:
    """Whether each of the targets has a storage that no other of these tensors has."""
    return all(sum(t._block == target._block for t in everything) == 1 for target in targets)


def check_type(block: Any, result: DType, out: DType, place: int = 0) -> None:
    """Whether a result may be written to an out= of another type."""
    if result is out:
        return
    sentence = block.out_dtype if isinstance(block.out_dtype, str) else block.out_dtype[place]
    if sentence == "cast":
        if not can_cast(result, out):
            raise refuse_cast(result, out)
    elif sentence != "any":
        words = {"want": cpp_name(result), "got": cpp_name(out), "Want": _pretty(result), "Got": _pretty(out)}
        raise refuse(RuntimeError, sentence.format(**words), received=f"out= of {out.name}", expected=f"out= of {result.name}")


def fit(out: Any, result: Any, title: str) -> None:
    """Give `out` the result's shape; a warning when it held something of another shape."""
    if tuple(out.shape) == tuple(result.shape):
        return
    if out._layout.numel:
        warn(
            f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not match the required output shape "
            f"{list(result.shape)}. This behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements. "
            "You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
        )
    ops.resize_(out, tuple(result.shape))
