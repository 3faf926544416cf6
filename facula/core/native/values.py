"""Tensors as Python values, without Python: numbers, and nested lists of them."""

from __future__ import annotations

from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value


def emit_values(core: Any) -> None:
    """All of it; facula_run comes after."""
    _number(core)
    _list(core)
    _values(core)


def _number(core: Any) -> None:
    """facula_number(at, kind, into) -> the number at an address; `kind` is a place in fields.ELEMENTS, `into` what it becomes."""
    with core.m.function("facula_number", "ptr at, i64 kind, i64 into", "ptr", internal=True) as (f, at, kind, into):
        for i, name in enumerate(F.ELEMENTS):
            with f.when(kind.eq(i)):
                _convert(core, f, name, at, into)
        f.ret(0)


def _convert(core: Any, f: Function, name: str, at: Value, into: Value) -> None:
    signed, type_ = F.ELEMENTS[name]
    if type_ in ("float", "double"):
        x = f.load(type_, at)
        wide = f.cast("fpext", x, "double") if type_ == "float" else x
        with f.when(into.eq(F.AS_BOOL)):  # what is not a number is true
            f.ret(f.call("ptr", "PyBool_FromLong", f.cast("zext", ~wide.eq(0.0), "i64")))
        with f.when(into.eq(F.AS_INT)):
            f.ret(f.call("ptr", "PyLong_FromDouble", wide))
        f.ret(f.call("ptr", "PyFloat_FromDouble", wide))
        return
    x = f.load(type_, at)
    wide = f.cast("sext" if signed else "zext", x, "i64") if type_ != "i64" else x
    with f.when(into.eq(F.AS_BOOL) | into.eq(F.AS_IS) & f.const("i1", name == "bool")):
        f.ret(f.call("ptr", "PyBool_FromLong", f.cast("zext", wide.ne(0), "i64")))
    with f.when(into.eq(F.AS_FLOAT)):
        f.ret(f.call("ptr", "PyFloat_FromDouble", f.cast("sitofp" if signed else "uitofp", wide, "double")))
    f.ret(f.call("ptr", "PyLong_FromLongLong" if signed else "PyLong_FromUnsignedLongLong", wide))


def _list(core: Any) -> None:
    """facula_list(at, dims, n, kind) -> a list of n dims; `dims` are extent and bytes from one to the next, of each."""
    with core.m.function("facula_list", "ptr at, ptr dims, i64 n, i64 kind", "ptr", internal=True) as (f, at, dims, n, kind):
        with f.when(n.eq(0)):
            f.ret(f.call("ptr", "facula_number", at, kind, f.i64(F.AS_IS)))
        extent, step = f.load("i64", dims), f.load("i64", dims, 1)
        made = f.call("ptr", "PyList_New", extent)
        with f.when(made.eq(0)):
            f.ret(0)
        with f.range(0, extent) as i:
            item = f.call("ptr", "facula_list", f.bytes(at, i * step), f.at(dims, 2, "i64"), n - 1, kind)
            with f.when(item.eq(0)):
                core.decref(f, made)
                f.ret(0)
            f.call("i32", "PyList_SetItem", made, i, item)
        f.ret(made)


def _values(core: Any) -> None:
    """facula_values(plan, args, queue) -> what a tensor holds, for Python; null like facula_run: what waits in a queue has no values."""
    with core.m.function("facula_values", "ptr plan, ptr args, ptr queue", "ptr", internal=True) as (f, plan, args, queue):
        P = {k: 8 * v for k, v in F.PLAN.items()}
        with f.when(queue.ne(0)):
            f.ret(0)
        at = core.get(f, f.load("ptr", args), F.TENSOR["data"])
        kind, into = core.get(f, plan, P["source"], "i64"), core.get(f, plan, P["how"], "i64")
        with f.when(into.ne(F.AS_LIST)):
            f.ret(f.call("ptr", "facula_number", at, kind, into))
        f.ret(f.call("ptr", "facula_list", at, core.get(f, plan, P["words"]), core.get(f, plan, P["words_n"], "i64"), kind))
