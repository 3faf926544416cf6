"""What the user did or has that a command cannot work with: one line, no traceback."""

from __future__ import annotations

import errno

from ..base.errors import LoadError


class Failure(Exception):
    """Ends a command with exit code 2. `received`, `expected` and `hint` complete the sentence."""

    def __init__(self, sentence: str, received: str = "", expected: str = "", hint: str = "") -> None:
        super().__init__(sentence)
        self.received, self.expected, self.hint = received, expected, hint


def line_of(error: BaseException) -> str:
    """One line for an error: what happened, what was received and expected, and what to do."""
    sentence = " ".join(str(error).split()) or type(error).__name__
    hint = getattr(error, "hint", "")
    if isinstance(error, OSError) and error.errno is not None:
        sentence = f"{error.strerror}" + (f": {error.filename}" if error.filename else "")
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "free some space, or write elsewhere with --out; what was saved before is still there"
    details = {"received": getattr(error, "received", ""), "expected": getattr(error, "expected", ""), "hint": hint}
    parts = [f"{name}: {' '.join(str(text).split())}" for name, text in details.items() if text]
    return sentence + (f" ({'; '.join(parts)})" if parts else "")


def code_of(error: BaseException) -> int:
    """2 for what the user can mend in the command or its files, 1 for the rest."""
    return 2 if isinstance(error, (Failure, LoadError, EOFError, OSError)) else 1
