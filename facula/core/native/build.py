"""Loads the emitted core and makes the Tensor type from it (PyType_FromSpec: a heap type that Python can add to)."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import facula.core.modes as modes
import facula.core.native.fields as F

from ...base.device import device, memory_format
from ...base.dtypes import dtype
from ...base.size import Size
from ...kernel.compiler import functions
from ...kernel.launch import Kernel
from ...runtime import native
from ..layout import Layout
from .text import emit_core

KEEP: list[Any] = []  # C structures that the interpreter keeps pointing into
SLOT_IDS = {
    "add": 7, "subtract": 36, "multiply": 29, "true_divide": 37, "floor_divide": 12, "remainder": 34, "power": 33, "matrix_multiply": 75, "and": 8,
    "or": 31, "xor": 38, "lshift": 28, "rshift": 35, "unary_negative": 30, "unary_invert": 27, "unary_absolute": 6, "inplace_add": 14,
    "inplace_subtract": 23, "inplace_multiply": 18, "inplace_true_divide": 24, "inplace_floor_divide": 16, "inplace_remainder": 21, "inplace_power": 20,
    "inplace_and": 15, "inplace_or": 19, "inplace_xor": 25, "inplace_lshift": 17, "inplace_rshift": 22, "subscript": 5, "set_item": 3,
    "unary_float": 11, "unary_int": 26, "unary_index": 13, "unary_truth": 9,
}  # fmt: skip
BUFFER, CLEAR, DEALLOC, HASH, MEMBERS, RICHCOMPARE, TRAVERSE, GETSET = 1, 51, 52, 59, 72, 67, 71, 73
FASTCALL, FASTCALL_KEYWORDS, ONE = 0x80, 0x82, 0x08
GC, BASETYPE = 1 << 14, 1 << 10
OBJECT, LONGLONG, SSIZE = 6, 17, 19
PYTHON_TYPES = {
    "PyFloat_Type": float,
    "PyLong_Type": int,
    "PyUnicode_Type": str,
    "PyBool_Type": bool,
    "PyTuple_Type": tuple,
    "PyList_Type": list,
}


READ = {  # attributes that emitted code gives
    "requires_grad": "Whether a gradient of it is wanted.", "is_leaf": "Whether nothing recorded made it.", "grad_fn": "The node that made it.",
    "grad": "The accumulated gradient.", "shape": "Extents, one per dim.", "dtype": "Element type.", "device": "Where it lives.", "ndim": "Number of dims.",
}  # fmt: skip


class _MethodDef(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


class _Slot(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int), ("function", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int),
        ("item", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    ]


class _GetSet(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("get", ctypes.c_void_p),
        ("set", ctypes.c_void_p),
        ("doc", ctypes.c_char_p),
        ("closure", ctypes.c_void_p),
    ]


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def slot_offsets(cls: type[Any], names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Byte offsets of a class's __slots__, found by writing to an instance."""
    probe = object.__new__(cls)
    words = ctypes.c_uint64 * ((cls.__basicsize__ - F.HEADER) // 8)
    found: list[tuple[str, int]] = []
    for name in names:
        mark = object()
        setattr(probe, name, mark)
        found.append((name, F.HEADER + 8 * list(words.from_address(id(probe) + F.HEADER)).index(id(mark))))
        delattr(probe, name)
    return tuple(found)


def _slice_offsets() -> tuple[int, ...]:
    """Byte offsets of start, stop and step in a slice, found by looking at one."""
    bounds = tuple(object() for _ in range(3))
    probe = slice(*bounds)
    words = list((ctypes.c_uint64 * ((slice.__basicsize__ - F.HEADER) // 8)).from_address(id(probe) + F.HEADER))
    return tuple(F.HEADER + 8 * words.index(id(bound)) for bound in bounds)


def _builtin(address: int, name: str, flags: int, owner: Any = None, doc: str = "") -> Any:
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype, create.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    definition = _MethodDef(name.encode(), address, flags, doc.encode() if doc else None)
    KEEP.append(definition)
    return create(ctypes.addressof(definition), owner, None)


def _tensor_type(at: dict[str, int], numbers: tuple[str, ...]) -> Any:
    T = F.TENSOR
    members = [
        ("_layout", OBJECT, T["layout"], 0), ("_node", OBJECT, T["node"], 0), ("_grad", OBJECT, T["grad"], 0), ("_root", OBJECT, T["base"], 0),
        ("_hooks", OBJECT, T["hooks"], 0), ("_address", LONGLONG, T["data"], 1), ("_block", LONGLONG, T["block"], 1), ("_flags", LONGLONG, T["flags"], 0),
        ("_viewed", LONGLONG, T["viewed"], 0), ("__weaklistoffset__", SSIZE, T["weak"], 1), ("__dictoffset__", SSIZE, T["dict"], 1),
    ]  # fmt: skip
    table = (_Member * (len(members) + 1))(*(_Member(n.encode(), t, o, f, None) for n, t, o, f in members))
    slots = {DEALLOC: at["tensor_dealloc"], TRAVERSE: at["tensor_traverse"], CLEAR: at["tensor_clear"], HASH: at["tensor_hash"]}
    dictionary = (
        ctypes.cast(f, ctypes.c_void_p).value for f in (ctypes.pythonapi.PyObject_GenericGetDict, ctypes.pythonapi.PyObject_GenericSetDict)
    )
    read = [_GetSet(name.encode(), at["tensor_" + name], at.get("tensor_set_" + name), doc.encode(), None) for name, doc in READ.items()]
    properties = (_GetSet * (len(read) + 2))(_GetSet(b"__dict__", *dictionary, None, None), *read)
    slots |= {GETSET: ctypes.addressof(properties)}
    slots |= {RICHCOMPARE: at["slot_richcompare"], MEMBERS: ctypes.addressof(table), BUFFER: at["tensor_buffer"]}
    slots |= {SLOT_IDS[n]: at["slot_" + n] for n in numbers if n in SLOT_IDS}
    rows = (_Slot * (len(slots) + 1))(*(_Slot(k, v) for k, v in slots.items()))
    spec = _Spec(b"facula.Tensor", F.TENSOR_SIZE, 0, GC | BASETYPE, ctypes.addressof(rows))
    KEEP.extend((table, properties, rows, spec))
    create = ctypes.pythonapi.PyType_FromSpec
    create.restype, create.argtypes = ctypes.py_object, [ctypes.c_void_p]
    return create(ctypes.addressof(spec))


def build(node: type, rule: type, entry: type, numbers: tuple[str, ...]) -> dict[str, Any]:
    """The names that `core.objects` documents."""
    state = (ctypes.c_int64 * F.STATE_WORDS)()
    table = (ctypes.c_int64 * (F.ROWS * F.ROW_WORDS))()
    slots = (
        slot_offsets(node, ("rule", "edges", "saved", "seq", "extra")),
        slot_offsets(rule, ("outputs",)),
        slot_offsets(entry, ("handler", "mask", "plain", "tracer")),
        slot_offsets(Layout, ("shape", "dtype", "device", "ndim")),
    )
    kernel = Kernel(emit_core, (*slots, _slice_offsets(), numbers))
    symbols = {"facula_core": ctypes.addressof(state)} | {n: id(t) for n, t in PYTHON_TYPES.items()}
    if not hasattr(ctypes.pythonapi, "PyObject_Vectorcall"):  # Python 3.10 has it in a header only; what is called so is a Python function
        symbols["PyObject_Vectorcall"] = ctypes.cast(ctypes.pythonapi._PyFunction_Vectorcall, ctypes.c_void_p).value or 0
    at = functions(kernel, symbols=symbols, level="full")
    Tensor = _tensor_type(at, numbers)
    KEEP.extend((state, table, Tensor, node, entry))
    _fill(state, Tensor, node, table)
    _follow_modes(_builtin(at["facula_tell"], "tell", FASTCALL))
    return {
        "Tensor": Tensor,
        "make": _builtin(at["make"], "make", FASTCALL),
        "alias": _builtin(at["alias"], "alias", FASTCALL),
        "adopt": _builtin(at["adopt"], "adopt", FASTCALL),
        "borrow": _builtin(at["facula_borrow"], "borrow", FASTCALL),
        "rebind": _builtin(at["rebind"], "rebind", FASTCALL),
        "version": _builtin(at["version"], "version", ONE),
        "bump": _builtin(at["bump"], "bump", ONE),
        "run": _builtin(at["facula_execute"], "run", FASTCALL),
        "call": _builtin(at["facula_call"], "call", FASTCALL),
        "recorded": _builtin(at["facula_recorded"], "recorded", FASTCALL),
        "play": _builtin(at["facula_play"], "play", FASTCALL),
        "enter": _builtin(at["facula_enter"], "enter", ONE),
        "drop": _builtin(at["facula_drop"], "drop", FASTCALL),
        "waiting": _builtin(at["facula_waiting"], "waiting", FASTCALL),
        "memory": _memory,
        "state": state,
        **_table_functions(_builtin(at["facula_insert"], "insert", FASTCALL), table, Tensor),
        **_state_functions(state, numbers),
        **_makers(at["facula_public"]),
    }


def _fill(state: Any, Tensor: type, node: type, table: Any) -> None:
    """The objects that emitted code compares with or makes, by address."""
    objects = {"tensor": Tensor, "parameter": Tensor, "node": node, "none": None, "dtype": dtype, "memory_format": memory_format, "size": Size, "device": device,
               "not_implemented": NotImplemented, "slice": slice, "ellipsis": Ellipsis}  # fmt: skip
    words = {name: id(value) for name, value in objects.items()}
    words |= {"table": ctypes.addressof(table), "parallel": native.address("facula_parallel"), "stamps": F.BLOCKS_MAX}
    for name, word in words.items():
        state[F.STATE[name]] = word


def _follow_modes(tell: Any) -> None:
    """Keep the mode word that keys contain up to date with this process's modes."""
    modes.NATIVE.append(tell)
    modes.sync()
    os.register_at_fork(after_in_child=modes.sync)


def _table_functions(insert_row: Any, table: Any, Tensor: type) -> dict[str, Any]:
    kept: dict[int, Any] = {}  # what the key of a row names by address stays alive as long as the row

    def named(a: Any) -> Any:
        if isinstance(a, (tuple, list)):
            items: list[Any] = [*a]
            return [named(x) for x in items]
        return a._layout if isinstance(a, Tensor) else a

    def insert(entry: Any, names: Any, n: int, arguments: tuple[Any, ...], plan: Any, address: int) -> None:
        row = insert_row(entry, names, n, arguments, address)
        if row >= 0:
            kept[row] = (entry, names, [named(a) for a in arguments], plan)

    def clear_table() -> None:
        ctypes.memset(ctypes.addressof(table), 0, ctypes.sizeof(table))
        kept.clear()

    return {"insert": insert, "clear_table": clear_table}


def _state_functions(state: Any, numbers: tuple[str, ...]) -> dict[str, Any]:
    def keep(word: int, value: Any) -> None:
        KEEP.append(value)
        state[word] = id(value)

    def next_number() -> int:
        n = state[F.STATE["sequence"]]
        state[F.STATE["sequence"]] = n + 1
        return n

    def set_slot(name: str, entry: Any) -> None:
        keep(F.STATE_SLOTS + numbers.index(name), entry)

    def set_exporter(function: Any) -> None:
        keep(F.STATE["exporter"], function)

    def set_parameter(cls: type) -> None:
        keep(F.STATE["parameter"], cls)

    def set_members(**functions: Any) -> None:
        for name, function in functions.items():
            keep(F.STATE[name], function)

    def set_array(cls: type) -> None:
        keep(F.STATE["array"], cls)

    def branch() -> tuple[int, int]:
        return state[F.STATE["branch"]], state[F.STATE["met"]]

    return {
        "set_slot": set_slot,
        "branch": branch,
        "set_exporter": set_exporter,
        "set_parameter": set_parameter,
        "set_array": set_array,
        "set_members": set_members,
        "read": frozenset(READ),
        "next_sequence": next_number,
    }


def _makers(address: int) -> dict[str, Any]:
    """Functions and methods whose calls go to `facula_public` at this address."""
    instance_method = ctypes.pythonapi.PyInstanceMethod_New
    instance_method.restype, instance_method.argtypes = ctypes.py_object, [ctypes.py_object]

    def public(entry: Any, name: str, doc: str) -> Any:
        return _builtin(address, name, FASTCALL_KEYWORDS, entry, doc)

    def method(entry: Any, name: str, doc: str) -> Any:
        return instance_method(public(entry, name, doc))

    return {"public": public, "method": method}


def _memory(t: Any) -> tuple[int, int, int]:
    block = t._block
    return block, ctypes.c_int64.from_address(block + F.BLOCK_DATA).value, ctypes.c_int64.from_address(block + F.BLOCK_BYTES).value
