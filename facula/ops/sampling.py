"""Draws from distributions: bernoulli, multinomial, poisson, normal with tensors, the in-place forms, and dropouts, all on PyTorch's CPU stream."""

from __future__ import annotations

import math
from typing import Any

from ..base import dtypes as d
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..core import writing
from ..core.expression import broadcast
from ..core.modes import no_grad
from ..core.placing import known
from ..core.plan import execute
from ..core.tensor import Tensor
from ..kernel import random as kernels
from ..spec.block import Composite
from ..spec.promotion import cpp_name, scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal as normal_sample
from ..spec.samples import refused, sample, uniform
from .creation import new, size_of
from .random import Generator, draw_into, fill_normal, room_to_draw, state_of, without_draw

DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def _plain(call: Any) -> Any:
    """Outside the tape: what is drawn has no history."""
    with no_grad():
        return call()


# -- integers
def _limits(kind: d.dtype) -> tuple[int, int]:
    """Lowest and highest integer that a draw without bounds gives: all those of the type, or all that a float holds exactly."""
    if kind.is_floating_point:
        return -(1 << DIGITS[kind.name]), 1 << DIGITS[kind.name]
    if kind is d.bool_:
        return 0, 1
    bits = 8 * kind.itemsize
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind.is_signed else (0, (1 << bits) - 1)


def _signed(n: int) -> int:
    return n - (1 << 64) if n >= 1 << 63 else n


def random_(self: Tensor, *bounds: Any, generator: Generator | None = None, **names: Any) -> Tensor:
    """Integers in [from, to); without bounds all that the type holds (from 0)."""
    given = [None if b is None else b.__index__() if hasattr(b, "__index__") else int(b) for b in bounds]
    low, high = (given[0], given[1]) if len(given) == 2 else (0, given[0]) if given else (None, None)
    low, high = names.pop("from", low), names.pop("to", high)
    for name in names:
        raise TypeError(f"random_() got an unexpected keyword argument {name!r}")
    return fill_integers(self, low, high, generator)


