"""What numbers a type holds: `finfo` and `iinfo`."""

from __future__ import annotations

from typing import Any

from .dtypes import dtype, float32
from .errors import refuse
from .narrow import is_a

DIGITS = {
    "float16": (10, 5),
    "bfloat16": (7, 8),
    "float32": (23, 8),
    "float64": (52, 11),
}  # bits of mantissa and exponent, IEEE 754 table 3.5
DECIMALS = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6, "float64": 1e-15}


class finfo:
    """Limits of a floating type, or of the parts of a complex one: bits, eps, min, max, tiny, smallest_normal, resolution."""

    def __init__(self, type: dtype = float32) -> None:
        if not (is_a(type, dtype) and (type.is_floating_point or type.is_complex)):
            raise refuse(
                TypeError, f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{type!r}'", received=repr(type)
            )
        real = type.real
        digits, exponent = DIGITS[real.name]
        bias = (1 << (exponent - 1)) - 1
        self.dtype = real.name
        self.bits = real.itemsize * 8
        self.eps = 2.0**-digits
        self.max = (2.0 - self.eps) * 2.0**bias
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - bias)
        self.resolution = DECIMALS[real.name]

    def __repr__(self) -> str:
        shown = {k: f"{getattr(self, k):g}" for k in ("resolution", "min", "max", "eps", "smallest_normal", "tiny")}
        return f"finfo({', '.join(f'{k}={v}' for k, v in shown.items())}, dtype={self.dtype})"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, finfo) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:
    """Limits of an integer type: bits, min, max."""

    def __init__(self, type: dtype) -> None:
        if not (is_a(type, dtype) and type.is_integral):
            raise refuse(
                TypeError, f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type!r}'", received=repr(type)
            )
        self.dtype = type.name
        self.bits = type.itemsize * 8
        self.min = -(1 << (self.bits - 1)) if type.is_signed else 0
        self.max = (1 << (self.bits - type.is_signed)) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, iinfo) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))
