"""Chains: a call of a function in plain Python that came down to plans, as a row of the plan table.

The second call with one key is traced: it runs as always, every plan that it runs is noted with where its operands came from, and if these
plans are all that happened, a chain of them serves the key from then on. What a key holds (layouts, numbers, names, modes) decides which
plans run, unless the function looks at memory or keeps something of its own: a trace stands where a recording does, so it is told of every
look, and it compares the arguments before and after. Such a key gets a row that says so, and its calls pass Python as before.

One look may be part of a chain: at a bool, or at an int64, such as the number of elements for which a mask holds. The chain goes on where it
finds the value of the trace. Any other value has a **branch**, a chain of its own from there on, or gets one: its call is traced.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import facula.core.objects as objects

from ..base.dtypes import bool_, int64
from ..base.errors import HEARD
from ..base.narrow import is_sequence, is_tuple
from ..base.settings import SETTINGS
from .expression import PLANS, wants
from .modes import MODE, sync
from .native import fields as F
from .plan import AROUND, KernelPlan, Plan, ViewPlan, ViewsPlan, record_form, settle
from .tape import Rule

Place = tuple[int, int]  # where a chain finds an object (fields.FROM_...)
Step = tuple[
    Any, int, int, list[Place]
]  # a plan, its native form, the mode word, where its operands are; or a look, 0, its value, where it looks


def flattened(arguments: Sequence[Any]) -> list[Any]:
    """A call's arguments, and behind them the tensors in sequences: what the operands of a row are counted in."""
    inside = [x for a in arguments if is_sequence(a) for x in a if isinstance(x, objects.Tensor)]
    return [*arguments, *inside]


class Look:
    """A step that reads one element; `table` holds the branches for other values than the trace's, native and here."""

    __slots__ = ("kind", "table")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.table: Any = None

    def address(self) -> int:
        if self.kind != F.LOOK_NEGATIVE and self.table is None:
            self.table = (ctypes.c_int64 * (1 + 2 * F.BRANCH_ROWS))()
        return 0 if self.table is None else ctypes.addressof(self.table)

    def lead(self, value: int, address: int) -> None:
        """From now on, the chain at this address goes on where the value is met."""
        rows = self.table
        first = (value * 0x61C88647 & (1 << 64) - 1) >> 4
        for i in range(F.BRANCH_ROWS):
            at = ((first + i) & F.BRANCH_ROWS - 1) * 2 + 1
            if not rows[at + 1]:
                rows[at], rows[at + 1] = value, address  # in this order: others may be reading
                rows[0] += 1
                return


class Chain(Plan):
    """The plans that serve a call, one after another. `origin`: the call that was traced. `alone`: nothing of it may wait in a recording."""

    __slots__ = ("alone", "origin", "result", "steps")

    def __init__(self, steps: Sequence[Step], result: Place) -> None:
        super().__init__(None, None, None)
        self.steps, self.result = steps, result
        self.origin: Any = None
        self.alone = False

    def native(self, places: tuple[int, ...]) -> int:
        """`places`: where operands are among the arguments, if a step's FROM_ARGUMENT counts operands."""
        found = self.addresses.get(places)
        if found is None:
            found = self.addresses[places] = self._build(places)
        return found

    def _build(self, places: tuple[int, ...]) -> int:
        if any(not address and not isinstance(what, Look) for what, address, *_ in self.steps):  # one that only Python can run
            return 0

        def array(words: Sequence[int]) -> int:
            block = (ctypes.c_int64 * max(1, len(words)))(*words)
            self.keep.append(block)
            return ctypes.addressof(block)

        def found_at(place: Place) -> Place:
            return (F.FROM_ARGUMENT, places[place[1]]) if places and place[0] == F.FROM_ARGUMENT else place

        rows: list[int] = []
        for what, address, word, found in self.steps:
            codes = [w for place in found for w in found_at(place)]
            if isinstance(what, Look):
                codes += [what.kind, what.address()]
                LOOKS[codes[-1]] = self
            rows += [address, word, len(found), array(codes)]
        looks = any(isinstance(what, Look) and what.kind != F.LOOK_NEGATIVE for what, *_ in self.steps)
        fields = {
            "kind": F.KIND_CHAIN, "steps_n": len(self.steps), "steps": array(rows), "result": array(found_at(self.result)),
            "how": F.LOOKS if looks or self.alone else 0,
        }  # fmt: skip
        return array([fields.get(name, 0) for name in F.PLAN])

    def branch(self, table: int, value: int, other: Chain | None) -> None:
        """What goes on where the look with this table meets a value that it had not met."""
        i = next(i for i, (what, *_) in enumerate(self.steps) if isinstance(what, Look) and what.address() == table)
        look: Look = self.steps[i][0]
        if other is None:
            look.lead(value, F.ROW_NEVER)
        elif (
            len(other.steps) > i and other.steps[i][2] == value and other.origin == self.origin and _alike(self.steps[:i], other.steps[:i])
        ):
            look.lead(value, other.native(()))
            self.keep.append(other)


