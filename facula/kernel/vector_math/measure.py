"""Errors and speed of the functions as compiled: the figures of docs/accuracy.md.

    python -m facula.kernel.vector_math.measure            # the table
    python -m facula.kernel.vector_math.measure float64 exp
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from ...base.dtypes import DTYPES, dtype
from ...base.target import Target
from ...runtime import host
from ...runtime.ir import Module, vector
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
    special = np.array([np.inf, np.nan], kind.numpy).view(word)
    bits = np.concatenate([bits, special])
    bits = np.concatenate([bits, bits | word(1 << (m + (8 if m == 23 else 11)))])
    return padded(bits.view(kind.numpy))


def padded(x: Any, multiple: int = 64) -> Any:
    """The array with its last element repeated up to a multiple of the lanes."""
    import numpy as np

    return np.concatenate([x, np.repeat(x[-1:], -x.size % multiple)])


def uniform(kind: dtype, low: float, high: float, count: int = 1 << 19, seed: int = 1) -> Any:
    import numpy as np

    return padded(np.random.default_rng(seed).uniform(low, high, count).astype(kind.numpy))


def reference(name: str) -> Callable[..., Any]:
    """The true value for float32 arguments given as float64, or (NumPy's functions only) float64 ones as long double."""
    return lambda *a: scalar.interpret(())  # replaced below


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
    sys.exit(f"types: {sorted(DTYPES)}")
