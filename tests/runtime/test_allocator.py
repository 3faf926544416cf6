"""Blocks: their classes, their reuse, their owners; against a model, and under pressure."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facula.base.errors import OutOfMemoryError
from facula.kernel.compiler import functions
from facula.kernel.launch import Kernel
from facula.runtime import allocator, native
from facula.runtime.allocator_code import (
    CAPACITY,
    CLASS,
    DATA,
    EXTERNAL,
    FLAGS,
    FRESH,
    HEADER,
    LARGE,
    LIMIT,
    MEDIUM,
    NBYTES,
    OWNER,
    REFCOUNT,
    VERSION,
    emit_memory,
    size_class,
)
from facula.runtime.ir import Module

SIZES = [
    0,
    1,
    63,
    64,
    65,
    1000,
    1024,
    1025,
    1280,
    1281,
    4096,
    65535,
    65536,
    65537,
    (2 << 20) - 1,
    2 << 20,
    (2 << 20) + 1,
    5_000_000,
    40 << 20,
]


def field(block: int, at: int) -> int:
    return ctypes.c_int64.from_address(block + at).value


@pytest.fixture(autouse=True)
def nothing_is_lost() -> Iterator[None]:
    gc.collect()  # what other tests left in cycles goes now, not while one counts
    before = allocator.memory_stats()
    limit = before["limit"]
    yield
    allocator._word(LIMIT).value = limit
    after = allocator.memory_stats()
    assert (after["live"], after["allocated"], after["external"]) == (before["live"], before["allocated"], before["external"])
    allocator.empty_cache()
    assert allocator.memory_stats()["cached_large"] == 0


@pytest.mark.parametrize("nbytes", SIZES)
def test_header_and_data(nbytes: int) -> None:
    block = allocator.allocate(nbytes)
    cls, capacity = size_class(nbytes)
    want = {REFCOUNT: 1, CLASS: cls, OWNER: 0, NBYTES: nbytes, VERSION: 0, DATA: block + HEADER, CAPACITY: capacity}
    assert {at: field(block, at) for at in want} == want
    assert block % 64 == 0 and allocator.data(block) == block + HEADER
    assert (cls >= LARGE) == (nbytes > 7 << 18) and (cls >= LARGE) <= (block % (2 << 20) == 0)
    ctypes.memset(block + HEADER, 0xFF, capacity)
    allocator.release(block)


@given(st.integers(0, 1 << 46))
def test_classes_waste_less_than_a_quarter(nbytes: int) -> None:
    cls, capacity = size_class(nbytes)
    assert nbytes <= capacity and (capacity - nbytes < 64 or (capacity - nbytes) * 4 < nbytes)
    assert size_class(capacity) == (cls, capacity) and size_class(capacity + 1)[0] == cls + 1
    assert (cls >= MEDIUM) == (capacity >= 65536) and (cls >= LARGE) == (capacity >= 2 << 20)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([*SIZES[:-2], 100, 200_000, 700_000, 3_000_000]), st.integers(0, 1 << 30)), max_size=60
    )
)
def test_blocks_never_overlap(steps: list[tuple[bool, int, int]]) -> None:
    """Random takes and gives; every live block keeps the pattern written over all of it."""
    live: dict[int, tuple[int, int]] = {}
    for take, nbytes, pick in steps:
        if take or not live:
            block = allocator.allocate(nbytes)
            assert block not in live
            pattern = pick % 255
            ctypes.memset(allocator.data(block), pattern, nbytes)
            live[block] = (nbytes, pattern)
        else:
            block = sorted(live)[pick % len(live)]
            check(block, *live.pop(block))
            allocator.release(block)
    spans = sorted((b, b + HEADER + field(b, CAPACITY)) for b in live)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    for block, (nbytes, pattern) in live.items():
        check(block, nbytes, pattern)
        allocator.release(block)


def check(block: int, nbytes: int, pattern: int) -> None:
    assert ctypes.string_at(allocator.data(block), nbytes) == bytes([pattern]) * nbytes


@pytest.mark.parametrize("nbytes", [48, 200_000, 9 << 20])
def test_released_memory_is_used_again(nbytes: int) -> None:
    first = allocator.allocate(nbytes)
    allocator.release(first)
    mappings = allocator.memory_stats()["mappings"]
    again = allocator.allocate(nbytes - 1)
    assert again == first and allocator.memory_stats()["mappings"] == mappings
    assert not field(again, FLAGS) & FRESH
    allocator.release(again)


def test_fresh_large_blocks_are_zero() -> None:
    allocator.empty_cache()
    block = allocator.allocate(6 << 20)
    assert field(block, FLAGS) & FRESH
    assert not any(ctypes.string_at(allocator.data(block), 6 << 20))
    allocator.release(block)


def test_references() -> None:
    block = allocator.allocate(100)
    ctypes.c_int64.from_address(block + REFCOUNT).value += 1
    allocator.release(block)
    assert field(block, REFCOUNT) == 1
    allocator.release(block)


def test_external_memory_keeps_its_owner() -> None:
    class Owner(bytearray):
        pass

    owner = Owner(b"abc")
    gone = weakref.ref(owner)
    data = (ctypes.c_char * 3).from_buffer(owner)
    block = allocator.external(ctypes.addressof(data), 3, owner)
    assert field(block, CLASS) == EXTERNAL and field(block, NBYTES) == 3 and allocator.memory_stats()["external"] >= 3
    assert ctypes.string_at(allocator.data(block), 3) == b"abc"
    del owner, data
    gc.collect()
    assert gone() is not None
    allocator.release(block)
    gc.collect()
    assert gone() is None
    again = allocator.allocate(0)  # the header serves again
    assert again == block and allocator.data(again) == again + HEADER
    allocator.release(again)


def test_oldest_blocks_leave_first() -> None:
    allocator.empty_cache()
    sizes = [3 << 20, 5 << 20, 9 << 20]
    blocks = [allocator.allocate(n) for n in sizes]
    allocator.set_cache_limit(16 << 20)
    for block in blocks:
        allocator.release(block)
    left = allocator.memory_stats()["cached_large"]
    assert 14 << 20 < left <= 16 << 20  # the 3 MiB block, released first, is gone
    mappings = allocator.memory_stats()["mappings"]
    again = [allocator.allocate(n) for n in sizes[1:]]
    assert again == blocks[1:] and allocator.memory_stats()["mappings"] == mappings
    allocator.set_cache_limit(0)
    for block in again:
        allocator.release(block)
    assert allocator.memory_stats()["cached_large"] == 0


def test_many_waiting_blocks_of_one_class() -> None:
    blocks = [allocator.allocate(3 << 20) for _ in range(9)]
    capacity = field(blocks[0], CAPACITY)
    for block in blocks[::2] + blocks[1::2]:
        allocator.release(block)
    allocator.set_cache_limit(4 * (capacity + 65536))
    assert sorted(allocator.allocate(3 << 20) for _ in range(4)) == sorted(blocks[1::2])
    for block in blocks[1::2]:
        allocator.release(block)


@pytest.mark.parametrize("nbytes", [1 << 45, 1 << 50, (1 << 63) - 1, 1 << 70])
def test_absurd_sizes(nbytes: int) -> None:
    with pytest.raises(
        OutOfMemoryError, match=rf"DefaultCPUAllocator: can't allocate memory: you tried to allocate {nbytes} bytes\. Error code 12"
    ):
        allocator.allocate(nbytes)


def test_negative_sizes() -> None:
    for call in (lambda: allocator.allocate(-1), lambda: allocator.external(0, -1, None)):
        with pytest.raises(RuntimeError, match="cannot have -1 bytes"):
            call()
    with pytest.raises(ValueError, match="cannot hold"):
        allocator.set_cache_limit(-1)


def test_peak() -> None:
    allocator.reset_peak()
    start = allocator.memory_stats()
    blocks = [allocator.allocate(1 << 20) for _ in range(5)]
    for block in blocks:
        allocator.release(block)
    stats = allocator.memory_stats()
    assert stats["peak"] == start["allocated"] + 5 * (1 << 20) and stats["allocations"] == start["allocations"] + 5


LIMITED = """
import resource
import facula.kernel.compiler
from facula.base.errors import OutOfMemoryError
from facula.runtime import allocator, native
allocator.release(allocator.allocate(1))
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
waiting = [allocator.allocate(20 << 20) for _ in range(7)]
for block in waiting:
    allocator.release(block)
