"""From a kernel to its address: memory, then the cache on disk, then emission and LLVM. A warm start never imports LLVM.

at = address(kernel)                              # for this machine
run(schedule, outs=[y], ins=[x], numbers=(2.0,))  # on NumPy arrays, for tests and benchmarks
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..base.settings import SETTINGS
from ..base.target import TARGETS, Target
from ..runtime import cache, host, images, native
from ..runtime.ir import Module
from .bounds import record
from .bounds.instrument import instrument
from .bounds.record import Range, array_ranges
from .launch import In, Kernel, Number, Out, Schedule, Word, Work, bits

if TYPE_CHECKING:
    import numpy as np

Level = Literal["light", "full"]
PACKAGE = Path(__file__).resolve().parent.parent  # facula/
SHARED = (
    "base/target.py",
    "runtime/ir.py",
    "runtime/images.py",
    "runtime/pool_code.py",
    "runtime/allocator_code.py",
)  # emitters anywhere use them

_addresses: dict[tuple[Kernel, Target, bool], int] = {}
counts = {"disk": 0, "compiled": 0}  # where kernels came from in this process, for explain and tests


# -- identity
@functools.cache
def _room_digest(room: Path) -> str:
    """Digest of the sources under a folder, or of one file."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _compiler_digest() -> str:
    """What all generated code depends on: the compiler's sources, LLVM's version and the interpreter whose objects it touches."""
    spec = importlib.util.find_spec("llvmlite")
    version = Path(spec.origin).with_name("_version.py") if spec and spec.origin else None
    parts = [sys.implementation.cache_tag or "", _room_digest(PACKAGE / "kernel")]
    parts += [_room_digest(PACKAGE / path) for path in SHARED]
    parts.append(_room_digest(version) if version and version.exists() else "no llvmlite")
    return hashlib.blake2b("|".join(parts).encode(), digest_size=16).hexdigest()


@functools.cache
def _emitter_digest(module: str) -> str:
    """Digest of the room an emitter outside kernel/ lives in (its file alone when that is not part of facula)."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if not file:
        return ""
    path = Path(file).resolve()
    if PACKAGE not in path.parents:
        return _room_digest(path)
    room = PACKAGE / path.relative_to(PACKAGE).parts[0]
    return "" if room.name == "kernel" else _room_digest(room)


def identity(kernel: Kernel, target: Target, level: Level = "light", check: bool = False) -> str:
    """The text under which the kernel's code is kept on disk."""
    digests = f"{_compiler_digest()}.{_emitter_digest(kernel.emit.__module__)}"
    return f"{kernel.key} for {target!r} {level}{' checked' if check else ''} by {digests}"


# -- text
def text(kernel: Kernel, target: Target | None = None, check: bool = False) -> tuple[str, str]:
    """(name, LLVM text as emitted). With `check`, each access is compared with what the launch may touch (`bounds/instrument.py`)."""
    name = symbol_of(kernel)
    module = Module(target or host.target())
    kernel.emit(module, name, *kernel.static)
    if check:
        instrument(module)
    return name, module.text()


def access(kernel: Kernel, site: int, target: Target | None = None) -> str:
    """What a checked kernel's access by this number is, and who wrote it."""
    module = Module(target or host.target(), traced=True)
    kernel.emit(module, symbol_of(kernel), *kernel.static)
    return str(instrument(module)[site])


def llvm_text(kernel: Kernel, target: Target | None = None, optimised: bool = True) -> str:
    """The kernel as LLVM text, after the passes or as emitted."""
    target = target or host.target()
    emitted = text(kernel, target)[1]
    if not optimised:
        return emitted
    from . import llvm

    return llvm.optimised_text(emitted, target)


def assembly(kernel: Kernel, target: Target | None = None) -> str:
    """The kernel as assembly; any target, also those this machine cannot run."""
    from . import llvm

    target = target or host.target()
    return llvm.assembly(text(kernel, target)[1], target)


def object_code(kernel: Kernel, target: Target | None = None) -> bytes:
    """The kernel as a relocatable object of the target's format."""
    from . import llvm

    target = target or host.target()
    return llvm.object_code(text(kernel, target)[1], target)


# -- addresses
def address(kernel: Kernel, target: Target | None = None, check: bool = False) -> int:
    """Address of the compiled kernel. RuntimeError when this machine cannot run the target's code."""
    target = target or host.target()
    key = (kernel, target, check)
    found = _addresses.get(key)
    if found is None:
        with images.lock:
            found = _addresses.get(key)
            if found is None:
                found = functions(kernel, target, check=check)[symbol_of(kernel)]
                _addresses[key] = found
    return found


def symbol_of(kernel: Kernel) -> str:
    return "".join(c if c.isalnum() else "_" for c in kernel.emit.__qualname__)


def functions(
    kernel: Kernel, target: Target | None = None, *, symbols: Mapping[str, int] | None = None, level: Level = "light", check: bool = False
) -> dict[str, int]:
    """Load everything the kernel's emitter exports -> {name: address}. Each call maps it anew, with outside symbols from `symbols`,
    the runtime's state, the interpreter and the C library, in this order. Level "full" runs LLVM's whole pipeline (inlining)."""
    target = target or host.target()
    if not host.runs(target):
        raise RuntimeError(f"this machine cannot run code for {target.name}")
    known = identity(kernel, target, level, check)
    store = cache.cache()
    image = store.read(known)
    outside = _Symbols(symbols)
    if image is not None:
        counts["disk"] += 1
        return images.load(image, outside)
    from . import llvm

    counts["compiled"] += 1
    emitted = text(kernel, target, check)[1]
    try:
        image = images.link(llvm.object_code(emitted, target, level))
    except images.Unlinkable:  # another object format: LLVM links it in memory, and nothing is kept
        return llvm.load(emitted, target, level, outside)
    store.write(known, image)
    return images.load(image, outside)


