"""What a tensor holds, for Python: `x.item()`, `float(x)`, `bool(x)`, `x.tolist()`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import facula.core.objects as objects

from ..base import dtypes as d
from ..base.device import CPU, META
from ..base.errors import refuse
from ..spec.binder import BINDER
from .batching import CHOSEN, refuse_look
from .chains import looked_at
from .expression import PLANS
from .layout import Layout
from .modes import MODE, sync
from .native import fields as F
from .placing import no_values
from .plan import Plan, settle
from .tensor import Tensor

C_TYPES: dict[str, Any] = {
    "float32": ctypes.c_float, "float64": ctypes.c_double, "int64": ctypes.c_int64, "int32": ctypes.c_int32, "int16": ctypes.c_int16, "int8": ctypes.c_int8,
    "uint8": ctypes.c_uint8, "uint16": ctypes.c_uint16, "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64, "bool": ctypes.c_bool,
}  # fmt: skip


def read(kind: d.dtype, address: int) -> Any:
    """The Python number at an address."""
    import struct

    c = C_TYPES.get(kind.name)
    if c is not None:
        return c.from_address(address).value
    raw = ctypes.string_at(address, kind.itemsize)
    if kind is d.float16:
        return struct.unpack("<e", raw)[0]
    if kind is d.bfloat16:
        return struct.unpack("<f", b"\0\0" + raw)[0]
    return complex(*struct.unpack({"complex32": "<2e", "complex64": "<2f", "complex128": "<2d"}[kind.name], raw))


def value_of(t: Any) -> Any:
    """The Python number that a tensor of one element holds."""
    lay = t._layout
    if lay.batch:
        refuse_look(t, "the value")
    if lay.device is META:
        raise no_values(RuntimeError, "Tensor.item() cannot be called on meta tensors")
    if MODE.trace is not None and looked_at(t, value := read(lay.dtype, t._address)):
        return value
    settle((t,))
    return read(lay.dtype, t._address)


def one_value(t: Any) -> Any:
    """What Python's own number types are made from."""
    if t._layout.numel != 1:
        raise refuse(
            ValueError,
            "only one element tensors can be converted to Python scalars",
            received=f"shape {tuple(t.shape)}",
            expected="one element",
        )
    return value_of(t)


def item(self: Any) -> Any:
    """The value of the one element."""
    if self._layout.numel != 1:
        raise refuse(
            RuntimeError,
            f"a Tensor with {self._layout.numel} elements cannot be converted to Scalar",
            received=f"shape {tuple(self.shape)}",
            expected="one element",
        )
    return value_of(self)


def truth(self: Any) -> bool:
    if self._layout.numel != 1:
        raise RuntimeError(
            "Boolean value of Tensor with no values is ambiguous"
            if not self._layout.numel
            else "Boolean value of Tensor with more than one value is ambiguous"
        )
    if self._layout.batch:
        refuse_look(self, "the truth", CHOSEN)
    return bool(value_of(self))


def index(self: Any) -> int:
    if self.dtype.is_floating_point or self.dtype.is_complex or self._layout.numel != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(value_of(self))


class ValuesPlan(Plan):
    """The elements of a tensor of one layout as Python numbers, of the kind `into` (fields.AS_...)."""

    __slots__ = ("into", "layout")

    def __init__(self, layout: Layout, into: int) -> None:
        super().__init__(None, None, None)
        self.layout, self.into = layout, into

    def native(self, places: tuple[int, ...]) -> int:
        found = self.addresses.get(())
        if found is None:
            lay = self.layout
            dims = [w for n, s in zip(lay.shape, lay.strides) for w in (n, s * lay.dtype.itemsize)]
            words = (ctypes.c_int64 * max(1, len(dims)))(*dims)
            fields = {"kind": F.KIND_VALUES, "source": [*F.ELEMENTS].index(lay.dtype.name), "how": self.into}
            fields |= {"words_n": lay.ndim, "words": ctypes.addressof(words)}
            block = (ctypes.c_int64 * len(F.PLAN))(*(fields.get(name, 0) for name in F.PLAN))
            self.keep += [words, block]
            found = self.addresses[()] = ctypes.addressof(block)
        return found


LISTED = 1 << 16  # elements that become Python objects at once, without a look at signals


def entry_of(function: Callable[..., Any], into: int) -> Any:
    """What the plan table is keyed on for a function that gives a tensor's elements to Python."""

    def handler(arguments: tuple[Any, ...], names: Any) -> Any:
        sync()
        n = len(arguments) - len(names or ())
        got = function(*arguments[:n], **dict(zip(names or (), arguments[n:])))
        lay = arguments[0]._layout
        if objects.NATIVE and len(arguments) == 1 and lay.dtype.name in F.ELEMENTS and lay.device is CPU and not lay.batch:
            if math.prod(lay.shape) <= LISTED:
                key = (ValuesPlan, lay, into)
                plan = PLANS.get(key) or PLANS.setdefault(key, ValuesPlan(lay, into))
                objects.insert(made, None, 1, arguments, plan, plan.native(()))
        return got

    made = objects.Entry(handler, 0, function)
    return made


def method(function: Callable[..., Any], into: int) -> Any:
    """The method of tensors that is this function."""
    name = function.__name__
    return objects.method(entry_of(function, into), name, f"{name}(self)\n--\n\n{function.__doc__}")


def as_float(self: Any) -> float:
    return float(one_value(self))


def as_int(self: Any) -> int:
    return int(one_value(self))


def as_complex(self: Any) -> complex:
    return complex(one_value(self))


Tensor.item = method(item, F.AS_IS)
Tensor.__complex__ = as_complex
objects.set_slot("unary_float", entry_of(as_float, F.AS_FLOAT))
objects.set_slot("unary_int", entry_of(as_int, F.AS_INT))
objects.set_slot("unary_index", entry_of(index, F.AS_INT))
objects.set_slot("unary_truth", entry_of(truth, F.AS_BOOL))
BINDER.item = item
