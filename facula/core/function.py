"""Public functions: from what a user wrote to the door of its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import facula.core.chains as chains
import facula.core.objects as objects
import facula.core.writing as writing

from ..base.narrow import is_sequence
from ..spec.binder import BINDER
from ..spec.registry import FAMILIES, Op, ops
from ..spec.schema import REQUIRED
from .data import public as data_public
from .door import compose, plan_for
from .misuse import PACKAGE, blame, explained, guarded, stumbled
from .modes import MODE, sync
from .native import fields as F
from .overrides import dispatch_override, overridden
from .plan import Plan, around
from .planner import sources


class Function:
    """A public name: its overloads, and how a call of it is bound. `variant`: function, method, in_place, reflected, operator."""

    __slots__ = ("doc", "entry", "mask", "name", "ops", "public", "schemas", "takes_out", "title", "values", "variant")

    def __init__(self, name: str, ops_: Sequence[Op], variant: str) -> None:
        self.name, self.ops, self.variant = name, list(ops_), variant
        self.title = name
        self.schemas = [op.schema for op in self.ops]
        self.takes_out = variant == "function" and "out" not in self.schemas[0].index and any(op.block.out for op in self.ops)
        self.doc = signature_text(self.ops[0], name, variant) + (self.ops[0].block.__doc__ or "")
        self.values = any(
            getattr(op.block, "static", ()) or any(map(callable, getattr(op.block, "special", {}).values())) for op in self.ops
        )
        self.mask = self._mask()
        python = objects.NATIVE and any(op.kind in ("procedure", "composite", "movement") for op in self.ops)
        if python and not any(op.kind == "pointwise" for op in self.ops):  # numbers are part of the key
            self.mask, self.values = 0, True
        self.entry = objects.Entry(self.handle, self.mask | self.values << F.MASK_FLOATS, self)
        if python:
            self.entry.tracer = chains.tracer(lambda: self.entry, self.handle, self._held, getattr(self.ops[0].block, "by_key", False))

    def _held(self, arguments: Sequence[Any], places: Sequence[int | None] = ()) -> bool:
        """Whether a key holds the numbers among the arguments, but for those in `places`."""
        for i, a in enumerate(arguments):
            operand = self.mask >> i & 1
            if i not in places and ((type(a) is float and (operand or not self.values)) or (type(a) is int and operand)):
                return False
        return True

    def _mask(self) -> int:
        """Places where an int is an operand in every overload that has a place there."""
        mask = 0
        width = max((s.positional for s in self.schemas), default=0)
        for i in range(min(width, 62)):
            here = [(op, op.schema.params[i]) for op in self.ops if i < op.schema.positional]
            if all(
                (p.is_operand or p.is_tensor)
                and p.name not in getattr(op.block, "static", ())
                and p.name not in getattr(op.block, "special", ())
                for op, p in here
            ):
                mask |= 1 << i
        return mask

    # -- a miss of the plan table, or a call in the Python twin
    def handle(self, arguments: tuple[Any, ...], names: tuple[str, ...] | None) -> Any:
        n = len(arguments) - len(names) if names else len(arguments)
        args = arguments[:n]
        kwargs = dict(zip(names, arguments[n:])) if names else {}
        sync()
        if not MODE.overrides_off:
            found = overridden(arguments, MODE.functions)
            if found is not None:
                return dispatch_override(found, getattr(self.public, "__func__", self.public), args, kwargs)
        try:
            return self._bound(arguments, names, args, kwargs)
        except Unsupported:
            return NotImplemented
        except Exception as error:
            blame(error, self.title, args, kwargs)
            refusal = stumbled(error, self.title, arguments)
            if refusal is None:
                raise
        raise refusal

    def _bound(self, arguments: tuple[Any, ...], names: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = kwargs.pop("out", None) if self.takes_out else None
        operator = self.variant in ("operator", "in_place_operator")
        try:
            which, bound = BINDER.choose(self.schemas, args, kwargs, self.title, self.variant in ("method", "in_place"))
        except TypeError:
            if operator:
                raise Unsupported from None
            if self.ops[0].block.overloaded and len(self.ops) == 1:
                raise BINDER.no_fit(self.schemas, args, kwargs, self.title, self.variant in ("method", "in_place")) from None
            raise
        op = self.ops[which]
        if op.block.overloaded and not any(isinstance(v, objects.Tensor) for v in bound):
            raise BINDER.no_fit(self.schemas, args, kwargs, self.title, False)
        if self.variant in ("in_place", "in_place_operator"):

            def note(operands: Sequence[Any], plan: Any, target: Any) -> None:
                self._row(arguments, names, op, bound, operands, plan, target)

            return writing.in_place(op, bound, self.title, note if objects.NATIVE and not MODE.slow else None)
        if out is not None:

            def wrote(operands: Sequence[Any], plan: Any) -> None:
                self._row(arguments, names, op, bound, operands, plan, into=out if is_sequence(out) else (out,))

            return writing.into_out(op, bound, out, self.title, wrote if objects.NATIVE else None)
        if op.kind == "composite":
            return compose(op, bound)
        plan, operands = plan_for(op, bound)
        got = around(plan, operands) if MODE.slow else plan.run(operands)
        if objects.NATIVE and plan.rowable and not MODE.slow:
            self._row(arguments, names, op, bound, operands, plan)
        return got

    def _row(
        self,
        arguments: tuple[Any, ...],
        names: Any,
        op: Op,
        bound: Sequence[Any],
        operands: Sequence[Any],
        plan: Plan,
        target: Any = None,
        into: Sequence[Any] = (),
    ) -> None:
        """Let the plan table serve the next call written like this one, if each operand is one of the arguments as they came, or a default.
        `target`: what operand 0 was before it was written to. `into`: the tensors of out=, which are the plan's last tensors."""
        places = self._places(arguments, names, op, bound, operands)
        if places is None or not self._held(arguments, places):
            return
        if into:
            at = sum(isinstance(o, objects.Tensor) for o in operands)
            operands = [*operands[:at], *into, *operands[at:]]
            place = len(arguments) - len(names) + names.index("out")
            behind = len(arguments) + len(chains.flattened(arguments[:place])) - place
            places[at:at] = range(behind, behind + len(into)) if is_sequence(arguments[place]) else [place]
        given = [place is not None for place in places]
        if not all(given):
            plan = chains.with_constants(plan, operands, given)
        address = plan.native(tuple(place for place in places if place is not None))
        if address:
            if target is not None:
                arguments = chains.instead(arguments, {id(operands[0]): target})
            objects.insert(self.entry, names, len(arguments) - len(names or ()), arguments, plan, address)

    @staticmethod
    def _places(arguments: tuple[Any, ...], names: Any, op: Op, bound: Sequence[Any], operands: Sequence[Any]) -> list[int | None] | None:
        """Where each operand is among the arguments and the tensors of sequences behind them, None for a default; None: one is elsewhere."""
        places: list[int | None] = []
        n = len(arguments) - len(names or ())
        named = {BINDER.place(op.schema, name): n + j for j, name in enumerate(names or ())}
        for i, p in enumerate(op.schema.params[:n]):
            if p.is_list and p.type == "int" and type(arguments[i]) is int:  # x.view(2, 3): what comes behind is part of that list
                n = i
                break
        listed = chains.flattened(arguments)
        for operand, k in zip(operands, sources(op, bound)):
            place = k if k < n else named.get(k)
            if op.schema.params[k].is_list:
                place = next((i for i in range(len(arguments), len(listed)) if listed[i] is operand and i not in places), None)
            if (place is None and isinstance(operand, objects.Tensor)) or (place is not None and listed[place] is not operand):
                return None
            places.append(place)
        return places

    def __repr__(self) -> str:
        return f"<{self.variant} {self.name}>"


