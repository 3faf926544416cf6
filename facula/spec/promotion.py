"""Type promotion: the type in which mixed arguments are computed (PyTorch's rules, tensor_attributes page of its documentation).

Arguments come in three ranks: tensors with dims, 0-dim tensors, Python numbers. A lower rank decides only where its category
(bool < integral < floating < complex) is above every higher rank's.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..base import dtypes as d
from ..base.dtypes import dtype
from ..base.settings import SETTINGS

WIDE = {"uint16", "uint32", "uint64"}  # stored and converted, never mixed with other integers


def join(a: dtype, b: dtype) -> dtype:
    """The smallest type that both convert to."""
    if a is b:
        return a
    if a.is_integral and b.is_integral and not WIDE.isdisjoint((a.name, b.name)):
        raise RuntimeError(
            f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {scalar_type_name(a)} and {scalar_type_name(b)}"
        )
    if a.rank > b.rank:
        a, b = b, a
    if b.is_complex:
        if a.is_complex or a.category < 2:
            return b
        return d.complex128 if a is d.float64 else b if b is not d.complex32 or a is d.float16 else d.complex64
    if b.is_floating_point:
        return d.float32 if a is d.float16 and b is d.bfloat16 else b
    if a is d.bool_:
        return b
    return d.int16 if a is d.uint8 and b is d.int8 else b


def scalar_type_name(t: dtype) -> str:
    """PyTorch's internal name of a type, as its error messages print it."""
    names = {"bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half", "bfloat16": "BFloat16",
             "float32": "Float", "float64": "Double", "complex32": "ComplexHalf", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
             "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64"}  # fmt: skip
    return names[t.name]


def cpp_name(t: dtype) -> str:
    """A type as C++ spells it, which some of PyTorch's error messages print."""
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char", "uint8": "unsigned char",
             "float16": "c10::Half", "bfloat16": "c10::BFloat16", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip
    return names.get(t.name, t.name)


def of_number(x: complex) -> dtype:
    """The type a Python number would have as a tensor."""
    if isinstance(x, bool):
        return d.bool_
    if isinstance(x, int):
        return d.int64
    return SETTINGS.default_dtype if isinstance(x, float) else SETTINGS.default_dtype.to_complex()


def result_type(with_dims: Iterable[dtype], without: Iterable[dtype] = (), numbers: Iterable[dtype] = ()) -> dtype:
    """The promoted type of arguments sorted by rank; at least one must be given."""
    result: dtype | None = None
    for rank in (with_dims, without, numbers):
        best: dtype | None = None
        for t in rank:
            best = t if best is None else join(best, t)
        if best is None:
            continue
        if result is None:
            result = best
        elif best.category > result.category:
            # a complex number beside float tensors keeps their precision
            result = (
                join(result, best) if rank is without else (result.to_complex() if best.is_complex and result.is_floating_point else best)
            )
    assert result is not None
    return result
