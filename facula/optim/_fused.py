"""One native call for a whole parameter group: SGD, Adam, AdamW, RMSprop and Adagrad over tables of tensors.

Attached to the classes as `fused`; what a table cannot hold (complex or differentiable parameters, gradients laid out otherwise where they
cannot be copied) returns False, and the class's own `_update` serves the call.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from .. import ops
from ..core import Tensor, objects
from ..core.modes import MODE
from ..core.native import fields as F
from ..core.plan import KernelPlan, settle
from ..kernel import optimizer as kernels
from ..kernel.launch import Launch, Number, Schedule
from ..kernel.optimizer import Rule, Table, tensors_of
from .adagrad import Adagrad
from .adam import Adam
from .optimizer import Group, State, number
from .rmsprop import RMSprop
from .sgd import SGD

KEPT = 64  # tables that are kept between steps, the latest used

_tables: OrderedDict[tuple[Any, ...], Table] = OrderedDict()
_plans: dict[Table, KernelPlan] = {}  # of tables that are kept; a plan holds its table


def _table(rule: Rule, params: list[Tensor], flags: frozenset[str]) -> Table:
    """A table for these sizes; its addresses and scalars are those of whoever used it last."""
    key = (rule.name, params[0].dtype, flags, *[p._layout.numel for p in params])
    table = _tables.get(key)
    if table is None:
        table = _tables[key] = Table(rule, params[0].dtype, key[3:], flags)
        if len(_tables) > KEPT:
            _plans.pop(_tables.popitem(last=False)[1], None)
    else:
        _tables.move_to_end(key)
    if MODE.recorder is not None:
        MODE.recorder.hold(table)
    return table


def _fits(params: list[Tensor], grads: list[Tensor], states: Iterable[Iterable[Tensor]]) -> list[Tensor] | None:
    """The gradients, laid out like their parameters; None where a table cannot serve."""
    out = []
    for p, g, kept in zip(params, grads, states):
        lay = p._layout
        if not (lay.dtype.is_floating_point and lay.dense and not lay.batch and p.device.type == "cpu") or g.dtype is not lay.dtype:
            return None
        if any(s._layout is not lay for s in kept) or p._flags & F.READ_ONLY:
            return None
        if g._layout is not lay:
            g = ops.empty_like(p).copy_(g)
        out.append(g)
    return out


def _run(
    rule: Rule, params: list[Tensor], columns: dict[str, list[Tensor]], flags: frozenset[str], scalars: dict[str, list[float]], numbers: Any
) -> None:
    """One table for each dtype."""
    kinds = {p.dtype for p in params}
    for kind in kinds:
        rows = range(len(params)) if len(kinds) == 1 else [i for i, p in enumerate(params) if p.dtype is kind]
        chosen = [params[i] for i in rows]
        table = _table(rule, chosen, flags)
        table.tensors("param", [p._address for p in chosen])
        for name, tensors in columns.items():
            table.tensors(name, [tensors[i]._address for i in rows])
        for name, values in scalars.items():
            table.scalar(name, [values[i] for i in rows])
        _step(table, [*chosen, *(tensors[i] for tensors in columns.values() for i in rows)], numbers)
    for p in params:
        objects.bump(p)
        p._viewed = objects.version(p)


def _step(table: Table, tensors: list[Tensor], numbers: dict[str, float]) -> None:
    """The table's kernel: at once, or noted by a recorder."""
    recorder = MODE.recorder
    if recorder is not None:
        plan = _plan(table, len(tensors))
        given = [float(numbers.get(name, 0.0)) for name in table.rule.numbers]
        if plan.native(tuple(range(len(tensors) + len(given)))):
            recorder.call(plan, [*tensors, *given])
            return
        recorder.flush()
    kernels.step(table, **numbers)


def _plan(table: Table, tensors: int) -> KernelPlan:
    """A step over the table as a call that may write all of its tensors."""
    plan = _plans.get(table)
    if plan is None:
        kind = table.dtype.compute.llvm
        words = (table.address, table.rows, *(Number(i, kind) for i in range(len(table.rule.numbers))))
        moved = sum(table.sizes) * table.dtype.itemsize * (1 + len(tensors_of(table.rule, table.flags)))
        plan = _plans[table] = KernelPlan(table.rule, (), Schedule((Launch(table.kernel, words, table.items, 1, moved),)), tensors)
        plan.how = F.WRITES
        plan.keep.append(table)
    return plan


def _counted(states: list[State]) -> list[float]:
    """Count a step in every state; the new counts. Counters are float32 tensors of one element."""
    settle((), [state["step"] for state in states])
    out = []
    for state in states:
        counter = ctypes.c_float.from_address(state["step"]._address)
        counter.value += 1.0
        out.append(counter.value)
    return out


def _flags(group: Group, **more: Any) -> frozenset[str]:
    names = {"maximize": group["maximize"], "weight_decay": number(group["weight_decay"]) != 0, **more}
    return frozenset(name for name, on in names.items() if on)


