"""Saving and loading at PyTorch's path."""

from .io import LoadError, load, save
from .io.checkpoint import get_unsafe_globals_in_checkpoint
from .io.safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

DEFAULT_PROTOCOL = 2  # of the pickle inside: PyTorch's choice, the only one that save writes

__all__ = [
    "DEFAULT_PROTOCOL",
    "LoadError",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
]
