"""Activations: elementwise functions between the layers of a network."""

from __future__ import annotations

import math
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout
from ..core.placing import known
from ..core.tensor import Tensor, wrap_dim
from ..kernel import scalar as s
from ..kernel.scalar import Scalar, cast, const, where
from ..spec.block import FOUND_TYPE, Composite, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, grid, normal, refused, sample, uniform
from .exponential import unary
from .masked import LARGEST

X = [normal(3, 5), normal(), normal(0)]
FLOATING = "promote no_bool no_integral no_complex kernel="

Sigmoid = unary("sigmoid", s.sigmoid, "1 / (1 + exp(-input)).", X, aliases="special_expit", family=__name__)
Tanh = unary("tanh", s.tanh, "Hyperbolic tangent.", X, family=__name__)
LogSigmoid = unary(
    "log_sigmoid",
    lambda x: s.log_sigmoid(x) + 0.0,  # 0 for large input, not -0
    "log(sigmoid(input)), without overflow.",
    X,
    FLOATING + "log_sigmoid_cpu",
    paths="nn.functional",
    in_place=False,
    family=__name__,
)


class Relu(Pointwise):
    """max(input, 0)."""

    schema = "relu(Tensor input) -> Tensor"
    dims = "*s -> *s"
    out = False

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        if x.dtype is d.bool_:
            raise refuse(RuntimeError, "Boolean inputs not supported for relu")
        if x.dtype.is_complex:
            raise refuse(NotImplementedError, "clamp is not supported for complex types")

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.relu(x)

    samples = grid(input=X)


def between(x: Scalar, low: Any, high: Any) -> Scalar:
    """x limited to low..high, flat at the limits themselves (clamp is not)."""
    return where(x <= low, low, where(x >= high, high, x))


def flat_zero(x: Scalar) -> Scalar:
    """x * 0, which has the sign of x, without a derivative."""
    return s.trunc(x) * 0


class Relu6(Pointwise):
    """min(max(input, 0), 6)."""

    schema = "relu6(Tensor input) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    out = False

    @staticmethod
    def check(x: Layout) -> None:  # type: ignore[override]
        Hardtanh.check(x, 0, 6)

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return where(x >= 6, 6, s.relu(x))

    samples = grid(input=[uniform(3, 5, low=-8, high=8)])


class Hardtanh(Pointwise):
    """input limited to min_val..max_val."""

    schema = "hardtanh(Tensor input, Scalar min_val=-1, Scalar max_val=1) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"

    @staticmethod
    def check(x: Layout, low: Any, high: Any) -> None:  # type: ignore[override]
        if x.dtype is d.bool_:
            raise refuse(RuntimeError, "Bool inputs not supported for hardtanh")
        if x.dtype.is_complex:
            raise refuse(NotImplementedError, "clamp is not supported for complex types")
        if x.dtype is d.uint8 and (low < 0 or high < 0):
            raise refuse(RuntimeError, "cannot do hardtanh on an unsigned type with negative limits", received=f"limits {low} and {high}")

    @staticmethod
    def scalar(x: Scalar, low: Scalar, high: Scalar) -> Scalar:
        return between(x, low, high)

    samples = grid(input=X, min_val=[-1.0, -0.5], max_val=[1.0, 0.5])


class LeakyRelu(Pointwise):
    """input above 0, negative_slope * input below."""

    schema = "leaky_relu(Tensor input, Scalar negative_slope=0.01) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "leaky_relu_cpu"

    @staticmethod
    def scalar(x: Scalar, slope: Scalar) -> Scalar:
        return where(x > 0, x, x * slope)

    samples = grid(input=X, negative_slope=[0.01, 0.5])


class Elu(Pointwise):
    """scale * input above 0, scale * alpha * (exp(input_scale * input) - 1) below. Clevert et al. 2015, arXiv 1511.07289."""

    schema = "elu(Tensor input, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "elu_cpu"
    special = {"scale": "integers", "input_scale": "integers"}

    @staticmethod
    def scalar(x: Scalar, alpha: Scalar, scale: Any, input_scale: Any) -> Scalar:
        return where(x <= 0, s.expm1(x * input_scale) * (alpha * scale), x * scale)

    samples = grid(input=X, alpha=[1.0, 1.5])