def _each(steps: list[float], formula: Callable[[float], float]) -> list[float]:
    """The formula for every count; most are equal."""
    known = {step: formula(step) for step in set(steps)}
    return [known[step] for step in steps]


def _refused(group: Group, *others: Any) -> bool:
    """Options that only ordinary operators serve."""
    return bool(group["differentiable"]) or any(isinstance(o, Tensor) and o.requires_grad for o in others)


def adam(params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> bool:
    """Adam and AdamW."""
    if _refused(group, group["lr"], *group["betas"]) or group["capturable"]:
        return False
    names = ["exp_avg", "exp_avg_sq"] + (["max_exp_avg_sq"] if group["amsgrad"] else [])
    fitting = _fits(params, grads, ([state[n] for n in names] for state in states))
    if fitting is None:
        return False
    lr, eps, decay = float(number(group["lr"])), group["eps"], float(group["weight_decay"])
    beta1, beta2 = (float(number(beta)) for beta in group["betas"])
    decoupled = bool(group["decoupled_weight_decay"]) and decay != 0
    flags = _flags(group, weight_decay=decay != 0 and not decoupled, decoupled=decoupled, amsgrad=group["amsgrad"])
    steps = _counted(states)
    scalars = {"rate": _each(steps, lambda t: lr / (1 - beta1**t)), "root": _each(steps, lambda t: (1 - beta2**t) ** 0.5)}
    numbers = {"rest1": 1 - beta1, "beta2": beta2, "rest2": 1 - beta2, "eps": eps, "weight_decay": decay, "shrink": 1 - lr * decay}
    columns = {"grad": fitting, **{n: [state[n] for state in states] for n in names}}
    _run(kernels.ADAM, params, columns, flags, scalars, numbers)
    return True


def sgd(params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> bool:
    """SGD; parameters whose buffer does not exist yet take their gradient as it."""
    if _refused(group, group["lr"]):
        return False
    momentum = float(group["momentum"])
    buffers = [state.get("momentum_buffer") for state in states]
    fitting = _fits(params, grads, ([b] if b is not None else [] for b in buffers))
    if fitting is None:
        return False
    numbers = {
        "lr": float(number(group["lr"])),
        "weight_decay": float(number(group["weight_decay"])),
        "momentum": momentum,
        "undamped": 1 - group["dampening"],
    }
    if momentum == 0:
        _run(kernels.SGD, params, {"grad": fitting}, _flags(group), {}, numbers)
        return True
    new, old = [[i for i, b in enumerate(buffers) if (b is None) == fresh] for fresh in (True, False)]
    for fresh, rows in ((True, new), (False, old)):
        if not rows:
            continue
        chosen = [params[i] for i in rows]
        if fresh:
            for i in rows:
                buffers[i] = states[i]["momentum_buffer"] = ops.empty_like(params[i]).detach()
        columns = {"grad": [fitting[i] for i in rows], "momentum_buffer": [buffers[i] for i in rows]}
        _run(kernels.SGD, chosen, columns, _flags(group, momentum=True, first=fresh, nesterov=group["nesterov"]), {}, numbers)
    return True


def rmsprop(params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> bool:
    if _refused(group, group["lr"]) or group["capturable"]:
        return False
    momentum = float(group["momentum"])
    names = ["square_avg"] + (["momentum_buffer"] if momentum > 0 else []) + (["grad_avg"] if group["centered"] else [])
    fitting = _fits(params, grads, ([state[n] for n in names] for state in states))
    if fitting is None:
        return False
    _counted(states)
    alpha = float(group["alpha"])
    numbers = {
        "lr": float(number(group["lr"])),
        "alpha": alpha,
        "rest": 1 - alpha,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "momentum": momentum,
    }
    columns = {"grad": fitting, **{n: [state[n] for state in states] for n in names}}
    _run(kernels.RMSPROP, params, columns, _flags(group, centered=group["centered"], momentum=momentum > 0), {}, numbers)
    return True


def adagrad(params: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> bool:
    if _refused(group, group["lr"]):
        return False
    fitting = _fits(params, grads, ([state["sum"]] for state in states))
    if fitting is None:
        return False
    lr, decay = float(number(group["lr"])), group["lr_decay"]
    rates = _each(_counted(states), lambda t: lr / (1 + (t - 1) * decay))
    columns = {"grad": fitting, "sum": [state["sum"] for state in states]}
    numbers = {"eps": group["eps"], "weight_decay": group["weight_decay"]}
    _run(kernels.ADAGRAD, params, columns, _flags(group), {"rate": rates}, numbers)
    return True


def attach() -> None:
    """Give the classes their fast road."""
    for kind, road in ((Adam, adam), (SGD, sgd), (RMSprop, rmsprop), (Adagrad, adagrad)):
        kind.fused = staticmethod(road)