def with_constants(plan: Plan, operands: Sequence[Any], given: Sequence[bool]) -> Chain:
    """A plan some of whose operands are always the same numbers; a row counts only those that are given."""
    count = itertools.count()
    places = [(F.FROM_ARGUMENT, next(count)) if known else (F.FROM_CONSTANT, id(o)) for o, known in zip(operands, given)]
    word = (F.MODE_GRAD if MODE.grad else 0) | (F.MODE_INFERENCE if MODE.inference else 0)
    key = (plan, *places, word)
    found = PLANS.get(key)
    if found is None:
        found = PLANS[key] = Chain([(plan, plan.native(tuple(range(len(operands)))), word, places)], (F.FROM_STEP, 0))
        found.keep += operands
    assert isinstance(found, Chain)
    return found


LOOKS: weakref.WeakValueDictionary[int, Chain] = weakref.WeakValueDictionary()  # the chain that has the look with this table


def _alike(some: Sequence[Step], others: Sequence[Step]) -> bool:
    """Whether steps do the same, as far as can be told."""
    return [(type(s[0]), *s[2:]) for s in some] == [(type(s[0]), *s[2:]) for s in others]


class Trace:
    """Notes what one call does, in the recorder's place."""

    queue = 0

    def __init__(self, arguments: Sequence[Any]) -> None:
        self.pure, self.closed = True, False  # closed: something was done that must not be done twice, so no later step may fail
        self.written = self.drawing = False
        self.drawn = self.alone = (
            False  # numbers were taken from a stream; and there was more to do: without memory for that, they are taken again
        )
        self.steps: list[Step] = []
        self.known: dict[int, Place] = {}
        self.state: dict[int, tuple[Any, ...]] = {}  # of tensors, as they were when they were made
        self.keep: list[Any] = []  # so that identities stay theirs
        self.tensors = [x for x in flattened(arguments) if isinstance(x, objects.Tensor)]
        for i, x in enumerate(flattened(arguments)):
            if isinstance(x, objects.Tensor):
                self._know(x, (F.FROM_ARGUMENT, i))
        self.shared = len({t._block for t in self.tensors}) < len({id(t) for t in self.tensors})
        self.versions = [objects.version(t) for t in self.tensors]

    def _know(self, t: Any, place: Place) -> None:
        self.known.setdefault(id(t), place)
        self.state[id(t)] = _state(t)
        self.keep.append(t)

    # -- what a recorder is asked
    def knows(self, reads: Any, writes: Any) -> bool:
        return True

    def flush(self) -> None:
        """Memory is looked at or written."""
        self.pure = False

    stop = flush

    def hold(self, thing: Any) -> None:
        self.pure = False

    def call(self, plan: Plan, operands: Sequence[Any]) -> Any:
        assert isinstance(plan, KernelPlan)
        got = plan.now(operands)
        self.note(plan, operands, got)
        return got

    # -- notes
    def note(self, plan: Plan, operands: Sequence[Any], got: Any) -> None:
        """One plan more."""
        address = plan.native(tuple(range(len(operands))))
        if not address or (isinstance(plan, KernelPlan) and (self._ended(plan) or not self._may_write(plan, operands))):
            self.pure = False
        self.alone = self.alone or self.drawn
        if self.drawing and isinstance(plan, KernelPlan):
            self.drawing, self.drawn = False, True
        self._step(plan, address, operands, got)

    def _step(self, plan: Any, address: int, operands: Sequence[Any], got: Any, word: int | None = None) -> None:
        places = [self._place(o) for o in operands]
        found = [p for p in places if p is not None]
        if len(self.steps) == F.STEPS_MAX or len(places) > F.STEP_OPERANDS_MAX or len(found) < len(places):
            self.pure = False
        if not self.pure:
            return
        step = len(self.steps)
        if word is None:
            word = (F.MODE_GRAD if MODE.grad else 0) | (F.MODE_INFERENCE if MODE.inference else 0)
        self.steps.append((plan, address, word, found))
        if not is_tuple(got):
            self._know(got, (F.FROM_STEP, step))
            return
        self.known[id(got)] = F.FROM_STEP, step
        self.keep.append(got)
        for i, t in enumerate(got):
            self._know(t, (F.FROM_ITEM, step << 8 | i))

    def _ended(self, plan: KernelPlan) -> bool:
        """Whether what was done must not be done twice, and this plan might fail: after a draw, all but lack of memory counts."""
        return self.closed or (self.drawn and (self.drawing or plan.mutates or bool(plan.writes)))

    def constant(self, t: Any) -> None:
        """This was made of numbers that the key holds, and is only read."""
        self._know(t, (F.FROM_CONSTANT, id(t)))

    def draws(self) -> None:
        """The next kernel takes numbers from a stream."""
        self.drawing = True

    def recorded(self, rule: Rule, operands: Sequence[Any], outs: Sequence[Any]) -> None:
        """A node that Python made."""
        if not all(isinstance(o, objects.Tensor) for o in outs) or len(outs) > 15:
            self.pure = False
            return
        for o in outs:  # it had none before
            if id(o) in self.state:
                self.state[id(o)] = _state(o)
        plan = Plan(None, rule, None)
        self._step(plan, record_form(plan, rule, len(operands), [o._layout for o in outs]), [*operands, *outs], ())

    def detached(self, t: Any, out: Any) -> None:
        """`out` is `t` without its history."""
        self._simple(F.KIND_DETACH, t, out)

    def leaf(self, t: Any) -> None:
        """A gradient is wanted of this; of an argument it is not known whether it can be."""
        self.pure = self.pure and self.known.get(id(t), (F.FROM_ARGUMENT, 0))[0] == F.FROM_STEP
        t._flags &= ~F.REQUIRES_GRAD
        self._simple(F.KIND_LEAF, t, t)
        t._flags |= F.REQUIRES_GRAD
        self.state[id(t)] = _state(t)

    def _simple(self, kind: int, t: Any, out: Any) -> None:
        plan = Plan(None, None, None)
        block = (ctypes.c_int64 * len(F.PLAN))(kind)
        plan.keep.append(block)
        self._step(plan, ctypes.addressof(block), [t], out)

    def assigns(self, plan: Plan, target: Any, result: Any) -> None:
        """Run this, which gives the target values and a history; it comes last, as it must not happen twice."""
        address = plan.native(())
        self.pure = self.pure and not self.closed and not self.drawn and address != 0
        self._step(plan, address, (target, result), target)
        MODE.recorder = MODE.trace = None
        sync()
        try:
            plan.run((target, result))
        finally:
            MODE.recorder = MODE.trace = self
            sync()
        self.closed = self.written = True
        for t in (target, target._root):
            if id(t) in self.state:
                self.state[id(t)] = _state(t)

    def look(self, t: Any, value: int, kind: int) -> None:
        """The call goes on because this element has this value."""
        self.pure = self.pure and not self.closed and not self.drawn
        self._step(Look(kind), 0, [t], (), value)

    def _place(self, operand: Any) -> Place | None:
        """Where an operand comes from; None: from elsewhere, or it was changed on the way."""
        if not isinstance(operand, objects.Tensor):
            self.keep.append(operand)
            return F.FROM_CONSTANT, id(operand)
        place = self.known.get(id(operand))
        return place if place is not None and self._as_made(operand) else None

    def _as_made(self, t: Any) -> bool:
        was, now = self.state[id(t)], _state(t)
        return len(was) == len(now) and all(a is b or (type(a) is int and a == b) for a, b in zip(was, now))

    def _may_write(self, plan: KernelPlan, operands: Sequence[Any]) -> bool:
        """A write to memory of the arguments comes last, as it must not happen twice, and changes no history."""
        targets = operands[: plan.tensors] if plan.unnamed else [operands[i] for _, _, how, i in plan.outs if how != F.OUT_NEW]
        given = [t for t in self.tensors if any(t._block == target._block for target in targets)]
        if given:
            self.closed = self.written = True
            if plan.unnamed or not plan.mutates:  # emitted code compares the memory of operands that are named as results
                return False
            return not MODE.grad or not any(wants(t) or (t._root is not None and wants(t._root)) for t in given)
        return True

    def _tuple(self, got: Any) -> None:
        """Results that Python put together."""
        plan = Plan(None, None, None)
        kind = wrapper(got)
        values = dict.fromkeys(F.PLAN, 0) | {"kind": F.KIND_TUPLE, "outs_n": len(got), "wrap": id(kind)}
        block = (ctypes.c_int64 * len(F.PLAN))(*(values[name] for name in F.PLAN))
        plan.keep += [block, kind]
        if all(isinstance(t, objects.Tensor) for t in got):
            self._step(plan, ctypes.addressof(block), got, got)

    # -- the end
    def chain(self, got: Any) -> Chain | None:
        """What serves such calls from now on; None: Python."""
        if is_tuple(got) and id(got) not in self.known and 0 < len(got) <= F.STEP_OPERANDS_MAX and self.steps:
            self._tuple(got)
        place: Place | None = self.known.get(id(got))
        if (got is None or type(got) is bool) and self.steps:
            place = F.FROM_CONSTANT, id(got)
        untouched = self.written or all(objects.version(t) == v for t, v in zip(self.tensors, self.versions))
        if not self.pure or place is None or not untouched or not all(self._as_made(t) for t in self.keep if id(t) in self.state):
            return None
        made = Chain(self.steps, place)
        made.alone = self.alone
        made.keep += [
            x for x in self.keep if not is_tuple(x) and (not isinstance(x, objects.Tensor) or self.known[id(x)][0] == F.FROM_CONSTANT)
        ]
        return made


