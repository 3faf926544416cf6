"""The tape for users: saved-tensor hooks, hooks on several gradients, edges."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core import objects, tape
from ..core import plan as road
from ..core.modes import MODE, sync
from ..core.tape import Handle, Node
from ..core.tensor import Tensor
from ..core.views import refresh
from .anomaly import remember
from .engine import RUNNING

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:
    """Tensors that are saved inside the block go through `pack_hook`, and through `unpack_hook` when backward needs them."""

    disabled: list[str] = []

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.hooks = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if self.disabled:
            raise RuntimeError(self.disabled[-1])
        MODE.saved_hooks.append(self.hooks)
        sync()

    def __exit__(self, *exc: object) -> None:
        MODE.saved_hooks.pop()
        sync()


class save_on_cpu(saved_tensors_hooks):
    """Saved tensors are kept as copies in main memory."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: t.detach().clone(), lambda t: t)


class disable_saved_tensors_hooks:
    """Saved-tensor hooks raise `error_message` inside the block."""

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        saved_tensors_hooks.disabled.append(self.message)

    def __exit__(self, *exc: object) -> None:
        saved_tensors_hooks.disabled.pop()


def _pack(plan: Any, operands: Sequence[Any], got: Any) -> Any:
    """Around a call: hand what its node saved to the innermost hooks."""
    if not MODE.saved_hooks:
        return got
    out = got[0] if isinstance(got, (tuple, list)) and got else got
    node = getattr(out, "_node", None)
    if node is None or not node.saved or "packed" in node.more:
        return got
    pack, unpack = MODE.saved_hooks[-1]
    saved = list(node.saved)
    packed: dict[int, Any] = {}
    before, MODE.saved_hooks = MODE.saved_hooks, []
    sync()
    try:
        for k in range(len(saved) // 2):
            if isinstance(saved[2 * k], Tensor):
                kept = pack(saved[2 * k])
                packed[k] = lambda kept=kept: unpack(kept)
                saved[2 * k] = saved[2 * k + 1] = None
    finally:
        MODE.saved_hooks = before
        sync()
    node.saved = tuple(saved)
    node.more["packed"] = packed
    return got


def _trace(plan: Any, operands: Sequence[Any], got: Any) -> Any:
    """Around a call in anomaly mode: remember the user's line."""
    if MODE.anomaly:
        out = got[0] if isinstance(got, (tuple, list)) and got else got
        node = getattr(out, "_node", None)
        if node is not None:
            remember(node)
    return got


road.AROUND += [_pack, _trace]


class GradientEdge(NamedTuple):
    """Where a gradient arrives: a node and the number of its result."""

    node: Any
    output_nr: int


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The edge of a tensor with history."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    refresh(tensor)
    return GradientEdge(tape.as_node(tensor._node if tensor._node is not None else tensor), tensor._output_nr)


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all") -> Any:
    """`fn(grads)` once all gradients of `tensors` have come, or (`mode` "any") with the first one."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    places = [t._node if t._node is not None else t for t in tensors]
    passes: weakref.WeakKeyDictionary[Any, dict[int, Any]] = weakref.WeakKeyDictionary()

    def make(i: int) -> Callable[[Any], None]:
        def hook(g: Any) -> None:
            walk = RUNNING.walks[-1]
            seen = passes.get(walk)
            if mode == "any":
                if seen is None:
                    passes[walk] = {i: g}
                    fn(g)
                return
            if seen is None:
                seen = passes[walk] = {-1: sum(map(walk.reaches, places))}
            seen[i] = g
            if len(seen) - 1 == seen[-1]:
                fn([seen.get(k) for k in range(len(tensors))])

        return hook

    handles = [t.register_hook(make(i)) for i, t in enumerate(tensors)]
    table: dict[int, Any] = {}
    handle = Handle(table, None)
    handle.remove = lambda: [h.remove() for h in handles] and None  # type: ignore[method-assign]
    return handle


def increment_version(tensor: Any) -> None:
    """Count a write that facula did not see."""
    for t in tensor if isinstance(tensor, (tuple, list)) else (tensor,):
        objects.bump(t)
