"""Tools around modules and their parameters, at PyTorch's paths."""

from __future__ import annotations

import inspect
from typing import Any

from ...core.guards import guard
from . import rnn, stateless
from .clip_grad import clip_grad_norm, clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights
from .spectral_norm import remove_spectral_norm, spectral_norm
from .weight_norm import remove_weight_norm, weight_norm


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module whose parameters are not initialised."""
    from ...base.errors import refuse
    from ...core import no_grad
    from ..modules.module import Module

    if not issubclass(module_cls, Module):
        raise refuse(RuntimeError, f"Expected a Module; got {module_cls}", expected="a subclass of nn.Module")
    if "device" not in inspect.signature(module_cls).parameters:
        raise refuse(RuntimeError, "Module must support a 'device' arg to skip initialization", received=module_cls.__name__)
    device = kwargs.pop("device", "cpu")
    with no_grad():
        return module_cls(*args, device="meta", **kwargs).to_empty(device=device)


__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]

guard(globals(), __all__)
del guard
