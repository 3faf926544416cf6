"""log Gamma and its derivatives, in float64 (float32 is rounded from it): polynomials about the zeros, asymptotic series far out, the
reflection formula for negative arguments in a block of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...base.dtypes import float32, float64
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from . import coefficients as C
from .pieces import INF, NAN, narrow, poly, wide

DIGAMMA_ROOT = (float.fromhex("0x1.762d86356be3fp+0"), float.fromhex("0x1.b86a722197829p-54"))


def _both(body: Callable[[Scalar], Scalar]) -> Callable[[Scalar, Target], Scalar]:
    """The float64 function as an expansion for both types."""

    def expansion(n: Scalar, target: Target) -> Scalar:
        x = n.args[0]
        return narrow(body(wide(x))) if n.dtype is float32 else body(x)

    expansion.__doc__ = body.__doc__
    return expansion


def _positive_lgamma(x: Scalar) -> Scalar:
    """log Gamma for x > 0. Below 3 from the zeros at 1 and 2; from 8 on Stirling's series; between, stepped up to it. The latter two in a
    block of their own."""
    small = x < 0.5
    y = fn.where(small, x + 1, x)
    t1, t2 = fn.where(small, x, x - 1), y - 2
    near = fn.where(y < 1.5, t1 * poly(t1, C.LGAMMA1), t2 * poly(t2, C.LGAMMA2))
    near = near + 0.0 - fn.log(fn.where(small, x, 1))
    step = x < 8
    z = fn.where(step, x + 5, x)
    inverse = 1 / z
    series = poly(inverse * inverse, C.STIRLING) * inverse
    far = (z - 0.5) * (fn.log(z) - 1) + (0.5 * math.log(2 * math.pi) - 0.5 + series)
    far = far - fn.log(fn.where(step, x * (x + 1) * (x + 2) * (x + 3) * (x + 4), 1))
    return fn.where(x < INF, fn.rare(x >= 3, far, fn.rare(x < 3, near, x)), x)


def _sine_of_pi(a: Scalar) -> Scalar:
    """|sin(pi a)|."""
    return fn.fabs(fn.sin((a - fn.round(a)) * math.pi))


def _lgamma(x: Scalar) -> Scalar:
    """log |Gamma(x)|; infinite at 0, -1, -2, ..."""
    a = fn.fabs(x)
    positive = _positive_lgamma(a)
    mirrored = math.log(math.pi) - fn.log(a * _sine_of_pi(a)) - positive
    mirrored = fn.where(fn.floor(a) == a, INF, fn.where(a < 2.0**-60, positive, mirrored))
    return fn.where(x == 0, INF, fn.rare(x < 0, mirrored, positive))


def _digamma_positive(x: Scalar) -> Scalar:
    """For x > 0: brought into [1, 2] by its recurrence below 10, whose fractions are added over one denominator."""
    small = x < 1
    y = fn.where(small, x + 1, fn.where(x < 10, x, 1))
    top, bottom = const(0, float64), const(1, float64)
    for _ in range(8):
        above = y > 2
        less = y - 1
        top, bottom = fn.where(above, fn.fma(top, less, bottom), top), fn.where(above, bottom * less, bottom)
        y = fn.where(above, less, y)
    near = ((y - DIGAMMA_ROOT[0]) - DIGAMMA_ROOT[1]) * poly(y - 1.5, C.DIGAMMA)
    near = near + fn.where(small, const(-1, float64), top) / fn.where(small, x, bottom)
    inverse = 1 / x
    far = fn.log(x) - inverse * (0.5 + inverse * poly(inverse * inverse, C.DIGAMMA_FAR))
    return fn.where(x < 10, near, fn.where(x < INF, far, x))


def _digamma(x: Scalar) -> Scalar:
    """The poles: -inf at +0, inf at -0, NaN at the negative integers."""
    reflect = x < 0
    positive = _digamma_positive(fn.where(reflect, 1 - x, x))
    r = x - fn.round(x)
    mirrored = positive - math.pi / fn.tan(r * math.pi)
    out = fn.rare(reflect, fn.where(r == 0, NAN, mirrored), positive)
    return fn.where(x == 0, fn.copysign(const(INF, float64), -x), out)


def _trigamma(x: Scalar) -> Scalar:
    """Ten steps of the recurrence, then the asymptotic series."""
    reflect = x < 0.5
    y = fn.where(reflect, 1 - x, x)
    total, z = const(0, float64), y
    for _ in range(10):
        below = z < 10
        total = total + fn.where(below, 1 / (z * z), 0)
        z = fn.where(below, z + 1, z)
    inverse = 1 / z
    square = inverse * inverse
    out = total + (inverse + square * (0.5 + inverse * poly(square, C.TRIGAMMA_FAR)))
    sine = _sine_of_pi(x)
    mirrored = (math.pi / sine) * (math.pi / sine) - out
    return fn.where(fn.isnan(x), x, fn.rare(reflect, fn.where(sine == 0, INF, mirrored), out))


lgamma, digamma, trigamma = _both(_lgamma), _both(_digamma), _both(_trigamma)
