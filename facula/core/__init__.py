"""Floor 3: `Layout`, `Tensor`, `Plan`, the one `call`, the tape. Knows how operators run, not which exist."""

from __future__ import annotations

from ..base.size import Size
from .door import call
from .function import publish
from .layout import Layout, layout
from .modes import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from .overrides import disabled as disabled_torch_function
from .printing import set_printoptions  # the file that gives tensors their text
from .result import Result, View
from .tensor import Tensor

__all__ = [
    "Layout",
    "Result",
    "Size",
    "Tensor",
    "View",
    "call",
    "disabled_torch_function",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "layout",
    "no_grad",
    "publish",
    "set_grad_enabled",
    "set_printoptions",
]