def nothing_found(position: Any) -> bool:
    """Whether the answer of a search, the int64 position of what it looked for, is none: negative."""
    trace = MODE.trace
    if trace is None:
        settle((position,))
    none = ctypes.c_int64.from_address(position._address).value < 0
    if none and trace is not None:
        trace.look(position, 0, F.LOOK_NEGATIVE)
    return none


def looked_at(t: Any, value: Any) -> bool:
    """Whether the trace of this thread takes note of the value that a tensor of one element has."""
    kind = {bool_: F.LOOK_BOOL, int64: F.LOOK_INT}.get(t._layout.dtype)
    if kind is None or MODE.trace is None:
        return False
    MODE.trace.look(t, int(value), kind)
    return True


def _state(t: Any) -> tuple[Any, ...]:
    return t._layout, t._address, t._block, t._node, t._flags, t._grad, t._root


def wrapper(got: Any) -> Any:
    """The class of named results, None for a plain tuple."""
    return None if type(got) is tuple else getattr(got, "__class__")


def _note(plan: Plan, operands: Sequence[Any], got: Any) -> Any:
    """Hangs on the road (core/plan.py, around): plans that a recorder is not asked about."""
    trace = MODE.trace
    if trace is None:
        return got
    if isinstance(plan, (ViewPlan, ViewsPlan)):
        trace.note(plan, operands, got)
    elif isinstance(plan, KernelPlan) and plan.shapes_only:
        trace.pure = False
    return got


