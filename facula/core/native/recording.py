"""The emitted side of a recording: calls that wait, what shape they have together, and the program that runs them.

A queue is memory of one thread's recorder (fields.QUEUE). A call that waits has its results allocated and its kernels' words filled in, since
addresses and numbers are known; what waits is the launch. Beside the words the queue keeps the recording's signature: per call the plan and,
for each tensor it reads, the number of its block in order of appearance, its distance from where the block was first seen, and its layout.
Every block seen is kept until the end, so that no address stands for two things. Equal signatures with equal results alive have equal
dataflow, so what was found out about one (graph/program.py) holds for the other.

A block's flags carry a stamp above bit 0: the queue's base plus the block's number, which no other recording has.
"""

from __future__ import annotations

from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value

Q = {name: 8 * i for name, i in F.QUEUE.items()}
P = {name: 8 * i for name, i in F.PLAN.items()}
G = {name: 8 * i for name, i in F.PROGRAM.items()}
GOLDEN = -0x61C8864680B583EB


class Recording:
    """Writes the functions; `core` knows the objects."""

    def __init__(self, core: Any) -> None:
        self.core, self.m = core, core.m

    def get(self, f: Function, at: Value, offset: int, type_: str = "i64") -> Value:
        return f.load(type_, f.bytes(at, offset))

    def set(self, f: Function, at: Value, offset: int, value: Value | int) -> None:
        self.core.set(f, at, offset, value)

    def row(self, f: Function, queue: Value, number: Value) -> Value:
        """Address of a block's row."""
        return f.at(self.get(f, queue, Q["blocks"], "ptr"), number * F.BLOCK_ROW, "i64")

    def number(self, f: Function, queue: Value, block: Value) -> Value:
        """A block's number in this recording; anything that is no number of it (unsigned) when it was not seen."""
        return (self.get(f, block, F.BLOCK_FLAGS) >> 1) - self.get(f, queue, Q["base"])

    # -- noting
    def emit_room(self) -> None:
        """facula_room(plan, args, queue) -> 0 there is no room, 1 note the call, 2 run it at once: its answer is wanted now."""
        with self.m.function("facula_room", "ptr plan, ptr args, ptr queue", "i64", internal=True) as (f, plan, args, queue):
            reads, how = self.get(f, plan, P["reads_n"]), self.get(f, plan, P["how"])
            with f.when((how & (F.AT_ONCE | F.SOON)).ne(0)):
                waits = f.var("i1", 0)
                with f.range(0, reads) as i:
                    obj = f.load("ptr", f.at(args, f.load("i64", self.get(f, plan, P["reads"], "ptr"), i), "ptr"))
                    number = self.number(f, queue, self.get(f, obj, F.TENSOR["block"], "ptr"))
                    known = number.ult(self.get(f, queue, Q["blocks_n"]))
                    # whose operands it may write, it waits for their readers too
                    with f.when(known), f.when(((self.get(f, self.row(f, queue, number), 16) | how >> 1) & F.WRITTEN).ne(0)):
                        waits.v = 1
                with f.otherwise(waits.v):
                    f.ret(2)
                with f.when((how & F.AT_ONCE).ne(0)):
                    f.ret(0)
            words = self.get(f, queue, Q["words_n"]) + self.get(f, plan, P["words_n"])
            full = words > F.QUEUE_WORDS_MAX
            full = full | (self.get(f, queue, Q["signature_n"]) + reads * 3 + 2 > F.QUEUE_WORDS_MAX)
            full = full | (self.get(f, queue, Q["blocks_n"]) + reads + 16 > F.BLOCKS_MAX)
            full = full | (self.get(f, queue, Q["entries_n"]) + 1 > F.ENTRIES_MAX)
            full = full | (self.get(f, queue, Q["bytes"]) > F.QUEUE_BYTES_MAX)
            full = full | ((self.get(f, queue, Q["cost"]) > F.QUEUE_COST_MAX) & (how & F.FUSES).eq(0))
            full = full | (self.get(f, plan, P["workspace"]) > self.get(f, queue, Q["work_bytes"]))
            f.ret(f.select(full, f.i64(0), f.i64(1)))

    def emit_seen(self) -> None:
        """facula_seen(queue, block, address, what) -> the block's number; kept, and entered when it is new."""
        with self.m.function("facula_seen", "ptr queue, ptr block, i64 address, i64 what", "i64", internal=True) as (
            f,
            queue,
            block,
            address,
            what,
        ):
            known = self.number(f, queue, block)
            n = self.get(f, queue, Q["blocks_n"])
            with f.when(known.ult(n)):
                at = f.bytes(self.row(f, queue, known), 16)
                f.store(f.load("i64", at) | what, at)
                f.ret(known)
            self.core.retain(f, block)
            row = self.row(f, queue, n)
            f.store(block, row)
            f.store(address, row, 1)
            f.store(what, row, 2)
            stamp = (self.get(f, queue, Q["base"]) + n) << 1
            self.set(f, block, F.BLOCK_FLAGS, (self.get(f, block, F.BLOCK_FLAGS) & 1) | stamp)
            self.set(f, queue, Q["blocks_n"], n + 1)
            f.ret(n)

    def emit_note(self) -> None:
        """facula_note(plan, args, outs, queue): the call waits. There is room."""
        T = F.TENSOR
        with self.m.function("facula_note", "ptr plan, ptr args, ptr outs, ptr queue", internal=True) as (f, plan, args, outs, queue):
            n = self.get(f, queue, Q["signature_n"])
            sign = f.at(self.get(f, queue, Q["signature"], "ptr"), n, "i64")
            f.store(self.core.address(f, plan), sign)
            reads = self.get(f, plan, P["reads_n"])
            f.store(reads, sign, 1)
            what = f.cast("zext", (self.get(f, plan, P["how"]) & F.WRITES).ne(0), "i64")
            with f.range(0, reads) as i:
                obj = f.load("ptr", f.at(args, f.load("i64", self.get(f, plan, P["reads"], "ptr"), i), "ptr"))
                address = self.get(f, obj, T["data"])
                number = f.call("i64", "facula_seen", queue, self.get(f, obj, T["block"], "ptr"), address, what)
                at = f.at(sign, i * 3 + 2, "i64")
                f.store(number, at)
                f.store(address - f.load("i64", self.row(f, queue, number), 1), at, 1)
                f.store(self.get(f, obj, T["layout"]), at, 2)
            self.set(f, queue, Q["signature_n"], n + reads * 3 + 2)
            with f.range(0, self.get(f, plan, P["outs_n"])) as i:
                how = f.load("i64", self.get(f, plan, P["outs"], "ptr"), i * 4 + 2)
                obj = f.load("ptr", f.at(outs, i, "ptr"))
                made = f.select(how.eq(F.OUT_NEW), f.i64(F.WRITTEN | F.MADE), f.i64(F.WRITTEN))
                nbytes = f.select(how.eq(F.OUT_NEW), f.load("i64", self.get(f, plan, P["outs"], "ptr"), i * 4 + 1), f.i64(0))
                self.set(f, queue, Q["bytes"], self.get(f, queue, Q["bytes"]) + nbytes)
                f.call("i64", "facula_seen", queue, self.get(f, obj, T["block"], "ptr"), self.get(f, obj, T["data"]), made)
            words_n = self.get(f, queue, Q["words_n"])
            words = f.at(self.get(f, queue, Q["words"], "ptr"), words_n, "i64")
            f.call("void", "facula_fill", plan, args, outs, self.get(f, queue, Q["work"], "ptr"), words)
            self.set(f, queue, Q["words_n"], words_n + self.get(f, plan, P["words_n"]))
            self.set(f, queue, Q["cost"], self.get(f, queue, Q["cost"]) + self.get(f, plan, P["cost"]))
            count = self.get(f, queue, Q["entries_n"])
            owner = self.get(f, plan, P["owner"], "ptr")
            self.core.incref(f, owner)
            f.store(owner, f.at(self.get(f, queue, Q["entries"], "ptr"), count, "ptr"))
            self.set(f, queue, Q["entries_n"], count + 1)

    # -- running
    def emit_digest(self) -> None:
        """facula_digest(queue) -> a hash of what waits, 0 when nothing does; says of each result whether somebody still holds it."""
        with self.m.function("facula_digest", "ptr queue", "i64", internal=True) as (f, queue):
            n = self.get(f, queue, Q["signature_n"])
            with f.when(n.eq(0)):
                f.ret(0)
            h = f.var("i64", n)
            sign = self.get(f, queue, Q["signature"], "ptr")
            with f.range(0, n) as i:
                x = (h.v ^ f.load("i64", sign, i)) * GOLDEN
                h.v = x ^ (x >> 29)
            with f.range(0, self.get(f, queue, Q["blocks_n"])) as i:
                row = self.row(f, queue, i)
                made = (f.load("i64", row, 2) & F.MADE).ne(0)
                kept = f.load("i64", f.load("ptr", row)) > 1
                alive = f.cast("zext", kept | ~made, "i64")
                f.store(alive, row, 3)
                x = (h.v ^ alive) * GOLDEN
                h.v = x ^ (x >> 29)
            f.ret(h.v | 1)
        with self.m.function("facula_recorded", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):
            f.ret(f.call("ptr", "PyLong_FromLongLong", f.call("i64", "facula_digest", self._pointer(f, args, 0))))

    def emit_same(self) -> None:
        """facula_same(queue, program): whether the program was made for a recording like this one, word by word."""
        with self.m.function("facula_same", "ptr queue, ptr program", "i1", internal=True) as (f, queue, program):
            n, blocks = self.get(f, queue, Q["signature_n"]), self.get(f, queue, Q["blocks_n"])
            with f.when(n.ne(self.get(f, program, G["signature_n"])) | blocks.ne(self.get(f, program, G["blocks_n"]))):
                f.ret(0)
            mine, theirs = self.get(f, queue, Q["signature"], "ptr"), self.get(f, program, G["signature"], "ptr")
            other = f.var("i64", 0)
            with f.range(0, n) as i:
                other.v = other.v | (f.load("i64", mine, i) ^ f.load("i64", theirs, i))
            rows, alive = self.get(f, queue, Q["blocks"], "ptr"), self.get(f, program, G["alive"], "ptr")
            with f.range(0, blocks) as i:
                other.v = other.v | (f.load("i64", rows, i * F.BLOCK_ROW + 3) ^ f.load("i64", alive, i))
            f.ret(other.v.eq(0))

    def emit_clear(self) -> None:
        """facula_clear(queue): nothing waits any more; what was kept is let go."""
        with self.m.function("facula_clear", "ptr queue", internal=True) as (f, queue):
            entries, blocks = self.get(f, queue, Q["entries_n"]), self.get(f, queue, Q["blocks_n"])
            stamps = self.core.state(f, "stamps", "i64")
            f.store(stamps + F.BLOCKS_MAX, self.core.state_at(f, "stamps"))
            self.set(f, queue, Q["base"], stamps)
            for name in ("entries_n", "blocks_n", "signature_n", "words_n", "bytes", "cost"):
                self.set(f, queue, Q[name], 0)
            with f.range(0, blocks) as i:
                self.core.release(f, f.load("ptr", self.row(f, queue, i)))
            with f.range(0, entries) as i:
                self.core.decref(f, f.load("ptr", f.at(self.get(f, queue, Q["entries"], "ptr"), i, "ptr")))
        with self.m.function("facula_drop", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):
            f.call("void", "facula_clear", self._pointer(f, args, 0))
            self._none(f)

    def emit_play(self) -> None:
        """play(queue, programs: hash -> address) -> True when nothing waits any more, False when no program is for this recording."""
        with self.m.function("facula_play", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):
            queue, digest = self._pointer(f, args, 0), f.var("i64", 0)
            digest.v = f.call("i64", "facula_digest", queue)
            with f.when(digest.v.eq(0)):
                f.ret(f.call("ptr", "PyBool_FromLong", f.i64(1)))
            key = f.call("ptr", "PyLong_FromLongLong", digest.v)
            known = f.call("ptr", "PyDict_GetItem", f.load("ptr", args, 1), key)
            self.core.decref(f, key)
            with f.when(known.eq(0)):
                f.ret(f.call("ptr", "PyBool_FromLong", f.i64(0)))
            program = f.cast("inttoptr", f.call("i64", "PyLong_AsLongLong", known), "ptr")
            with f.when(~f.call("i1", "facula_same", queue, program)):
                f.ret(f.call("ptr", "PyBool_FromLong", f.i64(0)))
            self._fuse(f, queue, program)
            failed = self._walk(f, queue, program)
            f.call("void", "facula_clear", queue)
            with f.when(failed.ne(0)):
                f.ret(0)
            f.ret(f.call("ptr", "PyBool_FromLong", f.i64(1)))

    def _fuse(self, f: Function, queue: Value, program: Value) -> None:
        """The words of fused kernels, behind those of the calls."""
        words = self.get(f, queue, Q["words"], "ptr")
        fused = f.at(words, self.get(f, queue, Q["words_n"]), "i64")
        template, patches = self.get(f, program, G["template"], "ptr"), self.get(f, program, G["patches"], "ptr")
        with f.range(0, self.get(f, program, G["template_n"])) as i:
            f.store(f.load("i64", template, i), fused, i)
        with f.range(0, self.get(f, program, G["patches_n"])) as i:  # (word, block, distance), or (word, -1 - word of a call, 0)
            at = f.at(patches, i * 3, "i64")
            target, source, extra = (f.load("i64", at, k) for k in range(3))
            with f.when(source >= 0):
                f.store(f.load("i64", self.row(f, queue, source), 1) + extra, fused, target)
            with f.when(source < 0):
                f.store(f.load("i64", words, ~source), fused, target)

    def _walk(self, f: Function, queue: Value, program: Value) -> Value:
        """One launch after the other; 0, or the interpreter has an exception."""
        words, rows = self.get(f, queue, Q["words"], "ptr"), self.get(f, program, G["rows"], "ptr")
        failed = f.var("i32", 0)
        with f.loop() as done:
            with f.range(0, self.get(f, program, G["rows_n"])) as i:
                at = f.at(rows, i * 5, "i64")
                kernel, mine = f.load("ptr", at), f.at(words, f.load("i64", at, 1), "i64")
                total, grain, long = (f.load("i64", at, k) for k in (2, 3, 4))
                small = (total <= grain) & long.eq(0)
                with f.when(small):
                    f.call_pointer("void", kernel, mine, f.i64(0), total, f.i64(0))
                with f.when(~small):
                    failed.v = f.call_pointer("i32", self.core.state(f, "parallel"), kernel, mine, total, grain, long)
                    f.leave(done, failed.v.ne(0))
            f.leave(done)
        return failed.v

    # -- asking
    def emit_waiting(self) -> None:
        """waiting(queue, tensor) -> 0 no call that waits knows its memory, 1 some read it, 2 some write it."""
        with self.m.function("facula_waiting", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):
            queue, obj = self._pointer(f, args, 0), f.load("ptr", f.at(args, 1, "ptr"))
            number = self.number(f, queue, self.get(f, obj, F.TENSOR["block"], "ptr"))
            found = f.var("i64", 0)
            with f.when(number.ult(self.get(f, queue, Q["blocks_n"]))):
                found.v = (f.load("i64", self.row(f, queue, number), 2) & F.WRITTEN) + 1
            f.ret(f.call("ptr", "PyLong_FromLongLong", found.v))

    def emit_tell(self) -> None:
        """tell(mode word, queue or 0): the modes of this thread, until another one tells its own."""
        with self.m.function("facula_tell", "ptr module, ptr args, i64 nargs", "ptr") as (f, _, args, _nargs):
            mode = f.call("i64", "PyLong_AsLongLong", f.load("ptr", args))
            f.store(mode, self.core.state_at(f, "mode"))
            f.store(f.call("i64", "PyThreadState_GetID", f.call("ptr", "PyThreadState_Get")), self.core.state_at(f, "thread"))
            f.store(self._pointer(f, args, 1), self.core.state_at(f, "queue"))
            self._none(f)

    def emit_enter(self) -> None:
        """enter(queue or 0) -> True when emitted code notes calls there from now on; False when another thread told its modes last."""
        with self.m.function("facula_enter", "ptr module, ptr queue", "ptr") as (f, _, queue):
            mine = self.core.own_thread(f)
            with f.when(mine):
                f.store(f.call("i64", "PyLong_AsLongLong", queue), self.core.state_at(f, "queue"))
            f.ret(f.call("ptr", "PyBool_FromLong", f.cast("zext", mine, "i64")))

    def _pointer(self, f: Function, args: Value, i: int) -> Value:
        return f.cast("inttoptr", f.call("i64", "PyLong_AsLongLong", f.load("ptr", f.at(args, i, "ptr"))), "ptr")

    def _none(self, f: Function) -> None:
        none = self.core.state(f, "none")
        self.core.incref(f, none)
        f.ret(none)


def emit_recording(core: Any) -> None:
    """All of it; facula_fill and the objects are there."""
    r = Recording(core)
    r.emit_room()
    r.emit_seen()
    r.emit_note()
    r.emit_digest()
    r.emit_same()
    r.emit_clear()
    r.emit_play()
    r.emit_waiting()
    r.emit_tell()
    r.emit_enter()
