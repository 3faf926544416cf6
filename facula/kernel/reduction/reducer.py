"""What is reduced: a state, how an element becomes one, how two states become one, and what the last one means.

    total = reducer([0.0], [float32], lift=lambda x: x, combine=lambda a, b: a[0] + b[0], finish=lambda s, n: s[0], inputs=[float32])

`combine` must be associative up to rounding and commutative, and `initial` neutral: elements are combined in a tree that depends on the
shape alone. States have compute types: float32 for halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...base.dtypes import bool_, dtype, float32, float64, int64, uint8
from ...base.narrow import is_sequence
from ..scalar import (
    Scalar,
    cast,
    complex_,
    const,
    cos,
    exp,
    imag,
    index,
    input,
    isnan,
    log,
    maximum,
    minimum,
    number,
    pow,
    real,
    sin,
    sqrt,
    where,
)

# what is written as a function of Scalars; with numbers it has more parameters
States = tuple[Scalar, ...]
Lift = Callable[[Scalar], Any] | Callable[[Scalar, Scalar], Any] | Callable[[Scalar, Scalar, Scalar, Scalar], Any]
Finish = Callable[[States, Scalar], Any] | Callable[[States, Scalar, Scalar], Any]


@dataclass(frozen=True)
class Reducer:
    """Expressions: `initial` constants; `lift` of the inputs, `index()` (place in the reduced dims, row-major) and numbers; `combine` of the
    inputs 0..s-1 and s..2s-1, the two states; `finish` of the state 0..s-1, the count (input s, int64) and numbers. `repeat` is the
    state 0..s-1 combined with itself until it is there input s (int64) times; () where that is not worth an expression."""

    initial: tuple[Scalar, ...]
    lift: tuple[Scalar, ...]
    combine: tuple[Scalar, ...]
    finish: tuple[Scalar, ...]
    repeat: tuple[Scalar, ...] = ()

    @property
    def state(self) -> tuple[dtype, ...]:
        return tuple(s.dtype for s in self.initial)


def _several(x: Any) -> tuple[Scalar, ...]:
    return tuple(x) if is_sequence(x) else (x,)


def reducer(
    initial: Sequence[int | float | complex],
    state: Sequence[dtype],
    lift: Lift,
    combine: Callable[[States, States], Any],
    finish: Finish = lambda s, n: s,
    repeat: Callable[[States, Scalar], Any] | None = None,
    *,
    inputs: Sequence[dtype],
    indexed: bool = False,
    lift_numbers: Sequence[Scalar] = (),
    finish_numbers: Sequence[Scalar] = (),
) -> Reducer:
    """Trace the parts: `lift(x, ...[, index], *lift_numbers)`, `combine(a, b)` of two tuples, `finish(state, count, *finish_numbers)`,
    `repeat(state, times)`."""
    leaves = [input(i, d) for i, d in enumerate(inputs)]
    size = len(state)
    a = tuple(input(i, d) for i, d in enumerate(state))
    b = tuple(input(size + i, d) for i, d in enumerate(state))
    return Reducer(
        tuple(const(v, d) for v, d in zip(initial, state)),
        tuple(cast(x, d) for x, d in zip(_several(lift(*leaves, *([index()] if indexed else []), *lift_numbers)), state)),
        _several(combine(a, b)),
        _several(finish(a, input(size, int64), *finish_numbers)),
        _several(repeat(a, input(size, int64))) if repeat else (),
    )


def _times(s: States, n: Scalar) -> Scalar:
    """A sum of equal terms."""
    return s[0] * cast(n, s[0].dtype)


def _once(s: States, n: Scalar) -> States:
    """What does not change when it is combined with itself."""
    return s


# -- the usual ones; `d` is the input's dtype
def accumulator(d: dtype) -> dtype:
    """Type that sums are kept in: int64 for bool and integers, float32 for halves."""
    return d.compute if d.is_floating_point or d.is_complex else int64


def lowest(d: dtype) -> int | float:
    """The neutral element of a maximum."""
    if d.is_floating_point:
        return float("-inf")
    return 0 if d is bool_ or not d.is_signed else -(1 << (8 * d.itemsize - 1))


def highest(d: dtype) -> int | float:
    """The neutral element of a minimum."""
    if d.is_floating_point:
        return float("inf")
    return 1 if d is bool_ else (1 << (8 * d.itemsize - (1 if d.is_signed else 0))) - 1


def sum_of(d: dtype, kept: dtype | None = None, prologue: Callable[[Scalar], Scalar] = lambda x: x) -> Reducer:
    """Sum of prologue(x) in type `kept` (default: the accumulator)."""
    kept = kept or accumulator(d)
    return reducer([0], [kept], lambda x: cast(prologue(x), kept), lambda a, b: a[0] + b[0], repeat=_times, inputs=[d])


def inner_of(d: dtype) -> Reducer:
    """Sum of the products of two inputs."""
    kept = accumulator(d)
    return reducer([0], [kept], lambda x, y: cast(x, kept) * cast(y, kept), lambda a, b: a[0] + b[0], inputs=[d, d])


def mean_of(d: dtype) -> Reducer:
    kept = accumulator(d)
    return reducer([0], [kept], lambda x: cast(x, kept), lambda a, b: a[0] + b[0], lambda s, n: s[0] / cast(n, kept), _times, inputs=[d])


def product_of(d: dtype, kept: dtype | None = None) -> Reducer:
    kept = kept or accumulator(d)
    return reducer([1], [kept], lambda x: cast(x, kept), lambda a, b: a[0] * b[0], inputs=[d])


def max_of(d: dtype, first: bool = False) -> Reducer:
    """Maximum; NaN if any element is. Among zeros of both signs the last, or the `first`."""
    later: Callable[[States, States], Scalar] = lambda a, b: maximum(b[0], a[0]) if first else maximum(a[0], b[0])  # noqa: E731
    return reducer([lowest(d)], [d.compute], lambda x: x, later, repeat=_once, inputs=[d])


def min_of(d: dtype, first: bool = False) -> Reducer:
    later: Callable[[States, States], Scalar] = lambda a, b: minimum(b[0], a[0]) if first else minimum(a[0], b[0])  # noqa: E731
    return reducer([highest(d)], [d.compute], lambda x: x, later, repeat=_once, inputs=[d])


def _first(better: Callable[[Scalar, Scalar], Scalar]) -> Callable[[tuple[Scalar, ...], tuple[Scalar, ...]], tuple[Scalar, ...]]:
    """Combination of (value, index): the better value, NaN before all, the smaller index among equals."""

    def combine(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        (x, i), (y, j) = a, b
        if x.dtype.is_floating_point:
            nx, ny = isnan(x), isnan(y)
            same = x.__eq__(y) | (nx & ny)
            take = (better(y, x) & ~nx) | (ny & ~nx) | (same & (j < i))
        else:
            take = better(y, x) | (x.__eq__(y) & (j < i))
        return where(take, y, x), where(take, j, i)

    return combine


def argmax_of(d: dtype, values: bool = False) -> Reducer:
    """Index of the first maximum; with `values`, outputs (maximum, index). NaN counts as the largest."""
    return _arg(d, lowest(d), lambda a, b: a > b, values)


def argmin_of(d: dtype, values: bool = False) -> Reducer:
    """Index of the first minimum; with `values`, outputs (minimum, index). NaN counts as the smallest."""
    return _arg(d, highest(d), lambda a, b: a < b, values)


def _arg(d: dtype, start: int | float, better: Callable[[Scalar, Scalar], Scalar], values: bool) -> Reducer:
    kept = uint8 if d is bool_ else d.compute  # an order on bool is one on 0 and 1
    return reducer(
        [start, (1 << 63) - 1],
        [kept, int64],
        lambda x, i: (cast(x, kept), i),
        _first(better),
        lambda s, n: s if values else s[1],
        inputs=[d],
        indexed=True,
    )


def any_of(d: dtype) -> Reducer:
    return reducer([0], [bool_], lambda x: cast(x, bool_), lambda a, b: a[0] | b[0], repeat=_once, inputs=[d])


def all_of(d: dtype) -> Reducer:
    return reducer([1], [bool_], lambda x: cast(x, bool_), lambda a, b: a[0] & b[0], repeat=_once, inputs=[d])


def count_nonzero_of(d: dtype) -> Reducer:
    return reducer([0], [int64], lambda x: cast(cast(x, bool_), int64), lambda a, b: a[0] + b[0], repeat=_times, inputs=[d])


def min_max_of(d: dtype) -> Reducer:
    return reducer(
        [highest(d), lowest(d)], [d.compute] * 2, lambda x: (x, x), lambda a, b: (minimum(b[0], a[0]), maximum(b[1], a[1])), inputs=[d]
    )


def moments_of(d: dtype, root: bool = False, with_mean: bool = False) -> Reducer:
    """Variance with `number(0)` subtracted from the count (clamped at 0), its root, and the mean. Pairs of (mean, sum of squared deviations,
    count) are combined as in Chan, Golub and LeVeque 1979, so no large mean cancels. In float64, for the squares overflow long before the root."""
    kept = float64 if d.is_floating_point else float32

    def combine(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        (ma, qa, na), (mb, qb, nb) = a, b
        n = na + nb
        share = nb / maximum(n, 1.0)
        delta = mb - ma
        # an empty side must not touch the other: its mean is 0, not a neighbour of the data
        mean = where(na.__eq__(0.0), mb, ma + delta * share)
        return mean, qa + qb + delta * delta * na * share, n

    def finish(s: tuple[Scalar, ...], n: Scalar, correction: Scalar) -> tuple[Scalar, ...]:
        free = maximum(cast(n, kept) - correction, 0.0)
        # the mean of no element is NaN, as is 0 / 0 below
        variance = s[1] / free
        spread = sqrt(variance) if root else variance
        return (spread, where(n.__eq__(0), float("nan"), s[0])) if with_mean else (spread,)

    return reducer(
        [0, 0, 0],
        [kept] * 3,
        lambda x: (cast(x, kept), const(0, kept), const(1, kept)),
        combine,
        finish,
        inputs=[d],
        finish_numbers=[number(0, kept)],
    )


def shifted_moments_of(d: dtype, root: bool = False, with_mean: bool = False) -> Reducer:
    """The same of float32 and narrower inputs from plain sums, of twice the bits, of x - p and its square. The second input p is one element of
    those that are reduced, so a mean far from zero does not cancel: if p is far from the rest, it makes up 1 / n of the variance itself."""
    kept = float64

    def lift(x: Scalar, p: Scalar) -> tuple[Scalar, ...]:
        start = cast(p, kept)
        apart = cast(x, kept) - start
        return (apart, apart * apart, start) if with_mean else (apart, apart * apart)

    def combine(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        sums = a[0] + b[0], a[1] + b[1]
        return (*sums, maximum(a[2], b[2])) if with_mean else sums

    def finish(s: tuple[Scalar, ...], n: Scalar, correction: Scalar) -> tuple[Scalar, ...]:
        count = cast(n, kept)
        variance = maximum(s[1] - s[0] * (s[0] / count), 0.0) / maximum(count - correction, 0.0)
        spread = sqrt(variance) if root else variance
        return (spread, s[2] + s[0] / count) if with_mean else (spread,)

    start = [0, 0, float("-inf")] if with_mean else [0, 0]
    return reducer(start, [kept] * len(start), lift, combine, finish, inputs=[d, d], finish_numbers=[number(0, kept)])


def logsumexp_of(d: dtype) -> Reducer:
    """log(sum(exp(x))) from pairs of (largest real part so far, sum of exponentials relative to it)."""
    kept = accumulator(d)

    def scaled(total: Scalar, own: Scalar, top: Scalar) -> Scalar:
        # equal infinities would give NaN: exp(0) is meant
        factor = where(own.__eq__(top), const(1, kept.real), exp(own - top))
        return complex_(real(total) * factor, imag(total) * factor) if kept.is_complex else total * factor

    def lift(x: Scalar) -> tuple[Scalar, Scalar]:
        if not kept.is_complex:
            return cast(x, kept), const(1, kept)
        return real(x), complex_(cos(imag(x)), sin(imag(x)))

    def finish(s: tuple[Scalar, ...], n: Scalar) -> Scalar:
        top, total = s[0], log(s[1])
        if not kept.is_complex:
            return where(top.__eq__(float("inf")), top, total + top)
        return complex_(where(top.__eq__(float("inf")), top, real(total) + top), imag(total))

    def combine(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        top = maximum(a[0], b[0])
        return top, scaled(a[1], a[0], top) + scaled(b[1], b[0], top)

    return reducer([float("-inf"), 0], [kept.real, kept], lift, combine, finish, inputs=[d])


def norm_of(d: dtype, order: float | None = None) -> Reducer:
    """Vector norm. `order` None: it is `number(0)`; 0, 1, 2 and the infinities have bodies of their own. Powers of float32 are summed in float64,
    whose exponents hold them; squares of float64 at three scales."""
    own = accumulator(d).real
    kept = own if order in (0, 1, float("inf"), float("-inf")) else float64
    size: Callable[[Scalar], Scalar] = lambda x: cast(abs(x), kept)  # noqa: E731
    add: Callable[[Any, Any], Scalar] = lambda a, b: a[0] + b[0]  # noqa: E731
    if order == 0:
        return reducer([0], [kept], lambda x: cast(cast(x, bool_), kept), add, inputs=[d])
    if order == 1:
        return reducer([0], [kept], size, add, inputs=[d])
    if order == 2 and own is float64:
        return _length(d)
    if order == 2:
        square: Callable[[Scalar], Scalar] = lambda x: size(x) * size(x) if d.is_complex else cast(x, kept) * cast(x, kept)  # noqa: E731
        return reducer([0], [kept], square, add, lambda s, n: sqrt(s[0]), inputs=[d])
    if order == float("inf"):
        return reducer([0], [kept], size, lambda a, b: maximum(a[0], b[0]), inputs=[d])
    if order == float("-inf"):
        return reducer([float("inf")], [kept], size, lambda a, b: minimum(a[0], b[0]), inputs=[d])
    p = number(0, kept)
    return reducer(
        [0], [kept], lambda x, q: pow(size(x), q), add, lambda s, n, q: pow(s[0], 1.0 / q), inputs=[d], lift_numbers=[p], finish_numbers=[p]
    )


def _length(d: dtype) -> Reducer:
    """Root of the sum of squares of float64 numbers, large and small ones scaled by powers of two: Blue 1978, doi:10.1145/355769.355771."""
    many, few = 2.0**486, 2.0**-511  # beyond these a sum of squares may leave the range
    down, up = 2.0**-538, 2.0**537

    def lift(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
        size = cast(abs(x), float64)
        large, small = size > many, size < few
        zero, below, above = const(0, float64), size * down, size * up
        return where(large, below * below, zero), where(large | small, zero, size * size), where(small, above * above, zero)

    def finish(s: tuple[Scalar, ...], n: Scalar) -> Scalar:
        large, middle, small = s
        rest = sqrt(small) / up
        usual = where(middle.__eq__(0.0), rest, sqrt(middle + rest * rest))
        return where(large > 0, sqrt(large + middle * down * down) / down, usual)

    return reducer([0, 0, 0], [float64] * 3, lift, lambda a, b: tuple(x + y for x, y in zip(a, b)), finish, inputs=[d])
