"""`autograd.Function`: an operator whose forward and backward the user writes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import facula.autograd.engine as engine

from ..core import tape
from ..core.expression import wants
from ..core.modes import MODE, enable_grad, no_grad
from ..core.native import fields as F
from ..core.tensor import Tensor
from ..core.views import refresh, scatter_node
from .anomaly import remember
from .mapped import by_rule, level_of


class FunctionCtx:
    """What forward hands to backward."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._plain: tuple[Any, ...] = ()
        self._materialize = True
        self._node: Any = None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward, where `saved_tensors` gives them after a check that nobody wrote to them."""
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *args: Any) -> None:
        """Inputs that forward overwrote."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Results without a gradient."""
        self._plain = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a missing gradient reaches backward as zeros (the default) or as None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self._node is None:
            return tuple(self._to_save)
        saved = self._node.saved
        if saved is None:
            raise RuntimeError(tape.FREED)
        return tuple(_checked(self._node, saved[i], saved[i + 1]) for i in range(0, len(saved), 2))

    saved_variables = saved_tensors

    @property
    def metadata(self) -> dict[str, Any]:
        return self._node.metadata

    @property
    def next_functions(self) -> tuple[Any, ...]:
        return self._node.next_functions

    def name(self) -> str:
        return self._node.name()


def _checked(node: Any, value: Any, version: Any) -> Any:
    """A saved value; a result of this node gets its history back."""
    if isinstance(value, _Packed):
        return value.unpacked(node)
    if not isinstance(value, Tensor):
        return value
    if tape.objects_.version(value) != version:
        raise tape._modified(node, value, version, 0)
    place = node.more.get("outputs", {}).get(id(value))
    if place is not None:
        out = tape.objects_.alias(Tensor, value, value._layout, 0)
        out._node, out._flags = node, place << F.OUTPUT_SHIFT
        return out
    return value


class _Packed(NamedTuple):
    """A saved tensor that went through a hook, and where its gradient goes: an edge, or with `place` a result of the node that saved it."""

    unpack: Callable[[Any], Any]
    packed: Any
    made: Any
    output: int
    place: int | None

    def unpacked(self, node: Any) -> Any:
        value = self.unpack(self.packed)
        made, output = (self.made, self.output) if self.place is None else (node, self.place)
        return tape.with_edge(value, made, output) if MODE.grad and made is not None else value


BackwardCFunction = FunctionCtx


class FunctionMeta(type):
    """Each Function has the class of its context as `_backward_cls`, named as in PyTorch."""

    def __init__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> None:
        super().__init__(name, bases, attributes)
        cls._backward_cls = type(name + "Backward", (FunctionCtx,), {})


class Function(FunctionCtx, metaclass=FunctionMeta):
    """Subclass with static `forward` and `backward`; call `apply`.

    `forward(ctx, *args)`, or `forward(*args)` and `setup_context(ctx, inputs, output)`. `backward(ctx, *grads)` returns one gradient (or
    None) per argument of forward. Under `func.vmap`, `vmap(info, in_dims, *args)` gives the results for all examples and where their dims are;
    without one, forward and backward run as they are, one program for all examples (PyTorch's `generate_vmap_rule`).
    """

    _backward_cls: type
    generate_vmap_rule = False
    vmap: Any = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with forward mode AD.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record backward."""
        separate = cls.setup_context is not Function.setup_context
        ctx = cls._backward_cls()
        for a in args:
            if isinstance(a, Tensor):
                refresh(a)
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and wants(a) for a in args)
        recording = MODE.grad and any(ctx.needs_input_grad)
        level = level_of(cls, args)
        if level is not None and not (recording and separate and level.differentiates):
            return by_rule(cls, level, args, kwargs)
        with no_grad():
            if level is not None:
                got = by_rule(cls, level, args, kwargs)
            else:
                got = cls.forward(*args, **kwargs) if separate else cls.forward(ctx, *args, **kwargs)
            if separate:
                cls.setup_context(ctx, args, got)
        several = isinstance(got, (tuple, list))
        outs = list(got) if several else [got]
        if recording:
            outs = _record(cls, ctx, args, outs)
        return tuple(outs) if several else outs[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )


def _record(cls: Any, ctx: FunctionCtx, args: Sequence[Any], outs: list[Any]) -> list[Any]:
    """One node for the call; results become its outputs."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    layouts = tuple(o._layout if isinstance(o, Tensor) else None for o in outs)
    rule = tape.Rule(
        cls.__name__ + "Backward",
        cls,
        _backward(cls, ctx, args, layouts),
        (),
        tuple(range(len(tensors))),
        tuple(t._layout for t in tensors),
        layouts,  # pyright: ignore[reportArgumentType]  # None for what is no tensor
    )
    node = tape.record(rule, tensors, [])
    dirty = [id(t) for t in ctx._dirty]
    plain = {id(t) for t in ctx._plain}
    for t in ctx._dirty:
        if t._flags & F.REQUIRES_GRAD:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        if not any(out is t for out in outs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified inplace must all be "
                "outputs of the Function."
            )
        tape.objects_.bump(t)
    made: list[Any] = []
    for i, out in enumerate(outs):
        if not isinstance(out, Tensor) or id(out) in plain or not (out.dtype.is_floating_point or out.dtype.is_complex):
            made.append(out)
            continue
        given = any(out is a for a in args)
        if given and id(out) not in dirty:
            out = tape.objects_.alias(Tensor, out, out._layout, 0)  # a returned input is a new tensor on its storage
        made.append(out)
        if given and out._root is not None:  # a view that was overwritten: its base has another history from here on
            inside = tape.objects_.alias(Tensor, out, out._layout, 0)
            inside._node, inside._flags = node, i << F.OUTPUT_SHIFT
            with enable_grad():
                scatter_node(out._root, out, inside)
            continue
        out._node, out._flags = node, (out._flags & F.UNTRACKED) | i << F.OUTPUT_SHIFT
        out._viewed = tape.objects_.version(out)
    _save(ctx, node, outs, made)
    ctx._node = node
    node.more["ctx"] = ctx
    if MODE.anomaly:
        remember(node)
    return made


