"""Activations: elementwise functions with their in-place forms, and the softmax family."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...base.errors import refuse, warn
from ...core import Tensor


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it is above `threshold`, else `value`."""
    return ops.threshold_(input, threshold, value) if inplace else ops.threshold(input, threshold, value)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return ops.relu_(input) if inplace else ops.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return ops.relu6_(input) if inplace else ops.relu6(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b) for the two halves of `input` along `dim`. Dauphin et al. 2016, arXiv 1612.08083."""
    if isinstance(input, Tensor) and input.dim() == 0:
        raise refuse(RuntimeError, "glu does not support scalars because halving size must be even", received="a 0-dim tensor")
    return ops.glu(input, dim)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` cut to [min_val, max_val]."""
    if min_val > max_val:
        raise refuse(
            ValueError, "min_val cannot be greater than max_val", received=f"{min_val=}, {max_val=}", expected="min_val <= max_val"
        )
    return ops.hardtanh_(input, min_val, max_val) if inplace else ops.hardtanh(input, min_val, max_val)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x above 0, alpha * (exp(x) - 1) below. Clevert et al. 2015, arXiv 1511.07289."""
    return ops.elu_(input, alpha) if inplace else ops.elu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled elu that keeps mean 0 and variance 1. Klambauer et al. 2017, arXiv 1706.02515."""
    return ops.selu_(input) if inplace else ops.selu(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1)). Barron 2017, arXiv 1704.07483."""
    if alpha == 0:
        raise refuse(RuntimeError, "ZeroDivisionError: alpha cannot be 0 for CELU", received=f"alpha={alpha}")
    return ops.celu_(input, alpha) if inplace else ops.celu(input, alpha)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x above 0, negative_slope * x below."""
    return ops.leaky_relu_(input, negative_slope) if inplace else ops.leaky_relu(input, negative_slope)


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False) -> Tensor:
    """Leaky relu whose slope is drawn from [lower, upper] per element in training, and their mean otherwise."""
    return ops.rrelu_(input, lower, upper, training) if inplace else ops.rrelu(input, lower, upper, training)


def softsign(input: Any) -> Tensor:
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


def tanh(input: Any) -> Tensor:
    """Hyperbolic tangent."""
    return input.tanh()


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6) / 6."""
    return ops.hardsigmoid_(input) if inplace else ops.hardsigmoid(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x). Elfwing et al. 2017, arXiv 1702.03118."""
    return ops.silu_(input) if inplace else ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x)). Misra 2019, arXiv 1908.08681."""
    return ops.mish_(input) if inplace else ops.mish(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * min(max(x + 3, 0), 6) / 6. Howard et al. 2019, arXiv 1905.02244."""
    return ops.hardswish_(input) if inplace else ops.hardswish(input)


def implicit_dim(name: str, ndim: int) -> int:
    """The dim that softmax took in old programs which did not give one."""
    warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.")
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`; `dtype` is what `input` is cast to first."""
    if dim is None:
        dim = implicit_dim("softmax", input.dim())
    return input.softmax(dim) if dtype is None else input.softmax(dim, dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Softmax of -x."""
    if dim is None:
        dim = implicit_dim("softmin", input.dim())
    return (-input).softmax(dim) if dtype is None else (-input).softmax(dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)) without its overflow."""
    if dim is None:
        dim = implicit_dim("log_softmax", input.dim())
    return input.log_softmax(dim) if dtype is None else input.log_softmax(dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the Gumbel-softmax distribution at temperature `tau`; `hard` gives one-hot values with the soft gradient.

    Maddison et al. 2016, arXiv 1611.00712.
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.")
    noise = -ops.empty_like(logits).exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return ops.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft
