"""Python numbers, lists of them and arrays, as tensors: what the key of a call holds of them, and their way into memory (core/data.py)."""

from __future__ import annotations

from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value


def emit_measures(core: Any) -> None:
    """What a key needs."""
    _measure(core)
    _form(core)


def emit_data(core: Any) -> None:
    """What a plan needs."""
    _borrow(core)
    _pour(core)
    _data(core)


def _type_is(core: Any, f: Function, obj: Value, symbol: str) -> Value:
    return core.get(f, obj, F.TYPE).eq(core.symbol(f, symbol))


def _is_list(core: Any, f: Function, obj: Value) -> Value:
    return _type_is(core, f, obj, "PyList_Type") | _type_is(core, f, obj, "PyTuple_Type")


def _item(core: Any, f: Function, obj: Value, i: Value) -> Value:
    """Of a list or tuple; borrowed."""
    item = f.var("ptr", f.const("ptr", 0))
    listed = _type_is(core, f, obj, "PyList_Type")
    with f.when(listed):
        item.v = f.call("ptr", "PyList_GetItem", obj, i)
    with f.when(~listed):
        item.v = f.call("ptr", "PyTuple_GetItem", obj, i)
    return item.v


def _measure(core: Any) -> None:
    """facula_measure(obj, extents, depth) -> fields.DATA_..., what all the numbers in nested lists are, else 0. `extents` gets the length of
    the lists at each depth, 0 where the numbers are; -1 stands where nothing was seen before."""
    with core.m.function("facula_measure", "ptr obj, ptr extents, i64 depth", "i64", internal=True) as (f, obj, extents, depth):
        kind = f.var("i64", f.i64(0))
        for symbol, word in (("PyFloat_Type", F.DATA_FLOAT), ("PyLong_Type", F.DATA_INT), ("PyBool_Type", F.DATA_BOOL)):
            with f.when(_type_is(core, f, obj, symbol)):
                kind.v = f.i64(word)
        listed = kind.v.eq(0)
        with f.when(listed & ~_is_list(core, f, obj) | depth.eq(F.DATA_DIMS) & listed):
            f.ret(0)
        size = f.var("i64", f.i64(0))
        with f.when(listed):
            size.v = f.call("i64", "PySequence_Size", obj)
            with f.when(size.v.eq(0)):
                f.ret(0)
        seen = f.load("i64", extents, depth)
        with f.when((seen >= 0) & seen.ne(size.v)):
            f.ret(0)
        f.store(size.v, extents, depth)
        with f.range(0, size.v) as i:
            inner = f.call("i64", "facula_measure", _item(core, f, obj, i), extents, depth + 1)
            with f.when(inner.eq(0) | (i > 0) & inner.ne(kind.v)):
                f.ret(0)
            kind.v = inner
        f.ret(kind.v)


def _pour(core: Any) -> None:
    """facula_pour(obj, dims, n, into, at) -> where the next number goes; null where this is no nest of n lists of these lengths, or its numbers
    do not fit. `into` is a place in fields.DATA_TYPES."""
    with core.m.function("facula_pour", "ptr obj, ptr dims, i64 n, i64 into, ptr at", "ptr", internal=True) as (f, obj, dims, n, into, at):
        with f.when(n.eq(0)):
            for place, (type_, taken) in enumerate(F.DATA_TYPES.values()):
                with f.when(into.eq(place)):
                    for word in taken:
                        _number(core, f, obj, word, type_, at)
                    f.ret(0)
            f.ret(0)
        with f.when(~_is_list(core, f, obj)):
            f.ret(0)
        with f.when(f.call("i64", "PySequence_Size", obj).ne(f.load("i64", dims))):
            f.ret(0)
        next_ = f.var("ptr", at)
        with f.range(0, f.load("i64", dims)) as i:
            next_.v = f.call("ptr", "facula_pour", _item(core, f, obj, i), f.at(dims, 1, "i64"), n - 1, into, next_.v)
            with f.when(next_.v.eq(0)):
                f.ret(0)
        f.ret(next_.v)


def _number(core: Any, f: Function, obj: Value, word: int, type_: str, at: Value) -> None:
    """Store a number of this kind and return; anything else passes on."""
    symbol = {F.DATA_FLOAT: "PyFloat_Type", F.DATA_INT: "PyLong_Type", F.DATA_BOOL: "PyBool_Type"}[word]
    with f.when(_type_is(core, f, obj, symbol)):
        if type_ == "i8":
            f.store(f.cast("trunc", f.call("i32", "PyObject_IsTrue", obj), "i8"), at)
            f.ret(f.bytes(at, 1))
            return
        if type_ == "i64":
            overflow = Value(f, "ptr", f.alloca("i32"))
            value = f.call("i64", "PyLong_AsLongLongAndOverflow", obj, overflow)
            with f.when(f.load("i32", overflow).ne(0)):
                f.ret(0)
            f.store(value, at)
            f.ret(f.bytes(at, 8))
            return
        x = f.call("double", "PyFloat_AsDouble" if word == F.DATA_FLOAT else "PyLong_AsDouble", obj)
        if word == F.DATA_INT:
            with f.when(x.eq(-1.0)), f.when(f.call("ptr", "PyErr_Occurred").ne(0)):
                f.call("void", "PyErr_Clear")
                f.ret(0)
        f.store(f.cast("fptrunc", x, "float") if type_ == "float" else x, at)
        f.ret(f.bytes(at, 4 if type_ == "float" else 8))


