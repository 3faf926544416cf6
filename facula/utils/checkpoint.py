"""Activation checkpointing: what a part of a model saves for backward is dropped and computed again when backward asks for it.

Chen et al. 2016, arXiv 1604.06174. With `use_reentrant=False` the graph is recorded as usual, and saved tensors are places that a second
run of the function fills; with `use_reentrant=True` nothing is recorded, and backward runs the function and a backward of its own.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..autograd import Function, backward
from ..autograd.engine import RUNNING
from ..autograd.graph import saved_tensors_hooks
from ..base.errors import refuse
from ..core import Tensor, enable_grad, no_grad
from ..ops.random import default_generator
from ..random import fork_rng

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]
EARLY_STOP: list[bool] = []  # what `set_checkpoint_early_stop` says, innermost last


class CheckpointError(RuntimeError):
    """The second run of a function saved other tensors than the first."""


class _Enough(Exception):
    """All that backward needs has been computed again."""


class _Place:
    """What stands for a saved tensor: its number among those that the function saved, and what it looked like."""

    __slots__ = ("__weakref__", "number", "seen")

    def __init__(self, number: int, seen: dict[str, Any]) -> None:
        self.number, self.seen = number, seen


class _Region:
    """One call of a checkpointed function."""

    def __init__(self, again: Callable[[], Any], compare: bool, early_stop: bool) -> None:
        self.again, self.compare, self.early_stop = again, compare, early_stop
        self.places: list[weakref.ref[_Place]] = []
        self.made: dict[int, Tensor] = {}

    def hooks(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(self.put, self.get)

    def put(self, tensor: Tensor) -> _Place:
        place = _Place(len(self.places), _looks(tensor))
        self.places.append(weakref.ref(place))
        return place

    def get(self, place: _Place) -> Tensor:
        if place.number not in self.made:
            self.fill()
        return self.made.pop(place.number)

    def fill(self) -> None:
        """Run the function again and keep what it saves for the places that are still there."""
        wanted, count = len(self.places), 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal count
            if count == wanted:
                sentence = "torch.utils.checkpoint: trying to save more tensors during recomputation than during the original forward pass."
                raise refuse(CheckpointError, sentence, expected=f"{wanted} tensors")
            tensor, place = tensor.detach(), self.places[count]()
            if place is not None:
                self.made[count] = tensor
            count += 1
            if self.early_stop and count == wanted:
                raise _Enough
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor), enable_grad(), contextlib.suppress(_Enough):
            self.again()
        if count != wanted:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation.\n"
                f"Number of tensors saved during forward: {wanted}\nNumber of tensors saved during recomputation: {count}."
            )
        if self.compare:
            self.check()

    def check(self) -> None:
        differing = ""
        for number, tensor in self.made.items():
            place = self.places[number]()
            if place is not None and place.seen != _looks(tensor):
                differing += f"tensor at position {number}:\nsaved metadata: {place.seen}\nrecomputed metadata: {_looks(tensor)}\n"
        if differing:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the forward pass.\n"
                + differing
            )


def _looks(tensor: Tensor) -> dict[str, Any]:
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


def noop_context_fn() -> Contexts:
    """Nothing around either run."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Inside, regions made stop their second run once all is there that backward needs, or do not, whatever they were told."""
    EARLY_STOP.append(enable)
    try:
        yield
    finally:
        EARLY_STOP.pop()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)` that keeps only its arguments for backward, and runs again there, with the same random numbers.

    `context_fn` gives what is entered around the first and the second run. `determinism_check` "none" lets shapes and types of what is
    computed again differ. Errors say the same with `debug`.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. use_reentrant=False is recommended; the default "
            "is use_reentrant=True.",
            stacklevel=2,
        )
    if use_reentrant is None or use_reentrant:
        if kwargs:
            raise refuse(ValueError, "Unexpected keyword arguments: " + ",".join(kwargs), hint="use_reentrant=False takes them")
        if context_fn is not noop_context_fn or debug:
            raise refuse(ValueError, "Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if determinism_check not in ("default", "none"):
        sentence = f"determinism_check should be one of ['default', 'none'] but got {determinism_check}"
        raise refuse(ValueError, sentence, received=f"{determinism_check!r:.60}")
    first, second = context_fn()
    state = default_generator.state.get_state() if preserve_rng_state else None

    def again() -> None:
        with _random_numbers_of(state), second:
            function(*args, **kwargs)

    with _Region(again, determinism_check == "default", EARLY_STOP[-1] if EARLY_STOP else early_stop).hooks(), first:
        return function(*args, **kwargs)


@contextlib.contextmanager
def _random_numbers_of(state: bytes | None) -> Iterator[None]:
    """Inside, the generator goes on from `state`, if there is one; afterwards from where it was."""
    with fork_rng(enabled=state is not None):
        if state is not None:
            default_generator.state.set_state(state)
        yield


class CheckpointFunction(Function):
    """The reentrant variant. Its backward adds the gradients of parameters itself, so it needs a backward that wants them all."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.random = default_generator.state.get_state() if preserve_rng_state else None
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.tensors = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*(args[k] for k in ctx.tensors))
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if RUNNING.walks and RUNNING.walks[-1].wanted is not None:
            raise refuse(
                RuntimeError,
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` parameter to .backward(). "
                "To resolve this error, you can either set use_reentrant=False, or call .backward() without passing the `inputs` argument.",
            )
        args = list(ctx.others)
        for k, tensor in zip(ctx.tensors, ctx.saved_tensors):
            args[k] = tensor
        leaves = detach_variable(tuple(args))
        with _random_numbers_of(ctx.random), enable_grad():
            outs = ctx.run_function(*leaves)
        outs = (outs,) if isinstance(outs, Tensor) else outs
        pairs = [(out, g) for out, g in zip(outs, grads) if isinstance(out, Tensor) and out.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([out for out, _ in pairs], [g for _, g in pairs])
        return None, None, *(a.grad if isinstance(a, Tensor) else None for a in leaves)


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among them without their history, as leaves that require a gradient where they did."""
    if not isinstance(inputs, tuple):
        raise refuse(RuntimeError, f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn where no gradient can come out of the reentrant variant."""
    if not any(x.requires_grad for x in inputs if isinstance(x, Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """The functions one after another, in `segments` parts of which all but the last are checkpointed."""
    steps: Sequence[Callable[[Any], Any]] = list(functions.children()) if hasattr(functions, "children") else functions

    def part(begin: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for step in steps[begin:end]:
                x = step(x)
            return x

        return run

    size = len(steps) // segments
    for k in range(segments - 1):
        run = part(k * size, (k + 1) * size)
        input = checkpoint(run, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return part((segments - 1) * size, len(steps))(input)
