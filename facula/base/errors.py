"""Errors: PyTorch's type and sentence first, then what was received, what was expected and how to mend it."""

from __future__ import annotations

from typing import Any, TypeVar

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


class LinAlgError(RuntimeError):
    """A matrix for which a factorisation or solution does not exist."""


class OutOfMemoryError(RuntimeError):
    """An allocation that the system refused."""


class LoadError(RuntimeError):
    """A file that is damaged, hostile or of an unknown kind; nothing of it was used."""
