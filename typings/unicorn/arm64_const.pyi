"""Numbers of registers by name."""

from typing import Any

def __getattr__(name: str) -> Any: ...
