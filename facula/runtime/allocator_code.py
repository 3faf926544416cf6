"""The emitted side of the caching allocator: blocks, their size classes, and the two functions native code calls.

A block is a 64-byte header and then the data, 64-byte aligned. Every call is made with the interpreter's lock held: no atomics. Blocks
below LARGE come out of arenas and wait in one list a class; larger ones are mappings of their own (2 MiB aligned, huge pages asked for)
that wait in lists with the time of their release, and leave oldest first when more than LIMIT bytes wait.
"""

from __future__ import annotations

from .ir import Function, Module, Term, Value

# The header, in bytes from the block's address.
REFCOUNT = 0  # i64; 0 while the block waits (then the previous block of a large list)
CLASS = 8  # i64; EXTERNAL for memory of somebody else
OWNER = 16  # PyObject* that keeps external memory alive; the next block while it waits
NBYTES = 24  # i64, as asked for; the time of release while a large block waits
VERSION = 32  # i64, counts in-place writes
DATA = 40  # address of the first byte
FLAGS = 48  # i64, see FRESH
CAPACITY = 56  # i64, usable bytes
HEADER = 64

EXTERNAL = -1
FRESH = 1  # the data is still zero as the system gave it

# The state at @facula_memory.
ALLOCATED, PEAK, LIVE, RESERVED, CACHED, LIMIT, BUDGET, TOTAL_ALLOCS, MAPPINGS, ARENA_NEXT, ARENA_END, TICK, FOREIGN = range(0, 104, 8)
HEADS, TAILS = 1024, 4096  # ptr a class
MEMORY_BYTES = 8192

STEP_CLASSES = 17  # capacities 0, 64, ..., 1024; then four a power of two
LARGE = STEP_CLASSES + 4 * 10 + 3  # the class of 2 MiB
MEDIUM = STEP_CLASSES + 4 * 5 + 3  # the class of 64 KiB: from here on empty_cache returns the pages of waiting blocks
CLASSES = STEP_CLASSES + 4 * 37
GREATEST = 1 << 46  # bytes; more than any address space has
ARENA = 16 << 20  # bytes
ROUND = 65536  # bytes; mappings are multiples of it, whatever the page size
HUGE = 2 << 20  # bytes
READ_WRITE, PRIVATE_ANONYMOUS, MADV_HUGEPAGE, MADV_DONTNEED = 3, 0x22, 14, 4


def size_class(nbytes: int) -> tuple[int, int]:
    """(class, capacity) of a request, as the emitted code computes it."""
    if nbytes <= 1024:
        return (nbytes + 63) // 64, (nbytes + 63) // 64 * 64
    e = (nbytes - 1).bit_length() - 1
    quarter = (nbytes - 1) >> (e - 2) & 3
    return STEP_CLASSES + 4 * (e - 10) + quarter, (5 + quarter) << (e - 2)


class _Memory:
    """Words of the allocator's state and of blocks, seen from a function being written."""

    def __init__(self, f: Function) -> None:
        f.module.external("facula_memory")
        self.f, self.state = f, Value(f, "ptr", "@facula_memory")

    def get(self, offset: int, block: Value | None = None, type_: str = "i64") -> Value:
        p = self.f.bytes(block or self.state, offset)
        return self.f.op(type_, f"load {type_}, ptr {p.text}, align 8")

    def set(self, offset: int, value: Term, block: Value | None = None, type_: str = "i64") -> None:
        p = self.f.bytes(block or self.state, offset)
        self.f.do(f"store {self.f.const(type_, value)}, ptr {p.text}, align 8")

    def add(self, offset: int, value: Term) -> Value:
        new = self.get(offset) + value
        self.set(offset, new)
        return new

    def list_at(self, table: int, cls: Value) -> Value:
        return self.f.at(self.f.bytes(self.state, table), cls, "i64")

    def null(self, pointer: Value) -> Value:
        return self.f.op("i1", f"icmp eq {pointer}, null")

    def address(self, pointer: Value) -> Value:
        return self.f.cast("ptrtoint", pointer, "i64")

    def pointer(self, address: Value) -> Value:
        return self.f.cast("inttoptr", address, "ptr")

    def push(self, block: Value, cls: Value) -> None:
        head = self.list_at(HEADS, cls)
        self.set(OWNER, self.f.load("ptr", head), block, "ptr")
        self.f.store(block, head)


