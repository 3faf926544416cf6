"""Files: checkpoints in PyTorch's format, written atomically, verified when read, and never run."""

from ..base.errors import LoadError
from ..core.guards import guard
from .checkpoint import load, save
from .interpret import UntrustedError

__all__ = ["LoadError", "UntrustedError", "load", "save"]

guard(globals(), __all__)
del guard
