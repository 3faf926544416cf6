"""A module of kernels with a check before each access to memory: one pass over what was emitted, so that no emitter knows of it.

A checked kernel is called with a record (`record.py`) whose address lies in the word before its words. Each address goes through a
function that gives it back, or, where the bytes lie outside of what this launch may touch, notes the access in the record and gives the
address of a sink, so that nothing else is read or written. What an address is compared with:

- one made from an array on the stack or a constant of the module: exactly that array, or constant;
- any other: the ranges of the record, the worker's scratch memory, the module's constants, and the stack down from the kernel's frame
  (arrays that are handed to an inner function; which of them was meant is not known there).

Variables (stack slots that are used whole, under their own name) and the fields of shared state cannot be missed and are left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ...runtime.ir import SIZE, Function, Module, Value, count, element
from ...runtime.pool_code import scratch, scratch_place
from .record import ADDRESS, BYTES, COUNT, END, FIRST, RANGES, READ_SINK, ROOM, ROOT, ROW, SITE, START, WRITABLE, WRITE, WRITE_SINK

KERNEL = "ptr %a0, i64 %a1, i64 %a2, i64 %a3"  # the parameters of a kernel, as text
CONTEXT = "%bounds"  # a call's context: the record, the highest address of the stack's arrays, the scratch memory
RECORD, TOP, SCRATCH_AT = range(3)
PARAMETERS = "ptr context, ptr place, i64 lo, i64 hi, i64 write, i64 site"  # bytes lo .. hi-1 behind place

TYPE = r"(<\d+ x \w+>|\w+)"
HEAD = re.compile(r"define (internal )?\S.* @(\w+)\((.*)\) (.*)\{$")
ALLOCA = re.compile(rf"(%\w+) = alloca (?:\[(\d+) x {TYPE}\]|{TYPE})")
ADVANCE = re.compile(r"(%\w+) = getelementptr .*?, ptr (\S+), ")
LOAD = re.compile(rf"(%\w+ = load (?:atomic )?){TYPE}(, ptr )(\S+?)([, ].*)")
STORE = re.compile(rf"(store (?:atomic )?){TYPE}( .*, ptr )(\S+?)(, (?!ptr).*)")
ATOMIC = re.compile(rf"(%\w+ = (?:atomicrmw \w+|cmpxchg) ptr )(\S+)(, ){TYPE}(.*)")
CALL = re.compile(r"((?:%\w+ = )?call .*?@)([\w.]+)\((.*)\)$")
CONSTANT = re.compile(rf"@(\w+) = private unnamed_addr constant \[(\d+) x {TYPE}\]")
HARMLESS = re.compile(r"llvm\.(prefetch|frameaddress)\b")  # take a pointer and touch nothing


class Site(NamedTuple):
    """An access in the emitted text: the function it stands in, the instruction, the line of Python that wrote it."""

    function: str
    instruction: str
    origin: str

    def __str__(self) -> str:
        return f"`{self.instruction}` in @{self.function}" + (f", written by {self.origin}" if self.origin else "")


def size_of(type_: str) -> int:
    """Bytes of a value in memory."""
    return max(1, count(type_)) * SIZE[element(type_)]


def split(arguments: str) -> list[str]:
    """The arguments of a call; commas inside brackets do not part them."""
    out: list[str] = []
    depth = start = 0
    for i, c in enumerate(arguments):
        depth += (c in "(<[{") - (c in ")>]}")
        if c == "," and not depth:
            out.append(arguments[start:i].strip())
            start = i + 1
    return [*out, arguments[start:].strip()] if arguments.strip() else []


@dataclass
class _Pass:
    """One module on its way; `out` is the text of the functions that are done."""

    module: Module
    roots: dict[str, tuple[str, int]] = field(
        default_factory=dict[str, tuple[str, int]]
    )  # pointer -> the array it was made from, and its bytes
    slots: dict[str, str] = field(default_factory=dict[str, str])  # stack slot -> its type
    sites: list[Site] = field(default_factory=list[Site])
    out: list[str] = field(default_factory=list[str])
    function: str = ""
    n: int = 0

    def name(self) -> str:
        self.n += 1
        return f"%b{self.n}"

    def do(self, text: str) -> None:
        self.out.append("  " + text)

    def op(self, text: str) -> str:
        out = self.name()
        self.do(f"{out} = {text}")
        return out

    # -- functions
    def run(self) -> None:
        inner = self.module.defined
        fixed = {"@" + n: (0, 0) for n, text in self.module.globals.items() if "external global" in text}
        constants = {f"@{found[1]}": int(found[2]) * SIZE[found[3]] for found in map(CONSTANT.match, self.module.globals.values()) if found}
        pending = ""  # the kernel's entry is written behind its stack slots
        for line in self.module.bodies:
            text, _, origin = line.strip().partition("  ; ")
            if head := HEAD.match(line):
                self.function, self.slots = head[2], {}
                self.roots = {name: (name, size) for name, size in constants.items()} | {name: (name, 0) for name in fixed}
                kernel = not head[1]
                if kernel and not head[3].replace(" noalias", "").startswith(KERNEL):
                    raise ValueError(f"@{head[2]} is not a kernel: nobody would give it the record of what it may touch")
                pending = "kernel" if kernel else ""
                self.out.append(
                    line if kernel else line.replace(f"({head[3]})", f"({', '.join(filter(None, [head[3], 'ptr ' + CONTEXT]))})")
                )
                continue
            if slot := ALLOCA.match(text):
                self.slots[slot[1]] = f"[{slot[2]} x {slot[3]}]" if slot[2] else slot[4]
                self.roots[slot[1]] = slot[1], int(slot[2] or 1) * size_of(slot[3] or slot[4])
            elif pending and text != "entry:":
                self.enter()
                pending = ""
            if found := ADVANCE.match(text):
                if found[2] in self.roots:
                    self.roots[found[1]] = self.roots[found[2]]
                self.do(text)
            elif line.startswith("  ") and not self.access(text, origin) and not self.call(text, origin, inner):
                self.do(text)
            elif not line.startswith("  "):
                self.out.append(line)
        self.module.bodies = self.out

    def enter(self) -> None:
        """Writes the context at the beginning of a kernel."""
        self.do(f"{CONTEXT} = alloca [3 x i64], align 8")
        f = Function(self.module, self.function, "ptr words, i64 lo, i64 hi, i64 worker", "void")
        f.n = 1 << 30  # names of its own
        context, words, worker = Value(f, "ptr", CONTEXT), f.args[0], f.args[3]
        f.store(f.load("i64", words, -1), context, RECORD)
        f.store(f.cast("ptrtoint", f.call("ptr", "llvm.frameaddress.p0", f.const("i32", 0)), "i64"), context, TOP)
        if "facula_scratch" in self.module.globals:
            f.store(f.cast("ptrtoint", scratch(f, worker), "i64"), context, SCRATCH_AT)
        self.out += f.lines

    # -- accesses
    def site(self, text: str, origin: str) -> int:
        self.sites.append(Site(self.function, text, origin))
        return len(self.sites) - 1

    def guarded(self, place: str, lo: object, hi: object, write: bool, site: int) -> str:
        """The address to use instead of `place` for its bytes lo .. hi-1."""
        if place not in self.roots:
            return self.op(f"call ptr @facula_bounds(ptr {CONTEXT}, ptr {place}, i64 {lo}, i64 {hi}, i64 {int(write)}, i64 {site})")
        root, size = self.roots[place]
        return self.op(
            f"call ptr @facula_bounds_local(ptr {CONTEXT}, ptr {place}, i64 {lo}, i64 {hi}, i64 {int(write)}, i64 {site}, ptr {root}, i64 {size})"
        )

    def access(self, text: str, origin: str) -> bool:
        """A load, store or atomic instruction; False for another one."""
        kind, place, write = 2, 4, False
        found = LOAD.match(text)
        if not found:
            write, found = True, STORE.match(text)
        if not found:
            kind, place, found = 4, 2, ATOMIC.match(text)
        if not found:
            return False
        where = found[place]
        if self.slots.get(where) == found[kind] or self.roots.get(where, ("", 1))[1] == 0:  # a variable, or a field of shared state
            self.do(text)
            return True
        safe = self.guarded(where, 0, size_of(found[kind]), write, self.site(text, origin))
        self.do(text[: found.start(place)] + safe + text[found.end(place) :])
        return True

    def call(self, text: str, origin: str, inner: set[str]) -> bool:
        """A call of an inner function, or of an intrinsic that touches memory; False for another instruction."""
        found = CALL.match(text)
        if not found:
            return False
        head, name, arguments = found[1], found[2], split(found[3])
        if name in inner:
            arguments.append(f"ptr {CONTEXT}")
        elif name.startswith(("llvm.masked.load.", "llvm.masked.store.", "llvm.masked.gather.", "llvm.masked.scatter.")):
            self.masked(name, arguments, self.site(text, origin))
        elif name.startswith(("llvm.memcpy.", "llvm.memmove.", "llvm.memset.")):
            self.block(name, arguments, self.site(text, origin))
        elif any(a.startswith("ptr ") for a in arguments) and not HARMLESS.match(name):
            raise ValueError(f"no bounds check is known for what @{name} does to memory")
        self.do(f"{head}{name}({', '.join(arguments)})")
        return True

    def masked(self, name: str, arguments: list[str], site: int) -> None:
        """Exchanges the addresses of a masked access; lanes that the mask leaves out may lie anywhere."""
        write = name.startswith(("llvm.masked.store.", "llvm.masked.scatter."))
        at, moved = (1, arguments[0]) if write else (0, arguments[3])
        kind = moved[: moved.index(">") + 1]
        lanes, size, mask = count(kind), SIZE[element(kind)], arguments[at + 2]
        if name.startswith(("llvm.masked.gather.", "llvm.masked.scatter.")):
            safe = places = arguments[at]
            for lane in range(lanes):
                place = self.op(f"extractelement {places}, i32 {lane}")
                inside = self.op(f"zext i1 {self.op(f'extractelement {mask}, i32 {lane}')} to i64")
                here = self.guarded(place, 0, self.op(f"mul i64 {inside}, {size}"), write, site)
                safe = f"<{lanes} x ptr> " + self.op(f"insertelement {safe}, ptr {here}, i32 {lane}")
            arguments[at] = safe
            return
        bits = self.op(f"bitcast {mask} to i{lanes}")
        if lanes < 64:
            bits = self.op(f"zext i{lanes} {bits} to i64")
        span = self.op(f"call {{ i64, i64 }} @facula_bounds_span(i64 {bits}, i64 {size})")
        lo, hi = (self.op(f"extractvalue {{ i64, i64 }} {span}, {i}") for i in range(2))
        arguments[at] = "ptr " + self.guarded(arguments[at].removeprefix("ptr "), lo, hi, write, site)

    def block(self, name: str, arguments: list[str], site: int) -> None:
        """memcpy and its like move nothing when either side is wrong."""
        length = arguments[2].removeprefix("i64 ")
        for i, write in ((0, True), (1, False))[: 1 if "memset" in name else 2]:
            place = arguments[i].removeprefix("ptr ")
            safe = self.guarded(place, 0, length, write, site)
            same = self.op(f"icmp eq ptr {safe}, {place}")
            arguments[2] = "i64 " + self.op(f"select i1 {same}, {arguments[2]}, i64 0")


def instrument(module: Module) -> list[Site]:
    """Puts checks into a module of kernels, before its text is taken -> the accesses by their number. ValueError for a module that exports
    something else than kernels, or calls something whose accesses are not known."""
    work = _Pass(module)
    work.run()
    _emit_check(module)
    _emit_local(module)
    _emit_outside(module)
    _emit_span(module)
    return work.sites


# -- the functions that checks call
def _emit_check(m: Module) -> None:
    """ptr facula_bounds(...): the place, or a sink when its bytes lie in nothing that this launch may touch."""
    with m.function("facula_bounds", PARAMETERS, "ptr", internal=True, attributes="nounwind noinline") as (
        f,
        context,
        place,
        lo,
        hi,
        write,
        site,
    ):
        with f.when(lo.eq(hi)):
            f.ret(place)
        at = f.cast("ptrtoint", place, "i64")
        start, end = at + lo, at + hi
        record = f.load("ptr", context, RECORD)
        with f.when(start < end):
            with f.range(0, f.load("i64", record, RANGES)) as i:
                low, high, writable = (f.load("i64", record, i * ROW + (FIRST + k)) for k in (START, END, WRITABLE))
                with f.when((start >= low) & (end <= high) & (write <= writable)):
                    f.ret(place)
            frame = f.cast("ptrtoint", f.call("ptr", "llvm.frameaddress.p0", f.const("i32", 0)), "i64")
            with f.when((start >= frame) & (end <= f.load("i64", context, TOP))):
                f.ret(place)
            if "facula_scratch" in m.globals:
                low = f.load("i64", context, SCRATCH_AT)
                with f.when((start >= low) & (end <= low + (f.i64(1) << (scratch_place(f) & 63)))):
                    f.ret(place)
            for found in filter(None, map(CONSTANT.match, list(m.globals.values()))):
                low = f.cast("ptrtoint", Value(f, "ptr", "@" + found[1]), "i64")
                with f.when((start >= low) & (end <= low + int(found[2]) * SIZE[found[3]]) & write.eq(0)):
                    f.ret(place)
        f.ret(f.call("ptr", "facula_bounds_outside", record, start, hi - lo, write, site, f.i64(0), f.i64(0)))


def _emit_local(m: Module) -> None:
    """ptr facula_bounds_local(...): the same within one array, `root` of `size` bytes."""
    parameters = PARAMETERS + ", ptr root, i64 size"
    with m.function("facula_bounds_local", parameters, "ptr", internal=True, attributes="nounwind noinline") as (
        f,
        context,
        place,
        lo,
        hi,
        *rest,
    ):
        write, site, root, size = rest
        start, base = f.cast("ptrtoint", place, "i64") + lo, f.cast("ptrtoint", root, "i64")
        length = hi - lo
        with f.when(length.eq(0) | ((start >= base) & (length > 0) & (start + length <= base + size))):
            f.ret(place)
        f.ret(f.call("ptr", "facula_bounds_outside", f.load("ptr", context, RECORD), start, length, write, site, base, size))


def _emit_outside(m: Module) -> None:
    """ptr facula_bounds_outside(...): counts the access, keeps the first one, gives the sink."""
    parameters = "ptr record, i64 start, i64 length, i64 write, i64 site, i64 root, i64 room"
    with m.function("facula_bounds_outside", parameters, "ptr", internal=True, attributes="nounwind noinline") as (
        f,
        record,
        start,
        length,
        *rest,
    ):
        write, site, root, room = rest
        before = f.op("i64", f"atomicrmw add ptr {f.at(record, COUNT, 'i64').text}, i64 1 seq_cst")
        with f.when(before.eq(0)):
            for at, value in ((SITE, site), (ADDRESS, start), (BYTES, length), (WRITE, write), (ROOT, root), (ROOM, room)):
                f.store(value, record, at)
        f.ret(f.select(write.ne(0), f.load("ptr", record, WRITE_SINK), f.load("ptr", record, READ_SINK)))


def _emit_span(m: Module) -> None:
    """{ first byte, byte behind the last } of the lanes that are 1 in `bits`; both 0 when there are none."""
    pair = "{ i64, i64 }"
    with m.function("facula_bounds_span", "i64 bits, i64 size", pair, internal=True, attributes="nounwind noinline") as (f, bits, size):
        first = f.call("i64", "llvm.cttz.i64", bits, f.const("i1", 0)) * size
        behind = (64 - f.call("i64", "llvm.ctlz.i64", bits, f.const("i1", 0))) * size
        half = f.op(pair, f"insertvalue {pair} poison, {f.select(bits.eq(0), f.i64(0), first)}, 0")
        f.ret(f.op(pair, f"insertvalue {half}, {f.select(bits.eq(0), f.i64(0), behind)}, 1"))
