"""The one door to an operator whose arguments are bound: its plan from the table, or planned; then run. Drops plans that are no longer wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import facula.core.objects as objects

from ..spec.registry import Op
from .expression import PLANS
from .layout import TRIM
from .modes import MODE
from .native import fields as F
from .placing import PLACES, at, body_device, here
from .plan import Plan, around
from .planner import PLANNERS, gather, key_of

LIMIT = 1 << 17  # plans kept before all are dropped


def plan_for(op: Op, bound: Sequence[Any]) -> tuple[Plan, list[Any]]:
    """The plan for these arguments, and its operands."""
    call_ = gather(op, bound)
    key = key_of(call_)
    try:
        plan = PLANS.get(key)
    except TypeError:  # an argument that cannot be a key (a generator, an array): planned afresh
        return PLANNERS[op.kind](call_), [*call_.tensors, *call_.numbers]
    if plan is None:
        if len(PLANS) > LIMIT:
            forget()
        plan = PLANNERS[op.kind](call_)
        PLANS[key] = plan
    if plan.rule is not None and any(t._flags & F.INFERENCE for t in call_.tensors):
        refuse_saving(plan.rule, call_.tensors)
    return plan, [*call_.tensors, *call_.numbers]


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
        place = op.schema.index.get("device")
        where = body_device(op, bound, None if place is None else bound[place])
        if where is not None and where is not here():
            with at(where):
                return compose(op, bound)
    return op.block.compose(*bound[:n], **{p.name: v for p, v in zip(op.schema.params[n:], bound[n:])})
