"""Writes that change a history: of one kernel over its operand, and of values from elsewhere (core/assigning.py)."""

from __future__ import annotations

from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value

MARKS = (1 << F.OUTPUT_SHIFT) - 1  # flags of a tensor that are not the number of its result


def emit_writable(core: Any) -> None:
    """facula_writable(plan, args, queue) -> whether a recorded write changes nobody's history but its target's, and nothing that its
    derivative reads."""
    with core.m.function("facula_writable", "ptr plan, ptr args, ptr queue", "i32", internal=True) as (f, plan, args, queue):
        P = {k: 8 * v for k, v in F.PLAN.items()}
        target = f.load("ptr", f.at(args, f.load("i64", core.get(f, plan, P["outs"]), 1), "ptr"))
        with f.when(queue.ne(0) | core.held(f, target, "base").ne(0) | _marked(core, f, target)):
            f.ret(0)
        with f.range(0, core.get(f, plan, P["saved_n"], "i64")) as i:
            code = f.load("i64", core.get(f, plan, P["saved"]), i)
            with f.when((code & 1).eq(0)):
                kept = f.load("ptr", f.at(args, code >> 1, "ptr"))
                with f.when(core.is_tensor(f, kept)), f.when(_block(core, f, kept).eq(_block(core, f, target))):
                    f.ret(0)
        f.ret(1)


def _marked(core: Any, f: Function, tensor: Value) -> Value:
    """A leaf, or one that keeps its gradient, or whose writes are special in another way: Python's business."""
    return (core.get(f, tensor, F.TENSOR["flags"], "i64") & MARKS).ne(0)


def _block(core: Any, f: Function, tensor: Value) -> Value:
    return core.get(f, tensor, F.TENSOR["block"])


def emit_assign(core: Any) -> None:
    """facula_assign(plan, args, queue): args[0] gets the values of args[1] and a history; the result is args[0], null like facula_run."""
    with core.m.function("facula_assign", "ptr plan, ptr args, ptr queue", "ptr", internal=True) as (f, plan, args, queue):
        P, T = {k: 8 * v for k, v in F.PLAN.items()}, F.TENSOR
        target, result = f.load("ptr", args), f.load("ptr", args, 1)
        root, expected = core.held(f, target, "base"), core.get(f, plan, P["root"])
        with f.when(queue.ne(0) | _marked(core, f, target) | _block(core, f, target).eq(_block(core, f, result))):
            f.ret(0)
        with f.when(root.ne(0) ^ expected.ne(0)):
            f.ret(0)
        with f.when(root.ne(0)):
            with f.when(core.get(f, root, T["layout"]).ne(expected) | _marked(core, f, root)):
                f.ret(0)
            made = core.held(f, target, "node")
            with f.when(made.ne(0)):
                outputs = core.get(f, core.get(f, made, core.node["rule"]), core.rule["outputs"])
                with f.when(f.call("i64", "PyTuple_Size", outputs) > 1):  # one of several views: they may not be written to
                    f.ret(0)
        copy, outs = core.get(f, plan, P["source"]), f.array("ptr", 1)
        with f.when(f.call("i32", "facula_outputs", copy, args, outs, f.i64(0)).ne(0)):
            f.ret(0)
        failed = f.call("i32", "facula_now", copy, args, outs)
        with f.when(failed.ne(0)):
            core.decref(f, target)
            with f.when(failed > 0):
                f.call("ptr", "PyErr_NoMemory")
            f.ret(0)
        _history(core, f, plan, args, root)
        f.ret(target)


def _history(core: Any, f: Function, plan: Value, args: Value, root: Value) -> None:
    P, T = {k: 8 * v for k, v in F.PLAN.items()}, F.TENSOR
    target, result, form = f.load("ptr", args), f.load("ptr", args, 1), core.get(f, plan, P["history"])
    operands = f.array("ptr", 4)  # of a node, and behind them its result
    with f.when(root.ne(0)):
        version = core.get(f, _block(core, f, target), F.BLOCK_VERSION, "i64")
        distance = core.get(f, target, T["data"], "i64") - core.get(f, root, T["data"], "i64")
        offset = f.call("ptr", "PyLong_FromLongLong", f.op("i64", f"sdiv {distance}, {core.get(f, plan, P['delta'], 'i64').text}"))
        for i, value in enumerate((root, result, offset, root)):
            f.store(value, f.at(operands, i, "ptr"))
        f.call("void", "facula_record", core.get(f, plan, P["into_root"]), operands, f.at(operands, 3, "ptr"))
        core.set(f, root, T["viewed"], version)
        for i, value in enumerate((root, offset, target)):
            f.store(value, f.at(operands, i, "ptr"))
        f.call("void", "facula_record", form, operands, f.at(operands, 2, "ptr"))
        core.decref(f, offset)
    with f.when(root.eq(0)):
        with f.when(form.ne(0)):
            f.call("void", "facula_record", form, args, args)
        node, before = core.held(f, result, "node"), core.get(f, target, T["node"])
        with f.when(form.eq(0) & node.ne(0)):
            core.incref(f, node)
            core.set(f, target, T["node"], node)
            core.set(f, target, T["flags"], core.get(f, result, T["flags"], "i64") & ~MARKS)
            with f.when(before.ne(0)):
                core.decref(f, before)
