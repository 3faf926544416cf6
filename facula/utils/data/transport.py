"""Batches from a worker to the main process: structure pickled, large buffers through a memory file that both map.

A message is one pickle (protocol 5) whose tensors and arrays are buffers out of band. Below SMALL bytes the buffers follow on the pipe;
above, the worker writes them into an anonymous memory file and passes its descriptor: one copy in the worker, none in the main process.
The pipe's other end is this program's own child, so unpickling from it gives no one a new way in.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import socket
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ... import ops
from ...base.dtypes import uint8
from ...base.errors import refuse
from ...core import Tensor

SMALL = 64 * 1024  # bytes; below, a memory file costs more than copying through the pipe (about 40 us on the machine it was tried on)
ALIGNMENT = 64  # bytes: a cache line, and enough for every vector load
HAS_MEMORY_FILES = hasattr(os, "memfd_create") and sys.platform == "linux"


class _Pickler(pickle.Pickler):
    """Plain CPU tensors travel as raw bytes; everything else as pickle has it."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor or value.requires_grad or value.device.type != "cpu" or value.is_sparse or value.numel() == 0:
            return NotImplemented
        flat = value.contiguous().view(-1).view(uint8).numpy()  # (bytes,)
        return _tensor, (pickle.PickleBuffer(flat), value.dtype, tuple(value.shape))


def _tensor(buffer: Any, dtype: Any, shape: tuple[int, ...]) -> Tensor:
    import numpy as np

    return ops.from_numpy(np.frombuffer(buffer, np.uint8)).view(dtype).view(shape)


def send(connection: Connection, value: Any) -> None:
    """Write one message."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    raw = [b.raw() for b in buffers]
    sizes = [len(r) for r in raw]
    shared = HAS_MEMORY_FILES and sum(sizes) > SMALL
    file = _memory_file(raw, sizes) if shared else None  # before the first byte goes out: a failure here can still be reported
    connection.send_bytes(pickle.dumps((shared, sizes)))
    connection.send_bytes(stream.getbuffer())
    if file is None:
        for r in raw:
            connection.send_bytes(r)
        return
    try:
        with _socket(connection) as s:
            socket.send_fds(s, [b"F"], [file])
    finally:
        os.close(file)


def _socket(connection: Connection) -> socket.socket:
    """The socket under a pipe. The interpreter's own passing of descriptors waits for an answer since 3.14, which the thread that reads
    this pipe would take for a message."""
    return socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)


def _memory_file(raw: list[memoryview], sizes: list[int]) -> int:
    """Descriptor of an anonymous file that holds the buffers; it lives as long as someone maps it."""
    offsets, total = _places(sizes)
    file = os.memfd_create("facula-batch", os.MFD_CLOEXEC)
    try:
        os.ftruncate(file, total)
        for offset, r in zip(offsets, raw):
            done = 0
            while done < len(r):
                done += os.pwrite(file, r[done:], offset + done)
    except BaseException:
        os.close(file)
        raise
    return file


def receive(connection: Connection) -> Any:
    """Read one message; EOFError or OSError when the other side has gone."""
    shared, sizes = pickle.loads(connection.recv_bytes())
    structure = connection.recv_bytes()
    if not shared:
        return pickle.loads(structure, buffers=[bytearray(connection.recv_bytes()) for _ in sizes])
    with _socket(connection) as s:
        mark, files, _, _ = socket.recv_fds(s, 1, 1)
    if not mark:
        raise EOFError
    (file,) = files
    try:
        offsets, total = _places(sizes)
        memory = memoryview(mmap.mmap(file, total, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)))
    finally:
        os.close(file)
    return pickle.loads(structure, buffers=[memory[o : o + s] for o, s in zip(offsets, sizes)])


def _places(sizes: list[int]) -> tuple[list[int], int]:
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, max(end, 1)


class Failure:
    """An exception of a worker on its way to the main process: its type, the text of its traceback, and itself where it pickles."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind_name = type(error).__name__
        self.text = f"Caught {self.kind_name} {where}.\nOriginal " + "".join(
            traceback.format_exception(type(error), error, error.__traceback__)
        )
        self.where = where
        self.kind: type[BaseException] | None = type(error)
        self.cause: BaseException | None = error
        for name in ("cause", "kind"):  # local classes and exceptions with odd constructors do not survive pickling
            try:
                pickle.loads(pickle.dumps(getattr(self, name)))
            except Exception:
                setattr(self, name, None)

    def reraise(self) -> None:
        """Raise the same type with the worker's traceback as message; RuntimeError where the type cannot be made from a text."""
        raise self._made() from self.cause

    def _made(self) -> BaseException:
        if self.kind is None:
            return RuntimeError(self.text)
        try:
            made = self.kind(_Text(self.text) if self.kind is KeyError else self.text)
        except Exception:
            return RuntimeError(self.text)
        return made


class _Text(str):
    """A message whose repr is itself: KeyError prints the repr of its argument, which would hide the lines of a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def require_picklable(error: BaseException, method: str) -> BaseException:
    """The error to raise when a worker could not be started because its arguments do not pickle."""
    return refuse(
        type(error) if isinstance(error, (TypeError, AttributeError, pickle.PicklingError)) else RuntimeError,
        str(error),
        received=f"a dataset, collate_fn or worker_init_fn that cannot be pickled, with start method {method!r}",
        expected="classes and functions at module level, which a new process can import",
        hint="multiprocessing_context='fork', or move the class or function out of the function it is defined in",
    )
