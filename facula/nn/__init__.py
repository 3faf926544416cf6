"""Modules, their parameters, and the functions that they are made of, at PyTorch's paths."""

import facula.nn.utils.parametrizations as _parametrizations  # noqa: F401
import facula.nn.utils.parametrize as _parametrize  # noqa: F401

from . import attention, functional, init, modules, utils
from .modules import *  # noqa: F403 - the list stands in modules/__init__.py
from .parallel import DataParallel
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "functional",
    "init",
    "utils",
]
__all__ += modules.__all__
