"""What runs in a worker process of a `DataLoader`."""

from __future__ import annotations

import os
import queue
import random
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ...ops.random import manual_seed
from .fetch import _DatasetKind
from .transport import Failure, send

CHECK_SECONDS = 2.0  # how often a waiting worker looks whether its parent is still there


@dataclass(frozen=True)
class WorkerInfo:
    """Which worker this process is: `id` of `num_workers`, its `seed`, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to start."""

    kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Callable[..., Any]
    drop_last: bool
    init_fn: Callable[[int], Any] | None
    id: int
    num_workers: int
    base_seed: int


@dataclass(frozen=True)
class Resume:
    """Start another epoch, with fresh random numbers."""

    base_seed: int


class StreamEnd:
    """This worker's stream has no more samples."""


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Inside a worker: who it is. None in the main process."""
    return _info


def _seed_all(base_seed: int, worker_id: int) -> int:
    """Seed Python's, NumPy's and our generator from (base seed, worker): PyTorch's seeds, so its programs draw the same numbers."""
    seed = base_seed + worker_id
    random.seed(seed)
    manual_seed(seed)
    if "numpy" in sys.modules:  # what has not been imported draws nothing yet; its first import seeds itself from the system
        import numpy as np

        np.random.seed(np.random.SeedSequence([worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]).generate_state(4))
    return seed


def _listen(connection: Connection, tasks: queue.SimpleQueue[Any]) -> None:
    """Take tasks off the pipe at once, so that the main process never waits to write; leave when it has gone."""
    parent = os.getppid()  # the main process, or a fork server, which ends when that does
    try:
        while True:
            if connection.poll(CHECK_SECONDS):
                tasks.put(connection.recv())
            elif os.getppid() != parent:
                os._exit(1)
    except (EOFError, OSError):
        tasks.put(None)


def run(plan: Plan, connection: Connection, others: list[Connection]) -> None:
    """Body of a worker: tasks (number, indices) come in, (number, batch) go out, None ends it."""
    global _info
    for other in others:  # ends that fork copied: held open here, they would hide another process's death
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business; it ends its workers
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _one_thread()
    seed = _seed_all(plan.base_seed, plan.id)
    _info = WorkerInfo(plan.id, plan.num_workers, seed, plan.dataset)
    where = f"in DataLoader worker process {plan.id}"
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    failure: Failure | None = None
    fetcher = None
    try:
        if plan.init_fn is not None:
            plan.init_fn(plan.id)
        fetcher = _fetcher(plan)
    except Exception as error:
        failure = Failure(error, where)
    while (task := tasks.get()) is not None:
        if isinstance(task, Resume):
            seed = _seed_all(task.base_seed, plan.id)
            _info = WorkerInfo(plan.id, plan.num_workers, seed, plan.dataset)
            try:
                fetcher = _fetcher(plan)
            except Exception as error:
                failure = Failure(error, where)
            continue
        number, index = task
        result: Any
        if failure is not None:
            result, failure = failure, None
        else:
            result = _fetch_one(fetcher, index, plan.kind, where)
        if not _answer(connection, number, result, where):
            break
        del result, task


def _fetcher(plan: Plan) -> Any:
    return _DatasetKind.create_fetcher(plan.kind, plan.dataset, plan.auto_collation, plan.collate_fn, plan.drop_last)


def _fetch_one(fetcher: Any, index: Any, kind: int, where: str) -> Any:
    try:
        return fetcher.fetch(index)
    except StopIteration as error:
        return StreamEnd() if kind == _DatasetKind.Iterable else Failure(error, where)
    except Exception as error:
        return Failure(error, where)


def _answer(connection: Connection, number: int, result: Any, where: str) -> bool:
    """Send a batch, or the reason why it cannot travel; False when no one listens any more."""
    try:
        send(connection, (number, result))
    except (BrokenPipeError, ConnectionResetError):
        return False
    except Exception as error:
        send(connection, (number, Failure(error, where)))
    return True


def _one_thread() -> None:
    """One compute thread a worker: the workers are the parallelism."""
    from ...runtime.native import set_num_threads

    set_num_threads(1)
