"""Attributes of tensors that are read all the time (core/tensor.py has their twins)."""

from __future__ import annotations

from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value


def emit_members(core: Any) -> None:
    """tensor_NAME(me, closure) for each of build.READ, and the setters."""
    core.m.declared.setdefault("PyObject_CallFunctionObjArgs", "declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)")
    with core.m.function("tensor_requires_grad", "ptr me, ptr closure", "ptr") as (f, me, _):
        _refresh(core, f, me)
        f.ret(f.call("ptr", "PyBool_FromLong", f.cast("zext", core.wants(f, me), "i64")))
    with core.m.function("tensor_is_leaf", "ptr me, ptr closure", "ptr") as (f, me, _):
        _refresh(core, f, me)
        f.ret(f.call("ptr", "PyBool_FromLong", f.cast("zext", core.held(f, me, "node").eq(0), "i64")))
    with core.m.function("tensor_grad_fn", "ptr me, ptr closure", "ptr") as (f, me, _):
        _refresh(core, f, me)
        node = core.held(f, me, "node")
        found = f.select(node.ne(0), node, core.state(f, "none"))
        core.incref(f, found)
        f.ret(found)
    for name in ("shape", "dtype", "device", "ndim"):
        with core.m.function("tensor_" + name, "ptr me, ptr closure", "ptr") as (f, me, _):
            found = core.get(f, core.get(f, me, F.TENSOR["layout"]), core.layout[name])
            core.incref(f, found)
            f.ret(found)
    with core.m.function("tensor_grad", "ptr me, ptr closure", "ptr") as (f, me, _):
        grad = core.held(f, me, "grad")
        kept = (core.get(f, me, F.TENSOR["flags"], "i64") & F.RETAINS_GRAD).ne(0)
        with f.when(grad.eq(0) & core.held(f, me, "node").ne(0) & ~kept), f.when(~_told(core, f, "warn_grad", f"{me}")):
            f.ret(0)
        found = f.select(grad.ne(0), grad, core.state(f, "none"))
        core.incref(f, found)
        f.ret(found)
    with core.m.function("tensor_set_grad", "ptr me, ptr value, ptr closure", "i32") as (f, me, value, _):
        with f.when(value.eq(0) | value.eq(core.state(f, "none"))):
            before = core.get(f, me, F.TENSOR["grad"])
            core.set(f, me, F.TENSOR["grad"], f.const("ptr", 0))
            with f.when(before.ne(0)):
                core.decref(f, before)
            f.ret(0)
        f.ret(f.select(_told(core, f, "set_grad", f"{me}, {value}"), f.const("i32", 0), f.const("i32", -1)))
    with core.m.function("tensor_set_requires_grad", "ptr me, ptr value, ptr closure", "i32") as (f, me, value, _):
        with f.when(value.ne(0)), f.when(core.get(f, value, F.TYPE).eq(core.symbol(f, "PyBool_Type")) & core.held(f, me, "base").eq(0)):
            asked = f.call("i32", "PyObject_IsTrue", value).ne(0)
            with f.when(core.held(f, me, "node").eq(0) & ~(asked ^ core.wants(f, me))):  # a leaf that is so already
                f.ret(0)
        given = f.select(value.ne(0), value, core.state(f, "none"))
        f.ret(f.select(_told(core, f, "set_requires_grad", f"{me}, {given}"), f.const("i32", 0), f.const("i32", -1)))


def _refresh(core: Any, f: Function, me: Value) -> None:
    """A view whose base was written to gets its history from Python first; return null where that fails."""
    version = core.get(f, core.get(f, me, F.TENSOR["block"]), F.BLOCK_VERSION, "i64")
    stale = core.held(f, me, "base").ne(0) & core.get(f, me, F.TENSOR["viewed"], "i64").ne(version)
    with f.when(stale), f.when(~_told(core, f, "refresh", f"{me}")):
        f.ret(0)


def _told(core: Any, f: Function, name: str, arguments: str) -> Value:
    """Call a Python function of the state; whether it did not raise."""
    got = f.op("ptr", f"call ptr (ptr, ...) @PyObject_CallFunctionObjArgs({core.state(f, name)}, {arguments}, ptr null)")
    with f.when(got.ne(0)):
        core.decref(f, got)
    return got.ne(0)