class Unsupported(Exception):
    """An operator met an operand it does not know: Python asks the other side."""


def signature_text(op: Op, name: str, variant: str) -> str:
    """The first lines of a builtin's docstring from which `inspect` reads its signature."""
    parts: list[str] = []
    star = False
    for i, p in enumerate(op.schema.params):
        if p.keyword_only and not star:
            parts.append("*")
            star = True
        if i == 0 and variant in ("method", "in_place"):
            parts.append("self")
            continue
        parts.append(p.name if p.default is REQUIRED else f"{p.name}={p.default!r}")
    if op.block.out and "out" not in op.schema.index and variant == "function":
        parts += [] if star else ["*"]
        parts.append("out=None")
    return f"{name}({', '.join(parts)})\n--\n\n"


PUBLIC: dict[tuple[str, str], Any] = {}  # (place, name) -> function, for `facula.X`, `facula.nn.functional.X`, ...


def publish() -> None:
    """Make the public functions of every operator that has been declared: namespaces, Tensor methods, in-place variants."""
    made: dict[str, Any] = ops.__dict__
    for name, family in list(FAMILIES.items()):
        block = family[0].block
        for shown in (block.public or name, *block.aliases.split()):
            if made.get(shown) is None:
                _publish(shown, family)
    _guard()
    methods: Mapping[str, Any] = objects.Tensor.__dict__
    places: list[tuple[str, Any]] = [(place, function) for (place, _), function in PUBLIC.items()]
    for place, function in [*places, *(("Tensor", getattr(f, "__func__", None)) for f in methods.values())]:
        entry = getattr(function, "__self__", None)
        if isinstance(entry, objects.Entry):
            entry.home = place


