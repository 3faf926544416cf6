"""Initial values. Every function fills a tensor in place, without recording, and returns it; the random stream is PyTorch's."""

from __future__ import annotations

import math
from functools import wraps
from typing import TYPE_CHECKING, Any

from .. import ops
from ..base.errors import refuse, warn
from ..core import Tensor, no_grad
from ..core.guards import guard

if TYPE_CHECKING:
    from collections.abc import Callable

GAINS = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must grow to make up for an activation; `param` is the slope of leaky_relu."""
    if nonlinearity in GAINS:
        return GAINS[nonlinearity]
    if nonlinearity != "leaky_relu":
        raise refuse(
            ValueError, f"Unsupported nonlinearity {nonlinearity}", received=repr(nonlinearity), expected=", ".join([*GAINS, "leaky_relu"])
        )
    if param is None:
        slope = 0.01
    elif isinstance(param, bool) or not isinstance(param, (int, float)):
        raise refuse(ValueError, f"negative_slope {param} not a valid number", received=repr(param))
    else:
        slope = param
    return math.sqrt(2.0 / (1 + slope**2))


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight (out, in, *kernel)."""
    if tensor.dim() < 2:
        raise refuse(
            ValueError, "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions", received=f"{tuple(tensor.shape)}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


_calculate_fan_in_and_fan_out = fans  # programs that use PyTorch call it so


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise refuse(ValueError, f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']", received=repr(mode))
    return fans(tensor)[mode == "fan_out"]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with `mean` and `std`."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None) -> Tensor:
    """Normal, redrawn outside of [a, b]: from the normal where most of it lies inside, else from the uniform by rejection."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warn("mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.")

    def below(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    if tensor.is_meta:  # nothing is drawn, so nothing has to be drawn again
        return tensor
    with no_grad():
        if below((b - mean) / std) - below((a - mean) / std) > 0.3:  # the share inside; PyTorch changes its method here
            return _redrawn_normal(tensor, mean, std, a, b, generator)
        return _rejected_uniform(tensor, mean, std, a, b, generator)


def _redrawn_normal(tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any) -> Tensor:
    bounds = ops.tensor([a, b], dtype=tensor.dtype).tolist()  # as the tensor's type rounds them
    result = tensor.normal_(mean, std, generator=generator)
    while True:
        outside = (result < bounds[0]) | (result > bounds[1])
        if not outside.any():
            return tensor if result is tensor else tensor.copy_(result)
        result = ops.where(outside, ops.empty_like(result).normal_(mean, std, generator=generator), result)


def _rejected_uniform(tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any) -> Tensor:
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2  # logarithm of the density's maximum inside
    candidates, chance = ops.empty_like(tensor), ops.empty_like(tensor)
    result, pending = tensor.uniform_(a, b, generator=generator), None
    candidates.copy_(tensor)
    while True:
        density = candidates.sub(mean).div_(std).pow_(2).mul_(-0.5).sub_(peak)
        rejected = chance.uniform_(generator=generator).log_().gt(density)
        pending = rejected if pending is None else ops.where(pending, rejected, pending)
        if not pending.any():
            return tensor if result is tensor else tensor.copy_(result)
        candidates.uniform_(a, b, generator=generator)
        result = ops.where(pending, candidates, result)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    with no_grad():
        return tensor.fill_(1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    with no_grad():
        return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.dim() != 2:
        raise refuse(ValueError, "Only tensors with 2 dimensions are supported", received=f"{tuple(tensor.shape)}")
    with no_grad():
        return tensor.copy_(ops.eye(*tensor.shape, dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight (out, in, *kernel) that passes its input on, in each group."""
    if tensor.dim() not in (3, 4, 5):
        raise refuse(ValueError, "Only tensors with 3, 4, or 5 dimensions are supported", received=f"{tuple(tensor.shape)}")
    size = tensor.size()
    if size[0] % groups:
        raise refuse(ValueError, "dim 0 must be divisible by groups", received=f"{tuple(size)}, {groups=}")
    per_group = size[0] // groups
    centre = tuple(k // 2 for k in size[2:])
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for d in range(min(per_group, size[1])):
                tensor[(group * per_group + d, d, *centre)] = 1
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform with variance 2 gain^2 / (fan in + fan out). Glorot & Bengio 2010."""
    fan_in, fan_out = fans(tensor)
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / float(fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with variance 2 gain^2 / (fan in + fan out). Glorot & Bengio 2010."""
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """Uniform with variance gain^2 / fan. He et al. 2015, arXiv 1502.01852."""
    if 0 in tensor.shape:
        warn("Initializing zero-element tensors is a no-op")
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """Normal with variance gain^2 / fan. He et al. 2015, arXiv 1502.01852."""
    if 0 in tensor.shape:
        warn("Initializing zero-element tensors is a no-op")
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """A (semi-)orthogonal matrix; more dims are flattened into the second. Saxe et al. 2013, arXiv 1312.6120."""
    if tensor.dim() < 2:
        raise refuse(ValueError, "Only tensors with 2 or more dimensions are supported", received=f"{tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.size(0), tensor.numel() // tensor.size(0)
    with no_grad():
        flat = ops.empty((rows, columns), dtype=tensor.dtype, device=tensor.device).normal_(0, 1, generator=generator)
        flat = flat.t() if rows < columns else flat
        q, r = ops.linalg_qr(flat)
        q = q * ops.diag(r, 0).sign()  # a unique factorisation, so a uniform distribution
        tensor.view_as(tensor).copy_((q.t() if rows < columns else q).reshape(tensor.shape))
        return tensor.mul_(gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with a share `sparsity` of each column zero. Martens 2010."""
    if tensor.dim() != 2:
        raise refuse(ValueError, "Only tensors with 2 dimensions are supported", received=f"{tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[ops.randperm(rows)[:zeros], column] = 0
    return tensor


def _old_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new = function.__name__
    old = new[:-1]

    @wraps(function)
    def deprecated(*args: Any, **kwargs: Any) -> Tensor:
        warn(f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning)
        return function(*args, **kwargs)

    deprecated.__name__ = old
    return deprecated


guard(globals(), [name for name in globals() if name.endswith("_") or name == "calculate_gain"])
uniform = _old_name(uniform_)
normal = _old_name(normal_)
constant = _old_name(constant_)
eye = _old_name(eye_)
dirac = _old_name(dirac_)
xavier_uniform = _old_name(xavier_uniform_)
xavier_normal = _old_name(xavier_normal_)
kaiming_uniform = _old_name(kaiming_uniform_)
kaiming_normal = _old_name(kaiming_normal_)
orthogonal = _old_name(orthogonal_)
sparse = _old_name(sparse_)

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]
