"""`facula.compile`: the same program, its kernels recorded, fused and run as one native call at the boundary.

Python runs every time, so closures, globals, side effects and control flow are right without guards, and there are no graph breaks: where a
value is needed, what waits is run. A trace that differs is simply another trace. Sizes are run-time values of the kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import refuse
from ..core import objects
from ..core.modes import MODE, sync
from .program import WATCHERS, Program, execute
from .record import Recorder


def compile(
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "facula", mode: str | None = None,
    options: dict[str, Any] | None = None, name: str | None = None, disable: bool = False, recompile_limit: int | None = None,
    isolate_recompiles: bool = False, shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """A function (or module) with the same meaning whose operators run as recorded programs.

    All of PyTorch's arguments are taken; only `disable=True`, which gives the function back, changes anything: nothing is ever broken up,
    specialised on a size or recompiled.
    """
    if model is None:
        return lambda f: compile(f, disable=disable)
    if not callable(model):
        raise refuse(AssertionError, f"A callable function is expected, but {type(model)} is provided.", received=f"{model!r:.60}")
    if disable:
        return model
    if hasattr(model, "named_parameters") and hasattr(model, "forward"):
        return _module(model)
    return recorded(model)


IDLE: list[Recorder] = []  # whose memory is there for the next call


class Pace:
    """Whether a function is recorded: nearly always. One of few calls, so short that fusion saves less time than noting them takes, runs as
    it is until the next look. Decided by what programs move and compute, not by clocks."""

    __slots__ = ("left", "plain")
    BETWEEN = 64  # calls from one look to the next
    NOTING, LONG = 700, 70_000  # nanoseconds that a recording costs; from here on that is less than a hundredth
    FEW = 10  # more calls than these take long enough in Python

    def __init__(self) -> None:
        self.left, self.plain = 1, False

    def look(self, programs: Sequence[Program]) -> None:
        self.left = self.BETWEEN
        cost = self.NOTING * len(programs)
        short = all(len(p.plans) <= self.FEW and p.work < self.LONG for p in programs)
        self.plain = short and sum(p.saved for p in programs) < cost


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under a recorder; inside another recorder it just runs."""
    enter, pace = objects.enter, Pace()

    def record(*args: Any, **kwargs: Any) -> Any:
        recorder = IDLE.pop() if IDLE else Recorder(execute)
        MODE.recorder = recorder
        if not enter(recorder.queue):
            sync()
        try:
            return function(*args, **kwargs)
        finally:
            MODE.recorder = None
            if not enter(0):
                sync()
            recorder.finish()
            IDLE.append(recorder)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if MODE.recorder is not None:
            return function(*args, **kwargs)
        if pace.left:
            pace.left -= 1
            return (function if pace.plain and not MODE.watched else record)(*args, **kwargs)
        programs: list[Program] = []
        WATCHERS.append(programs.append)
        try:
            return record(*args, **kwargs)
        finally:
            WATCHERS.remove(programs.append)
            pace.look(programs)

    run._torchdynamo_orig_callable = function  # type: ignore[attr-defined]
    return run


def _module(model: Any) -> Any:
    """The module itself behind a door that records its calls; attributes pass through."""
    return OptimizedModule(model)


class OptimizedModule:
    """A compiled module: called like it, and otherwise the module."""

    def __init__(self, module: Any) -> None:
        object.__setattr__(self, "_orig_mod", module)
        object.__setattr__(self, "_recorded", recorded(module.__call__))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._recorded(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_orig_mod"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._orig_mod, name, value)

    def __repr__(self) -> str:
        body = repr(self._orig_mod).replace("\n", "\n  ")
        return f"OptimizedModule(\n  (_orig_mod): {body}\n)"
