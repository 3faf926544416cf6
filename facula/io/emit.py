"""From objects to a pickle (protocol 2) that PyTorch reads; it names PyTorch's constructors without having them."""

from __future__ import annotations

import copyreg
import pickle
import struct
import sys
import types
from collections import OrderedDict
from typing import Any

from ..base.device import device
from ..base.dtypes import dtype
from ..base.errors import refuse
from ..core import Size, Tensor, objects
from ..nn import Parameter

DEEPEST = 200  # levels of containers: each takes some frames of Python's stack here, and of the reader's user
TYPED = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
}  # PyTorch's class of each dtype's storage; dtypes that came later have none


class Global:
    """A name that the reader resolves: module and qualified name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """A constructor with its arguments, in place of the object that it makes."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args


def dtype_name(kind: Any) -> str:
    return str(kind).removeprefix("torch.")


class Emitter:
    """Writes one object; `storages` then holds each storage once: key -> (a tensor that keeps it alive, address, bytes)."""

    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x02")
        self.memo: dict[Any, int] = {}
        self.numbers = 0
        self.kept: list[Any] = []  # objects whose id is in the memo must not go away
        self.storages: dict[str, tuple[Any, int, int]] = {}
        self.kinds: dict[str, str] = {}  # storage key -> dtype that its first tensor had
        self.keys: dict[tuple[int, int], str] = {}
        self.depth = 0

    def finish(self, value: Any) -> bytes:
        """The whole pickle of `value`."""
        self.put(value)
        self.out += b"."
        return bytes(self.out)

    def put(self, value: Any) -> None:
        known = self.memo.get(id(value))
        if known is not None:
            self._recall(known)
            return
        if self.depth >= DEEPEST:
            raise refuse(
                ValueError,
                f"cannot save containers that are nested deeper than {DEEPEST} levels",
                received=f"a {type(value).__name__} at level {self.depth}",
                hint="a flat dict of names, as state_dict() has it",
            )
        self.depth += 1
        try:
            writer = WRITERS.get(type(value))
            if writer is not None:
                writer(self, value)
            else:
                self._put_other(value)
        finally:
            self.depth -= 1

    def _put_other(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._put_tensor(value)
        elif isinstance(value, dtype):
            self.put_global("torch", dtype_name(value))
        elif isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            self._put_named(value)
        else:
            self._put_reduced(value)

    # -- memo ---------------------------------------------------------------------------------------------------------------

    def _remember(self, value: Any) -> None:
        self.kept.append(value)
        self._number(id(value))

    def _number(self, key: Any) -> None:
        number = self.memo[key] = self.numbers
        self.numbers += 1
        self.out += b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def _recall(self, number: int) -> None:
        self.out += b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number)

    # -- names --------------------------------------------------------------------------------------------------------------

    def put_global(self, module: str, name: str) -> None:
        known = self.memo.get((module, name))
        if known is not None:
            self._recall(known)
            return
        self.out += b"c" + f"{module}\n{name}\n".encode()
        self._number((module, name))

    def _put_named(self, value: Any) -> None:
        """A class or function by name, if that name leads back to it."""
        module, name = getattr(value, "__module__", None), value.__qualname__
        found: Any = sys.modules.get(module or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not value:
            raise refuse(
                pickle.PicklingError,
                f"Can't pickle {value!r}: it's not found as {module}.{name}",
                hint="save a state_dict, or define the class or function at the top of a module",
            )
        self.put_global(module or "", name)

    # -- plain values -------------------------------------------------------------------------------------------------------

    def _put_none(self, value: None) -> None:
        self.out += b"N"

    def _put_bool(self, value: bool) -> None:
        self.out += b"\x88" if value else b"\x89"

    def _put_int(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += b"K" + bytes([value])
        elif -(2**31) <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(raw) > 255:
                raise refuse(OverflowError, "cannot save an int of more than 2039 bits", received=f"{value.bit_length()} bits")
            self.out += b"\x8a" + bytes([len(raw)]) + raw

    def _put_float(self, value: float) -> None:
        self.out += b"G" + struct.pack(">d", value)

    def _put_str(self, value: str) -> None:
        raw = value.encode("utf-8", "surrogatepass")
        self.out += b"X" + struct.pack("<I", len(raw)) + raw
        self._remember(value)

    def _put_bytes(self, value: bytes) -> None:
        # protocol 2 has no bytes: Python's own pickler writes this call too, and PyTorch reads it
        self.put(Call(Global("_codecs", "encode"), str(value, "latin1"), "latin1"))

    def _put_bytearray(self, value: bytearray) -> None:
        self.put(Call(Global("builtins", "bytearray"), bytes(value)))
        self._remember(value)

    def _put_complex(self, value: complex) -> None:
        self.put(Call(Global("builtins", "complex"), value.real, value.imag))

    # -- containers ---------------------------------------------------------------------------------------------------------

    def _put_tuple(self, value: tuple[Any, ...]) -> None:
        if not value:
            self.out += b")"
            return
        if len(value) > 3:
            self.out += b"("
        for item in value:
            self.put(item)
        if id(value) in self.memo:  # a tuple that reaches itself through a list: the inner visit has made it already
            self.out += b"1" if len(value) > 3 else b"0" * len(value)
            self._recall(self.memo[id(value)])
            return
        self.out += {1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(value), b"t")
        self._remember(value)

    def _put_list(self, value: list[Any]) -> None:
        self.out += b"]"
        self._remember(value)
        self._append(value)

    def _append(self, items: Any) -> None:
        items = list(items)
        if items:
            self.out += b"("
            for item in items:
                self.put(item)
            self.out += b"e"

    def _put_dict(self, value: dict[Any, Any]) -> None:
        self.out += b"}"
        self._remember(value)
        self._set_items(value.items())

    def _set_items(self, pairs: Any) -> None:
        pairs = list(pairs)
        if pairs:
            self.out += b"("
            for key, item in pairs:
                self.put(key)
                self.put(item)
            self.out += b"u"

    def _put_ordered(self, value: OrderedDict[Any, Any]) -> None:
        self.put_global("collections", "OrderedDict")
        self.out += b")R"
        self._remember(value)
        self._set_items(value.items())
        if value.__dict__:  # a module's state_dict carries its versions as an attribute
            self.put(dict(value.__dict__))
            self.out += b"b"

    def _put_set(self, value: set[Any] | frozenset[Any]) -> None:
        self.put(Call(Global("builtins", type(value).__name__), list(value)))
        self._remember(value)

    def _put_call(self, call: Call) -> None:
        self.put(call.function)
        self.put(call.args)
        self.out += b"R"

    def _put_name(self, value: Global) -> None:
        self.put_global(value.module, value.name)

    def _put_size(self, value: Size) -> None:
        self.put(Call(Global("torch", "Size"), tuple(int(n) for n in value)))
        self._remember(value)

    def _put_device(self, value: Any) -> None:
        args = (value.type,) if value.index is None else (value.type, value.index)
        self.put(Call(Global("torch", "device"), *args))
        self._remember(value)

    # -- tensors ------------------------------------------------------------------------------------------------------------

    def _put_tensor(self, value: Any) -> None:
        state = dict(getattr(value, "__dict__", None) or {})  # what the program put on it
        if type(value) is Parameter:
            plain = value.detach()
            self._keep(plain)
            name, more = ("_rebuild_parameter_with_state", (state,)) if state else ("_rebuild_parameter", ())
            self.put(Call(Global("torch._utils", name), plain, value.requires_grad, OrderedDict(), *more))
        elif type(value) is Tensor and not state:
            self.put(self._rebuilding(value))
        else:
            call = self._rebuilding(value)
            kind = Global("torch", "Tensor") if type(value) is Tensor else type(value)
            self.put(Call(Global("torch._tensor", "_rebuild_from_type_v2"), call.function, kind, call.args, state))
        self._remember(value)

    def _keep(self, value: Any) -> None:
        self.kept.append(value)

    def _rebuilding(self, value: Any) -> Call:
        """Tensor as (storage, offset, size, stride, requires_grad, hooks), which is how PyTorch takes it apart."""
        if value.is_meta:
            shape, strides = tuple(int(n) for n in value.shape), tuple(int(n) for n in value.stride())
            return Call(Global("torch._utils", "_rebuild_meta_tensor_no_storage"), value.dtype, shape, strides, bool(value.requires_grad))
        key = self._storage(value)
        name, numel = dtype_name(value.dtype), self.storages[key][2] // value.element_size()
        place = int(value.storage_offset()), tuple(int(n) for n in value.shape), tuple(int(n) for n in value.stride())
        rest = (bool(value.requires_grad), OrderedDict())
        if name in TYPED and self.kinds.setdefault(key, name) == name:
            return Call(Global("torch._utils", "_rebuild_tensor_v2"), Stored(TYPED[name], "torch", key, numel), *place, *rest)
        stored = Stored("UntypedStorage", "torch.storage", key, self.storages[key][2])
        return Call(Global("torch._utils", "_rebuild_tensor_v3"), stored, *place, *rest, value.dtype, None)

    def _storage(self, value: Any) -> str:
        _, address, count = objects.memory(value)
        whole = count - count % value.element_size()
        key = self.keys.setdefault((address, count if address else id(value)), str(len(self.keys)))
        if key not in self.storages:
            self.storages[key] = value, address, whole
        return key

    def _put_stored(self, stored: Stored) -> None:
        self.put(("storage", Global(stored.module, stored.kind), stored.key, "cpu", stored.numel))
        self.out += b"Q"

    # -- everything else ----------------------------------------------------------------------------------------------------

    def _put_reduced(self, value: Any) -> None:
        """Through the object's own `__reduce_ex__`, as pickle does; reading it back takes a class that the reader trusts."""
        reducer = copyreg.dispatch_table.get(type(value))
        got: Any = reducer(value) if reducer is not None else value.__reduce_ex__(2)
        if isinstance(got, str):
            self.put_global(getattr(value, "__module__", None) or type(value).__module__, got)
            return
        parts: list[Any] = [*got, None, None, None]
        function, args, state, items, pairs = parts[:5]
        if getattr(function, "__name__", "") == "__newobj__":
            self.put(args[0])
            self.put(tuple(args[1:]))
            self.out += b"\x81"
        else:
            self.put(function)
            self.put(args)
            self.out += b"R"
        self._remember(value)
        if items is not None:
            self._append(items)
        if pairs is not None:
            self._set_items(pairs)
        if state is not None:
            self.put(state)
            self.out += b"b"


class Stored:
    """A storage by key, as the persistent identifier that PyTorch writes."""

    def __init__(self, kind: str, module: str, key: str, numel: int) -> None:
        self.kind, self.module, self.key, self.numel = kind, module, key, numel


WRITERS: dict[type, Any] = {
    type(None): Emitter._put_none,
    bool: Emitter._put_bool,
    int: Emitter._put_int,
    float: Emitter._put_float,
    str: Emitter._put_str,
    bytes: Emitter._put_bytes,
    bytearray: Emitter._put_bytearray,
    complex: Emitter._put_complex,
    tuple: Emitter._put_tuple,
    list: Emitter._put_list,
    dict: Emitter._put_dict,
    OrderedDict: Emitter._put_ordered,
    set: Emitter._put_set,
    frozenset: Emitter._put_set,
    Size: Emitter._put_size,
    device: Emitter._put_device,
    Call: Emitter._put_call,
    Global: Emitter._put_name,
    Stored: Emitter._put_stored,
}
