"""Elementary functions for the inner loops of row kernels and distributions, on the domains they meet there.

Faster than `vector_math`, which covers every argument. Errors: float about 1e-7 relative, double about 2e-16. Coefficients of the float
versions are interpolation at Chebyshev points; those of the double versions are Taylor series, long enough for the reduced arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..runtime.ir import Function, Value, element, like

LOG = (
    1.0000000000182154, -0.49999988294141734, 0.3333332402364173, -0.2500158512306513, 0.20002071674662542,
    -0.16609126504309643, 0.1418007872074482, -0.1324084270131554, 0.12914170313848325, -0.07638592418050325,
)  # fmt: skip
SIN = (6.283185307152425, -41.34170215344992, 81.60520472862657, -76.69786814849066, 41.47289072758218)
COS = (0.9999999999525451, -19.739208650244347, 64.93931617209702, -85.44284839860786, 59.22028816285694)


def horner(f: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """Polynomial, lowest power first."""
    r = f.const(x.type, coefficients[-1])
    for c in coefficients[-2::-1]:
        r = f.fma(r, x, c)
    return r


def _split_exponent(f: Function, x: Value) -> tuple[Value, Value]:
    """(k, m) with x = 2**k (1 + m), m in [sqrt(1/2) - 1, sqrt(2) - 1]; x is positive and normal."""
    wide = element(x.type) == "double"
    kind, digits = like(x.type, "i64" if wide else "i32"), 52 if wide else 23
    root = 0x3FE6A09E667F3BCD if wide else 0x3F3504F3
    bits = f.cast("bitcast", x, kind)
    k = (bits - root) & -(1 << digits)
    m = f.cast("bitcast", bits - k, x.type) - 1.0
    exponent = f.cast("trunc", k.ashr(digits), like(x.type, "i32")) if wide else k.ashr(digits)
    return f.cast("sitofp", exponent, x.type), m


def log(f: Function, x: Value) -> Value:
    """Natural logarithm of positive normal numbers."""
    k, m = _split_exponent(f, x)
    if element(x.type) == "float":
        return f.fma(k, math.log(2), horner(f, m, LOG) * m)
    s = m / (m + 2.0)
    s2 = s * s
    series = horner(f, s2, [2 / (2 * i + 3) for i in range(11)]) * s2  # log(1 + m) = 2 s + s (2/3 s^2 + 2/5 s^4 + ...)
    # 2 s = m - s m keeps the leading digits of m exact
    return f.fma(k, 0.693147180369123816490, m - s * (m - series) + k * 1.90821492927058770002e-10)


def sincos_turns(f: Function, u: Value) -> tuple[Value, Value]:
    """(sin, cos) of 2 pi u for |u| < 2**20: quadrant by rounding, polynomials on an eighth of a turn."""
    wide = element(u.type) == "double"
    kind = like(u.type, "i64" if wide else "i32")
    q = f.math("rint", u * 4.0)
    r = f.fma(q, -0.25, u)
    if wide:
        x = r * (2 * math.pi)
        x2 = x * x
        sin = f.fma(x * x2, horner(f, x2, [(-1) ** i / math.factorial(2 * i + 1) for i in range(1, 9)]), x)
        cos = f.fma(x2, horner(f, x2, [(-1) ** i / math.factorial(2 * i) for i in range(1, 10)]), 1.0)
    else:
        r2 = r * r
        sin, cos = horner(f, r2, SIN) * r, horner(f, r2, COS)
    quadrant = f.cast("fptosi", q, like(u.type, "i32"))
    i = f.cast("sext", quadrant, kind) if wide else quadrant
    odd = (i & 1).eq(1)
    top = 62 if wide else 30

    def signed(x: Value, j: Value) -> Value:
        return f.cast("bitcast", f.cast("bitcast", x, kind) ^ ((j & 2) << top), x.type)

    return signed(f.select(odd, cos, sin), i), signed(f.select(odd, sin, cos), i + 1)


EXP = (
    0.9999999999595239, 1.000000037744721, 0.5000000107798456, 0.16666415400549642,
    0.04166621813814082, 0.008375135274432828, 0.0013948589897732739,
)  # fmt: skip


def _scalef(f: Function, p: Value, n: Value) -> Value:
    """p * 2**n by AVX-512's instruction, which is right from overflow down to subnormals."""
    name, mask = {"<16 x float>": ("ps.512", "i16"), "<8 x double>": ("pd.512", "i8")}[p.type]
    return f.call(p.type, f"llvm.x86.avx512.mask.scalef.{name}", p, n, p, f.const(mask, -1), f.const("i32", 4))


def exp(f: Function, x: Value) -> Value:
    """e**x: 0 and infinity where it ends, NaN stays."""
    wide = element(x.type) == "double"
    scaled = f.module.target.masked and f.module.target.triple.startswith("x86_64") and x.type in ("<16 x float>", "<8 x double>")
    low, high = (-800.0, 800.0) if wide else (-150.0, 150.0)
    x = f.select(x > high, high, f.select(x < low, low, x))
    n = f.math("rint", x * (1 / math.log(2)))
    if wide:
        r = f.fma(n, -1.90821492927058770002e-10, f.fma(n, -0.693147180369123816490, x))
        p = horner(f, r, [1 / math.factorial(i) for i in range(14)])
    else:
        r = f.fma(n, 2.12194440e-4, f.fma(n, -0.693359375, x))
        p = horner(f, r, EXP)
    if scaled:
        return _scalef(f, p, n)
    whole = f.cast("fptosi", f.select(x.eq(x), n, 0.0), like(x.type, "i32"))
    half = whole.ashr(1)

    def power(k: Value) -> Value:
        if wide:
            return f.cast("bitcast", f.cast("sext", k + 1023, like(x.type, "i64")) << 52, x.type)
        return f.cast("bitcast", (k + 127) << 23, x.type)

    return p * power(half) * power(whole - half)


def log_sum(f: Function, x: Value) -> Value:
    """log of a sum of exponentials: as `log`; NaN, infinity and 0 keep their meaning."""
    return f.select(x > 0.0, f.select(x < math.inf, log(f, x), x), f.select(x.eq(0.0), f.const(x.type, -math.inf), math.nan))