big = allocator.allocate(150 << 20)   # only after what waits has gone
try:
    allocator.allocate(150 << 20)
    print("no error")
except OutOfMemoryError as error:
    print("refused", allocator.memory_stats()["live"])
allocator.release(big)
small = []
try:
    while True:
        small.append(allocator.allocate(1 << 20))
except OutOfMemoryError:
    print("full", len(small) > 100)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_a_full_machine_is_an_error_and_nothing_more() -> None:
    out = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=60)
    assert out.stdout == "refused 1\nfull True\n", out.stderr


def test_native_code_with_its_own_copy_shares_the_lists() -> None:
    def emit(m: Module, name: str) -> None:
        emit_memory(m)
        with m.function(name, "i64 nbytes", "ptr") as (f, nbytes):
            f.call("void", "facula_release", f.call("ptr", "facula_alloc", nbytes))
            f.ret(f.call("ptr", "facula_alloc", nbytes))

    (at,) = functions(Kernel(emit), level="full").values()
    take = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(at)
    for nbytes in (50, 300_000, 8 << 20):
        block = take(nbytes)
        assert field(block, NBYTES) == nbytes
        allocator.release(block)
        again = allocator.allocate(nbytes)
        assert again == block
        allocator.release(again)


def test_native_code_gets_null_for_sizes_that_cannot_be() -> None:
    take = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(native.address("facula_allocate"))
    assert [take(n) for n in (-1, -(1 << 63), (1 << 46) + 1, 1 << 62, 1 << 45)] == [None] * 5


def test_blocks_survive_fork() -> None:
    block = allocator.allocate(3 << 20)
    ctypes.memset(allocator.data(block), 7, 3 << 20)
    child = os.fork()
    if not child:
        code = 1
        try:
            check(block, 3 << 20, 7)
            allocator.release(block)
            code = 0 if allocator.allocate(3 << 20) == block else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check(block, 3 << 20, 7)
    allocator.release(block)
