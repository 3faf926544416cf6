"""Element types: what a tensor's elements are, how many bytes they take, and which type arithmetic on them is done in."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class dtype:
    """An element type. The instances below are the only ones; compare with `is` or `==`."""

    __slots__ = ("__dict__", "is_complex", "is_floating_point", "is_signed", "itemsize", "llvm", "name", "rank")

    def __init__(self, name: str, itemsize: int, category: str, llvm: str, rank: int) -> None:
        self.name = name
        self.itemsize = itemsize  # bytes
        self.is_floating_point = category == "floating"
        self.is_complex = category == "complex"
        self.is_signed = name not in ("bool", "uint8", "uint16", "uint32", "uint64")
        self.llvm = llvm  # element as it lies in memory; a complex element is two of these
        self.rank = rank  # order within promotion

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self

    @property
    def is_integral(self) -> bool:
        """Integers, without bool."""
        return not (self.is_floating_point or self.is_complex or self.name == "bool")

    @property
    def category(self) -> int:
        """0 bool, 1 integral, 2 floating, 3 complex: promotion between categories goes up."""
        return 3 if self.is_complex else 2 if self.is_floating_point else 1 if self.name != "bool" else 0

    @cached_property
    def compute(self) -> dtype:
        """The type that scalar bodies are traced in: half precision computes in float32 and is rounded once, at the end."""
        return {"float16": float32, "bfloat16": float32, "complex32": complex64}.get(self.name, self)

    @cached_property
    def real(self) -> dtype:
        """Type of the parts of a complex type; any other type itself."""
        return {"complex32": float16, "complex64": float32, "complex128": float64}.get(self.name, self)

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        import numpy as np

        if self.name == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.name)

    def to_complex(self) -> dtype:
        return {"float16": complex32, "bfloat16": complex64, "float32": complex64, "float64": complex128}.get(self.name, self)

    def to_real(self) -> dtype:
        return self.real


bool_ = dtype("bool", 1, "bool", "i8", 0)
uint8 = dtype("uint8", 1, "integral", "i8", 1)
int8 = dtype("int8", 1, "integral", "i8", 2)
uint16 = dtype("uint16", 2, "integral", "i16", 3)
int16 = dtype("int16", 2, "integral", "i16", 4)
uint32 = dtype("uint32", 4, "integral", "i32", 5)
int32 = dtype("int32", 4, "integral", "i32", 6)
uint64 = dtype("uint64", 8, "integral", "i64", 7)
int64 = dtype("int64", 8, "integral", "i64", 8)
float16 = dtype("float16", 2, "floating", "half", 9)
bfloat16 = dtype("bfloat16", 2, "floating", "i16", 10)
float32 = dtype("float32", 4, "floating", "float", 11)
float64 = dtype("float64", 8, "floating", "double", 12)
complex32 = dtype("complex32", 4, "complex", "half", 13)
complex64 = dtype("complex64", 8, "complex", "float", 14)
complex128 = dtype("complex128", 16, "complex", "double", 15)

DTYPES = {
    d.name: d
    for d in (
        bool_,
        uint8,
        int8,
        uint16,
        int16,
        uint32,
        int32,
        uint64,
        int64,
        float16,
        bfloat16,
        float32,
        float64,
        complex32,
        complex64,
        complex128,
    )
}
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "chalf": complex32,
    "cfloat": complex64,
    "cdouble": complex128,
}


def from_numpy(d: Any) -> dtype | None:
    """The type of a NumPy dtype, None where there is none."""
    return DTYPES.get(d.name)
