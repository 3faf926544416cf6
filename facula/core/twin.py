"""The Python twin of the emitted objects (FACULA_NATIVE=0): the same names, step by step and readable, for debugging and as the reference.

Tensors lie in the same blocks of the allocator, so that kernels, views and versions are the same; what is missing is the plan table: every
call goes to `entry.handler`, and plans run in `core.plan`.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from typing import Any, cast

from ..base.errors import OutOfMemoryError
from ..runtime import allocator
from .native import fields as F

BINARY = {
    "add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "truediv", "floor_divide": "floordiv", "remainder": "mod", "power": "pow",
    "matrix_multiply": "matmul", "and": "and", "or": "or", "xor": "xor", "lshift": "lshift", "rshift": "rshift",
}  # fmt: skip
UNARY = {
    "unary_negative": "__neg__", "unary_invert": "__invert__", "unary_absolute": "__abs__", "unary_float": "__float__", "unary_int": "__int__",
    "unary_index": "__index__", "unary_truth": "__bool__",
}  # fmt: skip


class Twin:
    """What a tensor is made of; the fields of `native.fields.TENSOR` under their Python names."""

    __slots__ = ("__dict__", "__weakref__", "_address", "_block", "_flags", "_grad", "_hooks", "_layout", "_node", "_root", "_viewed")

    def __del__(self) -> None:
        block = getattr(self, "_block", 0)
        if block and allocator is not None:  # modules are gone when the interpreter ends
            allocator.release(block)

    def __hash__(self) -> int:
        return id(self) >> 4


def word(address: int) -> ctypes.c_int64:
    """A machine word in memory."""
    return ctypes.c_int64.from_address(address)


def make_tensor(cls: type, layout: Any, data: int, block: int) -> Any:
    """A tensor that owns one reference of `block`."""
    out = cast(Any, object.__new__(cls))
    out._layout, out._address, out._block = layout, data, block
    out._node = out._grad = out._root = out._hooks = None
    out._flags = out._viewed = 0
    return out


def retain(block: int) -> int:
    """One more reference to a block."""
    word(block + F.BLOCK_REFS).value += 1
    return block


def alias(cls: type, source: Any, layout: Any, delta: int) -> Any:
    out = make_tensor(cls, layout, source._address + delta, retain(source._block))
    out._flags = source._flags & F.READ_ONLY
    return out


def adopt(cls: type, layout: Any, block: int) -> Any:
    return make_tensor(cls, layout, word(block + F.BLOCK_DATA).value, block)


def rebind(tensor: Any, source: Any, layout: Any, delta: int) -> None:
    old, block = tensor._block, retain(source._block)
    tensor._layout, tensor._address, tensor._block = layout, source._address + delta, block
    tensor._flags = tensor._flags & ~F.READ_ONLY | source._flags & F.READ_ONLY
    allocator.release(old)


def version(t: Any) -> int:
    return word(t._block + F.BLOCK_VERSION).value


def bump(t: Any) -> None:
    if not t._flags & F.UNTRACKED:
        word(t._block + F.BLOCK_VERSION).value += 1


def memory(t: Any) -> tuple[int, int, int]:
    return t._block, word(t._block + F.BLOCK_DATA).value, word(t._block + F.BLOCK_BYTES).value


def call(entry: Any, *arguments: Any) -> Any:
    return entry.handler(arguments, None)


def run(plan: int, queue: int, *operands: Any) -> None:
    """None: Python runs the plan, also under a recorder, so that nothing ever waits."""


def insert(entry: Any, names: Any, n: int, arguments: tuple[Any, ...], plan: Any, address: int) -> None:
    """There is no table."""


def public(entry: Any, name: str, doc: str) -> Callable[..., Any]:
    """A function that hands its arguments to the entry."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return entry.handler((*args, *kwargs.values()), tuple(kwargs) or None)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc.partition("\n--\n\n")[2] or doc
    return function


def operators(cls: Any, entries: dict[str, Any]) -> None:
    """Python's operators as methods that ask the slot's entry; the reflected ones give the operands in the order they were written."""

    def define(name: str, slot: str, swap: bool = False) -> None:
        def operator(a: Any, b: Any, *rest: Any) -> Any:
            return entries[slot].handler((b, a) if swap else (a, b), None)

        setattr(cls, name, operator)

    def unary(name: str, slot: str) -> None:
        def operator(a: Any) -> Any:
            return entries[slot].handler((a,), None)

        setattr(cls, name, operator)

    for slot, name in BINARY.items():
        define(f"__{name}__", slot)
        define(f"__r{name}__", slot, swap=True)
        if slot != "matrix_multiply":
            define(f"__i{name}__", "inplace_" + slot)
    for comparison in ("lt", "le", "eq", "ne", "gt", "ge"):
        define(f"__{comparison}__", "compare_" + comparison)
    for slot, name in UNARY.items():
        unary(name, slot)
    define("__getitem__", "subscript")

    def set_item(a: Any, index: Any, value: Any) -> None:
        entries["set_item"].handler((a, index, value), None)

    setattr(cls, "__setitem__", set_item)


def _always(answer: Any) -> Callable[..., Any]:
    """What the native side is asked or told and the twin has nothing to do for."""

    def function(*given: Any, **named: Any) -> Any:
        return answer

    return function


def build(node: type, rule: type, entry: type, numbers: tuple[str, ...]) -> dict[str, Any]:
    """The names that `core.objects` documents."""
    Tensor: Any = type("Tensor", (Twin,), {"__slots__": (), "__module__": "facula"})
    entries: dict[str, Any] = {}
    operators(Tensor, entries)
    Tensor.__hash__ = Twin.__hash__

    def make(layout: Any, nbytes: int) -> Any:
        try:
            block = allocator.allocate(nbytes)
        except OutOfMemoryError:
            return None
        return adopt(Tensor, layout, block)

    return {
        "Tensor": Tensor, "make": make, "alias": alias, "adopt": adopt, "borrow": _always(None), "rebind": rebind, "version": version, "bump": bump, "run": run, "call": call,
        "insert": insert, "branch": _always((0, 0)), "recorded": _always(0), "play": _always(True), "enter": _always(False), "drop": _always(None), "waiting": _always(0), "next_sequence": itertools.count().__next__, "set_slot": entries.__setitem__,
        "set_parameter": _always(None), "set_array": _always(None), "set_members": _always(None), "read": frozenset(), "method": public, "public": public, "clear_table": _always(None), "memory": memory,
    }  # fmt: skip
