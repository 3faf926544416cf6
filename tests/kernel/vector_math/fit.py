"""Where the coefficients in facula/kernel/vector_math come from: Remez exchange in 60 digits (needs mpmath; not a test).

    python tests/kernel/vector_math/fit.py              # prints every polynomial as the sources store it, with its error
    python tests/kernel/vector_math/fit.py EXP32        # one of them

A row says: the function, the interval, the degree and the weight that the error is multiplied with (1 / value: relative error).
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import mpmath as mp  # type: ignore[import-untyped]

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]


def remez(f: Function, low: float, high: float, degree: int, weight: Function) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients, lowest first, whose weighted error is levelled over the interval, and that error."""
    a, b, n = mp.mpf(low), mp.mpf(high), degree + 2
    points = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * i / (n - 1)) for i in range(n)]
    grid = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * i / (24 * n)) for i in range(24 * n + 1)]
    known = [(x, f(x), weight(x)) for x in grid]
    c: list[mp.mpf] = []
    worst = mp.mpf(0)
    for _ in range(12):
        rows = [[x**k for k in range(degree + 1)] + [(-1) ** i / weight(x)] for i, x in enumerate(points)]
        solved = mp.lu_solve(mp.matrix(rows), mp.matrix([f(x) for x in points]))
        c = [solved[k] for k in range(degree + 1)]
        errors = [((mp.polyval(c[::-1], x) - y) * w, x) for x, y, w in known]
        worst = max(abs(e) for e, _ in errors)
        peaks: list[tuple[mp.mpf, mp.mpf]] = []
        for e, x in errors:
            if peaks and (e > 0) == (peaks[-1][0] > 0):
                if abs(e) > abs(peaks[-1][0]):
                    peaks[-1] = (e, x)
            else:
                peaks.append((e, x))
        while len(peaks) > n:
            peaks.pop(0 if abs(peaks[0][0]) < abs(peaks[-1][0]) else -1)
        if len(peaks) < n or worst <= abs(solved[degree + 1]) * mp.mpf("1.001"):
            break
        points = [x for _, x in peaks]
    return c, worst


def series(f: Function, order: int) -> Function:
    """f divided by x**order where f vanishes, by its own definition away from 0 and by a limit at 0."""
    return lambda x: f(x) / x**order if abs(x) > mp.mpf(10) ** -12 else mp.taylor(f, 0, order)[order]


def relative(f: Function) -> Function:
    return lambda x: 1 / abs(f(x))


def one(x: mp.mpf) -> mp.mpf:
    return mp.mpf(1)


def root(f: Function) -> Function:
    """f of the square root: for odd or even functions as polynomials in x*x."""
    return lambda t: f(mp.sqrt(t))


ROWS: dict[str, tuple[Function, float, float, int, Function]] = {}


def row(name: str, f: Function, low: float, high: float, degree: int, weight: Function = one) -> None:
    ROWS[name] = (f, low, high, degree, weight)


SMALL = mp.mpf(10) ** -20
LN2 = mp.log(2)

# e**r = 1 + r + r*r*EXP(r)
for name, degree in (("EXP32", 4), ("EXPM32", 5), ("EXP40", 5), ("EXP64", 10)):
    row(name, series(lambda r: mp.expm1(r) - r, 2), -0.3466, 0.3466, degree)
# e**-r = EXPNEG(r); e**(-r/2) = 1 + r*EXPHALF(r)
row("EXPNEG32", lambda r: mp.exp(-r), -0.3468, 0.3468, 6, lambda r: mp.exp(r))
row("EXPHALF32", series(lambda r: mp.expm1(-r / 2), 1), -0.6936, 0.6936, 4, lambda r: (abs(r) + SMALL) * mp.exp(r / 2))
# 2**r = 1 + r*EXP2(r)
for name, degree in (("EXP2_32", 5), ("EXP2_64", 11)):
    row(name, series(lambda r: mp.expm1(r * LN2), 1), -0.5, 0.5, degree)