AROUND.append(_note)


TRACES_MAX = 2048  # of one function: who asks for more goes through many keys, which the table cannot hold


def traceable(arguments: Sequence[Any]) -> bool:
    """Whether this thread does nothing else that a trace would see."""
    if MODE.recorder is not None or MODE.slow or MODE.vmap or SETTINGS.check_bounds:
        return False
    tensors = [x for x in flattened(arguments) if isinstance(x, objects.Tensor)]
    given = [id(x) for x in arguments if isinstance(x, objects.Tensor)]
    apart = not any(id(t) in given for t in tensors[len(given) :])  # a key says what is the same in one place, not in both
    return apart and not any(t._layout.batch for t in tensors)


def tracer(
    entry: Callable[[], Any],
    run: Callable[[tuple[Any, ...], Any], Any],
    held: Callable[[tuple[Any, ...]], bool] | None = None,
    by_key: bool = False,
) -> Callable[[tuple[Any, ...], Any], Any]:
    """The side of `entry()` that serves the second call with a key: `run(arguments, names)`, traced if the key holds the numbers among the
    arguments. `by_key`: what comes of no plans follows from the key."""

    traces = itertools.count()
    together: set[tuple[Any, ...]] = set()  # layouts of tensors on one storage that got no chain for it

    def traced(arguments: tuple[Any, ...], names: Any) -> Any:
        table, met = objects.branch()
        tensors = [x for x in flattened(arguments) if isinstance(x, objects.Tensor)]
        layouts = tuple(t._layout for t in tensors)
        alone = layouts in together and len({t._block for t in tensors}) < len({id(t) for t in tensors})
        unknown = held is not None and not held(arguments)
        if alone or unknown or not traceable(arguments) or next(traces) > TRACES_MAX:
            return run(arguments, names)
        trace = Trace(arguments)
        as_given = {id(t): as_it_is(t) for t in tensors}
        MODE.recorder = MODE.trace = trace
        sync()
        before = HEARD.warnings
        try:
            got = run(arguments, names)
        finally:
            MODE.recorder = MODE.trace = None
            sync()
        plan = trace.chain(got) if HEARD.warnings == before else None
        if by_key and trace.pure and not trace.steps:
            plan = Chain((), (F.FROM_CONSTANT, id(got)))
            plan.keep.append(got)
        if plan is not None:
            plan.origin = (entry(), names, [t._layout for t in trace.tensors])
        if table:
            if (chain := LOOKS.get(table)) is not None:
                chain.branch(table, met, plan)
            return got
        if trace.shared and (trace.written or not trace.steps):
            together.add(layouts)
            return got  # whose memory is the same decided: x.copy_(x.detach()) does nothing
        if plan is not None:
            PLANS[(plan,)] = plan  # which are not dropped while another thread may be inside one
        address = F.ROW_NEVER if plan is None else plan.native(())
        objects.insert(entry(), names, len(arguments) - len(names or ()), instead(arguments, as_given), plan, address)
        return got

    return traced