class _Symbols(Mapping[str, int]):
    """The caller's symbols, then the runtime's; the runtime's are made when first asked for."""

    def __init__(self, given: Mapping[str, int] | None) -> None:
        self.given = given or {}

    def __getitem__(self, name: str) -> int:
        return self.given[name] if name in self.given else native.symbol(name)

    def __contains__(self, name: object) -> bool:
        return name in self.given or name in native.SYMBOLS

    def __iter__(self) -> Iterator[str]:
        return iter({*native.SYMBOLS, *self.given})

    def __len__(self) -> int:
        return len({*native.SYMBOLS, *self.given})


# -- running
def run(
    schedule: Schedule,
    outs: Sequence[np.ndarray],
    ins: Sequence[np.ndarray],
    numbers: Sequence[complex] = (),
    long: bool = False,
    target: Target | None = None,
) -> None:
    """Run a schedule on NumPy arrays (their addresses are taken as they are; only checked kernels look). For tests and benchmarks."""
    work = ctypes.create_string_buffer(schedule.workspace + 64)
    base = -(-ctypes.addressof(work) // 64) * 64
    addresses = ([a.ctypes.data for a in outs], [a.ctypes.data for a in ins])
    for launch in schedule.launches:
        words = [_word(word, addresses, base, numbers) & (1 << 64) - 1 for word in launch.words]
        packed = struct.pack(f"<{len(words)}Q", *words)
        if SETTINGS.check_bounds:
            start(launch.kernel, words, array_ranges(launch, schedule, outs, ins, base, numbers), launch.total, launch.grain, long, target)
        else:
            native.parallel(address(launch.kernel, target), _address_of(packed), launch.total, launch.grain, long)


def _address_of(data: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def start(
    kernel: Kernel, words: Sequence[int], ranges: Iterable[Range], total: int, grain: int, long: bool, target: Target | None = None
) -> None:
    """One launch of the kernel's checked form. RuntimeError when it left the ranges."""
    entry = address(kernel, target, check=True)
    record.parallel(entry, words, ranges, total, grain, long, lambda site: (kernel.key, access(kernel, site, target)))


def _word(word: Word, addresses: tuple[list[int], list[int]], work: int, numbers: Sequence[complex]) -> int:
    if isinstance(word, int):
        return int(word)
    if isinstance(word, Work):
        return work + word.offset
    if isinstance(word, Out):
        return addresses[0][word.index] + word.offset
    if isinstance(word, In):
        return addresses[1][word.index] + word.offset
    assert isinstance(word, Number)
    value = numbers[word.index]
    part = value.imag if word.part else value.real
    return int(part) if word.type == "i64" else bits(float(part), word.type)


# -- ahead of time
def prebuild(kernels: Iterable[Kernel], target: Target | None = None, processes: int = 0) -> int:
    """Put kernels into the cache on disk, on all cores (`processes` of them) -> how many were missing. The LLVM binding has one lock, so
    cores take processes; they receive LLVM text and write finished images. A kernel that does not compile raises RuntimeError."""
    target, store = target or host.target(), cache.cache()
    if not store.usable:
        return 0
    missing = [k for k in dict.fromkeys(kernels) if not store.holds(identity(k, target))]
    processes = min(processes or host.cores(), len(missing))
    if processes < 2 or not sys.executable:
        for kernel in missing:
            _keep(identity(kernel, target), text(kernel, target)[1], target)
        return len(missing)
    jobs, lock, failures = iter(missing), threading.Lock(), list[str]()
    feeders = [threading.Thread(target=_feed, args=(jobs, lock, target, failures)) for _ in range(processes)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(missing)} kernels did not compile; the first: {failures[0]}")
    return len(missing)


def _keep(known: str, emitted: str, target: Target) -> None:
    from . import llvm

    try:
        cache.cache().write(known, images.link(llvm.object_code(emitted, target)))
    except images.Unlinkable:
        return  # compiled anew in each process


def _feed(jobs: Iterator[Kernel], lock: threading.Lock, target: Target, failures: list[str]) -> None:
    """Start one compiling process and hand it kernels until none is left."""
    import subprocess  # 5 ms that a warm start does not need

    paths = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", "from facula.kernel.compiler import serve; serve()"]
    environment = {**os.environ, "PYTHONPATH": paths, "FACULA_CACHE": str(cache.default_folder())}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin and process.stdout
        while True:
            with lock:
                kernel = next(jobs, None)
            if kernel is None:
                process.stdin.close()
                return
            try:
                job = {"identity": identity(kernel, target), "text": text(kernel, target)[1], "target": target.name}
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline() or '"the compiling process ended"')
            except (OSError, ValueError, RuntimeError, TypeError) as error:
                answer = f"{type(error).__name__}: {error}"
            if answer:
                failures.append(f"{kernel.key}: {answer}")
                if process.poll() is not None:
                    return


def serve() -> None:
    """The compiling process: one JSON object a line in, one JSON string a line out (empty when the image was written)."""
    for line in sys.stdin:
        job, answer = json.loads(line), ""
        try:
            _keep(job["identity"], job["text"], TARGETS[job["target"]])
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


def _build_runtime(emit: Callable[[Module, str], None]) -> dict[str, int]:
    return functions(Kernel(emit), level="full")


native.compile_with(_build_runtime)
