"""`facula.explain`: what a call does: schema, source, plan, kernels, bytes and FLOPs, fallbacks."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core import plan as road
from ..core.modes import MODE, sync
from ..core.plan import KernelPlan, Plan
from ..kernel import compiler
from .program import WATCHERS, Program


def explain(call: Callable[..., Any], *args: Any, stage: str = "plan", **kwargs: Any) -> str:
    """A report of `call(*args, **kwargs)`. `stage`: "plan", or the kernels as "scalar", "llvm" or "asm"."""
    plans: list[Plan] = []
    programs: list[Program] = []

    def note(plan: Plan, operands: Sequence[Any], got: Any) -> Any:
        plans.append(plan)
        return got

    road.AROUND.append(note)
    held, MODE.watched = MODE.watched, True  # every call passes Python
    WATCHERS.append(programs.append)
    sync()
    try:
        call(*args, **kwargs)
    finally:
        road.AROUND.remove(note)
        WATCHERS.remove(programs.append)
        MODE.watched = held
        sync()
    if programs:
        lines = [f"compiled program {i + 1} of {len(programs)}\n{p.explain()}" for i, p in enumerate(programs)]
        return "\n\n".join(lines + _checks(plans))
    return "\n\n".join(_plan(plan, stage) for plan in plans) or "no operator ran"


def _checks(plans: Sequence[Plan]) -> list[str]:
    """The calls whose answers the program looked at before it went on."""
    names = [
        getattr(p.op, "name", str(p.op))
        for p in plans
        if isinstance(p, KernelPlan) and getattr(getattr(p.op, "block", None), "at_once", False)
    ]
    return (
        ["checked before\n" + "\n".join(f"{name:60.60s} {n:3d} call{'s' if n != 1 else ''}" for name, n in Counter(names).items())]
        if names
        else []
    )


def _plan(plan: Plan, stage: str) -> str:
    op = plan.op
    head = _title(op)
    if not isinstance(plan, KernelPlan):
        kind = type(plan).__name__
        word = {"ViewPlan": "view: the same storage, nothing runs", "PythonPlan": f"Python ({getattr(op, 'kind', '')})"}.get(kind, kind)
        return f"{head}\nplan      {word}" + (f"\nnote      {plan.note}" if plan.note else "")
    lines = [head]
    body = getattr(op, "body", None)
    if body:
        lines += [f"scalar    {b!r}" for b in body]
    for _, launch in plan.launches:
        if stage in ("llvm", "asm"):
            lines.append((compiler.llvm_text if stage == "llvm" else compiler.assembly)(launch.kernel))
            continue
        lines.append(
            f"kernel    {launch.kernel.emit.__module__.removeprefix('facula.')}.{launch.kernel.emit.__qualname__}  {launch.total} items in runs of {launch.grain}"
        )
        lines.append(f"cost      {launch.bytes / 1e3:.1f} kB moved, {launch.flops / 1e6:.3f} MFLOP")
    lines += [f"note      {n}" for n in (plan.schedule.notes if plan.schedule else ())]
    lines.append(f"cache     {compiler.counts}")
    return "\n".join(lines)


def _title(op: Any) -> str:
    schema = getattr(op, "schema", None)
    if schema is None:
        return str(getattr(op, "name", op))
    file, line = inspect.getsourcefile(op.block), inspect.getsourcelines(op.block)[1]
    root = Path(__file__).resolve().parents[2]
    return f"{schema.text}    {Path(file).relative_to(root) if file else '?'}:{line}"
