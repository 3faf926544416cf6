"""Chains: calls that come down to several plans, and the marks of calls that may become one (see core/chains.py)."""

from __future__ import annotations

from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value


def emit_chains(core: Any) -> None:
    """All of it; facula_row is there, facula_run comes after."""
    _seen(core)
    _detached(core)
    _branch(core)
    _steps(core)
    _chain(core)
    _spread(core)


def _seen(core: Any) -> None:
    """facula_mark(words, n): mark the key of a call that passed Python once; it takes another row's place one time in eight."""
    with core.m.function("facula_mark", "ptr words, i64 n", internal=True) as (f, words, n):
        row = f.call("ptr", "facula_row", words, n, f.i64(1))
        free = f.load("i64", row).eq(0) | f.load("i64", f.bytes(row, 8 * F.ROW_PLAN)).eq(F.ROW_SEEN)
        with f.when(free | (core.chance(f) >> 61).eq(0)):
            f.store(n, row)
            with f.range(0, n) as i:
                f.store(f.load("i64", words, i), row, i + F.ROW_KEY)
            f.store(f.i64(F.ROW_SEEN), f.bytes(row, 8 * F.ROW_PLAN))


def _pick(f: Function, code: Value, args: Value, results: Value) -> Value:
    """The object that two words of a chain name; borrowed."""
    how, index = f.load("i64", code), f.load("i64", code, 1)
    found = f.var("ptr", f.cast("inttoptr", index, "ptr"))
    with f.when(how.eq(F.FROM_ARGUMENT)):
        found.v = f.load("ptr", f.at(args, index, "ptr"))
    with f.when(how.eq(F.FROM_STEP)):
        found.v = f.load("ptr", f.at(results, index, "ptr"))
    with f.when(how.eq(F.FROM_ITEM)):
        found.v = f.call("ptr", "PyTuple_GetItem", f.load("ptr", f.at(results, index >> 8, "ptr")), index & 255)
    return found.v


def _detached(core: Any) -> None:
    """facula_detached(source) -> another tensor on its memory, without history."""
    with core.m.function("facula_detached", "ptr source", "ptr", internal=True) as (f, source):
        T = F.TENSOR
        block = core.get(f, source, T["block"])
        core.retain(f, block)
        out = core.new_tensor(f, core.get(f, source, T["layout"]), core.get(f, source, T["data"]), block)
        core.set(f, out, T["flags"], core.get(f, source, T["flags"], "i64") & (F.INFERENCE | F.UNTRACKED | F.READ_ONLY))
        f.ret(out)


def _branch(core: Any) -> None:
    """facula_branch(table, value) -> the chain that goes on where a look met this value; null: Python does, and is told of a new value while
    there is room. State's "branch" is the table then; 1: so many others are met that a chain is not worth it."""
    with core.m.function("facula_branch", "ptr table, i64 value", "ptr", internal=True) as (f, table, value):
        first = (value * 0x61C88647).ashr(4)
        with f.range(0, F.BRANCH_ROWS) as i:
            row = f.at(table, ((first + i) & (F.BRANCH_ROWS - 1)) * 2 + 1, "i64")
            found = f.load("ptr", f.bytes(row, 8))
            with f.when(found.eq(0)):
                n = f.load("i64", table)
                with f.when(n < F.BRANCHES_MAX):
                    f.store(core.address(f, table), core.state_at(f, "branch"))
                    f.store(value, core.state_at(f, "met"))
                    f.ret(0)
                f.store(n + 1, table)
                with f.when(n > F.BRANCHES_MAX + F.BRANCHES_MISSED):
                    f.store(f.i64(1), core.state_at(f, "branch"))
                f.ret(0)
            with f.when(f.load("i64", row).eq(value)):
                f.ret(f.select(core.address(f, found).eq(F.ROW_NEVER), f.const("ptr", 0), found))
        f.ret(0)


def _look(core: Any, f: Function, step: Value, position: Value) -> tuple[Value, Value]:
    """The value that a chain looks at, and whether it goes on with it."""
    kind = f.load("i64", f.load("ptr", f.bytes(step, 24)), 2)
    data = core.get(f, position, F.TENSOR["data"])
    value = f.var("i64", 0)
    with f.when(kind.eq(F.LOOK_BOOL)):
        value.v = f.cast("zext", f.load("i8", data), "i64")
    with f.when(kind.ne(F.LOOK_BOOL)):
        value.v = f.load("i64", data)
    return value.v, f.select(kind.eq(F.LOOK_NEGATIVE), value.v < 0, value.v.eq(f.load("i64", step, 1)))