def _class_of(f: Function, nbytes: Value) -> tuple[Value, Value]:
    """(class, capacity), without a branch."""
    small = (nbytes + 63) >> 6
    last = f.smax(nbytes - 1, 1024)
    e = f.const("i64", 63) - f.call("i64", "llvm.ctlz.i64", last, f.const("i1", 1))
    quarter = (last >> (e - 2)) & 3
    wide = nbytes > 1024
    cls = f.select(wide, (e - 10) * 4 + quarter + STEP_CLASSES, small)
    return cls, f.select(wide, (quarter + 5) << (e - 2), small << 6)


def _mapping_bytes(capacity: Value) -> Value:
    return (capacity + (HEADER + ROUND - 1)) & -ROUND


def emit_memory(module: Module) -> None:
    """Write the internal functions `ptr facula_alloc(i64 nbytes)` (refcount 1, version 0, contents undefined; null when there is no
    memory or nbytes is negative or absurd) and `void facula_release(ptr block)`, for native code that wants them inlined."""
    if "facula_alloc" in module.defined:
        return
    with module.function("facula_alloc", "i64 nbytes", "ptr", internal=True) as (f, nbytes):
        m = _Memory(f)
        with f.when(nbytes.ugt(GREATEST)):
            f.ret(0)
        cls, capacity = _class_of(f, nbytes)
        block = f.var("ptr", 0)
        place = m.list_at(HEADS, cls)
        with f.when(cls < LARGE):
            block.v = f.load("ptr", place)
        missing = m.null(block.v)
        with f.otherwise(missing):
            f.store(m.get(OWNER, block.v, "ptr"), place)
            m.set(FLAGS, 0, block.v)
        with f.when(missing):
            block.v = f.call("ptr", "facula_alloc_slow", cls, capacity)
            with f.when(m.null(block.v)):
                f.ret(0)
        for offset, value in ((REFCOUNT, 1), (NBYTES, nbytes), (VERSION, 0)):
            m.set(offset, value, block.v)
        m.set(OWNER, 0, block.v, "ptr")
        now = m.add(ALLOCATED, capacity)
        m.set(PEAK, f.smax(now, m.get(PEAK)))
        m.add(LIVE, 1)
        m.add(TOTAL_ALLOCS, 1)
        f.ret(block.v)
    with module.function("facula_release", "ptr block", internal=True) as (f, block):
        m = _Memory(f)
        left = m.get(REFCOUNT, block) - 1
        m.set(REFCOUNT, left, block)
        with f.when(left.ne(0)):
            f.ret()
        cls = m.get(CLASS, block)
        with f.when(cls.ugt(LARGE - 1)):  # large, or external: -1 is the greatest unsigned number
            f.call("void", "facula_release_slow", block)
            f.ret()
        m.push(block, cls)
        m.add(ALLOCATED, 0 - m.get(CAPACITY, block))
        m.add(LIVE, -1)


def _emit_map(module: Module) -> None:
    """ptr facula_map(i64 nbytes): 2 MiB aligned pages, huge ones if the system has them; null when refused."""
    with module.function("facula_map", "i64 nbytes", "ptr", internal=True, attributes="nounwind noinline") as (f, nbytes):
        m = _Memory(f)

        def mmap(size: Value) -> Value:
            flags = [f.const("i32", x) for x in (READ_WRITE, PRIVATE_ANONYMOUS, -1)]
            return m.address(f.call("ptr", "mmap", f.const("ptr", 0), size, *flags, f.i64(0)))

        found = f.var("i64", mmap(nbytes))
        with f.when(found.v.eq(-1)):
            f.ret(0)
        with f.when((found.v & (HUGE - 1)).ne(0)):  # older systems do not align by themselves: take more and cut
            f.call("i32", "munmap", m.pointer(found.v), nbytes)
            wide = mmap(nbytes + HUGE)
            with f.when(wide.eq(-1)):
                f.ret(0)
            found.v = (wide + (HUGE - 1)) & -HUGE
            with f.when(found.v.ne(wide)):
                f.call("i32", "munmap", m.pointer(wide), found.v - wide)
            with f.when((wide + HUGE).ne(found.v)):
                f.call("i32", "munmap", m.pointer(found.v + nbytes), wide + HUGE - found.v)
        f.call("i32", "madvise", m.pointer(found.v), nbytes, f.const("i32", MADV_HUGEPAGE))
        m.add(RESERVED, nbytes)
        m.add(MAPPINGS, 1)
        f.ret(m.pointer(found.v))


