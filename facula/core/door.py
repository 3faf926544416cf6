"""The one door to an operator whose arguments are bound: its plan from the table, or planned; then run. Drops plans that are no longer wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import facula.core.objects as objects

from ..spec.registry import Op
from .batching import by_example
from .expression import PLANS
from .layout import TRIM
from .modes import MODE
from .native import fields as F
from .placing import PLACES, frame
from .plan import Plan, around
from .planner import PLANNERS, Call, gather, key_of, plan_batched

LIMIT = 1 << 17  # plans kept before all are dropped


def plan_for(op: Op, bound: Sequence[Any]) -> tuple[Plan, list[Any]]:
    """The plan for these arguments, and its operands."""
    call_ = gather(op, bound)
    key = key_of(call_)
    try:
        plan = PLANS.get(key)
    except TypeError:  # an argument that cannot be a key (a generator, an array): planned afresh
        return _planned(call_), [*call_.tensors, *call_.numbers]
    if plan is None:
        if len(PLANS) > LIMIT:
            forget()
        plan = _planned(call_)
        PLANS[key] = plan
    if plan.rule is not None and any(t._flags & F.INFERENCE for t in call_.tensors):
        refuse_saving(plan.rule, call_.tensors)
    return plan, [*call_.tensors, *call_.numbers]


def _planned(call_: Call) -> Plan:
    if call_.op.kind not in ("pointwise", "movement") and any(t._layout.batch for t in call_.tensors):
        return plan_batched(call_, call)
    return PLANNERS[call_.op.kind](call_)


RETIRED: list[Any] = []  # the plans dropped last: another thread may be inside one of their kernels


def refuse_saving(rule: Any, tensors: Sequence[Any]) -> None:
    """Backward may not rely on inference tensors: writes to them are not counted."""
    for is_result, i in rule.save:
        if not is_result and i < len(tensors) and tensors[i]._flags & F.INFERENCE:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked by autograd. To "
                "work around this, you can make a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
                "`torch.inference_mode()`."
            )


def forget() -> None:
    """Drop all plans (layouts were dropped, or there are too many)."""
    RETIRED[:] = [dict(PLANS)]
    PLANS.clear()
    objects.clear_table()


TRIM.append(forget)


def call(op: Op, *bound: Any) -> Any:
    """One operator with its arguments in schema order."""
    if op.kind == "composite":
        return compose(op, bound)
    plan, operands = plan_for(op, bound)
    if MODE.slow:
        return around(plan, operands)
    return plan.run(operands)


def compose(op: Op, bound: Sequence[Any]) -> Any:
    """A composite's body with bound arguments, keyword-only ones by name."""
    n = op.schema.positional
    if PLACES.several:
        asked = op.schema.index.get("device")
        if (inside := frame(op, bound, None if asked is None else bound[asked])) is not None:
            with inside:
                return compose(op, bound)
    named = {p.name: v for p, v in zip(op.schema.params[n:], bound[n:])}
    if op.block.by_example:
        return by_example(op, op.block.compose, bound[:n], named)
    return op.block.compose(*bound[:n], **named)
