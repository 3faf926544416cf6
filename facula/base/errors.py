"""Errors: PyTorch's type and sentence first, then what was received, what was expected and how to mend it."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import Any, TypeVar

from .settings import SETTINGS

E = TypeVar("E", bound=BaseException)


class AssertedError(AssertionError, ValueError):
    """What PyTorch asserts about an argument. The documented kind of such an error is ValueError."""


class MissingKeyError(KeyError, ValueError):
    """What PyTorch reports as a KeyError. The documented kind of such an error is ValueError."""


class NotCompiledError(AssertionError, RuntimeError):
    """A device that this build has not, which PyTorch asserts. The documented kind of such an error is RuntimeError."""


DOCUMENTED: dict[type[BaseException], type[BaseException]] = {AssertionError: AssertedError, KeyError: MissingKeyError}


def refuse(kind: type[E], sentence: str, *, received: str = "", expected: str = "", hint: str = "") -> E:
    """An exception to raise, of PyTorch's kind and of a documented one. `str(e)` is PyTorch's sentence byte for byte; the details are notes and the fields of the same names."""
    error: Any = DOCUMENTED.get(kind, kind)(sentence)
    details = {"received": received, "expected": expected, "hint": hint}
    for name, text in details.items():
        setattr(error, name, text)
    lines = [f"  {name + ':':<10}{text}" for name, text in details.items() if text]
    if lines and (note := getattr(error, "add_note", None)):  # Python 3.11
        note("\n".join(lines))
    return error


PACKAGE = __name__.partition(".")[0] + "."
LAST = 2  # frames of this package that tell enough


def fold(error: BaseException) -> None:
    """Take this package's frames below the catching one out of a traceback, but the last two: what is left are the user's lines and where it
    was refused. FACULA_TRACEBACK=full keeps all."""
    head = error.__traceback__
    if head is None or SETTINGS.full_traceback:
        return
    chain: list[TracebackType] = []
    below = head.tb_next
    while below is not None:
        chain.append(below)
        below = below.tb_next
    own = [t for t in chain if str(t.tb_frame.f_globals.get("__name__", "")).startswith(PACKAGE)]
    gone = set(map(id, own[:-LAST]))
    for t in chain if gone else ():
        if id(t) not in gone:
            head.tb_next = t
            head = t


class LinAlgError(RuntimeError):
    """A matrix for which a factorisation or solution does not exist."""


class OutOfMemoryError(RuntimeError):
    """An allocation that the system refused."""


class LoadError(RuntimeError):
    """A file that is damaged, hostile or of an unknown kind; nothing of it was used."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's program that led here, however many frames of this package and of Python's library lie between."""
    frame, level = sys._getframe(1), 2  # pyright: ignore[reportPrivateUsage]  # level 1 is this function
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith(PACKAGE) and name.partition(".")[0] not in sys.stdlib_module_names:
            break
        frame, level = frame.f_back, level + 1
    HEARD.warnings += 1
    warnings.warn(message, category, stacklevel=level)


class _Heard:
    """For those who ask whether a call warned: how often this was done so far."""

    warnings = 0


HEARD = _Heard()