def _guard() -> None:
    """Functions that families wrote in plain Python, without a block, refuse wrong arguments like the others."""

    def plain(function: Any) -> bool:
        bare = isinstance(function, FunctionType) and not hasattr(function, "__wrapped__")
        return bare and function.__module__.startswith(PACKAGE + "ops.")

    made: dict[str, Any] = ops.__dict__
    methods: Mapping[str, Any] = objects.Tensor.__dict__
    for name, function in list(made.items()):
        if plain(function):
            setattr(ops, name, chains.public(guarded(function, name, False), name, False))
    for (place, name), function in list(PUBLIC.items()):
        if plain(function):
            PUBLIC[(place, name)] = made.get(name) or chains.public(guarded(function, name, False), name, False)
    for name, function in list(methods.items()):
        if plain(function) and not name.startswith("__"):
            setattr(objects.Tensor, name, chains.public(guarded(function, name, True), name, True))


def _publish(shown: str, family: list[Op]) -> None:
    """One public name, wherever the blocks say it appears."""
    paths = " ".join(op.block.paths for op in family).split()
    function = _function(shown, family)
    setattr(ops, shown, function)
    for path in paths:
        if path != "Tensor":
            PUBLIC[(path, shown)] = function
    if "Tensor" in paths:
        _method(shown, [op for op in family if "Tensor" in op.block.paths.split()])
    if any(op.block.in_place for op in family):
        _in_place(shown, [op for op in family if op.block.in_place], paths)


def _function(name: str, family: list[Op]) -> Any:
    if _direct(family):
        compose = family[0].block.compose
        compose.__name__ = compose.__qualname__ = name
        compose.__doc__ = compose.__doc__ or family[0].block.__doc__
        return _plain(explained(compose, family[0], name, False), family[0], name, False)
    made = Function(name, family, "function")
    made.public = objects.public(made.entry, name, made.doc)
    return made.public


def _direct(family: list[Op]) -> bool:
    """Whether the public function is `compose` itself."""
    return len(family) == 1 and family[0].kind == "composite" and not family[0].block.through_binder


def _plain(function: Any, op: Op, name: str, method: bool) -> Any:
    """The public object of a composite's function."""
    data = op.block.data
    return data_public(function, name, method, op.schema.index[data]) if data else chains.public(function, name, method)


def _method(name: str, family: list[Op]) -> None:
    if hasattr(objects.Tensor, name) and name in vars(objects.Tensor):
        return
    if _direct(family):
        setattr(objects.Tensor, name, _plain(explained(family[0].block.compose, family[0], name, True), family[0], name, True))
        return
    made = Function(name, family, "method")
    made.public = objects.method(made.entry, name, made.doc)
    setattr(objects.Tensor, name, made.public)


def _in_place(name: str, family: list[Op], paths: Sequence[str]) -> None:
    made = Function(name + "_", family, "in_place")
    made.public = objects.method(made.entry, name + "_", made.doc)
    if "Tensor" in paths:
        setattr(objects.Tensor, name + "_", made.public)
    function = Function(name + "_", family, "in_place")
    function.public = objects.public(function.entry, name + "_", function.doc)
    setattr(ops, name + "_", function.public)
    for path in paths:
        if path != "Tensor":
            PUBLIC[(path, name + "_")] = function.public


def operator(slot: str, name: str, in_place: bool = False) -> None:
    """Let Python's operator `slot` be the op `name`."""
    made = Function(name, FAMILIES[name], "in_place_operator" if in_place else "operator")
    made.public = objects.public(made.entry, name, made.doc)
    objects.set_slot(slot, made.entry)
