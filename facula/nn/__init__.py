"""Modules, their parameters, and the functions that they are made of, at PyTorch's paths."""

from . import functional, init, utils
from .modules import *
from .modules import __all__ as _modules
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from .utils import parametrizations as _parametrizations  # needs modules, which need `utils`
from .utils import parametrize as _parametrize

__all__ = [*_modules, "Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "functional", "init", "utils"]