def _steps(core: Any) -> None:
    """facula_steps(plan, args, queue, results, first) -> the result of a chain whose results before step `first` are there; null when a step
    failed: with no exception set, let Python do it all again."""
    params = "ptr plan, ptr args, ptr queue, ptr results, i64 first"
    with core.m.function("facula_steps", params, "ptr", internal=True) as (f, plan, args, queue, results, first):
        P = {k: 8 * v for k, v in F.PLAN.items()}
        operands = f.array("ptr", F.STEP_OPERANDS_MAX)
        steps, n = core.get(f, plan, P["steps"]), core.get(f, plan, P["steps_n"], "i64")
        with f.range(first, n) as i:
            step = f.at(steps, i * F.STEP_WORDS, "i64")
            codes = f.load("ptr", f.bytes(step, 24))
            with f.range(0, f.load("i64", step, 2)) as j:
                f.store(_pick(f, f.at(codes, j * 2, "i64"), args, results), f.at(operands, j, "ptr"))
            got = f.var("ptr", f.const("ptr", 0))
            with f.when(f.load("ptr", step).ne(0)):
                got.v = f.call("ptr", "facula_run", f.load("ptr", step), operands, f.load("i64", step, 1), queue)
            with f.when(f.load("ptr", step).eq(0)):
                position = f.load("ptr", operands)
                value, good = _look(core, f, step, position)
                with f.when(good):
                    core.incref(f, position)
                    got.v = position
                table = f.load("ptr", f.bytes(codes, 24))
                with f.when(~good & table.ne(0)):
                    other = f.call("ptr", "facula_branch", table, value)
                    with f.when(other.ne(0)):
                        core.incref(f, position)
                        f.store(position, f.at(results, i, "ptr"))
                        f.ret(f.call("ptr", "facula_steps", other, args, queue, results, i + 1))
            with f.when(got.v.eq(0)):
                with f.range(0, i) as k:
                    core.decref(f, f.load("ptr", f.at(results, k, "ptr")))
                f.ret(0)
            f.store(got.v, f.at(results, i, "ptr"))
        result = _pick(f, core.get(f, plan, P["result"]), args, results)
        core.incref(f, result)
        with f.range(0, n) as i:
            core.decref(f, f.load("ptr", f.at(results, i, "ptr")))
        f.ret(result)


def _chain(core: Any) -> None:
    """facula_chain(plan, args, queue) -> the result, or null like facula_steps; what waits in a queue has no values to look at."""
    with core.m.function("facula_chain", "ptr plan, ptr args, ptr queue", "ptr", internal=True) as (f, plan, args, queue):
        with f.when(queue.ne(0) & (core.get(f, plan, 8 * F.PLAN["how"], "i64") & F.LOOKS).ne(0)):
            f.ret(0)
        f.ret(f.call("ptr", "facula_steps", plan, args, queue, f.array("ptr", F.STEPS_MAX), f.i64(0)))


def _spread(core: Any) -> None:
    """facula_spread(plan, args, nargs, kwnames, flat, mode, queue): run with the tensors in sequences behind the arguments."""
    params = "ptr plan, ptr args, i64 nargs, ptr kwnames, ptr flat, i64 mode, ptr queue"
    with core.m.function("facula_spread", params, "ptr", internal=True) as (f, plan, args, nargs, kwnames, flat, mode, queue):
        total = f.var("i64", nargs)
        with f.when(kwnames.ne(0)):
            total.v = total.v + f.call("i64", "PyTuple_Size", kwnames)
        everything = f.bytes(flat, 8)
        with f.range(0, total.v) as i:
            f.store(f.load("ptr", f.at(args, i, "ptr")), f.at(everything, i, "ptr"))
        end = total.v + f.load("i64", flat)
        with f.range(total.v, end) as i:  # another thread may change a list meanwhile
            core.incref(f, f.load("ptr", f.at(everything, i, "ptr")))
        result = f.call("ptr", "facula_run", plan, everything, mode, queue)
        with f.range(total.v, end) as i:
            core.decref(f, f.load("ptr", f.at(everything, i, "ptr")))
        f.ret(result)
