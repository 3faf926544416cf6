"""The machine this process runs on: which Target its code may use, its cores, pages and memory. Linux is read exactly, others roughly."""

from __future__ import annotations

import functools
import os
import platform
import sys
from pathlib import Path

from ..base.target import AARCH64, TARGETS, X86_64_V3, X86_64_V4, X86_64_V4_BF16, Target

V3_FLAGS = frozenset(
    ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave", "cx16", "popcnt", "sse4_1", "sse4_2", "ssse3", "lahf_lm"]
)
V4_FLAGS = frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])
BF16_FLAGS = frozenset(["avx512_bf16", "avx512_vnni"])

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096  # bytes
HUGE_PAGE = 2 << 20  # bytes; x86-64 and aarch64 with 4 KiB pages


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction-set flags in the spelling of /proc/cpuinfo; empty where that file does not exist."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


@functools.cache
def target() -> Target:
    """The best Target this machine runs; the environment variable FACULA_TARGET names another. RuntimeError where there is none."""
    wanted = os.environ.get("FACULA_TARGET", "")
    if wanted:
        if wanted not in TARGETS:
            raise RuntimeError(f"FACULA_TARGET={wanted!r} is not one of {', '.join(TARGETS)}")
        return TARGETS[wanted]
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return AARCH64
    flags = cpu_flags()
    if machine in ("x86_64", "amd64"):
        if not flags >= V3_FLAGS:
            raise RuntimeError(f"this processor lacks {', '.join(sorted(V3_FLAGS - flags))}; facula needs x86-64-v3 (AVX2 and FMA)")
        if not flags >= V4_FLAGS:
            return X86_64_V3
        return X86_64_V4_BF16 if flags >= BF16_FLAGS else X86_64_V4
    raise RuntimeError(f"no code is generated for {machine} on {sys.platform}")


def runs(other: Target) -> bool:
    """Whether this machine can execute code made for the target."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return other is AARCH64
    needs = {X86_64_V3.name: V3_FLAGS, X86_64_V4.name: V3_FLAGS | V4_FLAGS, X86_64_V4_BF16.name: V3_FLAGS | V4_FLAGS | BF16_FLAGS}
    return machine in ("x86_64", "amd64") and other.name in needs and needs[other.name] <= cpu_flags()


def _allowed() -> set[int]:
    """Logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _cgroup(name: str) -> str:
    """A value of the control group this process lives in (version 2), or an empty string."""
    try:
        group = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip()
        for place in (Path("/sys/fs/cgroup") / group.lstrip("/") / name, Path("/sys/fs/cgroup") / name):
            if place.exists():
                return place.read_text().strip()
    except OSError:
        pass
    return ""


@functools.cache
def cores() -> int:
    """Physical cores this process may use: by affinity, one per pair of hyper-threads, and not above a container's quota."""
    seen: set[str] = set()
    for cpu in _allowed():
        try:
            seen.add(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            seen.add(str(cpu))
    quota, _, period = _cgroup("cpu.max").partition(" ")
    limit = -(-int(quota) // int(period)) if quota.isdigit() and period.isdigit() else len(seen)
    return max(1, min(len(seen), limit))


@functools.cache
def last_level_cache() -> int:
    """Bytes of the largest cache of the first core; 16 MiB where nobody says."""
    texts = [place.read_text().strip() for place in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(t.rstrip("KM")) << {"K": 10, "M": 20}.get(t[-1], 0) for t in texts), default=16 << 20)


@functools.cache
def memory() -> int:
    """Bytes of memory this process may hope for: the machine's, or its container's limit when that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * PAGE if hasattr(os, "sysconf") else 8 << 30
    limit = _cgroup("memory.max")
    return min(total, int(limit)) if limit.isdigit() else total
