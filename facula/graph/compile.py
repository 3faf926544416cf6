"""`facula.compile`: the same program, its kernels recorded, fused and run as one native call at the boundary.

Python runs every time, so closures, globals, side effects and control flow are right without guards, and there are no graph breaks: where a
value is needed, what waits is run. A trace that differs is simply another trace. Sizes are run-time values of the kernels.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

from ..core.modes import MODE, sync
from ..core.tensor import Tensor
from .program import execute
from .record import Recorder


def compile(
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "facula", mode: str | None = None,
    options: dict[str, Any] | None = None, disable: bool = False,
) -> Any:  # fmt: skip
    """A function (or module) with the same meaning whose operators run as recorded programs.

    All of PyTorch's arguments are taken; `fullgraph`, `dynamic`, `backend` and `mode` change nothing, since nothing is ever broken up or
    specialised on a size. `disable=True` gives the function back.
    """
    if model is None:
        return lambda f: compile(f, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable)
    if disable:
        return model
    if hasattr(model, "named_parameters") and hasattr(model, "forward"):
        return _module(model)
    return recorded(model)


class Trial:
    """Which of recording and running at once is faster for arguments of these layouts: each is timed a few times, then one stays.

    Both give the same values. Small programs without neighbours to fuse gain nothing that pays for noting their calls.
    """

    __slots__ = ("best", "calls", "plain")
    FIRST, AGAIN = 5, 10  # calls 0-4 record (the first two build programs), 5-9 run at once (the first two build plans)

    def __init__(self) -> None:
        self.calls = 0
        self.best = [math.inf, math.inf]
        self.plain: bool | None = None  # None: not known yet

    def time(self, record: Callable[..., Any], at_once: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        now, self.calls = self.calls, self.calls + 1
        which = now >= self.FIRST
        start = time.perf_counter()
        got = (at_once if which else record)(*args, **kwargs)
        if now % self.FIRST >= 2:
            self.best[which] = min(self.best[which], time.perf_counter() - start)
        if self.calls == self.AGAIN:
            self.plain = self.best[1] < self.best[0]
        return got


def shape_of(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a trial's outcome depends on: layouts of tensors, types of the rest."""
    return tuple(a._layout if isinstance(a, Tensor) else type(a) for a in args)


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under a recorder, where that is the faster way; inside another recorder it just runs."""
    trials: dict[tuple[Any, ...], Trial] = {}

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if MODE.recorder is not None:
            return function(*args, **kwargs)
        if MODE.anomaly:  # somebody looks at what runs
            return record(*args, **kwargs)
        key = (MODE.grad, *shape_of(args))
        trial = trials.get(key)
        if trial is None:
            if len(trials) > 1024:
                trials.clear()
            trial = trials[key] = Trial()
        if trial.plain is None:
            return trial.time(record, function, args, kwargs)
        return function(*args, **kwargs) if trial.plain else record(*args, **kwargs)

    def record(*args: Any, **kwargs: Any) -> Any:
        recorder = Recorder(execute)
        MODE.recorder = recorder
        sync()
        try:
            return function(*args, **kwargs)
        finally:
            try:
                recorder.flush()
            finally:
                MODE.recorder = None
                sync()

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