def _dress(f: Function, m: _Memory, block: Value, cls: Value, capacity: Value, flags: int) -> None:
    """The header's fields that never change."""
    m.set(CLASS, cls, block)
    m.set(CAPACITY, capacity, block)
    m.set(DATA, f.bytes(block, HEADER), block, "ptr")
    m.set(FLAGS, flags, block)


def _emit_carve(module: Module) -> None:
    """ptr facula_carve(i64 class, i64 capacity): a small block from the current arena; what is left of a full arena goes to the lists."""
    with module.function("facula_carve", "i64 cls, i64 capacity", "ptr", internal=True, attributes="nounwind noinline") as (
        f,
        cls,
        capacity,
    ):
        m = _Memory(f)
        need = capacity + HEADER
        with f.when(m.get(ARENA_END) - m.get(ARENA_NEXT) < need):
            fresh = f.call("ptr", "facula_map", f.i64(ARENA))
            with f.when(m.null(fresh)):
                f.ret(0)
            with f.loop() as done:
                left = m.get(ARENA_END) - m.get(ARENA_NEXT)
                f.leave(done, left < 2 * HEADER)
                fits = left - HEADER
                e = f.const("i64", 63) - f.call("i64", "llvm.ctlz.i64", fits, f.const("i1", 1))
                wide = fits > 1024
                floor = f.select(wide, (((fits >> (f.smax(e, 2) - 2)) & 3) + 4) << (f.smax(e, 2) - 2), fits & -64)
                rest = m.pointer(m.get(ARENA_NEXT))
                its = _class_of(f, floor)[0]
                _dress(f, m, rest, its, floor, 0)
                m.push(rest, its)
                m.add(ARENA_NEXT, floor + HEADER)
            m.set(ARENA_NEXT, m.address(fresh))
            m.set(ARENA_END, m.address(fresh) + ARENA)
        block = m.pointer(m.get(ARENA_NEXT))
        m.add(ARENA_NEXT, need)
        _dress(f, m, block, cls, capacity, FRESH)
        f.ret(block)


def _unlink(f: Function, m: _Memory, block: Value, cls: Value) -> None:
    """Take a waiting large block out of its list."""
    before, after = m.get(REFCOUNT, block, "ptr"), m.get(OWNER, block, "ptr")
    first, last = m.null(before), m.null(after)
    with f.when(first):
        f.store(after, m.list_at(HEADS, cls))
    with f.otherwise(first):
        m.set(OWNER, after, before, "ptr")
    with f.when(last):
        f.store(before, m.list_at(TAILS, cls))
    with f.otherwise(last):
        m.set(REFCOUNT, before, after, "ptr")
    m.add(CACHED, 0 - _mapping_bytes(m.get(CAPACITY, block)))


def _emit_trim(module: Module) -> None:
    """void facula_trim(i64 keep): give waiting large blocks back, oldest first, until at most `keep` bytes wait; keep = 0 also returns
    the pages of waiting medium blocks."""
    with module.function("facula_trim", "i64 keep", attributes="nounwind noinline") as (f, keep):
        m = _Memory(f)
        with f.loop() as done:
            f.leave(done, m.get(CACHED) <= keep)
            oldest, stamp = f.var("ptr", 0), f.var("i64", (1 << 63) - 1)
            with f.range(LARGE, CLASSES) as cls:
                tail = f.load("ptr", m.list_at(TAILS, cls))
                with f.otherwise(m.null(tail)):
                    released = m.get(NBYTES, tail)
                    with f.when(released < stamp.v):
                        oldest.v, stamp.v = tail, released
            f.leave(done, m.null(oldest.v))
            _unlink(f, m, oldest.v, m.get(CLASS, oldest.v))
            size = _mapping_bytes(m.get(CAPACITY, oldest.v))
            m.add(RESERVED, 0 - size)
            f.call("i32", "munmap", oldest.v, size)
        with f.when(keep.eq(0)), f.range(MEDIUM, LARGE) as cls:
            block = f.var("ptr", f.load("ptr", m.list_at(HEADS, cls)))
            with f.loop() as end:
                f.leave(end, m.null(block.v))
                start = (m.address(block.v) + (HEADER + 4095)) & -4096
                stop = (m.address(block.v) + m.get(CAPACITY, block.v) + HEADER) & -4096
                f.call("i32", "madvise", m.pointer(start), stop - start, f.const("i32", MADV_DONTNEED))
                block.v = m.get(OWNER, block.v, "ptr")


