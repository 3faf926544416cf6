"""Floor 5: differentiation. `backward`, `grad`, and PyTorch's names around them."""

from __future__ import annotations

from ..core.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..core.tensor import Tensor as Variable
from .gradients import backward, grad

__all__ = ["Variable", "backward", "enable_grad", "grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]
