"""Modes of a thread: gradient recording, inference, and whatever makes calls pass Python (function modes, hooks, recording).

Each thread has its own; emitted code sees one word and the thread it belongs to, and asks Python when another thread comes along.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from ..base.errors import refuse
from .native import fields as F

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


class Mode(threading.local):
    """This thread's modes."""

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.recorder: Any = None  # set while a step is recorded
        self.trace: Any = None  # set while a call is traced (core/chains.py)
        self.saved_hooks: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = []
        self.functions: list[Any] = []  # active function modes, innermost last
        self.overrides_off = 0
        self.anomaly = False
        self.watched = False  # somebody asks what runs (explain)
        self.vmap = False  # inside a `vmap`: random draws differ
        self.device: Any = None  # where tensors are made when nobody says; None is the CPU
        self.outside: list[Any] = []  # defaults that `with device:` blocks go back to
        self.word = F.MODE_GRAD  # what emitted code was told last

    @property
    def slow(self) -> bool:
        """Whether every call has to pass Python."""
        return _slow(self.__dict__)


def _slow(mine: dict[str, Any]) -> bool:
    return bool(mine["saved_hooks"] or mine["functions"] or mine["anomaly"] or mine["watched"] or mine["device"] or mine["trace"])


def _set(mine: dict[str, Any], grad: bool, inference: bool) -> None:
    """Change these two and tell emitted code, which has been told of all others."""
    mine["grad"], mine["inference"] = grad, inference
    word = mine["word"] = mine["word"] & ~_BOTH | (F.MODE_GRAD if grad else 0) | (F.MODE_INFERENCE if inference else 0)
    recorder = mine["recorder"]
    for tell in NATIVE:
        tell(word, 0 if recorder is None else recorder.queue)


_BOTH = F.MODE_GRAD | F.MODE_INFERENCE


MODE = Mode()
NATIVE: list[Callable[[int, int], None]] = []  # told the mode word and the recorder's queue whenever they may have changed


def sync() -> None:
    """Tell emitted code the modes of this thread."""
    mine = MODE.__dict__  # each look at a thread's own attribute takes longer than this
    word = (F.MODE_GRAD if mine["grad"] else 0) | (F.MODE_SLOW if _slow(mine) else 0) | (F.MODE_INFERENCE if mine["inference"] else 0)
    word |= F.MODE_VMAP if mine["vmap"] else 0
    recorder = mine["recorder"]
    mine["word"] = word
    for tell in NATIVE:
        tell(word, 0 if recorder is None else recorder.queue)


def is_grad_enabled() -> bool:
    return MODE.grad


def is_inference_mode_enabled() -> bool:
    return MODE.inference


class _GradMode:
    """Context manager and decorator; also decorates generator functions, whose frames run in the mode."""

    grad = True

    def __init__(self) -> None:
        self.before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        mine = MODE.__dict__
        self.before.append((mine["grad"], mine["inference"]))
        _set(mine, self.grad, mine["inference"])

    def __exit__(self, *exc: object) -> None:
        _set(MODE.__dict__, *self.before.pop())

    def clone(self) -> _GradMode:
        return type(self)()

    def __call__(self, function: Any) -> Any:
        import inspect

        if inspect.isclass(function):
            function.__init__ = self(function.__init__)
            return function
        if inspect.isgeneratorfunction(function):
            return self._generator(function)

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return inside

    def _generator(self, function: Any) -> Any:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            source = function(*args, **kwargs)
            try:
                with self.clone():
                    got = next(source)
                while True:
                    try:
                        sent = yield got
                    except GeneratorExit:
                        with self.clone():
                            source.close()
                        raise
                    except BaseException as error:
                        with self.clone():
                            got = source.throw(error)
                    else:
                        with self.clone():
                            got = source.send(sent)
            except StopIteration as end:
                return end.value

        return inside


class _BareGradMode(_GradMode):
    """A mode that decorates with or without parentheses."""

    # with a function there is no instance to initialise
    def __new__(cls, function: Any = None) -> Any:  # pyright: ignore[reportInconsistentConstructor]
        self = object.__new__(cls)
        self.before = []
        return self if function is None else self(function)

    __init__ = object.__init__  # there is nothing left to do


class no_grad(_BareGradMode):
    """Nothing is recorded inside."""

    grad = False


class enable_grad(_BareGradMode):
    """Recording is on inside, also within `no_grad`."""

    grad = True


class set_grad_enabled(_GradMode):
    """Recording on or off: at once, and until the end of the block when used with `with`."""

    def __init__(self, mode: bool) -> None:
        if mode is not True and mode is not False and type(mode).__name__ not in ("bool", "bool_"):  # NumPy's have these names
            raise refuse(TypeError, f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}",
                         received=f"{mode!r:.60}", expected="True or False")  # fmt: skip
        mine = MODE.__dict__
        self.grad = bool(mode)
        self.before = [(mine["grad"], mine["inference"])]
        _set(mine, self.grad, mine["inference"])

    def __enter__(self) -> None:
        mine = MODE.__dict__
        if mine["grad"] is not self.grad:
            _set(mine, self.grad, mine["inference"])

    def __call__(self, function: Any) -> Any:
        _set(MODE.__dict__, *self.before.pop())
        return super().__call__(function)

    def clone(self) -> _GradMode:
        return set_grad_enabled(self.grad)


class inference_mode(_GradMode):
    """Like `no_grad`, and tensors made inside can never take part in recording."""

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if isinstance(mode, bool):
            return self
        self.__init__(True)
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = bool(mode)

    def __enter__(self) -> None:
        mine = MODE.__dict__
        self.before.append((mine["grad"], mine["inference"]))
        _set(mine, mine["grad"] and not self.mode, self.mode)

    def clone(self) -> _GradMode:
        return inference_mode(self.mode)
