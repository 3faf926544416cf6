"""Floor 5: differentiation. `backward`, `grad`, `Function`, and PyTorch's names around them."""

from __future__ import annotations

from ..core.guards import guard
from ..core.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..core.tensor import Tensor as Variable
from . import functional, graph
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly, set_multithreading_enabled
from .function import Function, FunctionCtx
from .gradcheck import gradcheck, gradgradcheck
from .gradients import backward, grad
from .graph import GradientEdge, Node

__all__ = [
    "Function",
    "FunctionCtx",
    "GradientEdge",
    "Node",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

guard(globals(), ["backward", "grad", "gradcheck", "gradgradcheck"])
del guard