def _data(core: Any) -> None:
    """facula_data(plan, args) -> a tensor of the numbers in an argument, or on its memory; null like facula_run."""
    with core.m.function("facula_data", "ptr plan, ptr args", "ptr", internal=True) as (f, plan, args):
        P = {k: 8 * v for k, v in F.PLAN.items()}
        obj = f.load("ptr", f.at(args, core.get(f, plan, P["source"], "i64"), "ptr"))
        with f.when(core.get(f, plan, P["words_n"], "i64") < 0):  # an array
            f.ret(f.call("ptr", "facula_borrowed", core.get(f, plan, P["outs"]), core.get(f, plan, P["delta"], "i64"), obj))
        block = core.alloc(f, core.get(f, plan, P["delta"], "i64"))
        with f.when(block.eq(0)):
            f.ret(0)
        data = core.get(f, block, F.BLOCK_DATA)
        out = core.new_tensor(f, core.get(f, plan, P["outs"]), data, block)
        dims, n, into = core.get(f, plan, P["words"]), core.get(f, plan, P["words_n"], "i64"), core.get(f, plan, P["outs_n"], "i64")
        with f.when(f.call("ptr", "facula_pour", obj, dims, n, into, data).eq(0)):
            core.decref(f, out)
            f.ret(0)
        core.set(f, out, F.TENSOR["flags"], core.get(f, plan, P["how"], "i64"))
        f.ret(out)


FORMAT, SHAPE, STRIDES, NDIM = 40, 48, 56, 36  # bytes into CPython's Py_buffer
RECORDS, STRIDED = 0x1D, 0x18  # what is asked of a buffer: PyBUF_RECORDS, which can be written and has a format; PyBUF_STRIDES


def _form(core: Any) -> None:
    """facula_form(array, words, n) -> the length of the key, to which element type, shape and strides of an array were added; -1 where it is
    none that can be written, of a simple type."""
    with core.m.function("facula_form", "ptr array, ptr words, i64 n", "i64", internal=True) as (f, array, words, n):
        view = f.array("i64", 16)
        with f.when(f.call("i32", "PyObject_GetBuffer", array, view, f.const("i32", RECORDS)).ne(0)):
            f.call("void", "PyErr_Clear")
            f.ret(-1)
        format_, ndim = core.get(f, view, FORMAT), f.cast("sext", core.get(f, view, NDIM, "i32"), "i64")
        first, second = (f.cast("zext", core.get(f, format_, i, "i8"), "i64") for i in range(2))
        simple = f.var("i1", second.eq(0))
        with f.when(first.eq(ord("Z")) & second.ne(0)):  # complex numbers
            simple.v = core.get(f, format_, 2, "i8").eq(0)
        end = n + 1 + ndim * 2
        simple.v = simple.v & (end < F.ROW_KEY_MAX)
        with f.when(simple.v):
            f.store((((ndim << 16) | (second << 8) | first) << 3) | F.TAG_INT, words, n)
            for k, offset in enumerate((SHAPE, STRIDES)):
                with f.range(0, ndim) as i:
                    f.store((f.load("i64", core.get(f, view, offset), i) << 3) | F.TAG_ITEM, words, n + 1 + ndim * k + i)
        f.call("void", "PyBuffer_Release", view)
        f.ret(f.select(simple.v, end, f.i64(-1)))


def _borrow(core: Any) -> None:
    """facula_borrowed(layout, nbytes, owner) -> a tensor on the memory that an object shows by the buffer protocol; null where there is none.
    borrow(layout, nbytes, owner) is the same for Python, with None."""
    with core.m.function("facula_borrowed", "ptr layout, i64 nbytes, ptr owner", "ptr", internal=True) as (f, layout, nbytes, owner):
        view = f.array("i64", 16)
        block = f.var("ptr", 0)
        with f.when(f.call("i32", "PyObject_GetBuffer", owner, view, f.const("i32", STRIDED)).eq(0)):
            block.v = f.call("ptr", "facula_external", f.load("ptr", view), nbytes, owner)
            f.call("void", "PyBuffer_Release", view)
        with f.when(block.v.eq(0)):
            f.call("void", "PyErr_Clear")
            f.ret(0)
        f.ret(core.new_tensor(f, layout, core.get(f, block.v, F.BLOCK_DATA), block.v))
    with core.m.function("facula_borrow", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):
        layout, nbytes, owner = (f.load("ptr", args, i) for i in range(3))
        got = f.call("ptr", "facula_borrowed", layout, f.call("i64", "PyLong_AsLongLong", nbytes), owner)
        with f.when(got.eq(0)):
            core.incref(f, core.state(f, "none"))
            f.ret(core.state(f, "none"))
        f.ret(got)