class Selu(Pointwise):
    """elu with the constants that keep mean 0 and variance 1. Klambauer et al. 2017, arXiv 1706.02515."""

    schema = "selu(Tensor input) -> Tensor"
    dims = "*s -> *s"
    paths = "torch nn.functional"
    promotion = FLOATING + "elu_cpu"
    out = False

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
        return where(x <= 0, s.expm1(x) * (alpha * scale), x * scale)

    samples = grid(input=X)


class Celu(Pointwise):
    """max(input, 0) + min(0, alpha * (exp(input / alpha) - 1)). Barron 2017, arXiv 1704.07483."""

    schema = "celu(Tensor input, Scalar alpha=1.0) -> Tensor"
    dims = "*s -> *s"
    paths = "torch nn.functional"
    promotion = FLOATING + "elu_cpu"
    out = False

    @staticmethod
    def scalar(x: Scalar, alpha: Scalar) -> Scalar:
        return where(x <= 0, s.expm1(x * (1 / alpha)) * alpha, x)

    samples = grid(input=X, alpha=[1.0, 1.5])


class Gelu(Pointwise):
    """input * P(X <= input) for X ~ N(0, 1); "tanh" is the approximation. Hendrycks, Gimpel 2016, arXiv 1606.08415."""

    schema = 'gelu(Tensor input, *, str approximate="none") -> Tensor'
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "GeluKernelImpl"

    @staticmethod
    def scalar(x: Scalar, approximate: str) -> Scalar:
        if approximate == "tanh":
            return 0.5 * x * (1 + s.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
        if approximate != "none":
            raise refuse(RuntimeError, "approximate argument must be either none or tanh.", received=f"approximate={approximate!r}")
        return s.gelu(x)

    samples = grid(input=X, approximate=["none", "tanh"])
    refusals = each(refused(normal(3), approximate="fast", raises=RuntimeError, match="approximate argument must be either none or tanh"))


class Silu(Pointwise):
    """input * sigmoid(input). Elfwing et al. 2017, arXiv 1702.03118."""

    schema = "silu(Tensor input) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = "promote no_bool no_integral kernel=silu_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return x * s.sigmoid(x)

    samples = grid(input=X)


class Mish(Pointwise):
    """input * tanh(log(1 + exp(input))). Misra 2019, arXiv 1908.08681."""

    schema = "mish(Tensor input) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "mish_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        e = s.exp(x)
        n = e * (e + 2)  # tanh(log(1 + e)) = ((1 + e)**2 - 1) / ((1 + e)**2 + 1)
        return where(x > 20, x, x * (n / (n + 2)))

    samples = grid(input=[*X, uniform(7, low=-30, high=30)])


class Hardswish(Pointwise):
    """input * min(max(input + 3, 0), 6) / 6. Howard et al. 2019, arXiv 1905.02244."""

    schema = "hardswish(Tensor input) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "hardswish_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return where(x <= -3, flat_zero(x), where(x < 3, x * (x + 3) / 6, x))

    samples = grid(input=[uniform(3, 5, low=-5, high=5)])


class Hardsigmoid(Pointwise):
    """min(max(input + 3, 0), 6) / 6."""

    schema = "hardsigmoid(Tensor input) -> Tensor"
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "hardsigmoid_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return where((x > -3) & (x < 3), x + 3, where(x <= -3, 0, where(x >= 3, const(6, x.dtype), math.nan))) / 6

    samples = grid(input=[uniform(3, 5, low=-5, high=5)])


class Softplus(Pointwise):
    """log(1 + exp(beta * input)) / beta; input itself where beta * input is above the threshold."""

    schema = "softplus(Tensor input, Scalar beta=1, Scalar threshold=20) -> Tensor"
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "softplus_cpu"
    in_place = False

    @staticmethod
    def scalar(x: Scalar, beta: Scalar, threshold: Scalar) -> Scalar:
        t = x * beta
        return where(t > threshold, x, s.softplus(t) / beta)

    samples = grid(input=X, beta=[1, 2.5], threshold=[20, 0.5])


class Softshrink(Pointwise):
    """input moved towards 0 by lambd, 0 where it would cross."""

    schema = "softshrink(Tensor input, Scalar lambd=0.5) -> Tensor"
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"
    paths = "nn.functional"
    promotion = FLOATING + "softshrink_cpu"
    static = ("lambd",)
    in_place = False

    @staticmethod
    def check(x: Layout, lambd: float) -> None:  # type: ignore[override]
        if not x.dtype.is_floating_point:
            raise refuse(
                NotImplementedError,
                f"\"softshrink_check\" not implemented for '{scalar_type_name(x.dtype)}'",
                received=f"dtype {x.dtype.name}",
            )
        if not 0 <= lambd <= LARGEST.get(x.dtype.name, math.inf):
            top, name = LARGEST.get(x.dtype.name, math.inf), scalar_type_name(x.dtype)
            raise refuse(RuntimeError, f"lambda must be in range [0, {top:.6g}] for input dtype {name}, but found {lambd:g}")

    @staticmethod
    def scalar(x: Scalar, lambd: float) -> Scalar:
        bound = float(lambd)
        return where((x >= -bound) & (x <= bound), flat_zero(x), where(x > bound, x - bound, x + bound))

    samples = grid(input=X, lambd=[0.5, 0.1])
    refusals = each(refused(normal(3), -0.5, raises=RuntimeError, match="lambda must be in range .* but found -0.5"))


class Hardshrink(Pointwise):
    """0 where |input| <= lambd."""

    schema = "hardshrink(Tensor input, Scalar lambd=0.5) -> Tensor"
    out_dtype = FOUND_TYPE
    dims = "*s -> *s"
    paths = "torch Tensor nn.functional"
    promotion = FLOATING + "hardshrink_cpu rounded"
    in_place = False

    @staticmethod
    def scalar(x: Scalar, lambd: Scalar) -> Scalar:
        return where((x >= -lambd) & (x <= lambd), 0, x)

    samples = grid(input=X, lambd=[0.5, 0.1])


class Threshold(Pointwise):
    """input where it is above the threshold, else `value`."""

    schema = "threshold(Tensor input, Scalar threshold, Scalar value) -> Tensor"
    dims = "*s -> *s"
    paths = "torch nn.functional"
    promotion = "promote no_bool no_complex kernel=threshold_cpu"

    @staticmethod
    def scalar(x: Scalar, threshold: Scalar, value: Scalar) -> Scalar:
        return where(x <= threshold, value, x)

    samples = grid(input=X, threshold=[0.1], value=[20.0, 0.0])


class PreluKernel(Pointwise):
    """input above 0, weight * input below."""

    schema = "prelu_kernel(Tensor input, Tensor weight) -> Tensor"
    public = "_prelu_kernel"
    dims = "*s, *s -> *s"
    paths = "torch"
    in_place = False
    promotion = FLOATING + "prelu_cpu"

    @staticmethod
    def scalar(x: Scalar, w: Scalar) -> Scalar:
        return where(x > 0, x, w * x)

    samples = grid(input=[normal(3, 5)], weight=[normal(5)])


class Prelu(Composite):
    """Leaky relu with a learned slope, one for all channels (dim 1) or one each. He et al. 2015, arXiv 1502.01852."""

    schema = "prelu(Tensor input, Tensor weight) -> Tensor"
    paths = "torch Tensor nn.functional"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, weight: Tensor) -> Tensor:
        if input.dtype is not weight.dtype:
            want, got = scalar_type_name(input.dtype), scalar_type_name(weight.dtype)
            raise refuse(RuntimeError, f"prelu: Type promoting not supported. Got {want} and {got}")
        if weight.numel() != 1:
            if input.ndim == 0:
                raise refuse(RuntimeError, "Not allow zero-dim input tensor.")
            channels = input.shape[1] if input.ndim > 1 else 1
            if channels != weight.numel():
                raise refuse(
                    RuntimeError,
                    f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} and channel size = {channels}.",
                )
        if weight.ndim > 1:
            raise refuse(RuntimeError, f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
        if input.ndim >= 2:
            shape = [1] * input.ndim
            shape[1] = weight.numel()
            weight = weight.reshape(shape)
        elif weight.ndim and not input.ndim:
            weight = weight.reshape(())
        return ops._prelu_kernel(input, weight)

    samples = [*grid(input=[normal(3, 4, 2), normal(3, 4)], weight=[normal(1), normal(4)]), sample(normal(5), normal(1))]


class Rrelu(Composite):
    """Leaky relu whose slope is drawn from lower..upper for each element in training, and is their mean otherwise. Xu et al. 2015, arXiv 1505.00853."""

    schema = (
        "rrelu(Tensor input, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, Generator? generator=None) -> Tensor"
    )
    paths = "torch nn.functional"
    through_binder = True
    in_place = True
    out = False

    @staticmethod
    def compose(input: Tensor, lower: float, upper: float, training: bool, generator: Any) -> Tensor:
        if lower > upper:
            raise refuse(RuntimeError, "Lower bound should be less than or equal to the upper bound")
        if not training:
            return ops.leaky_relu(input, (lower + upper) / 2)
        noise = ops.ones(tuple(input.shape), dtype=input.dtype)
        if not known(input):
            return ops._prelu_kernel(input, noise)
        places = ops.nonzero(input.detach() <= 0, as_tuple=True)  # PyTorch draws for these alone, in double precision
        drawn = ops.empty((places[0].shape[0],), dtype=d.float64).uniform_(float(lower), float(upper), generator=generator)
        return ops._prelu_kernel(
            input,
            noise.index_put_(places, drawn.to(input.dtype)) if input.ndim else drawn.to(input.dtype).sum() + noise * (input.detach() > 0),
        )

    samples = grid(input=[normal(3, 5)])


class GluParts(Pointwise):
    """a * sigmoid(b)."""

    schema = "glu_parts(Tensor a, Tensor b) -> Tensor"
    dims = "*s, *s -> *s"
    paths = ""
    in_place = False
    promotion = FLOATING + "glu_cpu"

    @staticmethod
    def scalar(a: Scalar, b: Scalar) -> Scalar:
        return a * s.sigmoid(b)

    samples = grid(a=[normal(3, 5)], b=[normal(3, 5)])


class Glu(Composite):
    """a * sigmoid(b) for the two halves along a dim. Dauphin et al. 2016, arXiv 1612.08083."""

    schema = "glu(Tensor input, int dim=-1) -> Tensor"
    paths = "nn.functional"
    through_binder = True

    @staticmethod
    def compose(input: Tensor, dim: int) -> Tensor:
        if input.ndim == 0:
            raise refuse(RuntimeError, "glu does not support 0-dimensional tensors")
        n = input.shape[wrap_dim(dim, input.ndim)]
        if n % 2:
            raise refuse(RuntimeError, f"Halving dimension must be even, but dimension {wrap_dim(dim, input.ndim)} is size {n}")
        return ops.glu_parts(*ops.split_with_sizes(input, (n // 2, n // 2), dim))  # whose gradient is one cat

    samples = [*grid(input=[normal(3, 4), normal(4)], dim=[-1]), sample(normal(4, 3), 0)]
    refusals = each(refused(normal(3, 5), raises=RuntimeError, match="Halving dimension must be even, but dimension 1 is size 5"))


class Logit(Pointwise):
    """log(input / (1 - input)), with input limited to eps..1-eps if eps is given."""

    schema = "logit(Tensor input, float? eps=None) -> Tensor"
    aliases = "special_logit"
    dims = "*s -> *s"
    promotion = "promote float no_complex kernel=logit_cpu"

    @staticmethod
    def scalar(x: Scalar, eps: Scalar | None) -> Scalar:
        if eps is None:
            return s.log(x / (1 - x))
        low = cast(eps, x.dtype)
        high = 1 - low
        t = where(x < low, low, where(x > high, high, x))
        return s.log(t / (1 - t))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, eps: float | None) -> Tensor:
        low, high, outside = (0, 1, math.nan) if eps is None else (eps, 1 - eps, 0.0)
        slope = 1 / (input * (1 - input)).abs()  # -0 is an end of 0..1 like 0: the pole goes up
        return ops.where((input < low) | (input > high), outside, g * slope)

    samples = grid(input=[uniform(3, 5, low=0.05, high=0.95)], eps=[None, 0.2])
