"""An emulator of the test extra, used through `facula.kernel.emulate` alone."""

from typing import Any

def __getattr__(name: str) -> Any: ...