def as_it_is(t: Any) -> Any:
    """Another tensor that is the same to the key of a call, whatever becomes of this one."""
    twin = objects.alias(type(t), t, t._layout, 0)
    twin._node, twin._flags = t._node, t._flags
    return twin


def instead(arguments: Sequence[Any], twins: dict[int, Any]) -> tuple[Any, ...]:
    """Arguments with other tensors in the places of some, by identity."""
    sequence = (tuple, list)
    return tuple(type(a)(instead(a, twins)) if type(a) in sequence else twins.get(id(a), a) for a in arguments)


def by_name(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], Any], Any]:
    """A Python function as a handler: arguments, the last of which have these names."""

    @functools.wraps(function)
    def handler(arguments: tuple[Any, ...], names: Any) -> Any:
        n = len(arguments) - len(names or ())
        return function(*arguments[:n], **dict(zip(names or (), arguments[n:])))

    return handler


def public(function: Callable[..., Any], name: str, method: bool) -> Any:
    """The public object of a function in plain Python: calls with a row do not reach it."""
    if not objects.NATIVE:
        return function
    given = inspect.signature(function)
    plain = given.replace(parameters=[_shown(p) for p in given.parameters.values()], return_annotation=given.empty)
    made = (objects.method if method else objects.public)(entry_of(function), name, f"{name}{plain}\n--\n\n{function.__doc__ or ''}")
    setattr(function, "public", getattr(made, "__func__", made))  # what `__torch_function__` is told was called
    return made


def _shown(p: inspect.Parameter) -> inspect.Parameter:
    """A parameter as a builtin's docstring can spell it."""
    simple = p.default is p.empty or p.default is None or type(p.default) in (bool, int, float, str)
    return p.replace(annotation=p.empty, default=p.default if simple else ...)


def entry_of(function: Callable[..., Any]) -> Any:
    """What the plan table is keyed on for a function in plain Python: numbers are part of the key."""
    handler = by_name(function)
    made = objects.Entry(handler, 1 << F.MASK_FLOATS, function, function)
    made.tracer = tracer(lambda: made, handler) if objects.NATIVE else None
    return made