def fill_integers(self: Tensor, low: int | None, high: int | None, generator: Generator | None, counted: bool = True) -> Tensor:
    """`random_`, counted as a write or not."""
    kind = self.dtype
    if kind.is_complex:
        raise refuse(NotImplementedError, f"\"random_\" not implemented for '{scalar_type_name(kind)}'")
    least, most = _limits(kind)
    if low is None and high is None:
        wide = kind.name in ("int64", "float64", "uint64")
        return draw_into(
            self, "random_", lambda lay: kernels.integers(lay, wide), generator, _signed((most + 1) & ((1 << 64) - 1)), 0, counted=counted
        )
    low = 0 if low is None else low
    last = most if high is None else high - 1
    if high is not None and low >= high:
        raise refuse(RuntimeError, f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    for name, value in (("from", low), ("to - 1", last)):
        if not kind.is_floating_point and not least <= value <= most:
            raise refuse(
                RuntimeError,
                f"{name} is out of bounds for {CPP.get(kind.name, cpp_name(kind))}",
                received=str(value),
                expected=f"{least} to {most}",
            )
    span = last - low + 1
    wide = span >= kernels.WIDE_FROM
    numbers = _signed(span & ((1 << 64) - 1)), 0 if span >> 64 else low
    return draw_into(self, "random_", lambda lay: kernels.integers(lay, wide), generator, *numbers, counted=counted)


CPP = {"uint8": "unsigned char", "int8": "signed char", "bool": "bool"}


# -- continuous distributions in place
def _continuous(x: Tensor, name: str, word: str = "dtype must be a floating point but you specified") -> None:
    if not x.dtype.is_floating_point:
        shown = (
            scalar_type_name(x.dtype) if name == "Exponential" else {"int64": "long int", "int32": "int"}.get(x.dtype.name, x.dtype.name)
        )
        raise refuse(RuntimeError, f"{name} distribution is a continuous probability distribution. {word} {shown}")


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Exponential numbers of a rate."""
    _continuous(self, "Exponential")
    if lambd <= 0:
        raise refuse(RuntimeError, f"exponential_ expects lambda > 0.0, but found lambda={float(lambd):g}")
    return draw_into(self, "exponential_", kernels.exponential, generator, float(lambd))


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Cauchy numbers."""
    _continuous(self, "Cauchy")
    if sigma <= 0:
        raise refuse(RuntimeError, f"cauchy_ expects sigma > 0.0, but found sigma={float(sigma):g}")
    return draw_into(self, "cauchy_", kernels.cauchy, generator, float(median), float(sigma))


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
    """Exponentials of normal numbers."""
    if not self.dtype.is_floating_point:
        raise refuse(NotImplementedError, f"\"log_normal_cpu\" not implemented for '{scalar_type_name(self.dtype)}'")
    if std <= 0:
        raise refuse(RuntimeError, f"log_normal_ expects std > 0.0, but found std={float(std):g}")
    return draw_into(self, "log_normal_", kernels.log_normal, generator, float(mean), float(std))


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Trials up to the first success."""
    if not 0 < p < 1:
        raise refuse(RuntimeError, f"geometric_ expects p to be in (0, 1), but got p={float(p):g}")
    if self.dtype.is_complex or self.dtype is d.bool_:
        raise refuse(
            NotImplementedError, f"\"geometric_cpu\" not implemented for '{scalar_type_name(self.dtype)}'", expected="a real dtype"
        )
    return draw_into(self, "geometric_", kernels.geometric, generator, float(p))


# -- coin flips
def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise refuse(RuntimeError, f"bernoulli_ expects p to be in [0, 1], but got p={float(p):g}")
    return float(p)


def _flips(out: Tensor, p: Tensor, generator: Generator | None) -> Tensor:
    if not p.dtype.is_floating_point:
        raise refuse(NotImplementedError, f"\"bernoulli_tensor_cpu_p_\" not implemented for '{scalar_type_name(p.dtype)}'")
    if p.numel() and known(p) and not (bool(p.min() >= 0) and bool(p.max() <= 1)):
        raise refuse(
            RuntimeError,
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)",
        )
    execute(kernels.bernoulli_each(out._layout, p._layout), [out], [p], [state_of(generator)])
    return out


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability p, else 0; p is a number or a tensor that expands to this one's shape."""
    if not isinstance(p, Tensor):
        return draw_into(self, "bernoulli_", kernels.bernoulli, generator, _probability(p))
    writing.check_target(self, "bernoulli_")
    writing.check_leaf(self)
    given = p.detach().expand(self.shape).contiguous()
    out = _plain(lambda: _flips(self.new_empty(self.shape), given, generator))
    _plain(lambda: writing.write(self, out))
    return self


Tensor.random_, Tensor.exponential_, Tensor.cauchy_, Tensor.log_normal_, Tensor.geometric_, Tensor.bernoulli_ = (
    random_,
    exponential_,
    cauchy_,
    log_normal_,
    geometric_,
    bernoulli_,
)


class Bernoulli(Composite):
    """1 with the probability that each element says, or with one `p`."""

    schema = "bernoulli(Tensor input, float? p=None, *, Generator? generator=None) -> Tensor"
    out_dtype = "any"
    through_binder = by_example = True

    @staticmethod
    def compose(input: Tensor, p: float | None = None, generator: Generator | None = None) -> Tensor:
        if p is not None:
            into = room_to_draw(ops.empty_like(input))
            return draw_into(into, "bernoulli_", kernels.bernoulli, generator, _probability(p), counted=False)
        given = input.detach().contiguous()
        return _plain(lambda: _flips(ops.empty_like(given), given, generator))

    samples = [sample(uniform(3, 4, low=0.0, high=1.0))]


class Poisson(Composite):
    """Poisson numbers with each element's rate."""

    schema = "poisson(Tensor input, Generator? generator=None) -> Tensor"
    paths = "torch"
    through_binder = by_example = True
    out = False

    @staticmethod
    def compose(input: Tensor, generator: Generator | None = None) -> Tensor:
        if not input.dtype.is_floating_point:
            raise refuse(NotImplementedError, f"\"poisson_cpu\" not implemented for '{scalar_type_name(input.dtype)}'")
        rate = input.detach().contiguous()
        if rate.numel() and known(rate) and float(rate.min()) < 0:
            raise refuse(RuntimeError, "invalid Poisson rate, expected rate to be non-negative")
        out = ops.empty_like(rate)
        execute(kernels.poisson(rate._layout), [out], [rate], [state_of(generator)])
        return out

    samples = [sample(uniform(3, 4, low=0.5, high=9.0))]


class Binomial(Composite):
    """Successes in `count` trials of probability `prob`."""

    schema = "binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor"
    paths = "torch"
    through_binder = by_example = True
    out = False

    @staticmethod
    def compose(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
        shape = broadcast([tuple(count.shape), tuple(prob.shape)])
        n, p = (x.detach().expand(shape).contiguous() for x in (count, prob))
        out = count.new_empty(shape)
        execute(kernels.binomial(n._layout), [out], [n, p], [state_of(generator)])
        return out

    samples = [sample(uniform(3, low=9.0, high=9.0), uniform(3, low=0.1, high=0.9))]


class Multinomial(Composite):
    """Indices drawn with the weights of each row, with or without replacement."""

    schema = "multinomial(Tensor input, int num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor"
    out_dtype = "multinomial expects Long tensor out, got: {Got}"
    through_binder = by_example = True

    @staticmethod
    def compose(input: Tensor, num_samples: int, replacement: bool = False, generator: Generator | None = None) -> Tensor:
        _check_weights(input, num_samples, replacement)
        return _plain(lambda: _multinomial(input.detach(), num_samples, replacement, generator))

    samples = [sample(uniform(3, 4, low=0.1, high=1.0), 2)]
    refusals = [
        refused(
            uniform(3, low=0.1, high=1.0),
            4,
            raises=RuntimeError,
            match="cannot sample n_sample > prob_dist.size\\(-1\\) samples without replacement",
        )
    ]


def _check_weights(x: Tensor, n: int, replacement: bool) -> None:
    if x.ndim not in (1, 2):
        raise refuse(RuntimeError, "prob_dist must be 1 or 2 dim", received=f"{x.ndim} dims")
    if not x.dtype.is_floating_point:
        raise refuse(RuntimeError, f"multinomial only supports floating-point dtypes for input, got: {scalar_type_name(x.dtype)}")
    if n <= 0:
        raise refuse(RuntimeError, "cannot sample n_sample <= 0 samples", received=f"num_samples={n}")
    if not replacement and n > x.shape[-1]:
        raise refuse(RuntimeError, "cannot sample n_sample > prob_dist.size(-1) samples without replacement")


def _multinomial(x: Tensor, n: int, replacement: bool, generator: Generator | None) -> Tensor:
    if not x.numel() or not known(x):
        return ops.empty((*x.shape[:-1], n), dtype=d.int64)
    if replacement and n > 1:
        if bool((x < 0).any()):
            raise refuse(RuntimeError, "invalid multinomial distribution (encountering probability entry < 0)")
        if not bool(x.isfinite().all()):
            raise refuse(RuntimeError, "invalid multinomial distribution (encountering probability entry = infinity or NaN)")
    if not (bool(x.max() < math.inf) and bool(x.min() >= 0)):
        raise refuse(RuntimeError, "probability tensor contains either `inf`, `nan` or element < 0")
    if bool((x.sum(-1) == 0).any()):
        raise refuse(RuntimeError, "invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement or n == 1:  # the race of exponential clocks: the first n to ring
        race = x / exponential_(ops.empty_like(x), 1, generator=generator)
        return race.argmax(-1, keepdim=True) if n == 1 else ops.topk(race, n)[1]
    rows = x.contiguous().reshape(-1, x.shape[-1])
    out = ops.empty((rows.shape[0], n), dtype=d.int64)
    execute(kernels.weighted(rows._layout, n), [out], [rows], [state_of(generator)])
    return out.reshape((*x.shape[:-1], n))


# -- normal numbers with tensors
class NormalBoth(Composite):
    """Normal numbers with each element's mean and deviation."""

    schema = "normal.tensors(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor"
    out_dtype = "cast"
    paths = "torch"
    through_binder = by_example = True

    @staticmethod
    def compose(mean: Tensor, std: Tensor, generator: Generator | None = None) -> Tensor:
        _deviations(std)
        shape = broadcast([tuple(mean.shape), tuple(std.shape)])
        into = ops.empty(shape, dtype=ops.result_type(mean, std))
        return _plain(lambda: fill_normal(into, 0.0, 1.0, generator, False) * std + mean)

    samples = [sample(normal_sample(3), uniform(3, low=0.5, high=1.0))]


class NormalMean(Composite):
    """Normal numbers around each element."""

    schema = "normal.mean(Tensor mean, float std=1.0, *, Generator? generator=None) -> Tensor"
    out_dtype = "cast"
    paths = "torch"
    through_binder = by_example = True

    @staticmethod
    def compose(mean: Tensor, std: float = 1.0, generator: Generator | None = None) -> Tensor:
        return _plain(lambda: fill_normal(ops.empty_like(mean), 0.0, std, generator, False) + mean)

    samples = [sample(normal_sample(3), 2.0)]


class NormalStd(Composite):
    """Normal numbers around one mean with each element's deviation."""

    schema = "normal.std(float mean, Tensor std, *, Generator? generator=None) -> Tensor"
    out_dtype = "cast"
    paths = "torch"
    through_binder = by_example = True

    @staticmethod
    def compose(mean: float, std: Tensor, generator: Generator | None = None) -> Tensor:
        _deviations(std)
        return _plain(lambda: fill_normal(ops.empty_like(std), 0.0, 1.0, generator, False) * std + mean)

    samples = [sample(0.5, uniform(3, low=0.5, high=1.0))]


class Randint(Composite):
    """Integers in [low, high)."""

    overloaded = True  # in PyTorch
    schema = "randint(int low, int high, int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool requires_grad=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        low: int = 0,
        high: Any = None,
        size: Any = None,
        *,
        generator: Generator | None = None,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        if size is None:
            low, high, size = 0, low, high
        if high is None:
            low, high = 0, low
        if not isinstance(size, (list, tuple)):
            raise refuse(TypeError, f"randint(): argument 'size' (position 2) must be tuple of ints, not {type(size).__name__}",
                         received=f"size={size!r:.60}", expected="a tuple of ints")  # fmt: skip
        low, high = int(low), int(high)
        if low >= high:
            raise refuse(RuntimeError, f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
        t = (
            room_to_draw(new(size_of((size,), "randint"), dtype or d.int64, device, False))
            if out is None
            else ops.resize_(out, size_of((size,), "randint"))
        )
        return fill_integers(t, low, high, generator, out is not None).requires_grad_(requires_grad)

    samples = [sample(0, 10, (2, 3))]


class NormalSize(Composite):
    """Normal numbers of one mean and deviation in a shape."""

    schema = "normal.size(float mean, float std, int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False) -> Tensor"
    paths = "torch"
    through_binder = True

    @staticmethod
    def compose(
        mean: float,
        std: float,
        size: Any,
        generator: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        into = room_to_draw(new(size_of((size,), "normal"), dtype, device, False))
        return fill_normal(into, mean, std, generator, False).requires_grad_(requires_grad)

    samples = [sample(0.5, 2.0, (3, 4))]


def _deviations(std: Tensor) -> None:
    if std.dtype.is_complex:
        raise refuse(RuntimeError, "normal expects standard deviation to be non-complex")
    if std.numel() and known(std) and not float(std.min()) >= 0:
        raise refuse(RuntimeError, "normal expects all elements of std >= 0.0")


# -- integers like another tensor
class RandintLike(Composite):
    """`randint` with the shape and type of another tensor."""

    schema = "randint_like(Tensor input, int low, int? high=None, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False, MemoryFormat? memory_format=None) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor,
        low: Any = 0,
        high: Any = None,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: Any = None,
        generator: Any = None,
    ) -> Tensor:
        low, high = (0, int(low)) if high is None else (int(low), int(high))
        into = room_to_draw(ops.empty_like(input, dtype=dtype, memory_format=memory_format))
        return fill_integers(into, low, high, generator, False).requires_grad_(requires_grad)

    samples = [sample(normal_sample(3), 5), sample(normal_sample(3), 2, 5)]


# -- dropouts beyond the plain one
SELU_LIMIT = 1.7580993408473766  # what SELU tends to far left, without the sign: Klambauer et al. 2017


def _noise(x: Tensor, p: float, feature: bool) -> Tensor:
    """1 with probability 1 - p for each element, or for each channel."""
    if not feature:
        return bernoulli_(room_to_draw(ops.empty_like(x).detach()), 1 - p)
    if x.ndim < 2:
        raise refuse(RuntimeError, "Feature dropout requires at least 2 dimensions in the input", received=f"{x.ndim} dims")
    return bernoulli_(room_to_draw(ops.empty((*x.shape[:2], *(1,) * (x.ndim - 2)), dtype=x.dtype)), 1 - p)


def _drop(name: str, feature: bool, alpha: bool) -> None:
    def compose(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
        if (settled := without_draw(input, p, train)) is not None:
            return settled
        noise = _noise(input, p, feature)
        if not alpha:
            return input * noise.div_(1 - p)
        a = 1 / math.sqrt((SELU_LIMIT * SELU_LIMIT * p + 1) * (1 - p))
        b = (noise - 1).mul_(SELU_LIMIT * a).add_(SELU_LIMIT * a * p)
        return input * noise.mul_(a) + b

    def write(self: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
        got = compose(self, p, train)
        return self if got is self else writing.assign(self, got, name + "_")

    what = "channel" if feature else "element"
    body = {"__doc__": f"Each {what} dropped with probability p" + (", keeping mean and variance of SELU's outputs." if alpha else "."), "__module__": __name__,
            "schema": f"{name}(Tensor input, float p, bool train) -> Tensor", "paths": "torch", "out": False, "compose": staticmethod(compose), "samples": [sample(normal_sample(2, 3), 0.5, False)]}  # fmt: skip
    type(name.title().replace("_", ""), (Composite,), body)
    setattr(ops, name + "_", write)


_drop("alpha_dropout", False, True)
_drop("feature_dropout", True, False)
_drop("feature_alpha_dropout", True, True)
