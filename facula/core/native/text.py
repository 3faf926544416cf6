"""The emitted side of tensors and calls: the object's memory, the plan table, running a plan, recording a node.

`dispatch(entry, args, n, kwnames)` is the road of every call. It writes a key of identities (entry, mode, layouts, small values), looks it up
in the plan table and, on a hit, allocates, launches, wraps and records without a Python frame. Anything unusual goes to `entry.handler`.
"""

from __future__ import annotations

from collections.abc import Sequence

import facula.core.native.fields as F

from ...runtime.allocator_code import emit_memory
from ...runtime.ir import Function, Module, Value
from .chains import emit_chains
from .data import emit_data, emit_measures
from .keys import FLAT, emit_key
from .members import emit_members
from .recording import emit_recording
from .values import emit_values
from .writes import emit_assign, emit_writable


class Core:
    """Writes the module; small methods so that each piece is readable alone."""

    def __init__(
        self,
        module: Module,
        slots: Sequence[Sequence[tuple[str, int]]],
        slice_slots: Sequence[int],
        numbers: Sequence[str],
    ) -> None:
        self.m, self.slice, self.numbers = module, slice_slots, numbers
        self.node, self.rule, self.entry, self.layout = (dict(s) for s in slots)

    # -- small pieces
    def state(self, f: Function, name: str | int, type_: str = "ptr") -> Value:
        return f.load(type_, self.state_at(f, name))

    def state_at(self, f: Function, name: str | int) -> Value:
        word = F.STATE[name] if isinstance(name, str) else name
        return f.bytes(Value(f, "ptr", self.m.external("facula_core")), 8 * word)

    def get(self, f: Function, obj: Value, offset: int, type_: str = "ptr") -> Value:
        return f.load(type_, f.bytes(obj, offset))

    def held(self, f: Function, obj: Value, name: str) -> Value:
        """An object that a tensor refers to; null where there is none, also when Python wrote None there."""
        value = self.get(f, obj, F.TENSOR[name])
        return f.select(value.eq(self.state(f, "none")), f.const("ptr", 0), value)

    def wants(self, f: Function, obj: Value) -> Value:
        """Whether a gradient of this tensor is wanted."""
        return self.held(f, obj, "node").ne(0) | (self.get(f, obj, F.TENSOR["flags"], "i64") & F.REQUIRES_GRAD).ne(0)

    def set(self, f: Function, obj: Value, offset: int, value: Value | int, type_: str = "i64") -> None:
        f.store(value if isinstance(value, Value) else f.const(type_, value), f.bytes(obj, offset))

    def address(self, f: Function, p: Value) -> Value:
        return f.cast("ptrtoint", p, "i64")

    def some(self, f: Function, p: Value) -> Value:
        return p.ne(0)

    def incref(self, f: Function, p: Value) -> None:
        f.call("void", "Py_IncRef", p)

    def decref(self, f: Function, p: Value) -> None:
        f.call("void", "Py_DecRef", p)

    def own_thread(self, f: Function) -> Value:
        """Whether the mode word was written by this thread; its number, unlike its address, is never given again."""
        return f.call("i64", "PyThreadState_GetID", f.call("ptr", "PyThreadState_Get")).eq(self.state(f, "thread", "i64"))

    def symbol(self, f: Function, name: str) -> Value:
        return Value(f, "ptr", self.m.external(name))

    def retain(self, f: Function, block: Value) -> None:
        f.store(f.load("i64", block) + 1, block)

    def alloc(self, f: Function, nbytes: Value) -> Value:
        return f.call("ptr", "facula_alloc", nbytes)

    def release(self, f: Function, block: Value) -> None:
        with f.when(block.ne(0)):
            f.call("void", "facula_release", block)

    def is_tensor(self, f: Function, obj: Value) -> Value:
        kind = self.get(f, obj, F.TYPE)
        return kind.eq(self.state(f, "tensor")) | kind.eq(self.state(f, "parameter"))

    def new_tensor(self, f: Function, layout: Value, data: Value, block: Value, kind: Value | None = None) -> Value:
        out = f.call("ptr", "PyType_GenericAlloc", kind or self.state(f, "tensor"), f.i64(0))
        self.incref(f, layout)
        for name, value in (("layout", layout), ("data", data), ("block", block)):
            self.set(f, out, F.TENSOR[name], value)
        return out

    # -- the object's memory
    def emit_object(self) -> None:
        m, T = self.m, F.TENSOR
        with m.function("tensor_dealloc", "ptr me") as (f, me):
            f.call("void", "PyObject_GC_UnTrack", me)
            with f.when(self.get(f, me, T["weak"]).ne(0)):
                f.call("void", "PyObject_ClearWeakRefs", me)
            for name in F.TENSOR_OBJECTS:
                ref = self.get(f, me, T[name])
                with f.when(ref.ne(0)):
                    self.decref(f, ref)
            self.release(f, self.get(f, me, T["block"]))
            kind = self.get(f, me, F.TYPE)
            f.call("void", "PyObject_GC_Del", me)
            self.decref(f, kind)
        with m.function("tensor_traverse", "ptr me, ptr visit, ptr arg", "i32") as (f, me, visit, arg):
            for offset in (*(T[n] for n in F.TENSOR_OBJECTS), F.TYPE):
                ref = self.get(f, me, offset)
                with f.when(ref.ne(0)):
                    got = f.call_pointer("i32", visit, ref, arg)
                    with f.when(got.ne(0)):
                        f.ret(got)
            f.ret(0)
        with m.function("tensor_clear", "ptr me", "i32") as (f, me):
            for name in ("node", "grad", "base", "hooks", "dict"):
                ref = self.get(f, me, T[name])
                with f.when(ref.ne(0)):
                    f.store(f.const("ptr", 0), f.bytes(me, T[name]))
                    self.decref(f, ref)
            f.ret(0)
        with m.function("tensor_hash", "ptr me", "i64") as (f, me):
            f.ret(self.address(f, me) >> 4)

    def emit_buffer(self) -> None:
        """tensor_buffer: the buffer protocol, by way of the array that Python's exporter makes on the tensor's memory."""
        self.m.declared.setdefault("PyObject_CallFunctionObjArgs", "declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)")
        with self.m.function("tensor_buffer", "ptr me, ptr view, i32 flags", "i32") as (f, me, view, flags):
            array = f.op("ptr", f"call ptr (ptr, ...) @PyObject_CallFunctionObjArgs({self.state(f, 'exporter')}, {me}, ptr null)")
            with f.when(array.eq(0)):
                f.ret(-1)
            got = f.call("i32", "PyObject_GetBuffer", array, view, flags)
            self.decref(f, array)
            f.ret(got)

    def emit_find(self) -> None:
        """facula_row(words, n, place) -> row: the row that holds this key, else null; `place` != 0 gives the row to overwrite."""
        with self.m.function("facula_row", "ptr words, i64 n, i64 place", "ptr", internal=True) as (f, words, n, place):
            h = f.var("i64", n)
            with f.range(0, n) as i:
                x = (h.v ^ f.load("i64", words, i)) * -0x61C8864680B583EB
                h.v = x ^ (x >> 29)
            index = h.v >> 20
            table = self.state(f, "table")
            rows = [f.bytes(table, ((index & (F.ROWS - 1)) ^ way) * (8 * F.ROW_WORDS)) for way in (0, 1)]
            for row in rows:
                same = f.var("i1", f.load("i64", row).eq(n))
                with f.when(f.load("i64", row).eq(n)), f.range(0, n) as i:
                    same.v = same.v & f.load("i64", row, i + F.ROW_KEY).eq(f.load("i64", words, i))
                with f.when(same.v):
                    f.ret(row)
            with f.when(place.eq(0)):
                f.ret(f.const("ptr", 0))
            free, other_free = (f.load("i64", row).eq(0) for row in rows)
            # at random, so that two keys in use do not take one row from each other for ever beside one that is not
            f.ret(f.select(other_free | ((self.chance(f) >> 63).ne(0) & ~free), rows[1], rows[0]))

    def chance(self, f: Function) -> Value:
        """Another word at each miss of the table, whose high bits keep no step with any loop."""
        return self.state(f, "misses", "i64") * -0x61C8864680B583EB

    # -- running a plan
    def emit_words(self) -> None:
        """facula_fill(plan, args, outs, work, words): the template, with addresses and numbers of this call."""
        with self.m.function("facula_fill", "ptr plan, ptr args, ptr outs, ptr work, ptr words", internal=True) as (
            f,
            plan,
            args,
            outs,
            work,
            words,
        ):
            P = {k: 8 * v for k, v in F.PLAN.items()}
            template = self.get(f, plan, P["words"])
            with f.range(0, self.get(f, plan, P["words_n"], "i64")) as i:
                f.store(f.load("i64", template, i), words, i)
            patches = self.get(f, plan, P["patches"])
            with f.range(0, self.get(f, plan, P["patches_n"], "i64")) as i:
                at = f.at(patches, i * 3, "i64")
                target, how, extra = f.load("i64", at), f.load("i64", at, 1), f.load("i64", at, 2)
                kind, index = how & 255, how >> 8
                with f.when(kind.eq(F.PATCH_IN)):
                    obj = f.load("ptr", f.at(args, index, "ptr"))
                    f.store(self.get(f, obj, F.TENSOR["data"], "i64") + extra, words, target)
                with f.when(kind.eq(F.PATCH_OUT)):
                    obj = f.load("ptr", f.at(outs, index, "ptr"))
                    f.store(self.get(f, obj, F.TENSOR["data"], "i64") + extra, words, target)
                with f.when(kind.eq(F.PATCH_WORK)):
                    f.store(self.address(f, work) + extra, words, target)
                with f.when(kind > F.PATCH_WORK):
                    obj = f.load("ptr", f.at(args, index, "ptr"))
                    with f.when(kind.eq(F.PATCH_INT)):
                        f.store(f.call("i64", "PyLong_AsLongLong", obj), words, target)
                    with f.when(kind.ne(F.PATCH_INT)):
                        x = f.call("double", "PyFloat_AsDouble", obj)
                        with f.when(kind.eq(F.PATCH_DOUBLE)):
                            f.store(x, f.at(words, target, "i64"))
                        with f.when(kind.eq(F.PATCH_FLOAT)):
                            f.store(f.const("i64", 0), words, target)
                            f.store(f.cast("fptrunc", x, "float"), f.at(words, target, "i64"))

    def emit_launch(self) -> None:
        """facula_launch(plan, words) -> 0, or -1 with a Python exception set."""
        with self.m.function("facula_launch", "ptr plan, ptr words", "i32", internal=True) as (f, plan, words):
            P = {k: 8 * v for k, v in F.PLAN.items()}
            launches = self.get(f, plan, P["launches"])
            with f.range(0, self.get(f, plan, P["launches_n"], "i64")) as i:
                at = f.at(launches, i * 5, "i64")
                kernel = f.load("ptr", at)
                mine = f.at(words, f.load("i64", at, 1), "i64")
                total, grain, long = f.load("i64", at, 2), f.load("i64", at, 3), f.load("i64", at, 4)
                small = (total <= grain) & long.eq(0)
                with f.when(small):
                    f.call_pointer("void", kernel, mine, f.i64(0), total, f.i64(0))
                with f.when(~small):
                    got = f.call_pointer("i32", self.state(f, "parallel"), kernel, mine, total, grain, long)
                    with f.when(got.ne(0)):
                        f.ret(-1)
            f.ret(0)

    def emit_record(self) -> None:
        """facula_record(plan, args, outs): one tape node with its edges and what backward needs."""
        with self.m.function("facula_record", "ptr plan, ptr args, ptr outs", internal=True) as (f, plan, args, outs):
            P, T = {k: 8 * v for k, v in F.PLAN.items()}, F.TENSOR
            node = f.call("ptr", "PyType_GenericAlloc", self.state(f, "node"), f.i64(0))
            rule = self.get(f, plan, P["rule"])
            self.incref(f, rule)
            self.set(f, node, self.node["rule"], rule)
            self.incref(f, self.state(f, "none"))
            self.set(f, node, self.node["extra"], self.state(f, "none"))
            sequence = self.state(f, "sequence", "i64")
            f.store(sequence + 1, self.state_at(f, "sequence"))
            self.set(f, node, self.node["seq"], f.call("ptr", "PyLong_FromLongLong", sequence))
            none = self.state(f, "none")
            edges_n = self.get(f, plan, P["edges_n"], "i64")
            edges = f.call("ptr", "PyTuple_New", edges_n * 2)
            with f.range(0, edges_n) as i:
                obj = f.load("ptr", f.at(args, f.load("i64", self.get(f, plan, P["edges"]), i), "ptr"))
                made, flags = self.held(f, obj, "node"), self.get(f, obj, T["flags"], "i64")
                leaf = f.select((flags & F.REQUIRES_GRAD).ne(0), obj, none)
                edge = f.select(made.ne(0), made, leaf)
                self.incref(f, edge)
                f.call("i32", "PyTuple_SetItem", edges, i * 2, edge)
                f.call("i32", "PyTuple_SetItem", edges, i * 2 + 1, f.call("ptr", "PyLong_FromLongLong", flags >> F.OUTPUT_SHIFT))
            self.set(f, node, self.node["edges"], edges)
            saved_n = self.get(f, plan, P["saved_n"], "i64")
            saved = f.call("ptr", "PyTuple_New", saved_n * 2)
            with f.range(0, saved_n) as i:
                code = f.load("i64", self.get(f, plan, P["saved"]), i)
                slot = f.var("ptr", none)
                with f.when((code & 1).eq(0)):
                    slot.v = f.load("ptr", f.at(args, code >> 1, "ptr"))
                    self.incref(f, slot.v)
                with f.when((code & 1).ne(0)):  # a result is kept without its history: no cycle
                    out = f.load("ptr", f.at(outs, code >> 1, "ptr"))
                    block = self.get(f, out, T["block"])
                    self.retain(f, block)
                    slot.v = self.new_tensor(f, self.get(f, out, T["layout"]), self.get(f, out, T["data"]), block)
                obj = slot.v
                f.call("i32", "PyTuple_SetItem", saved, i * 2, obj)
                tensor = self.is_tensor(f, obj)
                version = f.var("ptr", none)
                with f.when(tensor):
                    version.v = f.call("ptr", "PyLong_FromLongLong", self.get(f, self.get(f, obj, T["block"]), F.BLOCK_VERSION, "i64"))
                with f.when(~tensor):
                    self.incref(f, none)
                f.call("i32", "PyTuple_SetItem", saved, i * 2 + 1, version.v)
            self.set(f, node, self.node["saved"], saved)
            with f.range(0, self.get(f, plan, P["outs_n"], "i64")) as i:
                spec = f.at(self.get(f, plan, P["outs"]), i * 4, "i64")
                with f.when(f.load("i64", spec, 3).ne(0)):
                    out = f.load("ptr", f.at(outs, i, "ptr"))
                    self.incref(f, node)
                    before = self.get(f, out, T["node"])
                    self.set(f, out, T["node"], node)
                    self.set(f, out, T["flags"], i << F.OUTPUT_SHIFT)
                    with f.when(before.ne(0)):
                        self.decref(f, before)
            self.decref(f, node)

    def emit_outputs(self) -> None:
        """facula_outputs(plan, args, outs, mode) -> 0, or -1 when memory ran out (Python then raises)."""
        with self.m.function("facula_outputs", "ptr plan, ptr args, ptr outs, i64 mode", "i32", internal=True) as (
            f,
            plan,
            args,
            outs,
            mode,
        ):
            P, T = {k: 8 * v for k, v in F.PLAN.items()}, F.TENSOR
            n = self.get(f, plan, P["outs_n"], "i64")
            self.refuse_shared(f, plan, args)
            with f.range(0, n) as i:
                spec = f.at(self.get(f, plan, P["outs"]), i * 4, "i64")
                slot = f.at(outs, i, "ptr")
                layout, extra, how = f.load("ptr", spec), f.load("i64", spec, 1), f.load("i64", spec, 2)
                with f.when(how.eq(F.OUT_NEW)):
                    block = self.alloc(f, extra)
                    with f.when(block.eq(0)):
                        with f.range(0, i) as j:
                            self.decref(f, f.load("ptr", f.at(outs, j, "ptr")))
                        f.ret(-1)
                    made = self.new_tensor(f, layout, self.get(f, block, F.BLOCK_DATA), block)
                    self.set(f, made, T["flags"], mode & F.MODE_INFERENCE)
                    f.store(made, slot)
                with f.when(how.eq(F.OUT_QUIET)):
                    quiet = f.load("ptr", f.at(args, extra, "ptr"))
                    self.incref(f, quiet)
                    f.store(quiet, slot)
                with f.when(how.eq(F.OUT_ARGUMENT) | how.eq(F.OUT_APART)):
                    out = f.load("ptr", f.at(args, extra, "ptr"))
                    block = self.get(f, out, T["block"])
                    self.incref(f, out)
                    tracked = (self.get(f, out, T["flags"], "i64") & F.UNTRACKED).eq(0)
                    self.set(f, block, F.BLOCK_VERSION, self.get(f, block, F.BLOCK_VERSION, "i64") + f.cast("zext", tracked, "i64"))
                    self.set(f, out, T["viewed"], self.get(f, block, F.BLOCK_VERSION, "i64"))
                    f.store(out, slot)
            f.ret(0)

    def refuse_shared(self, f: Function, plan: Value, args: Value) -> None:
        """Return -1 before anything is done where an operand shows written memory in another way: that is Python's business."""
        P, T = {k: 8 * v for k, v in F.PLAN.items()}, F.TENSOR
        with f.range(0, self.get(f, plan, P["outs_n"], "i64")) as i:
            spec = f.at(self.get(f, plan, P["outs"]), i * 4, "i64")
            extra, how = f.load("i64", spec, 1), f.load("i64", spec, 2)
            with f.when(how.eq(F.OUT_ARGUMENT) | how.eq(F.OUT_APART)):
                out = f.load("ptr", f.at(args, extra, "ptr"))
                with f.range(0, self.get(f, plan, P["reads_n"], "i64")) as k:
                    other = f.load("ptr", f.at(args, f.load("i64", self.get(f, plan, P["reads"]), k), "ptr"))
                    shared = self.get(f, other, T["block"]).eq(self.get(f, out, T["block"]))
                    moved = self.get(f, other, T["data"]).ne(self.get(f, out, T["data"]))
                    turned = self.get(f, other, T["layout"]).ne(self.get(f, out, T["layout"]))
                    apart = how.eq(F.OUT_APART) & f.load("i64", self.get(f, plan, P["reads"]), k).ne(extra)
                    with f.when(shared & (moved | turned | apart)):
                        f.ret(-1)

    def emit_now(self) -> None:
        """facula_now(plan, args, outs) -> 0 when its kernels have run."""
        with self.m.function("facula_now", "ptr plan, ptr args, ptr outs", "i32", internal=True) as (f, plan, args, outs):
            P = {k: 8 * v for k, v in F.PLAN.items()}
            words = f.array("i64", F.PLAN_WORDS_MAX)
            space = self.get(f, plan, P["workspace"], "i64")
            work, block = f.var("ptr", 0), f.var("ptr", 0)
            with f.when(space.ne(0)):
                block.v = self.alloc(f, space)
                with f.when(block.v.eq(0)):
                    f.ret(1)
                work.v = self.get(f, block.v, F.BLOCK_DATA)
            f.call("void", "facula_fill", plan, args, outs, work.v, words)
            failed = f.call("i32", "facula_launch", plan, words)
            self.release(f, block.v)
            f.ret(failed)

    def emit_run(self) -> None:
        """facula_run(plan, args, mode, queue) -> the result; null with no exception set means: let Python do it. With a queue the launch waits."""
        m = self.m
        with m.function("facula_run", "ptr plan, ptr args, i64 mode, ptr queue", "ptr", internal=True) as (f, plan, args, mode, queue):
            P = {k: 8 * v for k, v in F.PLAN.items()}
            outs = f.array("ptr", 16)
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_CHAIN)):
                f.ret(f.call("ptr", "facula_chain", plan, args, queue))
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_RECORD)):  # results follow the operands
                f.call("void", "facula_record", plan, args, f.at(args, self.get(f, plan, P["reads_n"], "i64"), "ptr"))
                self.incref(f, self.state(f, "none"))
                f.ret(self.state(f, "none"))
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_DETACH)):
                f.ret(f.call("ptr", "facula_detached", f.load("ptr", args)))
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_LEAF)):
                leaf = f.load("ptr", args)
                self.set(f, leaf, F.TENSOR["flags"], self.get(f, leaf, F.TENSOR["flags"], "i64") | F.REQUIRES_GRAD)
                self.incref(f, leaf)
                f.ret(leaf)
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_ASSIGN)):
                f.ret(f.call("ptr", "facula_assign", plan, args, queue))
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_VALUES)):
                f.ret(f.call("ptr", "facula_values", plan, args, queue))
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_DATA)):
                f.ret(f.call("ptr", "facula_data", plan, args))
            n = self.get(f, plan, P["outs_n"], "i64")
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_TUPLE)):
                with f.range(0, n) as i:
                    self.incref(f, f.load("ptr", f.at(args, i, "ptr")))
                f.ret(f.call("ptr", "facula_results", plan, args))
            with f.when(self.get(f, plan, P["kind"], "i64").eq(F.KIND_VIEW)):
                self.views(f, plan, args, mode, outs)
                f.ret(f.call("ptr", "facula_results", plan, outs))
            records = (self.get(f, plan, P["how"], "i64") & F.RECORDS).ne(0)
            with f.when(records), f.when(f.call("i32", "facula_writable", plan, args, queue).eq(0)):
                f.ret(0)
            how = f.var("i64", 2)  # facula_room's answers: 1 the launch waits, 2 it is done now
            with f.when(queue.ne(0)):
                how.v = f.call("i64", "facula_room", plan, args, queue)
                with f.when(how.v.eq(0)):
                    f.ret(0)
            with f.when(f.call("i32", "facula_outputs", plan, args, outs, mode).ne(0)):
                f.ret(0)
            with f.when(how.v.eq(1)):
                f.call("void", "facula_note", plan, args, outs, queue)
            with f.when(how.v.eq(2)), f.when(f.call("i32", "facula_now", plan, args, outs).ne(0)):
                with f.range(0, n) as i:
                    self.decref(f, f.load("ptr", f.at(outs, i, "ptr")))
                f.ret(0)
            with f.when(self.get(f, plan, P["rule"]).ne(0)):
                f.call("void", "facula_record", plan, args, outs)
            f.ret(f.call("ptr", "facula_results", plan, outs))

    def views(self, f: Function, plan: Value, args: Value, mode: Value, outs: Value) -> None:
        """Each result is another view of one argument's storage."""
        P, T = {k: 8 * v for k, v in F.PLAN.items()}, F.TENSOR
        source = f.load("ptr", f.at(args, self.get(f, plan, P["source"], "i64"), "ptr"))
        block = self.get(f, source, T["block"])
        root = self.held(f, source, "base")
        base = f.select(root.ne(0), root, source)
        unseen = (mode & F.MODE_GRAD).eq(0) & self.wants(f, base)
        with f.range(0, self.get(f, plan, P["outs_n"], "i64")) as i:
            spec = f.at(self.get(f, plan, P["outs"]), i * 4, "i64")
            self.retain(f, block)
            data = f.bytes(self.get(f, source, T["data"]), f.load("i64", spec, 1))
            out = self.new_tensor(f, f.load("ptr", spec), data, block)
            f.store(out, f.at(outs, i, "ptr"))
            self.set(f, out, T["flags"], self.get(f, source, T["flags"], "i64") & (F.INFERENCE | F.UNTRACKED | F.READ_ONLY))
            with f.when(unseen):
                inference = f.select((mode & F.MODE_INFERENCE).ne(0), f.i64(F.VIEWED_IN_INFERENCE), f.i64(0))
                self.set(f, out, T["flags"], self.get(f, out, T["flags"], "i64") | inference | F.VIEWED_WITHOUT_GRAD)
            with f.when((mode & F.MODE_GRAD).ne(0) | unseen):
                self.incref(f, base)
                self.set(f, out, T["base"], base)
                self.set(f, out, T["viewed"], self.get(f, block, F.BLOCK_VERSION, "i64"))
        with f.when(self.get(f, plan, P["rule"]).ne(0)):
            f.call("void", "facula_record", plan, args, outs)

    def emit_results(self) -> None:
        """facula_results(plan, outs) -> the one result, or a tuple of them, named where the operator names them."""
        with self.m.function("facula_results", "ptr plan, ptr outs", "ptr", internal=True) as (f, plan, outs):
            P = {k: 8 * v for k, v in F.PLAN.items()}
            n = self.get(f, plan, P["outs_n"], "i64")
            with f.when(n.eq(1) & self.get(f, plan, P["wrap"]).ne(self.state(f, "none"))):
                f.ret(f.load("ptr", outs))
            result = f.call("ptr", "PyTuple_New", n)
            with f.range(0, n) as i:
                f.call("i32", "PyTuple_SetItem", result, i, f.load("ptr", f.at(outs, i, "ptr")))
            wrap = self.get(f, plan, P["wrap"])
            with f.when(wrap.eq(0) | wrap.eq(self.state(f, "none"))):
                f.ret(result)
            named = f.call("ptr", "PyObject_CallObject", wrap, result)
            self.decref(f, result)
            f.ret(named)

    # -- doors
    def emit_dispatch(self) -> None:
        m = self.m
        m.declared["PyObject_CallFunctionObjArgs"] = "declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)"
        with m.function("facula_dispatch", "ptr entry, ptr args, i64 nargs, ptr kwnames", "ptr") as (f, entry, args, nargs, kwnames):
            words = f.array("i64", F.ROW_KEY_MAX + 4)
            flat = f.array("i64", FLAT)
            again = f.var("i1", f.const("i1", 0))
            with f.when(self.own_thread(f)):
                n = f.call("i64", "facula_key", entry, args, nargs, kwnames, words, flat)
                with f.when(n > 0):
                    row = f.call("ptr", "facula_row", words, n, f.i64(0))
                    with f.when(row.ne(0)):
                        plan = f.load("ptr", f.bytes(row, 8 * F.ROW_PLAN))
                        real = self.address(f, plan).ugt(F.ROW_NEVER)
                        with f.when(real):
                            mode, queue = self.state(f, "mode", "i64"), self.state(f, "queue")
                            f.store(f.i64(0), self.state_at(f, "branch"))
                            result = f.var("ptr", f.const("ptr", 0))
                            spread = f.load("i64", flat).ne(0)
                            with f.when(~spread):
                                result.v = f.call("ptr", "facula_run", plan, args, mode, queue)
                            with f.when(spread):
                                result.v = f.call("ptr", "facula_spread", plan, args, nargs, kwnames, flat, mode, queue)
                            with f.when(result.v.ne(0) | f.call("ptr", "PyErr_Occurred").ne(0)):
                                f.ret(result.v)
                            asked = self.state(f, "branch", "i64")
                            with f.when(asked.eq(1)):
                                f.store(f.i64(F.ROW_NEVER), f.bytes(row, 8 * F.ROW_PLAN))
                            again.v = asked > 1
                        with f.when(~real):
                            again.v = self.address(f, plan).eq(F.ROW_SEEN)
                    with f.when(row.eq(0) & self.get(f, entry, self.entry["tracer"]).ne(self.state(f, "none"))):
                        f.call("void", "facula_mark", words, n)
            misses = self.state(f, "misses", "i64")
            f.store(misses + 1, self.state_at(f, "misses"))
            plain = self.get(f, entry, self.entry["plain"])
            with f.when(plain.ne(self.state(f, "none")) & ~again.v):
                f.ret(f.call("ptr", "PyObject_Vectorcall", plain, args, nargs, kwnames))
            total = f.var("i64", nargs)
            with f.when(kwnames.ne(0)):
                total.v = total.v + f.call("i64", "PyTuple_Size", kwnames)
            packed = f.call("ptr", "PyTuple_New", total.v)
            with f.range(0, total.v) as i:
                obj = f.load("ptr", f.at(args, i, "ptr"))
                self.incref(f, obj)
                f.call("i32", "PyTuple_SetItem", packed, i, obj)
            names = f.select(kwnames.ne(0), kwnames, self.state(f, "none"))
            handler = f.select(again.v, self.get(f, entry, self.entry["tracer"]), self.get(f, entry, self.entry["handler"]))
            text = f"call ptr (ptr, ...) @PyObject_CallFunctionObjArgs({handler}, {packed}, {names}, ptr null)"
            result = f.op("ptr", text)
            self.decref(f, packed)
            f.ret(result)

    def emit_doors(self) -> None:
        """What Python calls: public functions, an entry by hand, a plan without the table, and a new row."""
        m = self.m
        with m.function("facula_public", "ptr entry, ptr args, i64 nargs, ptr kwnames", "ptr") as (f, entry, args, nargs, kwnames):
            f.ret(f.call("ptr", "facula_dispatch", entry, args, nargs, kwnames))
        with m.function("facula_call", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, nargs):
            f.ret(f.call("ptr", "facula_dispatch", f.load("ptr", args), f.at(args, 1, "ptr"), nargs - 1, f.const("ptr", 0)))
        with m.function("facula_execute", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, nargs):
            # (plan address, queue address or 0, operands...): the plan as it is, without the table; None asks Python to do it
            plan, queue = (f.cast("inttoptr", f.call("i64", "PyLong_AsLongLong", f.load("ptr", args, i)), "ptr") for i in (0, 1))
            result = f.call("ptr", "facula_run", plan, f.at(args, 2, "ptr"), f.i64(0), queue)  # the mode word may be another thread's
            with f.when(result.ne(0) | f.call("ptr", "PyErr_Occurred").ne(0)):
                f.ret(result)
            self.incref(f, self.state(f, "none"))
            f.ret(self.state(f, "none"))
        with m.function("facula_insert", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, nargs):
            # (entry, kwnames or None, number of positional arguments, arguments, plan address) -> row number or -1
            words = f.array("i64", F.ROW_KEY_MAX + 4)
            entry, names, count, values, plan = (f.load("ptr", f.at(args, i, "ptr")) for i in range(5))
            kwnames = f.select(names.eq(self.state(f, "none")), f.const("ptr", 0), names)
            nargs_ = f.call("i64", "PyLong_AsLongLong", count)
            items = f.array("ptr", 64)
            size = f.call("i64", "PyTuple_Size", values)
            with f.when((size > 63) | ~self.own_thread(f)):  # the mode word must be this thread's: it is part of the key
                f.ret(f.call("ptr", "PyLong_FromLongLong", f.i64(-1)))
            with f.range(0, size) as i:
                f.store(f.call("ptr", "PyTuple_GetItem", values, i), f.at(items, i, "ptr"))
            n = f.call("i64", "facula_key", entry, items, nargs_, kwnames, words, f.array("i64", FLAT))
            with f.when(n <= 0):
                f.ret(f.call("ptr", "PyLong_FromLongLong", f.i64(-1)))
            row = f.call("ptr", "facula_row", words, n, f.i64(1))
            f.store(n, row)
            with f.range(0, n) as i:
                f.store(f.load("i64", words, i), row, i + F.ROW_KEY)
            f.store(f.call("i64", "PyLong_AsLongLong", plan), f.bytes(row, 8 * F.ROW_PLAN))
            number = (self.address(f, row) - self.address(f, self.state(f, "table"))).udiv(8 * F.ROW_WORDS)
            f.ret(f.call("ptr", "PyLong_FromLongLong", number))

    def emit_slots(self) -> None:
        """One function per operator of Python; each hands its operands and its entry to dispatch."""
        for i, name in enumerate(self.numbers):
            if name in ("set_item", "unary_truth"):
                continue
            unary = name.split("_")[0] == "unary"
            ternary = name in ("power", "inplace_power")
            params = "ptr a" if unary else "ptr a, ptr b, ptr c" if ternary else "ptr a, ptr b"
            with self.m.function("slot_" + name, params, "ptr") as (f, a, *rest):
                values = f.array("ptr", 2)
                f.store(a, values)
                if not unary:
                    f.store(rest[0], f.at(values, 1, "ptr"))
                f.ret(
                    f.call("ptr", "facula_dispatch", self.state(f, F.STATE_SLOTS + i), values, f.i64(1 if unary else 2), f.const("ptr", 0))
                )
        with self.m.function("slot_unary_truth", "ptr a", "i32") as (f, a):
            f.store(a, value := f.array("ptr", 1))
            slot = self.state(f, F.STATE_SLOTS + self.numbers.index("unary_truth"))
            got = f.call("ptr", "facula_dispatch", slot, value, f.i64(1), f.const("ptr", 0))
            with f.when(got.eq(0)):
                f.ret(-1)
            truth = f.call("i32", "PyObject_IsTrue", got)
            self.decref(f, got)
            f.ret(truth)
        with self.m.function("slot_set_item", "ptr a, ptr b, ptr c", "i32") as (f, a, b, c):
            values = f.array("ptr", 3)
            for i, value in enumerate((a, b, c)):
                f.store(value, f.at(values, i, "ptr"))
            slot = self.state(f, F.STATE_SLOTS + self.numbers.index("set_item"))
            got = f.call("ptr", "facula_dispatch", slot, values, f.select(c.eq(0), f.i64(2), f.i64(3)), f.const("ptr", 0))
            with f.when(got.eq(0)):
                f.ret(-1)
            self.decref(f, got)
            f.ret(0)
        first = F.STATE_SLOTS + self.numbers.index("compare_lt")
        with self.m.function("slot_richcompare", "ptr a, ptr b, i32 op", "ptr") as (f, a, b, op):
            values = f.array("ptr", 2)
            f.store(a, values)
            f.store(b, f.at(values, 1, "ptr"))
            at = f.bytes(Value(f, "ptr", self.m.external("facula_core")), (f.cast("sext", op, "i64") + first) * 8)
            f.ret(f.call("ptr", "facula_dispatch", f.load("ptr", at), values, f.i64(2), f.const("ptr", 0)))

    def emit_primitives(self) -> None:
        """What Python needs to make and look into tensors (METH_FASTCALL)."""
        m, T = self.m, F.TENSOR

        def arguments(f: Function, args: Value, n: int) -> list[Value]:
            return [f.load("ptr", f.at(args, i, "ptr")) for i in range(n)]

        def number(f: Function, obj: Value) -> Value:
            return f.call("i64", "PyLong_AsLongLong", obj)

        with m.function("make", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):  # (layout, nbytes)
            lay, nbytes = arguments(f, args, 2)
            block = self.alloc(f, number(f, nbytes))
            with f.when(block.eq(0)):
                self.incref(f, self.state(f, "none"))
                f.ret(self.state(f, "none"))
            f.ret(self.new_tensor(f, lay, self.get(f, block, F.BLOCK_DATA), block))
        with m.function("alias", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):  # (class, source, layout, delta bytes)
            kind, source, lay, delta = arguments(f, args, 4)
            block = self.get(f, source, T["block"])
            self.retain(f, block)
            out = self.new_tensor(f, lay, f.bytes(self.get(f, source, T["data"]), number(f, delta)), block, kind)
            self.set(f, out, T["flags"], self.get(f, source, T["flags"], "i64") & F.READ_ONLY)
            f.ret(out)
        with m.function("adopt", "ptr module, ptr args, i64 nargs", "ptr") as (
            f,
            _,
            args,
            _nargs,
        ):  # (class, layout, block address): takes the block
            kind, lay, at = arguments(f, args, 3)
            block = f.cast("inttoptr", number(f, at), "ptr")
            f.ret(self.new_tensor(f, lay, self.get(f, block, F.BLOCK_DATA), block, kind))
        with m.function("rebind", "ptr module, ptr args, i64 nargs", "ptr") as (
            f,
            _,
            args,
            _nargs,
        ):  # (tensor, source, layout, delta bytes)
            me, source, lay, delta = arguments(f, args, 4)
            block, old = self.get(f, source, T["block"]), self.get(f, me, T["block"])
            self.retain(f, block)
            data = f.bytes(self.get(f, source, T["data"]), number(f, delta))
            self.incref(f, lay)
            before = self.get(f, me, T["layout"])
            for name, value in (("layout", lay), ("data", data), ("block", block)):
                self.set(f, me, T[name], value)
            kept = self.get(f, me, T["flags"], "i64") & ~F.READ_ONLY
            self.set(f, me, T["flags"], kept | (self.get(f, source, T["flags"], "i64") & F.READ_ONLY))
            self.release(f, old)
            with f.when(before.ne(0)):
                self.decref(f, before)
            self.incref(f, self.state(f, "none"))
            f.ret(self.state(f, "none"))
        with m.function("version", "ptr module, ptr me", "ptr") as (f, _, me):
            f.ret(f.call("ptr", "PyLong_FromLongLong", self.get(f, self.get(f, me, T["block"]), F.BLOCK_VERSION, "i64")))
        with m.function("bump", "ptr module, ptr me", "ptr") as (f, _, me):
            block = self.get(f, me, T["block"])
            with f.when((self.get(f, me, T["flags"], "i64") & F.UNTRACKED).eq(0)):
                self.set(f, block, F.BLOCK_VERSION, self.get(f, block, F.BLOCK_VERSION, "i64") + 1)
            self.incref(f, self.state(f, "none"))
            f.ret(self.state(f, "none"))
        with m.function("layout_of", "ptr module, ptr me", "ptr") as (f, _, me):
            lay = self.get(f, me, T["layout"])
            self.incref(f, lay)
            f.ret(lay)


def emit_core(
    module: Module,
    name: str,
    node_slots: tuple[tuple[str, int], ...],
    rule_slots: tuple[tuple[str, int], ...],
    entry_slots: tuple[tuple[str, int], ...],
    layout_slots: tuple[tuple[str, int], ...],
    slice_slots: tuple[int, ...],
    numbers: tuple[str, ...],
) -> None:
    """The whole native core as one module."""
    core = Core(module, (node_slots, rule_slots, entry_slots, layout_slots), slice_slots, numbers)
    emit_memory(module)
    core.emit_object()
    core.emit_buffer()
    emit_members(core)
    emit_measures(core)
    emit_key(core)
    core.emit_find()
    core.emit_words()
    core.emit_launch()
    core.emit_record()
    emit_writable(core)
    core.emit_outputs()
    emit_recording(core)
    core.emit_now()
    core.emit_results()
    emit_assign(core)
    emit_values(core)
    emit_data(core)
    emit_chains(core)
    core.emit_run()
    core.emit_dispatch()
    core.emit_doors()
    core.emit_slots()
    core.emit_primitives()
