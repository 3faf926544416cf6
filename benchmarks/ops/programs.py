"""The same lines of a user's program on facula and on PyTorch, as a case of `benchmarks.kernel.compare`."""

from __future__ import annotations

from typing import Any

import facula
from benchmarks.kernel.compare import Case


def program(name: str, setup: str, call: str, nbytes: int) -> Case:
    """`setup` runs once, `call` is timed; both say `torch` and `F`. `nbytes`: what must at least be moved."""
    scope: dict[str, Any] = {"torch": facula, "F": facula.nn.functional}
    code = compile(call, name, "exec")
    ready: list[bool] = []

    def run() -> None:
        if not ready:
            exec(setup, scope)
            ready.append(True)
        exec(code, scope)

    return Case(name, None, (), (), (), nbytes, setup, call, run)
