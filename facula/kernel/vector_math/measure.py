"""Errors and speed of the functions as compiled: the figures of docs/accuracy.md.

python -m facula.kernel.vector_math.measure            # prints the table
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from typing import Any

from ...base.dtypes import DTYPES, dtype
from ...base.target import Target
from ...runtime import host
from ...runtime.ir import Module, Value, vector
from .. import scalar
from ..scalar.emit import llvm_type

Body = Callable[..., "scalar.Scalar"]


@functools.lru_cache(maxsize=256)
def compiled(body: Body, kind: dtype, inputs: int = 1, lanes: int | None = None, target: Target | None = None) -> Callable[..., None]:
    """run(out, *arrays): the body on contiguous arrays of the type whose length is a multiple of the lanes (0 lanes: element by element)."""
    from .. import llvm

    target = target or host.target()
    lanes = target.lanes * 4 // kind.itemsize if lanes is None else lanes
    m = Module(target)
    with m.function("k", "ptr out, ptr words, i64 n") as (f, out, words, n):
        sources = f.words(words, *["ptr"] * inputs)
        with f.range(0, n, max(lanes, 1)) as i:
            xs = [f.load(vector(lanes, llvm_type(kind)), p, i) for p in sources]
            (y,) = scalar.emit(scalar.trace(body, [kind] * inputs), f, xs)
            assert isinstance(y, Value), "one that is real"
            f.store(y, out, i)
    address = llvm.load(m.text(), target)["k"]
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)

    def run(out: Any, *arrays: Any) -> None:
        words = (ctypes.c_uint64 * inputs)(*[a.ctypes.data for a in arrays])
        call(out.ctypes.data, ctypes.addressof(words), out.size)

    return run


def ulps(got: Any, want: Any) -> Any:
    """Distance of a result from the true value (in a wider type), in units of the last place of the true value. Equal infinities and NaNs
    are 0 apart, an unequal one is infinitely far; a value that overflows the type counts as its infinity."""
    import numpy as np

    kind = got.dtype.type
    with np.errstate(all="ignore"):
        rounded = want.astype(kind)
        gap = np.spacing(np.minimum(np.abs(rounded), np.finfo(kind).max)).astype(want.dtype)
        error = np.abs(got.astype(want.dtype) - want) / gap
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(same & ~np.isfinite(got), 0, np.where(np.isnan(error), np.inf, np.where(np.isinf(rounded) & ~same, np.inf, error)))


def every(kind: dtype, per_exponent: int = 4096, seed: int = 0) -> Any:
    """Numbers of both signs with every exponent, subnormals, the ends of each binade, zeros, infinities and NaN among them."""
    import numpy as np

    rng = np.random.default_rng(seed)
    word, m, top = (np.uint32, 23, 255) if kind.itemsize == 4 else (np.uint64, 52, 2047)
    exponents = np.arange(top, dtype=word)[:, None] << word(m)
    fraction = rng.integers(0, 1 << m, (top, per_exponent), dtype=word)
    fraction[:, :4] = [0, 1, (1 << m) - 1, (1 << m) - 2]
    bits = (exponents | fraction).ravel()
    special: Any = np.array([np.inf, np.nan], kind.numpy)
    bits: Any = np.concatenate([bits, special.view(word)])
    bits = np.concatenate([bits, bits | word(1 << (m + (8 if m == 23 else 11)))])
    return padded(bits.view(kind.numpy))


def padded(x: Any, multiple: int = 64) -> Any:
    """The array with its last element repeated up to a multiple of the lanes."""
    import numpy as np

    return np.concatenate([x, np.repeat(x[-1:], -x.size % multiple)])


def uniform(kind: dtype, low: float, high: float, count: int = 1 << 19, seed: int = 1) -> Any:
    import numpy as np

    return padded(np.random.default_rng(seed).uniform(low, high, count).astype(kind.numpy))


# float32 bounds in ULP that are promised; the float64 ones hold where long double is the reference.
BOUNDS = {
    "sqrt": 0.51, "exp": 1.0, "exp2": 1.0, "expm1": 1.0, "log": 1.0, "log2": 1.0, "log10": 1.0, "log1p": 1.0,
    "sin": 1.5, "cos": 1.5, "rsqrt": 1.5, "pow": 1.5, "tan": 2.0, "tanh": 2.0, "erf": 2.0, "atan": 2.0, "atan2": 2.0, "sinh": 2.0, "cosh": 2.0,
    "hypot": 2.0, "asinh": 2.0, "acosh": 2.0, "atanh": 2.0, "asin": 2.0, "acos": 2.0, "sigmoid": 2.5, "softplus": 2.0, "log_sigmoid": 2.0,
    "erfc": 2.0, "erfinv": 2.0, "ndtr": 5.0, "normal_pdf": 4.0, "gelu": 6.0,
    "lgamma": 2.0, "digamma": 2.0, "trigamma": 2.0, "i0": 2.0, "i0e": 2.0, "i1": 2.0, "i1e": 2.0,
}  # fmt: skip
BOUNDS64 = {
    "tanh": 2.5,
    "sigmoid": 2.5,
    "log_sigmoid": 2.5,
    "softplus": 2.5,
    **dict.fromkeys(["exp", "exp2", "expm1", "log", "log2", "log10", "log1p"], 1.1),
}
BINARY = frozenset({"pow", "atan2", "hypot"})
ONLY_SCIPY = frozenset(
    ["erf", "erfc", "erfinv", "ndtr", "normal_pdf", "gelu", "lgamma", "digamma", "trigamma", "i0", "i0e", "i1", "i1e"]
)  # no long double reference
SLOW_REFERENCE = frozenset({"trigamma"})


def reference(name: str, arrays: list[Any]) -> Any:
    """The true values: in float64 for float32 arguments, in long double for float64 ones where NumPy has the function there."""
    import numpy as np
    from scipy import special

    narrow = arrays[0].dtype == np.float32
    wide = np.float64 if narrow or name in ONLY_SCIPY else np.longdouble
    x: np.ndarray = arrays[0].astype(wide)
    rest = [a.astype(wide) for a in arrays[1:]]
    zero: np.floating[Any] = wide(0)
    one: np.floating[Any] = wide(1)
    own: dict[str, Callable[[], Any]] = {
        "asin": lambda: np.arcsin(x),
        "acos": lambda: np.arccos(x),
        "atan": lambda: np.arctan(x),
        "asinh": lambda: np.arcsinh(x),
        "acosh": lambda: np.arccosh(x),
        "atanh": lambda: np.arctanh(x),
        "atan2": lambda: np.arctan2(x, rest[0]),
        "pow": lambda: np.power(x, rest[0]),
        "rsqrt": lambda: one / np.sqrt(x),
        "sigmoid": lambda: np.where(x < 0, np.exp(-np.abs(x)), one) / (one + np.exp(-np.abs(x))),
        "softplus": lambda: np.logaddexp(zero, x),
        "log_sigmoid": lambda: -np.logaddexp(zero, -x),
        "normal_pdf": lambda: np.exp(x * x * -0.5) / np.sqrt(2 * np.pi),
        "gelu": lambda: x * special.ndtr(x),
        "lgamma": lambda: np.where(np.isinf(x), np.inf, special.gammaln(x)),
        "digamma": lambda: np.where(x == 0, np.copysign(np.inf, -x), special.digamma(x)),
        "trigamma": lambda: np.where(x == -np.inf, np.nan, special.polygamma(1, x)),
        "i0": lambda: _raised(x, special.i0e(x), np.log(np.finfo(arrays[0].dtype).max)),
        "i1": lambda: _raised(x, special.i1e(x), np.log(np.finfo(arrays[0].dtype).max)),
    }
    with np.errstate(all="ignore"):
        if name in own:
            return own[name]()
        return getattr(special if name in ONLY_SCIPY else np, name)(x, *rest)


def _raised(x: Any, scaled: Any, largest: Any) -> Any:
    """A Bessel function from its scaled form: times e**|x|, which is infinite where |x| is above `largest`."""
    import numpy as np

    half = np.exp(np.abs(x) * 0.5)
    value: np.ndarray = scaled * half * half
    value[np.abs(x) > largest] = np.inf
    value[np.isinf(x)] = np.nan
    return np.copysign(value, scaled)


def arguments(name: str, kind: dtype, per_exponent: int) -> list[Any]:
    """Arguments over every exponent, and densely where the functions bend."""
    import numpy as np

    if name in SLOW_REFERENCE:
        return [np.concatenate([every(kind, 8), uniform(kind, 0, 20, 1 << 13), uniform(kind, 0, 1, 1 << 12)])]
    near = [uniform(kind, -w, w, 64 * per_exponent) for w in (1, 10, 100)]
    x = padded(np.concatenate([every(kind, per_exponent), *near]))
    if name not in BINARY:
        return [x]
    y = np.random.default_rng(7).permutation(x)
    powers = [np.exp(uniform(kind, -5, 5)), uniform(kind, -20, 20)]
    return [np.concatenate([x, powers[0]]), np.concatenate([y, powers[1]])]


def largest_error(name: str, kind: dtype, per_exponent: int = 512) -> tuple[float, str]:
    """Largest error in ULP (relative to 2**-53 for float64 without a wider reference), and where."""
    import numpy as np

    arrays = arguments(name, kind, per_exponent)
    run = compiled(getattr(scalar, name), kind, len(arrays))
    out = np.empty_like(arrays[0])
    run(out, *arrays)
    want = reference(name, arrays)
    error = ulps(out, want)
    worst = int(error.argmax())
    return float(error[worst]), f"{[a[worst] for a in arrays]}: {out[worst]!r} for {want[worst]!r}"


def table(per_exponent: int = 512) -> list[str]:
    """The rows of docs/accuracy.md."""
    rows = ["| function | float32 bound | float32 | float64 |", "|---|---|---|---|"]
    for name, bound in BOUNDS.items():
        single = largest_error(name, DTYPES["float32"], per_exponent)[0]
        double = "1e-14 relative" if name in ONLY_SCIPY else f"{largest_error(name, DTYPES['float64'], per_exponent // 8)[0]:.2f}"
        rows.append(f"| {name} | {bound} | {single:.2f} | {double} |")
    return rows


def speed(run: Callable[..., None], arrays: list[Any]) -> float:
    """ns per element over arrays that lie in cache, minimum of many runs."""
    import numpy as np

    out = np.empty_like(arrays[0])
    best = float("inf")
    for _ in range(40):
        start = time.perf_counter()
        for _ in range(8):
            run(out, *arrays)
        best = min(best, time.perf_counter() - start)
    return best / 8 / out.size * 1e9


if __name__ == "__main__":
    print("\n".join(table()))
