"""Where facula/kernel/vector_math/tables.py comes from (needs SciPy; not a test).

    python tests/kernel/vector_math/fit_tables.py       # prints every table as the source stores it, with its error

Piecewise polynomials are fitted piece by piece: least squares of the relative error at Chebyshev points, the lowest coefficient rounded to
float32 first and the others fitted again to what it leaves. Logarithms are searched for an argument whose logarithm has few bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

Array = np.ndarray
Function = Callable[[Array], Array]


def single(x: float) -> float:
    return float(np.float32(x))


def fitted(f: Function, left: float, right: float, degree: int, line: float) -> tuple[list[float], float]:
    """Coefficients in x - left of f(x) - line * (x - left), and the largest relative error. A function that vanishes at `left` does so
    exactly."""
    n = 8 * (degree + 1)
    x = (left + right) / 2 + (right - left) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    t = x - left
    powers = t[:, None] ** np.arange(degree + 1)
    weight = 1 / np.abs(f(x))
    rest, out = f(x) - line * t, []
    for k in range(degree + 1):
        best = np.linalg.lstsq(powers[:, k:] * weight[:, None], rest * weight, rcond=None)[0]
        out.append(0.0 if k == 0 and f(np.array(left)) == 0 else single(best[0]))
        rest = rest - out[-1] * powers[:, k]
    return out, float(np.max(np.abs(rest) * weight))


def pieces(f: Function, start: float, end: float, digits: int, degree: int, line: float = 0.0) -> tuple[list[list[float]], float]:
    """A row for each power: coefficients of the pieces of [0, end], which `vector_math.pieces.piece` tells apart by their number modulo 16."""
    rows, worst, z = [[0.0] * 16 for _ in range(degree + 1)], 0.0, start
    while z < start + end:
        step = 2.0 ** (math.floor(math.log2(z)) - digits)
        number = int(np.float32(z).view(np.int32)) >> (23 - digits)
        column, error = fitted(f, z - start, min(z + step - start, end), degree, line)
        for row, c in zip(rows, column):
            assert not row[number % 16], "more than 16 pieces"
            row[number % 16] = c
        worst, z = max(worst, error), z + step
    return rows, worst


def normal_tail(a: Array) -> Array:
    """P(X > a) exp(a*a/2) for X ~ N(0, 1)."""
    return special.erfcx(a / math.sqrt(2)) / 2


def last_places(x: Array) -> Array:
    return np.spacing(np.abs(x).astype(np.float32)).astype(np.float64)


def harm(m: Array, c: float, error: float, scale: float) -> float:
    """What the roundings of m c - 1 and of its logarithm and the error of log c are worth in the result's last place."""
    r = m * c - 1
    lost = last_places(r) * scale + last_places(np.log1p(r) * scale) + 2 * error
    return float(np.max(lost / last_places(np.log(m) * scale)))


def logarithm(base: float) -> tuple[list[list[float]], float]:
    """c and -log c for m in 16 pieces of [3/4, 3/2): of the float32 numbers c whose -log c is nearly a multiple of 2**-16, the one that
    does least harm. c is 1 in the two pieces on either side
    of 1: there m c - 1 is exact and small results keep their places."""
    scale, worst, rows = 1 / math.log(base), 0.0, [[1.0, 1.0], [0.0, 0.0]]
    for i in range(2, 14):
        low, high = ((1 + i / 16), (1 + (i + 1) / 16)) if i < 8 else ((1 + i / 16) / 2, (1 + (i + 1) / 16) / 2)
        m = np.linspace(low, high, 2001)
        first, last = (int(np.float32(1 / x).view(np.int32)) for x in (high, low))
        c = np.arange(first, last, dtype=np.int32).view(np.float32).astype(np.float64)
        value = -np.log(c) * scale
        whole = np.round(value * 65536) / 65536
        error = np.abs(value - whole)

        near = np.flatnonzero(error < 1e-9)
        best = near[np.argmin([harm(m, c[k], error[k], scale) for k in near])]
        rows[0].append(float(c[best]))
        rows[1].append(float(whole[best]))
        worst = max(worst, float(error[best]))
    return [[*rows[0], 1.0, 1.0], [*rows[1], 0.0, 0.0]], worst


def show(name: str, comment: str, rows: Sequence[Sequence[float]], error: float) -> None:
    print(f"\n# {comment}\n{name} = (  # error {error:.1e}")
    for row in rows:
        halves = [", ".join(f"{v:.9g}" if v != int(v) else f"{v:.1f}" for v in row[i : i + 8]) for i in (0, 8)]
        print(f"    ({halves[0]},\n     {halves[1]}),")
    print(")")


def main() -> None:
    show("TANH", "tanh a, a in [0, 9.3]; pieces of a + 0.625 by 2 digits", *pieces(np.tanh, 0.625, 9.3, 2, 5))
    show("ERF", "erf a less the distance, a in [0, 4]; pieces of a + 1.375 by 3 digits", *pieces(special.erf, 1.375, 4.0, 3, 5, 1.0))
    show(
        "GELU", "a P(X > a) exp(a*a/2), a in [0, 14.5]; pieces of a + 1 by 2 digits", *pieces(lambda a: a * normal_tail(a), 1.0, 14.5, 2, 5)
    )
    show("NDTR", "P(X > a) exp(a*a/2), a in [0, 14.5]; pieces of a + 1 by 2 digits", *pieces(normal_tail, 1.0, 14.5, 2, 5))
    for name, base in (("LOG", math.e), ("LOG2", 2.0), ("LOG10", 10.0)):
        show(name, f"c and -log c to the base {base:.4g}, by the first four bits of the mantissa", *logarithm(base))


if __name__ == "__main__":
    main()