# log(1 + r) = r + r*r*LOG(r)
row("LOG32", series(lambda r: mp.log1p(r) - r, 2), -0.0625, 0.125, 4)
# log(1 + f) = f*LOG40(f), for float32 results through float64
row("LOG40", series(mp.log1p, 1), -0.2930, 0.4143, 11)
# log(1 + f) = 2s + s**3*LOG64(s*s), s = f / (2 + f)
row("LOG64", lambda t: (2 * mp.atanh(mp.sqrt(t)) / mp.sqrt(t) - 2) / t if t > SMALL else mp.mpf(2) / 3, 0, 0.02945, 7)
# sin r = r + r**3*SIN(r*r); cos r = 1 - r*r/2 + r**4*COS(r*r)
for bits, ds, dc in ((32, 3, 2), (40, 3, 3), (64, 6, 6)):
    row(f"SIN{bits}", lambda t: (mp.sin(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else -mp.mpf(1) / 6, 0, 0.6170, ds)
    row(f"COS{bits}", lambda t: (mp.cos(mp.sqrt(t)) - 1 + t / 2) / t**2 if t > SMALL else mp.mpf(1) / 24, 0, 0.6170, dc)
# tan r = r + r**3*TAN(r*r)
row("TAN64", lambda t: (mp.tan(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else mp.mpf(1) / 3, 0, 0.6170, 16)
# asin x = x + x**3*ASIN(x*x), |x| <= 1/2
for bits, degree in ((32, 5), (64, 13)):
    row(f"ASIN{bits}", lambda t: (mp.asin(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else mp.mpf(1) / 6, 0, 0.25, degree)
# atan x = x + x**3*ATAN(x*x); float32 on [0, 1], float64 on [0, tan(pi/8)]
row("ATAN32", lambda t: (mp.atan(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else -mp.mpf(1) / 3, 0, 1, 8)
row("ATAN64", lambda t: (mp.atan(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else -mp.mpf(1) / 3, 0, 0.17160, 11)
# sinh x = x + x**3*SINH(x*x), |x| <= 1
for bits, degree in ((32, 3), (64, 7)):
    row(f"SINH{bits}", lambda t: (mp.sinh(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else mp.mpf(1) / 6, 0, 1, degree)
# asinh x = x + x**3*ASINH(x*x), |x| <= 0.7; atanh x = x + x**3*ATANH(x*x), |x| <= 1/2
row("ASINH32", lambda t: (mp.asinh(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else -mp.mpf(1) / 6, 0, 0.49, 7)
row("ATANH32", lambda t: (mp.atanh(mp.sqrt(t)) / mp.sqrt(t) - 1) / t if t > SMALL else mp.mpf(1) / 3, 0, 0.25, 6)
# erf x = x + x*ERF(x*x), |x| <= 1
TWO = 2 / mp.sqrt(mp.pi)
row("ERF64", lambda t: mp.erf(mp.sqrt(t)) / mp.sqrt(t) - 1 if t > SMALL else TWO - 1, 0, 1, 12)


def _scaled_erfc(t: mp.mpf) -> mp.mpf:
    x = (1 / t - 1) * 2
    return mp.erfc(x) * mp.exp(x * x)


def _scaled_erfc_map(t: mp.mpf) -> mp.mpf:
    x = 2 * (1 + t) / (1 - t)
    return mp.erfc(x) * mp.exp(x * x) * (x + 2)


def _inverse(w: mp.mpf) -> mp.mpf:
    """erfinv(x) / x by w = -log(1 - x*x)."""
    if w < mp.mpf(10) ** -12:
        return mp.sqrt(mp.pi) / 2
    x = mp.sqrt(-mp.expm1(-w))
    tail = mp.exp(-w) / (1 + x)  # 1 - x
    y = mp.sqrt(w) * mp.mpf("0.9")
    for _ in range(60):
        step = (mp.erfc(y) - tail) * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
        y += step / (1 - y * step)
        if abs(step) < mp.mpf(10) ** -45:
            break
    return y / x


# erfc x = exp(-x*x) / (x + 2)*ERFCX((x - 2) / (x + 2)), x in [0, 28]
row("ERFCX64", _scaled_erfc_map, -1, 0.8667, 25, relative(_scaled_erfc_map))
row("ERFINV_NEAR", _inverse, 0, 5, 10, relative(_inverse))
row("ERFINV_END", lambda s: _inverse(s * s), 4.1, 6.1, 8, relative(lambda s: _inverse(s * s)))
row("ERFINV_FAR", lambda s: _inverse(s * s), 2.236, 4.1, 9, relative(lambda s: _inverse(s * s)))


# log Gamma(1 + t) = t*LGAMMA1(t), |t| <= 1/2; log Gamma(2 + t) = t*LGAMMA2(t), t in [-1/2, 1]
row("LGAMMA1", series(lambda t: mp.loggamma(1 + t), 1), -0.5, 0.5, 28)
row("LGAMMA2", series(lambda t: mp.loggamma(2 + t), 1), -0.5, 1, 22)
# log Gamma(x) = (x - 1/2) log x - x + log(2 pi)/2 + STIRLING(1/x**2)/x, x >= 8
row(
    "STIRLING",
    lambda t: (
        (mp.loggamma(1 / mp.sqrt(t)) - (1 / mp.sqrt(t) - 0.5) * mp.log(1 / mp.sqrt(t)) + 1 / mp.sqrt(t) - mp.log(2 * mp.pi) / 2)
        / mp.sqrt(t)
        if t > mp.mpf(10) ** -12
        else mp.mpf(1) / 12
    ),
    0,
    1 / 64,
    7,
)
# digamma x = (x - root)*DIGAMMA(x - 3/2) on [1, 2]; log x - 1/(2x) - DIGAMMA_FAR(1/x**2)/x**2 for x >= 10
ROOT = mp.findroot(mp.digamma, 1.46)
row("DIGAMMA", lambda t: mp.digamma(t + 1.5) / (t + 1.5 - ROOT) if abs(t + 1.5 - ROOT) > SMALL else mp.psi(1, ROOT), -0.5, 0.5, 21)
row(
    "DIGAMMA_FAR",
    lambda t: (-mp.digamma(1 / mp.sqrt(t)) + mp.log(1 / mp.sqrt(t)) - mp.sqrt(t) / 2) / t if t > mp.mpf(10) ** -12 else mp.mpf(1) / 12,
    0,
    0.01,
    7,
)
# trigamma x = 1/x + 1/(2 x**2) + TRIGAMMA_FAR(1/x**2)/x**3, x >= 10
row(
    "TRIGAMMA_FAR",
    lambda t: (mp.psi(1, 1 / mp.sqrt(t)) - mp.sqrt(t) - t / 2) / mp.sqrt(t) ** 3 if t > mp.mpf(10) ** -12 else mp.mpf(1) / 6,
    0,
    0.01,
    8,
)
# I0 x = BESSEL0(x*x), I1 x = x*BESSEL1(x*x) for |x| <= 8; sqrt(x) exp(-x) I x = BESSEL_FAR(1/x) beyond
for order in (0, 1):
    row(
        f"BESSEL{order}",
        lambda t, order=order: mp.besseli(order, mp.sqrt(t)) / mp.sqrt(t) ** order if t > SMALL else 1 / mp.mpf(2) ** order,
        0,
        64,
        14,
        relative(lambda t, order=order: mp.besseli(order, mp.sqrt(t)) / mp.sqrt(t) ** order if t > SMALL else 1 / mp.mpf(2) ** order),
    )
    row(
        f"BESSEL{order}_FAR",
        lambda t, order=order: mp.besseli(order, 1 / t) * mp.exp(-1 / t) / mp.sqrt(t) if t > mp.mpf(10) ** -4 else 1 / mp.sqrt(2 * mp.pi),
        0.0002,
        0.125,
        24,
    )
# log(1 + e) = e + e*e*LOG1P(e), e in [0, 1]
row("LOG1P32", series(lambda e: mp.log1p(e) - e, 2), 0, 1, 9)
# erfc x = exp(-x*x)*ERFC(t), t = 1 / (1 + x/2)
row("ERFC40", _scaled_erfc, 0.15, 1, 14, relative(_scaled_erfc))


def main() -> None:
    for name in sys.argv[1:] or ROWS:
        c, worst = remez(*ROWS[name])
        digits = 18
        print(f"{name} = (  # error {mp.nstr(worst, 2)}")
        for k in range(0, len(c), 4):
            print("    " + " ".join(mp.nstr(v, digits, strip_zeros=False) + "," for v in c[k : k + 4]))
        print(")")


if __name__ == "__main__":
    main()