def _emit_slow(module: Module) -> None:
    """ptr facula_alloc_slow(i64 class, i64 capacity) and void facula_release_slow(ptr block): what the fast paths leave."""
    with module.function("facula_alloc_slow", "i64 cls, i64 capacity", "ptr", attributes="nounwind noinline") as (f, cls, capacity):
        m = _Memory(f)
        with f.when(cls < LARGE):
            small = f.call("ptr", "facula_carve", cls, capacity)
            with f.when(m.null(small)):
                f.call("void", "facula_trim", f.i64(0))
                f.ret(f.call("ptr", "facula_carve", cls, capacity))
            f.ret(small)
        cached = f.load("ptr", m.list_at(HEADS, cls))
        with f.otherwise(m.null(cached)):
            _unlink(f, m, cached, cls)
            m.set(FLAGS, 0, cached)
            f.ret(cached)
        size = _mapping_bytes(capacity)
        with f.when(m.get(RESERVED) + size > m.get(BUDGET)):
            f.call("void", "facula_trim", f.i64(0))
        fresh = f.var("ptr", f.call("ptr", "facula_map", size))
        with f.when(m.null(fresh.v)):
            f.call("void", "facula_trim", f.i64(0))
            fresh.v = f.call("ptr", "facula_map", size)
            with f.when(m.null(fresh.v)):
                f.ret(0)
        _dress(f, m, fresh.v, cls, capacity, FRESH)
        f.ret(fresh.v)
    with module.function("facula_release_slow", "ptr block", attributes="nounwind noinline") as (f, block):
        m = _Memory(f)
        cls = m.get(CLASS, block)
        with f.when(cls < 0):
            owner = m.get(OWNER, block, "ptr")
            foreign = f.select(m.null(m.get(DATA, block, "ptr")), f.i64(0), m.get(NBYTES, block))
            _dress(f, m, block, f.i64(0), f.i64(0), 0)
            m.push(block, f.i64(0))
            m.add(LIVE, -1)
            m.add(FOREIGN, 0 - foreign)
            f.call("void", "Py_DecRef", owner)
            f.ret()
        capacity = m.get(CAPACITY, block)
        m.add(ALLOCATED, 0 - capacity)
        m.add(LIVE, -1)
        head = m.list_at(HEADS, cls)
        after = f.load("ptr", head)
        m.set(REFCOUNT, 0, block, "ptr")
        m.set(OWNER, after, block, "ptr")
        m.set(NBYTES, m.add(TICK, 1), block)
        f.store(block, head)
        with f.when(m.null(after)):
            f.store(block, m.list_at(TAILS, cls))
        with f.otherwise(m.null(after)):
            m.set(REFCOUNT, block, after, "ptr")
        with f.when(m.add(CACHED, _mapping_bytes(capacity)) > m.get(LIMIT)):
            f.call("void", "facula_trim", m.get(LIMIT))


def _emit_doors(module: Module) -> None:
    """ptr facula_allocate(i64), void facula_free(ptr), ptr facula_external(ptr data, i64 nbytes, ptr owner), for callers by address."""
    with module.function("facula_allocate", "i64 nbytes", "ptr") as (f, nbytes):
        f.ret(f.call("ptr", "facula_alloc", nbytes))
    with module.function("facula_free", "ptr block") as (f, block):
        f.call("void", "facula_release", block)
    with module.function("facula_external", "ptr data, i64 nbytes, ptr owner", "ptr") as (f, data, nbytes, owner):
        m = _Memory(f)
        block = f.call("ptr", "facula_alloc", f.i64(0))
        with f.otherwise(m.null(block)):
            f.call("void", "Py_IncRef", owner)
            m.set(CLASS, EXTERNAL, block)
            m.set(OWNER, owner, block, "ptr")
            m.set(NBYTES, nbytes, block)
            m.set(CAPACITY, nbytes, block)
            m.set(DATA, data, block, "ptr")
            m.set(FLAGS, 0, block)
            m.add(FOREIGN, f.select(m.null(data), f.i64(0), nbytes))  # at address 0 there is no memory, only a size
        f.ret(block)


def emit_allocator(module: Module) -> None:
    """Write everything: the fast paths, the slow ones and the doors."""
    emit_memory(module)
    _emit_map(module)
    _emit_carve(module)
    _emit_trim(module)
    _emit_slow(module)
    _emit_doors(module)
