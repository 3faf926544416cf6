"""pow: |x|**y = 2**(y log2 |x|), in double-length logarithms for float64, then C's special cases."""

from __future__ import annotations

from ...base.dtypes import float32
from ...base.target import Target
from ..scalar import functions as fn
from ..scalar.node import Scalar, const
from .exponential import LN2_HIGH64, LN2_LOW64, exp2_wide, exp_of_rest, reduced
from .logarithm import log2_wide, log_pair
from .pieces import INF, NAN, limited, narrow, quick_sum, times_power, two_product, two_sum, wide, word


def pow(n: Scalar, target: Target) -> Scalar:
    """|x|**y = 2**(y log2 |x|), then C's special cases."""
    x, y = n.args
    a = fn.fabs(x)
    if n.dtype is float32:
        size = narrow(exp2_wide(limited(wide(y) * log2_wide(wide(a)), -200.0, 200.0)))
    else:
        size = _pow64(a, y, target)
    plain = (x > 0) & (x < INF) & (fn.fabs(y) < INF)
    return fn.rare(~plain, _special_pow(x, y, size), size)


def _special_pow(x: Scalar, y: Scalar, size: Scalar) -> Scalar:
    """|x|**y with its sign, and the values that C gives at 0, infinity and NaN."""
    a, kind = fn.fabs(x), x.dtype
    whole = fn.trunc(y) == y
    half = y * 0.5
    odd = whole & (fn.trunc(half) != half) & (fn.fabs(y) < INF)
    minus = fn.bitcast(x, word(kind)) < 0
    edge = fn.where((a == 0) ^ (y < 0), const(0, kind), INF)  # of 0 and infinity: y > 0 keeps, y < 0 turns round
    size = fn.where((a == 0) | (a == INF), edge, size)
    size = fn.where(fn.fabs(y) == INF, fn.where((a > 1) ^ (y < 0), INF, const(0, kind)), size)
    size = fn.where(minus & (a != 0) & (a < INF) & ~whole, NAN, size)
    out = fn.where(minus & odd, -size, size)
    out = fn.where(fn.isnan(x) | fn.isnan(y), x + y, out)
    return fn.where((y == 0) | (x == 1) | ((x == -1) & (fn.fabs(y) == INF)), 1, out)


def _pow64(a: Scalar, y: Scalar, target: Target) -> Scalar:
    high, low = log_pair(a)
    y = limited(y, -1e20, 1e20)  # the least |log a| is 1.1e-16
    p, e = two_product(y, high)
    p, e = quick_sum(p, fn.fma(y, low, e))
    bounded = limited(p, -760.0, 760.0)
    e = fn.where(bounded == p, e, 0)
    k, r = reduced(bounded)
    r_high = fn.fma(k, -LN2_HIGH64, bounded)
    r, rest = two_sum(r_high, k * -LN2_LOW64)
    e = e + rest
    small = exp_of_rest(r)
    return times_power(1 + (small + fn.fma(small, e, e)), k, target)
