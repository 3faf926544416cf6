"""Functions of arrays, element by element; SciPy has no annotations, and NumPy gives its universal functions no signatures."""

from typing import Any

def __getattr__(name: str) -> Any: ...