def _save(ctx: FunctionCtx, node: Any, outs: Sequence[Any], made: Sequence[Any]) -> None:
    """Saved tensors with versions; a saved result is kept without its history, so that there is no cycle."""
    saved: list[Any] = []
    outputs: dict[int, int] = {}
    hooks = MODE.saved_hooks
    for t in ctx._to_save:
        if t is not None and not isinstance(t, Tensor):
            raise TypeError(f"save_for_backward can only save variables, but argument is of type {type(t).__name__}")
        place = (
            next((i for i, (o, m) in enumerate(zip(outs, made)) if t is not None and (o is t or m is t) and m._node is node), None)
            if t is not None
            else None
        )
        if place is not None:
            t = tape.objects_.alias(Tensor, t, t._layout, 0)  # pyright: ignore[reportOptionalMemberAccess]
            outputs[id(t)] = place
        if hooks and t is not None:
            pack, unpack = hooks[-1]
            source = t._node if t._node is not None else t if t.requires_grad else None
            saved += (_Packed(unpack, pack(t), source, t._output_nr, place), None)
            continue
        saved += (t, tape.objects_.version(t) if t is not None else None)
    node.saved = tuple(saved)
    node.more["outputs"] = outputs
    ctx._to_save = ()


def _backward(cls: Any, ctx: FunctionCtx, args: Sequence[Any], layouts: Sequence[Any]) -> Callable[..., Sequence[Any]]:
    n = len(args)
    tensors = [i for i, a in enumerate(args) if isinstance(a, Tensor)]

    def run(grads: Sequence[Any], values: Sequence[Any], wanted: Sequence[bool]) -> Sequence[Any]:
        if ctx._materialize:
            grads = [engine.zeros(lay) if g is None and lay is not None else g for g, lay in zip(grads, layouts)]
        function = cls.backward if cls.backward is not Function.backward else cls.vjp
        got = function(ctx, *grads)
        row = list(got) if isinstance(got, (tuple, list)) else [got]
        if len(row) > n and all(g is None for g in row[n:]):
            row = row[:n]
        if len(row) != n:
            raise RuntimeError(f"function {cls.__name__}Backward returned an incorrect number of gradients (expected {n}, got {len(row)})")
        for i, g in enumerate(row):
            if g is not None and not isinstance(g, Tensor):
                raise RuntimeError(
                    f"function {cls.__name__}Backward returned a gradient that is not a tensor (at index {i}: {type(g).__name__})"
                )
            if g is not None and i not in tensors:
                raise RuntimeError(
                    f"function {cls.__name__}Backward returned a gradient different than None at position {i + 1}, but the corresponding forward input was not a Variable"
                )
        return [row[i] for i in tensors]

    return run


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """For a backward that cannot be differentiated again: its results say so when somebody tries."""

    @functools.wraps(function)
    def once(ctx: Any, *args: Any) -> Any:
        with no_grad():
            got = function(ctx, *args)
        if not MODE.grad or not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return got
        several = isinstance(got, (tuple, list))
        return tuple(_final(g) for g in got) if several else _final(got)

    return once


def _final(g: Any) -> Any:
    if not isinstance(g, Tensor):
        return g

    def refuse_(grads: Any, values: Any, wanted: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

    out = tape.objects_.alias(Tensor, g, g._layout, 0)
    seed = tape.objects_.alias(Tensor, g, g._layout, 0)
    seed._flags |= F.REQUIRES_GRAD
    tape.attach(tape.record(tape.Rule("DelayedError", None, refuse_, (), (0,), (g._layout,), (g._layout,)), [seed], [out]), [out])
    return out


class NestedIOFunction(Function):
    """PyTorch's name for functions of nested structures; plain ones here."""
